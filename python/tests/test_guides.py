"""What docs/python.md and the README show runs as it stands."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import psycopg

from blocks import blocks, run

ROOT = Path(__file__).parent.parent


def prepared(control: psycopg.Connection[Any], url: str, posting: int, now: str) -> dict[str, Any]:
    """The tables of an application, and the names that the pages take for granted."""
    control.execute("DROP TABLE IF EXISTS adverts, mailer, mails")
    control.execute("CREATE TABLE adverts (posting_id INT, city TEXT)")
    control.execute("INSERT INTO adverts VALUES (%s, '?')", [posting])
    control.execute("CREATE TABLE mailer (checkpoint TEXT)")
    control.execute("INSERT INTO mailer VALUES (%s)", [now])
    control.execute("CREATE TABLE mails (event_id UUID PRIMARY KEY)")
    return {"DATABASE_URL": url, "posting_id": posting}


def test_the_guide_runs_and_does_what_it_says(
    control: psycopg.Connection[Any], url: str, posting: int, now: str
) -> None:
    names = prepared(control, url, posting, now)
    page = blocks(ROOT.parent / "docs" / "python.md")
    assert len(page) == 8
    printed = io.StringIO()
    with redirect_stdout(printed):
        for block in page:
            run(block, names)
    names["connection"].close()
    assert len(printed.getvalue().splitlines()) == 5
    assert control.execute("SELECT city FROM adverts").fetchone() == ("Berlin",)
    assert control.execute("SELECT count(*) FROM mails").fetchone() == (6,)


def test_the_readme_runs(control: psycopg.Connection[Any], url: str, now: str) -> None:
    control.execute("INSERT INTO postings (posting_id) VALUES (12345) ON CONFLICT DO NOTHING")
    names = prepared(control, url, 12345, now)
    [block] = blocks(ROOT / "README.md")
    run(block, names)
    assert names["event_store"].get_posting_state(12345)["outputs"] == {"9184": "Berlin"}
    names["connection"].close()
    assert control.execute("SELECT city FROM adverts").fetchone() == ("Berlin",)
