"""Appending, in transactions of the application and in those of its own."""

from __future__ import annotations

import os
import signal
import threading
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable

import psycopg
import psycopg.rows
import psycopg2.extras
import pytest
from hypothesis import given, settings

from conftest import MANY
from documents import DOCUMENTS, same
from turing_events import EventStore, KeyReused, NewEvent, OutcomeUnknown, VersionConflict

DONE = "llm_call_completed"


def versions(control: psycopg.Connection[Any], posting: int) -> list[int]:
    """What everybody can see."""
    rows = control.execute(
        "SELECT aggregate_version FROM get_aggregate_events('posting', %s)", [posting]
    )
    return [row[0] for row in rows]


def test_an_event_is_returned_as_it_was_recorded(store: EventStore, posting: int) -> None:
    before = datetime.now(timezone.utc) - timedelta(minutes=5)
    event = store.append_event(
        DONE,
        aggregate_id=posting,
        event_data={"output": "Zürich 💥 \\u0000", "n": None},
        metadata={"duration_ms": 2.5},
    )
    assert event["event_data"] == event.event_data == {"output": "Zürich 💥 \\u0000", "n": None}
    assert event.metadata == {"duration_ms": 2.5}
    assert (event.aggregate_type, event.aggregate_id, event.aggregate_version) == (
        "posting",
        posting,
        1,
    )
    assert before < event.created_at < before + timedelta(minutes=10)
    assert dict(event)["event_id"] == event.event_id
    assert store.get_aggregate_events("posting", posting) == [event]


def test_rows_of_the_application_and_events_are_committed_together(
    store: EventStore, connection: Any, control: psycopg.Connection[Any], posting: int
) -> None:
    for end, expected in ((connection.rollback, []), (connection.commit, [1])):
        connection.cursor().execute(
            "UPDATE postings SET data = '{\"seen\": true}' WHERE posting_id = %s", [posting]
        )
        store.append_event(DONE, aggregate_id=posting)
        assert versions(control, posting) == []
        end()
        assert versions(control, posting) == expected
        row = control.execute(
            "SELECT data FROM postings WHERE posting_id = %s", [posting]
        ).fetchone()
        assert row == ({"seen": True} if expected else {},)


def test_a_refusal_leaves_the_open_transaction_as_it_was(
    store: EventStore, connection: Any, driver: Any, control: psycopg.Connection[Any], posting: int
) -> None:
    for version in (2, None, 1, 3):
        if version is None:
            store.append_event(DONE, aggregate_id=posting)
            continue
        with pytest.raises(VersionConflict) as caught:
            store.append_event(DONE, aggregate_id=posting, aggregate_version=version)
        assert isinstance(caught.value, driver.IntegrityError)
    with pytest.raises(driver.DataError):
        store.append_event("Not A Name", aggregate_id=posting)
    with pytest.raises(ValueError, match=r"event_data\.output has the character U\+0000"):
        store.append_event(DONE, aggregate_id=posting, event_data={"output": "\0"})
    with pytest.raises(ValueError, match=r"idempotency_key has the character U\+0000"):
        store.append_event(DONE, aggregate_id=posting, idempotency_key="\0")
    with pytest.raises(ValueError, match="idempotency_key has half a surrogate pair"):
        store.append_event(DONE, aggregate_id=posting, idempotency_key="\ud800")
    with pytest.raises(driver.DataError, match="event_data has a number beyond a double"):
        store.append_event(DONE, aggregate_id=posting, event_data={"output": 10**400})
    with pytest.raises(driver.DataError):
        store.append_event(DONE, aggregate_id=2**40)
    with pytest.raises(TypeError, match="aggregate_id is missing"):
        store.append_event(DONE)
    assert (
        store.append_event(DONE, aggregate_id=posting, aggregate_version=2).aggregate_version == 2
    )
    connection.commit()
    assert versions(control, posting) == [1, 2]


