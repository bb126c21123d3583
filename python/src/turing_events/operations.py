"""What the store does, without doing it: each operation yields statements and is sent their rows.

So the store and the asynchronous one are the same but for who waits for the database.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Generator, Iterable, Mapping
from datetime import datetime
from operator import index
from typing import Any, Optional, TypeVar

from . import records
from .documents import ParseFloat, encode
from .drivers import Session
from .errors import raise_typed
from .frontier import Frontier
from .records import Event, Finding, NewEvent, PostingState, Row
from .statements import ROLLBACK, Statement, Statements

T = TypeVar("T")
Operation = Generator[Statement, list[Row], T]

# what ends a statement: an error, Ctrl-C, or that the task is cancelled
INTERRUPTIONS = (Exception, KeyboardInterrupt, CancelledError)

_SAVEPOINT = "turing_events"
_BACK = Statement(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}; RELEASE SAVEPOINT {_SAVEPOINT}")

# how much a page of a long stream has at most, and of how many events the first one is
_PAGE_BYTES = 4 * 1024 * 1024
_PAGE_EVENTS = 1000
_FIRST_PAGE = 100


class Pages:
    """How many events the next page is of: the more, the smaller they are."""

    def __init__(self) -> None:
        self.events = _FIRST_PAGE

    def limits(self) -> dict[str, int]:
        return {"events": self.events, "bytes": _PAGE_BYTES}

    def took(self, events: int) -> None:
        is_full = events == self.events
        self.events = min(_PAGE_EVENTS, self.events * 2 if is_full else max(1, events * 2))


class Operations:
    """The operations of a store in a schema."""

    def __init__(self, schema: str, parse_float: Optional[ParseFloat]) -> None:
        self._statement = Statements(schema)
        self._parse_float = parse_float

    def append_event(self, session: Session, *arguments: Any) -> Operation[Event]:
        statement = self._statement("append_event", **self._new_event(*arguments))
        return self.event((yield from _atomically(session, statement))[0])

    def dual_write(
        self, session: Session, old_row: Optional[Mapping[str, Any]], *arguments: Any
    ) -> Operation[Event]:
        # a column of the application's has its own digits
        row = None if old_row is None else _document(_columns(old_row), "old_row", True)
        statement = self._statement("dual_write", old_row=row, **self._new_event(*arguments))
        return self.event((yield from _atomically(session, statement))[0])

    def append_events(self, session: Session, events: Iterable[NewEvent]) -> Operation[list[Event]]:
        given = [self._new_event(**event) for event in events]
        if not given:
            return []
        rows = (_row(number, event) for number, event in enumerate(given))
        statement = self._statement("append_events", events="[" + ", ".join(rows) + "]")
        return self._events((yield from _atomically(session, statement)))

    def _new_event(
        self,
        event_type: str,
        aggregate_type: str = "posting",
        aggregate_id: Optional[int] = None,
        event_data: Optional[Mapping[str, Any]] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        aggregate_version: Optional[int] = None,
        idempotency_key: Optional[str] = None,
    ) -> dict[str, Any]:
        if aggregate_id is None:
            raise TypeError("aggregate_id is missing: of which aggregate is the event?")
        is_plain = self._parse_float is not None
        data = {} if event_data is None else event_data
        version, key = aggregate_version, idempotency_key
        return {
            "event_type": _text(event_type, "event_type"),
            "aggregate_type": _text(aggregate_type, "aggregate_type"),
            "aggregate_id": _whole(aggregate_id, "aggregate_id"),
            "event_data": _document(data, "event_data", is_plain),
            "metadata": None if metadata is None else _document(metadata, "metadata", is_plain),
            "aggregate_version": None if version is None else _whole(version, "aggregate_version"),
            "idempotency_key": None if key is None else _text(key, "idempotency_key"),
        }

    def posting_state(
        self, posting_id: int, at_version: Optional[int], at: Optional[datetime]
    ) -> Operation[Optional[PostingState]]:
        posting_id = _whole(posting_id, "posting_id")
        if at_version is not None and at is not None:
            raise ValueError("at_version and at are two moments: give one of them")
        if at is not None and not isinstance(at, datetime):
            raise TypeError(
                f"at is {at!r}, which is no datetime: datetime.fromisoformat reads text"
            )
        if at is not None and at.tzinfo is None:
            raise ValueError(
                "at is a time without a time zone: use datetime(…, tzinfo=timezone.utc)"
            )
        if at_version is not None:
            statement = self._statement(
                "posting_state_at_version",
                posting_id=posting_id,
                at_version=_whole(at_version, "at_version"),
            )
        elif at is not None:
            statement = self._statement(
                "posting_state_at", posting_id=posting_id, at=at.isoformat()
            )
        else:
            statement = self._statement("posting_state", posting_id=posting_id)
        rows = yield statement
        return records.posting_state(rows[0], self._parse_float) if rows else None

    def aggregate_events(
        self, aggregate_type: str, aggregate_id: int, after_version: int
    ) -> Operation[list[Event]]:
        rows = yield self._statement(
            "aggregate_events",
            aggregate_type=_text(aggregate_type, "aggregate_type"),
            aggregate_id=_whole(aggregate_id, "aggregate_id"),
            after_version=_whole(after_version, "after_version"),
        )
        return self._events(rows)

    def aggregate_page(
        self, aggregate_type: str, aggregate_id: int, after_version: int, pages: Pages
    ) -> Operation[list[Row]]:
        rows = yield self._statement(
            "aggregate_page",
            aggregate_type=_text(aggregate_type, "aggregate_type"),
            aggregate_id=_whole(aggregate_id, "aggregate_id"),
            after_version=_whole(after_version, "after_version"),
            **pages.limits(),
        )
        pages.took(len(rows))
        return rows

    def current_version(self, aggregate_id: int, aggregate_type: str) -> Operation[int]:
        rows = yield self._statement(
            "current_version",
            aggregate_type=_text(aggregate_type, "aggregate_type"),
            aggregate_id=_whole(aggregate_id, "aggregate_id"),
        )
        version: int = rows[0][0]
        return version

    def rebuild_projection(self, posting_id: int) -> Operation[None]:
        yield self._statement("rebuild_projection", posting_id=_whole(posting_id, "posting_id"))

    def validate(self) -> Operation[list[Finding]]:
        return [Finding(*row) for row in (yield self._statement("validate"))]

    def look(self, session: Session, frontier: Frontier) -> Operation[Frontier]:
        looked = yield from _apart(session, self._statement("look", **frontier.parameters()))
        return frontier.observe(looked[0])

    def log_page(
        self, session: Session, after: int, last: int, pages: Pages
    ) -> Operation[list[Row]]:
        statement = self._statement("log_page", after=after, last=last, **pages.limits())
        rows = yield from _apart(session, statement)
        pages.took(len(rows))
        return rows

    def event(self, row: Row) -> Event:
        return records.event(row, self._parse_float)

    def _events(self, rows: list[Row]) -> list[Event]:
        return [self.event(row) for row in rows]


def _whole(number: Any, name: str) -> int:
    """The server would round what has a fraction, and take another aggregate."""
    try:
        return int(index(number))
    except TypeError:
        raise TypeError(f"{name} is {number!r}, which is no whole number") from None


def _text(value: Any, name: str) -> str:
    """Each driver would write something else as text, some in the time zone of the session."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, which is no text")
    encode(value, name)  # tells what the database cannot hold
    return value


