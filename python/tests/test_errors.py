"""Errors are the store's and the driver's, survive a pickle, and say cause and cure."""

from __future__ import annotations

import pickle
import sys
from types import SimpleNamespace
from typing import Any, Callable

import psycopg
import psycopg2.pool
import pytest

import turing_events
from turing_events import EventStore, EventStoreError
from turing_events.errors import raise_typed


class Told(psycopg.errors.UniqueViolation):
    """An error whose fields a test sets, which only the server can otherwise."""

    def __init__(self, **fields: Any) -> None:
        super().__init__("the driver's words")
        self.fields = fields

    @property
    def diag(self) -> Any:
        return SimpleNamespace(**self.fields)


def test_a_unique_constraint_of_the_applications_stays_the_drivers_error() -> None:
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        raise_typed(Told(sqlstate="23505", constraint_name="adverts_pkey"))
    assert not isinstance(caught.value, EventStoreError)


def test_every_error_has_a_cause_and_a_cure_in_its_message() -> None:
    kinds = [
        kind
        for kind in vars(turing_events).values()
        if isinstance(kind, type) and issubclass(kind, EventStoreError)
    ]
    assert len(kinds) > 8
    for kind in kinds:
        if kind.cause:
            assert str(kind("it failed")) == f"it failed\ncause: {kind.cause}\ncure: {kind.cure}"


def test_an_error_is_also_the_drivers_and_survives_a_pickle(store: EventStore, driver: Any) -> None:
    with pytest.raises(turing_events.UnknownPosting) as caught:
        store.append_event("llm_call_completed", aggregate_id=2_000_000_000)
    error = caught.value
    assert isinstance(error, driver.errors.ForeignKeyViolation)
    assert isinstance(error, driver.IntegrityError)
    assert (error.sqlstate, error.pgcode) == ("23503", "23503")
    assert error.pgerror == getattr(error.__cause__, "pgerror", None)
    assert "posting 2000000000 is not registered" in str(error)
    assert 'cure: INSERT INTO "public".postings (posting_id) VALUES (2000000000)' in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.cure) == (
        turing_events.UnknownPosting,
        str(error),
        error.cure,
    )


def test_an_unreadable_event_keeps_its_checkpoint_in_a_pickle() -> None:
    error = turing_events.UnreadableEvent("event 1 of workflow 1 cannot be read")
    error.checkpoint = "7:00000000-0000-0000-0000-000000000007"
    again = pickle.loads(pickle.dumps(error))
    # without, who goes on behind it would begin at the first event
    assert (type(again), again.checkpoint) == (type(error), error.checkpoint)


def test_a_database_without_a_store_is_told_of(connection: Any, driver: Any) -> None:
    calls: list[Callable[[EventStore], object]] = [
        lambda store: store.append_event("llm_call_completed", aggregate_id=1),
        lambda store: store.get_posting_state(1),
        lambda store: next(store.follow(poll_interval=None), None),
    ]
    for call in calls:
        with pytest.raises(turing_events.NotMigrated, match="turing migrate --store") as caught:
            call(EventStore(connection, schema="pg_catalog"))
        assert isinstance(caught.value, driver.ProgrammingError)
        connection.rollback()


def test_what_is_no_connection_is_refused_with_what_to_give() -> None:
    with pytest.raises(
        TypeError, match="no connection of psycopg or psycopg2: give the driver's own"
    ):
        EventStore(object())
    pool = psycopg2.pool.SimpleConnectionPool(0, 1)
    with pytest.raises(TypeError, match="SimpleConnectionPool is no connection"):
        EventStore(pool)


def test_a_driver_that_cannot_be_loaded_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    for driver in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(ImportError, match=r"psycopg\[binary\]'\npsycopg: .*\npsycopg2: "):
        EventStore(dsn="postgres:///x").get_current_version(1)


def test_a_place_that_nobody_named_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, connection: Any
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(ValueError, match="DATABASE_URL is not set"):
        EventStore()
    with pytest.raises(ValueError, match="give one of them"):
        EventStore(connection, dsn="postgres:///x")