def test_a_transaction_that_has_failed_stays_the_applications_to_end(
    store: EventStore, connection: Any, driver: Any, posting: int
) -> None:
    with pytest.raises(driver.ProgrammingError):
        connection.cursor().execute("SELECT nothing")
    with pytest.raises(driver.errors.InFailedSqlTransaction):
        store.append_event(DONE, aggregate_id=posting)
    connection.rollback()
    assert store.append_event(DONE, aggregate_id=posting).aggregate_version == 1


def test_a_number_that_the_server_would_round_is_no_id_and_no_version(
    store: EventStore, posting: int
) -> None:
    calls: list[Callable[[Any], object]] = [
        lambda number: store.append_event(DONE, aggregate_id=number),
        lambda number: store.append_events([{"event_type": DONE, "aggregate_id": number}]),
        lambda number: store.append_event(DONE, aggregate_id=posting, aggregate_version=number),
        lambda number: store.get_posting_state(number),
        lambda number: store.get_posting_state(posting, at_version=number),
        lambda number: store.get_aggregate_events("posting", number),
        lambda number: list(store.iter_aggregate_events("posting", posting, after_version=number)),
        lambda number: store.get_current_version(number),
        lambda number: store.rebuild_projection(number),
    ]
    for call in calls:
        for number in (posting + 0.4, Decimal(posting), str(posting)):
            with pytest.raises(TypeError, match="which is no whole number"):
                call(number)


def test_what_each_driver_would_write_otherwise_is_no_name_and_no_key(
    store: EventStore, posting: int
) -> None:
    calls: list[Callable[[Any], object]] = [
        lambda text: store.append_event(text, aggregate_id=posting),
        lambda text: store.append_event(DONE, text, posting),
        lambda text: store.get_aggregate_events(text, posting),
        lambda text: list(store.iter_aggregate_events(text, posting)),
        lambda text: store.get_current_version(posting, text),
    ]
    keyed: list[Callable[[Any], object]] = [
        lambda key: store.append_event(DONE, aggregate_id=posting, idempotency_key=key),
        lambda key: store.append_events(
            [{"event_type": DONE, "aggregate_id": posting, "idempotency_key": key}]
        ),
    ]
    # of the time it would be the text of the session's time zone
    for value in (7, b"k", ("run", 1), datetime.now(timezone.utc)):
        for call in calls + keyed:
            with pytest.raises(TypeError, match="which is no text"):
                call(value)
    for call in calls:
        with pytest.raises(TypeError, match="is None, which is no text"):
            call(None)
    assert store.get_current_version(posting) == 0


def test_a_document_without_an_end_is_refused(store: EventStore, posting: int) -> None:
    endless: dict[str, Any] = {}
    endless["output"] = endless
    for data, about in ((endless, None), ({}, endless)):
        with pytest.raises(ValueError, match="is nested too deeply, or within itself"):
            store.append_event(DONE, aggregate_id=posting, event_data=data, metadata=about)


def test_where_each_statement_is_a_transaction_each_append_is_one(
    store: EventStore, connection: Any, control: psycopg.Connection[Any], posting: int
) -> None:
    connection.autocommit = True
    store.append_event(DONE, aggregate_id=posting)
    assert versions(control, posting) == [1]
    with pytest.raises(VersionConflict):
        store.append_event(DONE, aggregate_id=posting, aggregate_version=1)
    connection.cursor().execute("BEGIN")
    store.append_event(DONE, aggregate_id=posting)
    with pytest.raises(VersionConflict):
        store.append_event(DONE, aggregate_id=posting, aggregate_version=1)
    assert versions(control, posting) == [1]
    connection.cursor().execute("COMMIT")
    assert versions(control, posting) == [1, 2]


def test_a_repeat_with_its_key_gives_the_first_event_and_other_content_is_an_error(
    store: EventStore, connection: Any, driver: Any, posting: int
) -> None:
    first = store.append_event(
        DONE, aggregate_id=posting, event_data={"output": 1}, idempotency_key="run/1"
    )
    assert (
        store.append_event(
            DONE, aggregate_id=posting, event_data={"output": 1}, idempotency_key="run/1"
        )
        == first
    )
    with pytest.raises(KeyReused, match="was used on posting") as caught:
        store.append_event(
            DONE, aggregate_id=posting, event_data={"output": 2}, idempotency_key="run/1"
        )
    # a loop that appends again after an IntegrityError would not come to an end
    assert isinstance(caught.value, driver.DatabaseError) and not isinstance(
        caught.value, driver.IntegrityError
    )
    assert store.get_current_version(posting) == 1


