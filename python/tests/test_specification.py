"""The specification's Python runs as it stands: a table beside this says what its `...` are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

import turing_events
from blocks import blocks, run
from turing_events import EventStore

HERE = Path(__file__).parent
ARGUMENTS: dict[str, str] = json.loads((HERE / "specification.json").read_text(encoding="utf-8"))


def specified() -> list[tuple[str, str]]:
    """Its blocks, in which each `...` that stands for arguments is replaced by some."""
    found = []
    for name, code in blocks(HERE / "specification.md"):
        for call, arguments in ARGUMENTS.items():
            code = code.replace(f"{call}, ...)", f"{call}, {arguments})")
        assert ", ...)" not in code
        found.append((name, code))
    return found


def prelude(posting: int, error: type[Exception]) -> dict[str, Any]:
    """The names that the specification uses and does not define."""
    applied: list[Any] = []
    names: dict[str, Any] = {
        "os": os,
        "posting_id": posting,
        "conversation_id": 9184,
        "actor_id": 74,
        "result": "Berlin",
        "timestamp": "2025-11-19T10:00:00",
        "applied": applied,
        "apply_event_with_new_logic": applied.append,
        "IntegrityError": error,
    }
    names["get_aggregate_events"] = lambda *arguments: names["event_store"].get_aggregate_events(
        *arguments
    )
    names["get_current_version"] = lambda *arguments: names["event_store"].get_current_version(
        *arguments
    )
    return names


def test_every_block_runs_in_order_and_twice_in_a_row(
    url: str, posting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.delenv("EVENT_SNAPSHOT_INTERVAL", raising=False)
    names = prelude(posting, psycopg.IntegrityError)
    found = specified()
    assert len(found) == 8
    for round in (1, 2):
        for block in found:
            run(block, names)
        events = names["event_store"].get_aggregate_events("posting", posting)
        kinds = [event["event_type"] for event in events]
        # the key is the same, so its event is there once; version 5 is a conflict in both rounds
        assert sorted(kinds) == sorted(
            ["script_execution_completed", "llm_call_failed"] * round + ["llm_call_completed"]
        )
        assert names["state"]["outputs"] == {"9184": "Berlin"}
        assert names["events"][-1]["event_data"] == {"output": "Berlin", "status": "SUCCESS"}
        assert (len(names["applied"]), names["SNAPSHOT_INTERVAL"]) == (
            (1, 10) if round == 1 else (5, 10)
        )
        names["event_store"].close()


@pytest.mark.parametrize("is_ours", [True, False], ids=["our IntegrityError", "the driver's"])
def test_the_retry_works_within_an_open_transaction(
    store: EventStore, connection: Any, driver: Any, posting: int, is_ours: bool
) -> None:
    [retry] = [block for block in specified() if "except IntegrityError" in block[1]]
    names = prelude(posting, turing_events.IntegrityError if is_ours else driver.IntegrityError)
    names["event_store"] = store
    connection.cursor().execute(
        "UPDATE postings SET data = '{\"kept\": true}' WHERE posting_id = %s", [posting]
    )
    for _ in range(7):
        run(retry, names)
    connection.commit()
    # the fifth was taken at once, the others after a conflict
    assert store.get_current_version(posting) == 7
    cursor = connection.cursor()
    cursor.execute("SELECT data FROM postings WHERE posting_id = %s", [posting])
    assert cursor.fetchone()[0] == {"kept": True}
