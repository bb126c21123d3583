"""The event store, on a connection of psycopg or psycopg2."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable, Mapping
from datetime import datetime
from threading import Lock
from types import TracebackType
from typing import Any, Optional, TypeVar

from .documents import ParseFloat
from .drivers import Address, Session
from .errors import raise_typed
from .frontier import Frontier
from .operations import INTERRUPTIONS, Operation, Operations, Pages
from .records import Event, Finding, NewEvent, PostingState, Row
from .statements import ROLLBACK, Statement

T = TypeVar("T")


class EventStore:
    """Turing's event store.

    With a connection, everything is a part of its transactions, and the application commits.
    Without, it connects to `dsn`, or to what DATABASE_URL says, when it is first used, and each
    call is a transaction; threads can share it, and a process that was forked connects anew.

    `schema` is where the store's tables are; `parse_float` is what json.loads calls so: with
    Decimal every number with a point is read as one, and written with its own digits.
    """

    def __init__(
        self,
        connection: Optional[Any] = None,
        *,
        dsn: Optional[str] = None,
        schema: Optional[str] = None,
        parse_float: Optional[ParseFloat] = None,
    ) -> None:
        self._given = None if connection is None else Session(connection)
        self._address = Address(dsn, schema, is_needed=connection is None)
        self._own: Optional[Session] = None
        self._process = 0
        self._locks: dict[int, Lock] = {}
        self._operations = Operations(self._address.schema, parse_float)

    def append_event(
        self,
        event_type: str,
        aggregate_type: str = "posting",
        aggregate_id: Optional[int] = None,
        event_data: Optional[Mapping[str, Any]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        *,
        aggregate_version: Optional[int] = None,
        idempotency_key: Optional[str] = None,
    ) -> Event:
        """Appends an event, and returns it as it was recorded.

        `aggregate_version` is the number that the event shall get: `VersionConflict` if it is not
        the next one. With an `idempotency_key`, whatever was recorded under it first is returned.
        """
        session = self._session()
        append = self._operations.append_event(
            session,
            event_type,
            aggregate_type,
            aggregate_id,
            event_data,
            metadata,
            aggregate_version,
            idempotency_key,
        )
        return self._run(session, append)

    def dual_write(
        self,
        event_type: str,
        aggregate_type: str = "posting",
        aggregate_id: Optional[int] = None,
        event_data: Optional[Mapping[str, Any]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        *,
        old_row: Optional[Mapping[str, Any]] = None,
        aggregate_version: Optional[int] = None,
        idempotency_key: Optional[str] = None,
    ) -> Event:
        """Appends an event and writes the posting's row of the old table, both or neither.

        For the time between `turing cutover dual-write` and `deprecate`; outside of it nothing is
        written, and the error is `NotDualWriting`. `old_row` has columns of the old table by their
        names, of which those that are not named stay as they are; without it the store writes the
        columns that it knows. What the row says beside the event is recorded as an import.
        """
        session = self._session()
        write = self._operations.dual_write(
            session,
            old_row,
            event_type,
            aggregate_type,
            aggregate_id,
            event_data,
            metadata,
            aggregate_version,
            idempotency_key,
        )
        return self._run(session, write)

    def append_events(self, events: Iterable[NewEvent]) -> list[Event]:
        """Appends several events in one round trip, all or none."""
        session = self._session()
        return self._run(session, self._operations.append_events(session, events))

    def get_posting_state(
        self, posting_id: int, *, at_version: Optional[int] = None, at: Optional[datetime] = None
    ) -> Optional[PostingState]:
        """Where a posting stands, or stood after so many events or at an instant.

        None if it had no events.
        """
        return self._do(self._operations.posting_state(posting_id, at_version, at))

    def get_aggregate_events(
        self, aggregate_type: str, aggregate_id: int, *, after_version: int = 0
    ) -> list[Event]:
        """The events of an aggregate, in the order of their versions."""
        return self._do(
            self._operations.aggregate_events(aggregate_type, aggregate_id, after_version)
        )

    def iter_aggregate_events(
        self, aggregate_type: str, aggregate_id: int, *, after_version: int = 0
    ) -> Generator[Event, None, None]:
        """The same, page by page: about 4 MiB are in memory, however many there are."""
        pages = Pages()
        while True:
            page = self._operations.aggregate_page(
                aggregate_type, aggregate_id, after_version, pages
            )
            rows = self._do(page)
            for row in rows:
                event = self._operations.event(row)
                after_version = event.aggregate_version
                yield event
            if not rows:
                return

    def get_current_version(self, aggregate_id: int, aggregate_type: str = "posting") -> int:
        """How many events an aggregate has; 0 if none."""
        return self._do(self._operations.current_version(aggregate_id, aggregate_type))

    def rebuild_projection(self, posting_id: int) -> None:
        """Folds the state of a posting anew from its first event."""
        self._do(self._operations.rebuild_projection(posting_id))

    def validate(self) -> list[Finding]:
        """Everything that does not agree with the events, with what repairs it."""
        return self._do(self._operations.validate())

    def follow(
        self, after: Optional[str] = None, *, poll_interval: Optional[float] = 0.125
    ) -> Generator[Event, None, None]:
        """The events of all aggregates in the order of the log, none missed, whoever commits when.

        `after` is the checkpoint of the last event that was dealt with. At the end it looks again
        every `poll_interval` seconds; if that is None, the iteration ends.
        """
        frontier, pages = Frontier.at(after), Pages()
        read = frontier.position
        while True:
            session = self._session()
            frontier = self._run(session, self._operations.look(session, frontier))
            while read < frontier.position:
                rows = self._run(
                    session, self._operations.log_page(session, read, frontier.position, pages)
                )
                for row in rows:
                    read = row[0]
                    yield self._operations.event(row)
                if not rows:
                    read = frontier.position
            if poll_interval is None:
                return
            time.sleep(poll_interval)

    def close(self) -> None:
        """Closes the connection, if it is the store's own."""
        # one of before a fork is the parent's, who goes on with it
        if self._own is not None and self._process == os.getpid():
            self._own.connection.close()
            self._own = None

    def __enter__(self) -> EventStore:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def _session(self) -> Session:
        if self._given is not None:
            return self._given
        # one that a thread held at a fork is never released in the child
        with self._locks.setdefault(os.getpid(), Lock()):
            if self._own is None or self._own.is_lost or self._process != os.getpid():
                self._own = Session(self._address.connect())
                self._process = os.getpid()
            return self._own

    def _do(self, operation: Operation[T]) -> T:
        return self._run(self._session(), operation)

    def _run(self, session: Session, operation: Operation[T]) -> T:
        with session.lock:
            try:
                statement = operation.send(None)  # type: ignore[arg-type]
                while True:
                    try:
                        rows = _rows(session, statement)
                    except INTERRUPTIONS as error:
                        statement = operation.throw(error)
                    else:
                        statement = operation.send(rows)
            except StopIteration as done:
                result: T = done.value
                return result
            except session.error as error:
                raise_typed(error)


def _rows(session: Session, statement: Statement) -> list[Row]:
    if statement is ROLLBACK:
        session.connection.rollback()
        return []
    with session.cursor(statement) as cursor:
        cursor.execute(statement.sql, statement.parameters)
        for _ in range(statement.result):
            cursor.nextset()
        return [] if statement.parameters is None else cursor.fetchall()