def test_a_batch_is_written_whole_or_not_at_all(
    store: EventStore, connection: Any, new_posting: Callable[[], int]
) -> None:
    second, first = sorted((new_posting(), new_posting()), reverse=True)
    events: list[NewEvent] = [
        {"event_type": DONE, "aggregate_id": second, "event_data": {"output": "a"}},
        {
            "event_type": DONE,
            "aggregate_id": first,
            "metadata": {"conversation_id": 3},
            "idempotency_key": "k",
        },
        {"event_type": "wave_seen", "aggregate_type": "conversation", "aggregate_id": 1},
        {"event_type": "llm_call_failed", "aggregate_id": second, "aggregate_version": 2},
    ]
    written = store.append_events(iter(events))
    assert [event.aggregate_id for event in written] == [second, first, 1, second]
    assert [event.event_type for event in written] == [event["event_type"] for event in events]
    assert written[3].aggregate_version == 2 and written[3].position > written[0].position
    assert (written[0].event_data, written[1].metadata, written[1].idempotency_key) == (
        {"output": "a"},
        {"conversation_id": 3},
        "k",
    )
    with pytest.raises(VersionConflict):
        store.append_events([events[1], events[0], {**events[3], "aggregate_version": 9}])
    assert store.get_current_version(second) == 2
    assert store.append_events([]) == []
    with pytest.raises(TypeError, match="unexpected keyword argument 'aggregate'"):
        store.append_events([{"event_type": DONE, "aggregate": 1}])  # type: ignore[typeddict-item]


def test_an_append_and_a_batch_are_one_round_trip(url: str, posting: int, tmp_path: Path) -> None:
    for is_own in (True, False):
        with psycopg.connect(url, autocommit=is_own) as connection:
            store = EventStore(connection)
            connection.execute("SELECT 1")
            for size in (0, 50):
                with open(tmp_path / "trace", "wb+") as trace:
                    connection.pgconn.trace(trace.fileno())
                    if size:
                        store.append_events([{"event_type": DONE, "aggregate_id": posting}] * size)
                    else:
                        store.append_event(DONE, aggregate_id=posting)
                    connection.pgconn.untrace()
                    trace.seek(0)
                    assert trace.read().count(b"ReadyForQuery") == 1


def test_whatever_the_connection_makes_of_rows_and_times_events_are_events(
    url: str, posting: int
) -> None:
    modern = psycopg.connect(
        url,
        row_factory=psycopg.rows.dict_row,
        options="-c TimeZone=Asia/Kathmandu -c DateStyle=SQL",
    )
    old = psycopg2.connect(
        url, cursor_factory=psycopg2.extras.RealDictCursor, options="-c TimeZone=America/St_Johns"
    )
    for connection in (modern, old):
        store = EventStore(connection)
        event = store.append_event(DONE, aggregate_id=posting)
        assert event.created_at.utcoffset() == timedelta(0)
        state = store.get_posting_state(posting)
        assert state is not None and state.last_updated == event.created_at
        connection.commit()
        connection.close()


def test_a_lost_connection_leaves_the_outcome_unknown_and_is_replaced(
    own: EventStore, control: psycopg.Connection[Any], posting: int
) -> None:
    own.append_event(DONE, aggregate_id=posting)
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s"
    control.execute(ended, [own._session().connection.info.backend_pid])
    with pytest.raises(
        OutcomeUnknown, match="with an idempotency_key you can just send it again"
    ) as caught:
        own.append_event(DONE, aggregate_id=posting, idempotency_key="k")
    assert isinstance(caught.value, psycopg.OperationalError)
    assert own.append_event(DONE, aggregate_id=posting, idempotency_key="k").aggregate_version == 2


