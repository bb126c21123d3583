"""The SQL of this package, for the schema that a store is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Optional

Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class Statement:
    """What a driver executes.

    One with parameters has rows, and of several in a text, `result` is the one that has them.
    """

    sql: str
    parameters: Optional[Parameters] = None
    result: int = 0


# done by the connection itself, because psycopg2 keeps count of its transactions
ROLLBACK = Statement("ROLLBACK")


@dataclass(frozen=True)
class Statements:
    """The statements for a schema, by the names of their files."""

    schema: str

    def __call__(self, name: str, **parameters: Any) -> Statement:
        return Statement(_text(name, self.schema), parameters)


@lru_cache(maxsize=None)
def _text(name: str, schema: str) -> str:
    quoted = '"' + schema.replace('"', '""').replace("%", "%%") + '"'
    lines = (line for line in _file(name).splitlines() if not line.startswith("--"))
    columns = {part: _file(part).format() for part in ("event_columns", "state_columns")}
    return "\n".join(lines).format(schema=quoted, **columns)


def _file(name: str) -> str:
    return (files("turing_events") / "sql" / f"{name}.sql").read_text(encoding="utf-8").strip()
