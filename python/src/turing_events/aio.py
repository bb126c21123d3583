"""The event store, on an asynchronous connection of psycopg."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import datetime
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


class AsyncEventStore:
    """`EventStore`, whose methods are awaited, on a `psycopg.AsyncConnection`."""

    def __init__(
        self,
        connection: Optional[Any] = None,
        *,
        dsn: Optional[str] = None,
        schema: Optional[str] = None,
        parse_float: Optional[ParseFloat] = None,
    ) -> None:
        self._given = None if connection is None else Session(connection, is_async=True)
        self._address = Address(dsn, schema, is_needed=connection is None)
        self._own: Optional[Session] = None
        self._process = 0
        self._lock: Optional[asyncio.Lock] = None
        self._operations = Operations(self._address.schema, parse_float)

    async def append_event(
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
        session = await self._session()
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
        return await self._run(session, append)

    async def dual_write(
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
        session = await self._session()
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
        return await self._run(session, write)

    async def append_events(self, events: Iterable[NewEvent]) -> list[Event]:
        """Appends several events in one round trip, all or none."""
        session = await self._session()
        return await self._run(session, self._operations.append_events(session, events))

    async def get_posting_state(
        self, posting_id: int, *, at_version: Optional[int] = None, at: Optional[datetime] = None
    ) -> Optional[PostingState]:
        """Where a posting stands, or stood after so many events or at an instant.

        None if it had no events.
        """
        return await self._do(self._operations.posting_state(posting_id, at_version, at))

    async def get_aggregate_events(
        self, aggregate_type: str, aggregate_id: int, *, after_version: int = 0
    ) -> list[Event]:
        """The events of an aggregate, in the order of their versions."""
        return await self._do(
            self._operations.aggregate_events(aggregate_type, aggregate_id, after_version)
        )

    async def iter_aggregate_events(
        self, aggregate_type: str, aggregate_id: int, *, after_version: int = 0
    ) -> AsyncGenerator[Event, None]:
        """The same, page by page: about 4 MiB are in memory, however many there are."""
        pages = Pages()
        while True:
            page = self._operations.aggregate_page(
                aggregate_type, aggregate_id, after_version, pages
            )
            rows = await self._do(page)
            for row in rows:
                event = self._operations.event(row)
                after_version = event.aggregate_version
                yield event
            if not rows:
                return

    async def get_current_version(self, aggregate_id: int, aggregate_type: str = "posting") -> int:
        """How many events an aggregate has; 0 if none."""
        return await self._do(self._operations.current_version(aggregate_id, aggregate_type))

    async def rebuild_projection(self, posting_id: int) -> None:
        """Folds the state of a posting anew from its first event."""
        await self._do(self._operations.rebuild_projection(posting_id))

    async def validate(self) -> list[Finding]:
        """Everything that does not agree with the events, with what repairs it."""
        return await self._do(self._operations.validate())

    async def follow(
        self, after: Optional[str] = None, *, poll_interval: Optional[float] = 0.125
    ) -> AsyncGenerator[Event, None]:
        """The events of all aggregates in the order of the log, none missed, whoever commits when.

        `after` is the checkpoint of the last event that was dealt with. At the end it looks again
        every `poll_interval` seconds; if that is None, the iteration ends.
        """
        frontier, pages = Frontier.at(after), Pages()
        read = frontier.position
        while True:
            session = await self._session()
            frontier = await self._run(session, self._operations.look(session, frontier))
            while read < frontier.position:
                rows = await self._run(
                    session, self._operations.log_page(session, read, frontier.position, pages)
                )
                for row in rows:
                    read = row[0]
                    yield self._operations.event(row)
                if not rows:
                    read = frontier.position
            if poll_interval is None:
                return
            await asyncio.sleep(poll_interval)

    async def close(self) -> None:
        """Closes the connection, if it is the store's own."""
        # one of before a fork is the parent's, who goes on with it
        if self._own is not None and self._process == os.getpid():
            await self._own.connection.close()
            self._own = None

    async def __aenter__(self) -> AsyncEventStore:
        return self

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.close()

    async def _session(self) -> Session:
        if self._given is not None:
            return self._given
        # not made before: up to Python 3.9 a lock belongs to the loop of that moment
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            if self._own is None or self._own.is_lost or self._process != os.getpid():
                self._own = Session(await self._address.connect_async(), is_async=True)
                self._process = os.getpid()
            return self._own

    async def _do(self, operation: Operation[T]) -> T:
        return await self._run(await self._session(), operation)

    async def _run(self, session: Session, operation: Operation[T]) -> T:
        async with session.lock:
            try:
                statement = operation.send(None)  # type: ignore[arg-type]
                while True:
                    try:
                        rows = await _rows(session, statement)
                    except INTERRUPTIONS as error:
                        statement = operation.throw(error)
                    else:
                        statement = operation.send(rows)
            except StopIteration as done:
                result: T = done.value
                return result
            except session.error as error:
                raise_typed(error)


async def _rows(session: Session, statement: Statement) -> list[Row]:
    if statement is ROLLBACK:
        await session.connection.rollback()
        return []
    async with session.cursor(statement) as cursor:
        await cursor.execute(statement.sql, statement.parameters)
        for _ in range(statement.result):
            cursor.nextset()
        return [] if statement.parameters is None else await cursor.fetchall()