def _columns(row: Any) -> Mapping[str, Any]:
    if not isinstance(row, Mapping):
        raise TypeError(
            f"old_row is a {type(row).__name__}: give the columns of the old table by their names, "
            "such as {'is_terminal': True}"
        )
    return row


def _document(value: Mapping[str, Any], name: str, is_plain: bool) -> str:
    try:
        return encode(value, name, is_plain)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply, or within itself") from None


def _row(number: int, event: Mapping[str, Any]) -> str:
    """An event of sql/append_events.sql."""
    fields = {
        "number": str(number),
        "name": encode(event["event_type"], "event_type"),
        "id": str(event["aggregate_id"]),
        "data": event["event_data"],
        "about": event["metadata"] or "null",
        "kind": encode(event["aggregate_type"], "aggregate_type"),
        "key": encode(event["idempotency_key"], "idempotency_key"),
        "version": encode(event["aggregate_version"], "aggregate_version"),
    }
    return "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"


def _atomically(session: Session, statement: Statement) -> Operation[list[Row]]:
    """In a savepoint of the open transaction, which goes on whatever happens.

    Where the statement is the first of its transaction, there is nothing to go back to.
    """
    if session.is_failed or session.is_lost:
        return (yield statement)  # the driver tells of it
    if not session.is_open:
        try:
            return (yield statement)
        except INTERRUPTIONS as error:
            # also where each statement is a transaction: within `with`, psycopg2 begins one
            if session.is_failed or session.is_open:
                yield ROLLBACK
            elif session.is_autocommit and isinstance(error, session.error):
                raise_typed(error, is_lost=session.is_lost)
            raise
    begin, end = f"SAVEPOINT {_SAVEPOINT}", f"RELEASE SAVEPOINT {_SAVEPOINT}"
    script = f"{begin};\n{statement.sql}"
    try:
        if session.tells_each_result:
            return (yield Statement(f"{script};\n{end}", statement.parameters, result=1))
        rows = yield Statement(script, statement.parameters)
        yield Statement(end)
        return rows
    except INTERRUPTIONS:
        # what the driver itself refuses has not begun
        if session.is_failed:
            yield _BACK
        raise


def _apart(session: Session, statement: Statement) -> Operation[list[Row]]:
    """Leaves no transaction open that was not: whoever follows the log waits for long."""
    was_idle = session.is_idle
    try:
        rows = yield statement
    except INTERRUPTIONS:
        # also where it was done before the interruption
        if was_idle and (session.is_failed or session.is_open):
            yield ROLLBACK
        raise
    if was_idle and session.is_open:
        yield ROLLBACK
    return rows
