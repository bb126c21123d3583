"""What docs/python.md and the README show runs as it stands, in a database of its own."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import psycopg
import pytest

from blocks import blocks, run
from conftest import needed

ROOT = Path(__file__).parent.parent


@pytest.fixture
def fresh(
    control: psycopg.Connection[Any], url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[psycopg.Connection[Any]]:
    """A database of the page's own, at DATABASE_URL."""
    name = f"{control.info.dbname}_guide"
    control.execute(f'DROP DATABASE IF EXISTS "{name}"')
    control.execute(f'CREATE DATABASE "{name}"')
    address = url.replace(f"/{control.info.dbname}", f"/{name}", 1)
    migrate = [needed("TURING"), "migrate", "--store", address]
    subprocess.run(migrate, check=True, capture_output=True)
    monkeypatch.setenv("DATABASE_URL", address)
    with psycopg.connect(address, autocommit=True) as connection:
        yield connection
    control.execute(f'DROP DATABASE "{name}"')


def test_the_guide_runs_and_does_what_it_says(fresh: psycopg.Connection[Any]) -> None:
    names: dict[str, Any] = {}
    page = blocks(ROOT.parent / "docs" / "python.md")
    assert len(page) == 10
    printed = io.StringIO()
    with redirect_stdout(printed):
        for block in page:
            run(block, names)
    names["connection"].close()
    assert len(printed.getvalue().splitlines()) == 5
    assert fresh.execute("SELECT count(*) FROM mails").fetchone() == (6,)


def test_the_readme_runs(fresh: psycopg.Connection[Any]) -> None:
    names: dict[str, Any] = {}
    [block] = blocks(ROOT / "README.md")
    run(block, names)
    assert names["event_store"].get_posting_state(12345)["outputs"] == {"9184": "Berlin"}
    names["connection"].close()
