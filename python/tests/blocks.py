"""The Python blocks of a Markdown file, run in their order as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    """Each block behind as many empty lines that a traceback names the page's own line."""
    text = page.read_text(encoding="utf-8")
    return [
        (f"{page}", "\n" * text[: found.start(1)].count("\n") + found[1])
        for found in _FENCED.finditer(text)
    ]


def run(block: tuple[str, str], names: dict[str, Any]) -> None:
    name, code = block
    exec(compile(code, name, "exec", dont_inherit=True), names)
