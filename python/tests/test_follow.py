"""Following the log: nothing is missed, whoever commits when, and nothing comes twice."""

from __future__ import annotations

import itertools
import threading
from typing import Any, Callable

import psycopg
import pytest

import turing_events.store
from conftest import Connect
from turing_events import Event, EventStore, LogDiverged, LogNotReadable
from turing_events.drivers import Session
from turing_events.records import Row
from turing_events.statements import ROLLBACK, Statement

DONE = "llm_call_completed"


def test_what_commits_late_is_not_missed(
    connect: Connect, own: EventStore, new_posting: Callable[[], int], now: str
) -> None:
    slow, fast = connect(), connect()
    slow_posting, fast_posting = new_posting(), new_posting()
    late = EventStore(slow).append_event(DONE, aggregate_id=slow_posting)
    early = EventStore(fast).append_event(DONE, aggregate_id=fast_posting)
    fast.commit()
    assert late.position < early.position
    assert list(own.follow(now, poll_interval=None)) == []
    slow.commit()
    assert list(own.follow(now, poll_interval=None)) == [late, early]
    assert list(own.follow(late.checkpoint, poll_interval=None)) == [early]


def test_a_transaction_of_before_holds_back_only_what_is_behind_it(
    connect: Connect, own: EventStore, new_posting: Callable[[], int], now: str
) -> None:
    following = own.follow(now, poll_interval=0.01)
    first = own.append_event(DONE, aggregate_id=new_posting())
    assert next(following) == first
    held = connect()
    EventStore(held).append_event(DONE, aggregate_id=new_posting())
    own.append_event(DONE, aggregate_id=new_posting())
    held.rollback()
    last = own.append_event(DONE, aggregate_id=new_posting())
    behind = list(itertools.islice(following, 2))
    assert behind[1] == last


def test_a_follower_waits_for_what_comes(own: EventStore, url: str, posting: int, now: str) -> None:
    seen: list[Event] = []

    def follow() -> None:
        with EventStore(dsn=url) as store:
            seen.extend(itertools.islice(store.follow(now, poll_interval=0.01), 3))

    thread = threading.Thread(target=follow)
    thread.start()
    written = [own.append_event(DONE, aggregate_id=posting) for _ in range(3)]
    thread.join(60)
    assert seen == written


def test_a_checkpoint_in_the_applications_transaction_gives_each_event_its_effect_once(
    store: EventStore,
    connection: Any,
    own: EventStore,
    control: psycopg.Connection[Any],
    posting: int,
    now: str,
) -> None:
    table = f"effects_{posting}"
    control.execute(f"CREATE TABLE {table} (version INT, checkpoint TEXT)")
    written = [own.append_event(DONE, aggregate_id=posting).aggregate_version for _ in range(20)]
    for stop in (3, 8, None):
        row = control.execute(
            f"SELECT checkpoint FROM {table} ORDER BY version DESC LIMIT 1"
        ).fetchone()
        for number, event in enumerate(store.follow(row[0] if row else now, poll_interval=None)):
            insert = f"INSERT INTO {table} VALUES (%s, %s)"
            connection.cursor().execute(insert, [event.aggregate_version, event.checkpoint])
            if number == stop:
                connection.rollback()  # as after a crash
                break
            connection.commit()
    effects = control.execute(f"SELECT version FROM {table} ORDER BY version").fetchall()
    assert [version for (version,) in effects] == written
    control.execute(f"DROP TABLE {table}")


def test_waiting_keeps_no_transaction_open_and_ends_none(
    store: EventStore, connection: Any, own: EventStore, posting: int, now: str
) -> None:
    own.append_event(DONE, aggregate_id=posting)
    assert len(list(store.follow(now, poll_interval=None))) == 1
    assert connection.info.transaction_status == 0
    connection.cursor().execute(
        "UPDATE postings SET data = '{\"kept\": true}' WHERE posting_id = %s", [posting]
    )
    assert len(list(store.follow(now, poll_interval=None))) == 1
    assert connection.info.transaction_status == 2
    cursor = connection.cursor()
    cursor.execute("SELECT data FROM postings WHERE posting_id = %s", [posting])
    assert cursor.fetchone()[0] == {"kept": True}


def test_a_look_that_is_interrupted_when_it_is_done_leaves_no_transaction_open(
    store: EventStore, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = turing_events.store._rows

    def interrupted(session: Session, statement: Statement) -> list[Row]:
        rows = done(session, statement)
        if statement is not ROLLBACK:
            raise KeyboardInterrupt
        return rows

    monkeypatch.setattr(turing_events.store, "_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(store.follow(poll_interval=None), None)
    assert connection.info.transaction_status == 0


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_transaction_that_would_miss_events_is_refused(
    store: EventStore, connection: Any, isolation: str
) -> None:
    connection.cursor().execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
    with pytest.raises(LogNotReadable, match=f"the transaction is {isolation}"):
        next(store.follow(poll_interval=None), None)


def test_a_log_that_is_another_is_noticed(own: EventStore, posting: int) -> None:
    event = own.append_event(DONE, aggregate_id=posting)
    other = event.checkpoint.replace(str(event.event_id), "00000000-0000-0000-0000-000000000001")
    with pytest.raises(
        LogDiverged, match=f"the event at {event.position}, which was read before, is there no more"
    ):
        next(own.follow(other, poll_interval=None), None)
    with pytest.raises(ValueError, match="'7' is no checkpoint"):
        next(own.follow("7"), None)
