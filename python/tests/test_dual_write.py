"""Events and rows of an old table, both or neither, in a cutover of the test's own."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable

import psycopg
import pytest

from blocks import blocks, run
from conftest import needed
from turing_events import (
    AsyncEventStore,
    EventStore,
    EventStoreError,
    KeyReused,
    NotDualWriting,
    OldRowNotImported,
    OldRowRefused,
    UnknownPosting,
    VersionConflict,
)

ROOT = Path(__file__).parent.parent
DONE = "llm_call_completed"
OLD_TABLE = """
    CREATE TABLE posting_state_checkpoints (
        posting_id INT PRIMARY KEY,
        current_conversation_id INT,
        outputs JSONB NOT NULL DEFAULT '{}',
        conversation_history JSONB NOT NULL DEFAULT '[]',
        is_terminal BOOLEAN NOT NULL DEFAULT FALSE,
        note TEXT CHECK (note <> 'refused'),
        cost NUMERIC,
        updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
    )
"""
MAPPING = """
table = "public.posting_state_checkpoints"
posting_id = "posting_id"
current = "current_conversation_id"
outputs = "outputs"
history = "conversation_history"
history_key = "conversation_id"
terminal = "is_terminal"
updated_at = "updated_at"
"""

Cutover = Callable[..., None]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database in which a cutover has both written."""
    given = needed("TURING_TEST_STORE")
    with psycopg.connect(given, autocommit=True) as control:
        name = f"{control.info.dbname}_cutover"
        control.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        control.execute(f'CREATE DATABASE "{name}"')
        address = given.replace(f"/{control.info.dbname}", f"/{name}", 1)
        mapping = tmp_path_factory.mktemp("cutover") / "mapping.toml"
        mapping.write_text(MAPPING, encoding="utf-8")
        call(address, "migrate")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(OLD_TABLE)
        call(address, "cutover", "create", "--mapping", str(mapping))
        call(address, "cutover", "dual-write")
        yield address
        control.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def control(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def call(address: str, *arguments: str) -> None:
    command = [needed("TURING"), *arguments, "--store", address]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr


def old_row(control: psycopg.Connection[Any], posting: int) -> Any:
    return control.execute(
        "SELECT current_conversation_id, outputs, conversation_history, is_terminal, note "
        "FROM posting_state_checkpoints WHERE posting_id = %s",
        [posting],
    ).fetchone()


def kinds(control: psycopg.Connection[Any], posting: int) -> list[str]:
    """The events of a posting, as everybody sees them."""
    rows = control.execute("SELECT event_type FROM get_aggregate_events('posting', %s)", [posting])
    return [row[0] for row in rows]


def test_an_event_and_a_row_are_written_both_or_neither(
    store: EventStore, connection: Any, control: psycopg.Connection[Any], posting: int
) -> None:
    history = [{"conversation_id": 3, "by": "the application"}]
    for end, expected in ((connection.rollback, []), (connection.commit, [DONE])):
        event = store.dual_write(
            DONE,
            aggregate_id=posting,
            event_data={"output": "Zürich 💥 \\u0000"},
            metadata={"conversation_id": 3},
            old_row={
                "current_conversation_id": 3,
                "outputs": {"3": "Zürich 💥 \\u0000"},
                "conversation_history": history,
                "note": "its own",
            },
        )
        assert (event.aggregate_version, event.event_type) == (1, DONE)
        assert old_row(control, posting) is None and kinds(control, posting) == []
        end()
        # both say the same, so that nothing is imported
        assert kinds(control, posting) == expected
    row = (3, {"3": "Zürich 💥 \\u0000"}, history, False, "its own")
    assert old_row(control, posting) == row
    state = store.get_posting_state(posting)
    assert state is not None and state.outputs == {"3": "Zürich 💥 \\u0000"}
    assert [it for it in store.validate() if it.aggregate_id == posting] == []


def test_what_the_row_says_beside_the_event_is_imported(
    store: EventStore, connection: Any, control: psycopg.Connection[Any], posting: int
) -> None:
    store.dual_write(
        DONE,
        aggregate_id=posting,
        event_data={"output": "a"},
        metadata={"conversation_id": 3},
        old_row={
            "current_conversation_id": 4,
            "outputs": {"3": "a", "4": [1.5, None]},
            "conversation_history": [{"conversation_id": 3}, {"conversation_id": 4}],
            "is_terminal": True,
        },
    )
    connection.commit()
    assert kinds(control, posting) == [DONE, "posting_state_imported"]
    state = store.get_posting_state(posting)
    assert state is not None and state.is_terminal and state.current_conversation_id == 4
    assert (state.outputs, state.execution_sequence) == ({"3": "a", "4": [1.5, None]}, [3, 4])


def test_columns_that_are_not_named_stay_as_they_are(
    store: EventStore, connection: Any, control: psycopg.Connection[Any], posting: int
) -> None:
    def write(conversation: int, **row: Any) -> None:
        store.dual_write(
            DONE,
            aggregate_id=posting,
            event_data={"output": conversation},
            metadata={"conversation_id": conversation},
            **row,
        )
        connection.commit()

    write(1, old_row={"note": "kept", "cost": Decimal("0.10")})
    write(2, old_row={"cost": Decimal("12345678901234567890.10")})
    # the store writes what its mapping names
    write(3)
    current, outputs, history, is_terminal, note = old_row(control, posting)
    assert (current, outputs, is_terminal, note) == (3, {"1": 1, "2": 2, "3": 3}, False, "kept")
    assert [step["conversation_id"] for step in history] == [1, 2, 3]
    cost = control.execute(
        "SELECT cost::text FROM posting_state_checkpoints WHERE posting_id = %s", [posting]
    ).fetchone()
    assert cost == ("12345678901234567890.10",)
    assert kinds(control, posting) == [DONE] * 3


def test_a_refusal_leaves_the_open_transaction_and_the_row_as_they_were(
    store: EventStore, connection: Any, driver: Any, control: psycopg.Connection[Any], posting: int
) -> None:
    row = {"note": "first"}
    store.dual_write(DONE, aggregate_id=posting, old_row=row, idempotency_key="k")
    changed = {"note": "second"}
    with pytest.raises(VersionConflict) as caught:
        store.dual_write(DONE, aggregate_id=posting, old_row=changed, aggregate_version=1)
    assert isinstance(caught.value, driver.IntegrityError)
    with pytest.raises(KeyReused):
        store.dual_write(
            "llm_call_failed", aggregate_id=posting, old_row=changed, idempotency_key="k"
        )
    with pytest.raises(UnknownPosting):
        store.dual_write(DONE, aggregate_id=2_000_000_000, old_row=changed)
    # nor is an event of which the old table does not take the row
    with pytest.raises(OldRowRefused) as refused:
        store.dual_write(DONE, aggregate_id=posting, old_row={"note": "refused"})
    assert isinstance(refused.value, driver.DatabaseError)
    assert refused.value.diag.constraint_name == "posting_state_checkpoints_note_check"
    with pytest.raises(OldRowRefused):
        store.dual_write(DONE, aggregate_id=posting, old_row={"is_terminal": "perhaps"})
    with pytest.raises(driver.errors.UndefinedColumn) as unknown:
        store.dual_write(DONE, aggregate_id=posting, old_row={"nota": "x"})
    assert not isinstance(unknown.value, EventStoreError)
    with pytest.raises(driver.DataError):
        store.dual_write(DONE, aggregate_id=posting, old_row={"posting_id": posting + 1})
    again = store.dual_write(DONE, aggregate_id=posting, old_row=row, idempotency_key="k")
    assert again.aggregate_version == 1
    connection.commit()
    assert kinds(control, posting) == [DONE]
    assert old_row(control, posting)[4] == "first"


def test_what_is_no_row_is_refused_before_anything_is_sent(
    store: EventStore, connection: Any, posting: int
) -> None:
    for row in ([("note", "x")], "note", 7, True):
        with pytest.raises(TypeError, match="give the columns of the old table by their names"):
            store.dual_write(DONE, aggregate_id=posting, old_row=row)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"old_row\.note has the character U\+0000"):
        store.dual_write(DONE, aggregate_id=posting, old_row={"note": "\0"})
    with pytest.raises(TypeError, match="aggregate_id is missing"):
        store.dual_write(DONE, old_row={"note": "x"})
    assert store.get_current_version(posting) == 0


