"""Connections as applications have them: with settings, savepoints, cursors, threads, of pools."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import psycopg
import psycopg2
import psycopg2.errors
import psycopg2.pool
import psycopg_pool
import pytest

from conftest import Connect
from turing_events import Event, EventStore, UnknownPosting, VersionConflict

DONE = "llm_call_completed"
NOBODY = 2_000_000_000

# what touches texts, numbers, times and names
SETTINGS = {
    "array_nulls": "off",
    "backslash_quote": "off",
    "bytea_output": "escape",
    "DateStyle": "SQL",
    "extra_float_digits": "-15",
    "IntervalStyle": "postgres_verbose",
    "quote_all_identifiers": "on",
    "search_path": "nowhere",
    "standard_conforming_strings": "off",
    "TimeZone": "America/St_Johns",
    "transform_null_equals": "on",
}


def test_no_setting_of_a_session_changes_what_is_written_or_read(
    driver: Any, url: str, own: EventStore, posting: int
) -> None:
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    connection = driver.connect(url, options=options)
    odd = EventStore(connection)
    data = {"output": "a\\b\n'é💥", "n": [1.5, -0.1, 10**30, None]}
    first = odd.append_event(
        DONE, aggregate_id=posting, event_data=data, metadata={"conversation_id": 1}
    )
    connection.commit()
    batch = odd.append_events(
        [{"event_type": DONE, "aggregate_id": posting, "event_data": data}] * 2
    )
    assert [event.idempotency_key for event in batch] == [None, None]
    with pytest.raises(VersionConflict):
        odd.append_event(DONE, aggregate_id=posting, aggregate_version=3)
    states = [odd.get_posting_state(posting, at=first.created_at), odd.get_posting_state(posting)]
    connection.commit()
    followed = list(odd.follow(first.checkpoint, poll_interval=None))
    assert own.get_aggregate_events("posting", posting) == [first, *followed]
    assert followed == batch and first.event_data == batch[1].event_data == data
    assert [state and state.aggregate_version for state in states] == [1, 3]
    assert own.get_posting_state(posting) == states[1]
    connection.close()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_connection_that_lacks_characters_is_refused_before_anything_is_sent(
    driver: Any, url: str, posting: int, encoding: str
) -> None:
    connection = driver.connect(url, client_encoding=encoding)
    store = EventStore(connection)
    calls: list[Callable[[], object]] = [
        lambda: store.append_event(DONE, aggregate_id=posting),
        lambda: store.get_posting_state(posting),
        lambda: next(store.follow(poll_interval=None), None),
    ]
    for call in calls:
        with pytest.raises(driver.NotSupportedError, match=f"client_encoding is {encoding}"):
            call()
    assert connection.info.transaction_status == 0
    connection.close()


def test_a_connection_of_its_own_has_the_settings_that_it_needs(url: str, posting: int) -> None:
    mark = "&" if "?" in url else "?"
    settings = "client_encoding=LATIN1&options=-c%20default_transaction_isolation%3Dserializable"
    with EventStore(dsn=f"{url}{mark}{settings}") as store:
        event = store.append_event(DONE, aggregate_id=posting, event_data={"output": "💥"})
        last = store.append_event(DONE, aggregate_id=posting)
        assert list(store.follow(event.checkpoint, poll_interval=None)) == [last]


def test_savepoints_of_the_applications_are_left_alone(
    store: EventStore, connection: Any, own: EventStore, posting: int
) -> None:
    store.append_event(DONE, aggregate_id=posting)
    connection.cursor().execute("SAVEPOINT turing_events")
    store.append_event(DONE, aggregate_id=posting)
    with pytest.raises(VersionConflict):
        store.append_event(DONE, aggregate_id=posting, aggregate_version=1)
    connection.cursor().execute("ROLLBACK TO SAVEPOINT turing_events")
    assert store.get_current_version(posting) == 1
    connection.commit()
    assert own.get_current_version(posting) == 1


@pytest.mark.parametrize("is_autocommit", [False, True])
def test_transactions_within_one_another_are_psycopgs(
    url: str, own: EventStore, posting: int, is_autocommit: bool
) -> None:
    with psycopg.connect(url, autocommit=is_autocommit) as connection:
        store = EventStore(connection)
        with connection.transaction():
            with pytest.raises(UnknownPosting):
                store.append_event(DONE, aggregate_id=NOBODY)
            store.append_event(DONE, aggregate_id=posting)
            with connection.transaction():
                with pytest.raises(VersionConflict):
                    store.append_event(DONE, aggregate_id=posting, aggregate_version=1)
                store.append_event(DONE, aggregate_id=posting)
            with connection.transaction(force_rollback=True):
                store.append_event(DONE, aggregate_id=posting)
            assert own.get_current_version(posting) == 0
        assert own.get_current_version(posting) == 2


def test_a_refusal_on_a_connection_that_prepares_everything_leaves_the_transaction_usable(
    url: str, own: EventStore, posting: int
) -> None:
    with psycopg.connect(url, prepare_threshold=0) as connection:
        store = EventStore(connection)
        for version in (1, 2):
            store.append_event(DONE, aggregate_id=posting)
            with pytest.raises(VersionConflict):
                store.append_event(DONE, aggregate_id=posting, aggregate_version=1)
            assert store.get_current_version(posting) == version
    assert own.get_current_version(posting) == 2


@pytest.mark.parametrize("is_autocommit", [False, True])
def test_a_refusal_within_psycopg2s_with_leaves_the_transaction_usable(
    url: str, own: EventStore, posting: int, is_autocommit: bool
) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = is_autocommit
    store = EventStore(connection)
    with connection:
        with pytest.raises(UnknownPosting):
            store.append_event(DONE, aggregate_id=NOBODY)
        store.append_event(DONE, aggregate_id=posting)
        with pytest.raises(VersionConflict):
            store.append_event(DONE, aggregate_id=posting, aggregate_version=1)
        assert own.get_current_version(posting) == 0
    assert own.get_current_version(posting) == 1
    connection.close()


def test_a_cursor_of_the_servers_goes_on_beside_appends(
    store: EventStore, connection: Any, posting: int
) -> None:
    cursor = connection.cursor(name="reading")
    cursor.execute("SELECT generate_series(1, 3000)")
    assert cursor.fetchone()[0] == 1
    store.append_event(DONE, aggregate_id=posting)
    with pytest.raises(VersionConflict):
        store.append_event(DONE, aggregate_id=posting, aggregate_version=1)
    assert [row[0] for row in cursor.fetchall()] == list(range(2, 3001))
    cursor.close()


def test_a_pipeline_is_refused_and_goes_on(url: str, posting: int) -> None:
    with psycopg.connect(url) as connection:
        store = EventStore(connection)
        with connection.pipeline():
            connection.execute("SELECT 1")
            with pytest.raises(psycopg.NotSupportedError, match=r"outside of pipeline\(\)"):
                store.append_event(DONE, aggregate_id=posting)
            connection.execute("SELECT 1")
        assert store.append_event(DONE, aggregate_id=posting).aggregate_version == 1


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_race_of_transactions_with_a_snapshot_is_the_drivers_error(
    store: EventStore, connection: Any, driver: Any, own: EventStore, posting: int, isolation: str
) -> None:
    own.append_event(DONE, aggregate_id=posting)
    connection.cursor().execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    assert store.get_current_version(posting) == 1
    own.append_event(DONE, aggregate_id=posting)
    for version in (None, 2):
        with pytest.raises(driver.errors.SerializationFailure):
            store.append_event(DONE, aggregate_id=posting, aggregate_version=version)
    connection.rollback()
    assert store.append_event(DONE, aggregate_id=posting).aggregate_version == 3


def test_threads_share_a_connection_and_each_is_told_what_became_of_its_own_append(
    connection: Any, own: EventStore, posting: int
) -> None:
    own.append_event(DONE, aggregate_id=posting)

    def append(number: int) -> list[Event]:
        store, written = EventStore(connection), []
        for attempt in range(20):
            version = 1 if attempt % 2 else None
            try:
                event = store.append_event(
                    DONE, "posting", posting, {"n": [number, attempt]}, aggregate_version=version
                )
                written.append(event)
            except VersionConflict:
                assert version == 1
        return written

    with ThreadPoolExecutor(8) as threads:
        written = [event for events in threads.map(append, range(8)) for event in events]
    assert len(written) == 80
    connection.commit()
    written.sort(key=lambda event: event.aggregate_version)
    assert own.get_aggregate_events("posting", posting, after_version=1) == written


def test_connections_of_a_pool_go_back_as_they_came(
    url: str, own: EventStore, posting: int
) -> None:
    def append_and_conflict(connection: Any) -> None:
        store = EventStore(connection)
        store.append_event(DONE, aggregate_id=posting)
        with pytest.raises(VersionConflict):
            store.append_event(DONE, aggregate_id=posting, aggregate_version=1)

    with psycopg_pool.ConnectionPool(url, min_size=1, max_size=2, open=True) as pool:
        for _ in range(3):
            with pool.connection() as connection:
                append_and_conflict(connection)
    old = psycopg2.pool.ThreadedConnectionPool(1, 2, url)
    for _ in range(3):
        borrowed = old.getconn()
        with borrowed:
            append_and_conflict(borrowed)
        old.putconn(borrowed)
    old.closeall()
    assert own.get_current_version(posting) == 6


def test_a_connection_that_nobody_waits_for_is_refused(url: str) -> None:
    connection = psycopg2.connect(url, async_=True)
    with pytest.raises(TypeError, match="EventStore takes an ordinary connection"):
        EventStore(connection)
    connection.close()


def test_two_stores_of_a_connection_use_one_lock(connect: Connect) -> None:
    connection, other = connect(), connect()
    locks = [EventStore(given)._session().lock for given in (connection, connection, other)]
    assert locks[0] is locks[1] is not locks[2]