def test_a_connection_that_is_lost_in_a_transaction_is_the_drivers_error(
    store: EventStore, connection: Any, driver: Any, control: psycopg.Connection[Any], posting: int
) -> None:
    store.append_event(DONE, aggregate_id=posting)
    control.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
    with pytest.raises(driver.OperationalError) as caught:
        store.append_event(DONE, aggregate_id=posting)
    assert not isinstance(caught.value, OutcomeUnknown)
    assert versions(control, posting) == []


def test_threads_share_a_store_and_a_forked_process_connects_anew(
    own: EventStore, posting: int
) -> None:
    threads = [
        threading.Thread(target=own.append_event, args=(DONE, "posting", posting)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(
            writing, str(own.append_event(DONE, aggregate_id=posting).aggregate_version).encode()
        )
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reading, 8) == b"9"
    os.close(reading)
    os.close(writing)
    assert own.append_event(DONE, aggregate_id=posting).aggregate_version == 10


def test_a_forked_process_closes_no_connection_but_its_own(own: EventStore, posting: int) -> None:
    own.append_event(DONE, aggregate_id=posting)
    session = own._session()
    child = os.fork()
    if child == 0:
        own.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert own.append_event(DONE, aggregate_id=posting).aggregate_version == 2
    assert own._session() is session


def test_a_process_forked_while_another_thread_connects_does_not_wait_for_it(
    own: EventStore, posting: int
) -> None:
    with own._locks.setdefault(os.getpid(), threading.Lock()):
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # ends one that waits
            own.append_event(DONE, aggregate_id=posting)
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert own.get_current_version(posting) == 1


def test_the_address_may_have_the_parameters_of_turings_programs(url: str, posting: int) -> None:
    mark = "&" if "?" in url else "?"
    with EventStore(
        dsn=f"{url}{mark}schema=public&pooled=true&statement-cache-capacity=9"
    ) as store:
        assert store.append_event(DONE, aggregate_id=posting).aggregate_version == 1
        assert store._session().connection.prepare_threshold is None
    with EventStore(dsn=f"{url}{mark}ssl-mode=prefer&ssl-root-cert=/nowhere") as store:
        assert store.get_current_version(posting) == 1
    with pytest.raises(
        ValueError, match=r"begins with postgresql\+psycopg://: write postgres://…$"
    ):
        EventStore(dsn="postgresql+psycopg://user:secret@host/database")
    with pytest.raises(ValueError, match="pooled=maybe in the address: write pooled=true"):
        EventStore(dsn=f"{url}{mark}pooled=maybe")


@settings(max_examples=60 * MANY)
@given(data=DOCUMENTS, about=DOCUMENTS)
def test_what_is_written_is_what_sql_reads_and_what_is_read(
    store: EventStore, connection: Any, posting: int, data: dict[str, Any], about: dict[str, Any]
) -> None:
    about.pop("event_version", None)
    sent = {"sent": data}
    event = store.append_event(
        DONE, aggregate_id=posting, event_data=sent, metadata={"about": about}
    )
    assert event.metadata is not None
    assert same(sent, event.event_data) and same(about, event.metadata["about"])
    exact = EventStore(connection, parse_float=Decimal)
    plain = exact.append_event(DONE, aggregate_id=posting, event_data=sent)
    assert same(sent, plain.event_data, decimals=True)
    # what was written otherwise is the same number
    for reader in (store, exact):
        [first, second] = reader.get_aggregate_events(
            "posting", posting, after_version=event.aggregate_version - 1
        )
        assert first.aggregate_version == event.aggregate_version
        assert second.aggregate_version == plain.aggregate_version
    cursor = connection.cursor()
    # the database takes each text and number for the same value
    for key, value in data.items():
        asked = "SELECT event_data -> 'sent' ->> %s FROM execution_events WHERE event_id = %s"
        cursor.execute(asked, [key, str(event.event_id)])
        found = cursor.fetchone()[0]
        if isinstance(value, str):
            assert found == value
        elif isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            assert Decimal(found) == value
        elif isinstance(value, float):
            assert float(found) == value