def test_an_old_row_that_is_not_imported_is_written_over_by_no_event(
    store: EventStore, connection: Any, driver: Any, control: psycopg.Connection[Any], posting: int
) -> None:
    # as it was before both were written
    table = "ALTER TABLE posting_state_checkpoints"
    control.execute(f"{table} DISABLE TRIGGER cutover_import_old")
    control.execute(
        "INSERT INTO posting_state_checkpoints (posting_id, outputs) VALUES (%s, '{\"1\": 1}')",
        [posting],
    )
    control.execute(f"{table} ENABLE ALWAYS TRIGGER cutover_import_old")
    assert kinds(control, posting) == []
    for write in (store.append_event, store.dual_write):
        with pytest.raises(OldRowNotImported, match="cutover_import") as caught:
            write(DONE, aggregate_id=posting, aggregate_version=1)
        assert isinstance(caught.value, driver.DatabaseError)
    # without a claim about the version it is imported first
    store.dual_write(
        DONE, aggregate_id=posting, event_data={"output": 2}, metadata={"conversation_id": 2}
    )
    connection.commit()
    assert kinds(control, posting) == ["posting_state_imported", DONE]
    assert old_row(control, posting)[1] == {"1": 1, "2": 2}


def test_where_no_cutover_has_both_written_nothing_is(driver: Any) -> None:
    connection = driver.connect(needed("TURING_TEST_STORE"))
    store = EventStore(connection)
    connection.cursor().execute(
        "INSERT INTO postings (posting_id) SELECT coalesce(max(posting_id), 0) + 1 FROM postings"
    )
    cursor = connection.cursor()
    cursor.execute("SELECT max(posting_id) FROM postings")
    [posting] = cursor.fetchone()
    with pytest.raises(NotDualWriting, match="turing cutover") as caught:
        store.dual_write(DONE, aggregate_id=posting, old_row={"note": "x"})
    # whoever retries after an IntegrityError would not come to an end
    assert isinstance(caught.value, driver.DatabaseError)
    assert not isinstance(caught.value, driver.IntegrityError)
    assert caught.value.sqlstate == "ES009"
    assert store.get_current_version(posting) == 0
    connection.rollback()
    connection.close()


def test_the_asynchronous_store_writes_both_too(
    url: str, control: psycopg.Connection[Any], posting: int
) -> None:
    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            store = AsyncEventStore(connection)
            event = await store.dual_write(DONE, aggregate_id=posting, old_row={"note": "async"})
            with pytest.raises(VersionConflict):
                await store.dual_write(DONE, aggregate_id=posting, aggregate_version=1)
            await connection.commit()
            assert await store.get_aggregate_events("posting", posting) == [event]

    asyncio.run(main())
    assert old_row(control, posting)[4] == "async"


def test_the_function_of_the_guide_writes_both(
    url: str, control: psycopg.Connection[Any], posting: int
) -> None:
    [block] = [it for it in blocks(ROOT.parent / "docs" / "python.md") if "dual_write(" in it[1]]
    with psycopg.connect(url) as connection:
        names: dict[str, Any] = {"connection": connection, "event_store": EventStore(connection)}
        run(block, names)
        names["answered"](posting, 3, "Ulm", {"outputs": {"3": "Ulm"}, "note": "guide"})
    assert kinds(control, posting) == [DONE]
    assert (old_row(control, posting)[1], old_row(control, posting)[4]) == ({"3": "Ulm"}, "guide")
