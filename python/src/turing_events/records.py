"""What the store gives and takes: events, states of postings, findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from typing import Any, Optional, TypedDict
from uuid import UUID

from .documents import ParseFloat, decode
from .errors import UnreadableEvent

Row = Sequence[Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class _Record(Mapping[str, Any]):
    """Fields that can also be asked for as those of a dict: `event["event_data"]`."""

    def __getitem__(self, name: str) -> Any:
        if name not in self.__dict__:
            raise KeyError(name)
        return self.__dict__[name]

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in fields(self))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(fields(self))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Event(_Record):
    """A fact about an aggregate."""

    event_id: UUID
    aggregate_type: str
    aggregate_id: int
    aggregate_version: int
    event_type: str
    event_data: dict[str, Any]
    metadata: Optional[dict[str, Any]]
    created_at: datetime
    position: int
    idempotency_key: Optional[str]

    @property
    def checkpoint(self) -> str:
        """The place behind this event, for whoever follows the log."""
        return f"{self.position}:{self.event_id}"


@dataclass(frozen=True)
class PostingState(_Record):
    """Where a posting stands, or stood."""

    posting_id: int
    current_conversation_id: Optional[int]
    execution_sequence: list[int]
    outputs: dict[str, Any]
    is_terminal: bool
    last_updated: datetime
    aggregate_version: int
    terminal: Optional[dict[str, Any]]
    ended_runs: dict[str, Any]
    run: Optional[dict[str, Any]]


@dataclass(frozen=True)
class Finding(_Record):
    """Something that does not agree with the events, and the SQL that repairs it."""

    kind: str
    severity: str
    aggregate_type: Optional[str]
    aggregate_id: Optional[int]
    detail: str
    repair: Optional[str]


class _NewEvent(TypedDict):
    event_type: str
    aggregate_id: int


class NewEvent(_NewEvent, total=False):
    """An event of a batch: the arguments of `append_event` by their names."""

    aggregate_type: str
    event_data: Optional[Mapping[str, Any]]
    metadata: Optional[Mapping[str, Any]]
    aggregate_version: Optional[int]
    idempotency_key: Optional[str]


def instant(microseconds: int) -> datetime:
    """A time from what the database counts, whatever the time zone of the session."""
    return _EPOCH + timedelta(microseconds=microseconds)


def event(row: Row, parse_float: Optional[ParseFloat]) -> Event:
    """The event in a row of sql/event_columns.sql."""
    position, event_id, kind, number, version, name, data, metadata, created, key = row
    try:
        return Event(
            event_id=UUID(event_id),
            aggregate_type=kind,
            aggregate_id=number,
            aggregate_version=version,
            event_type=name,
            event_data=decode(data, parse_float),
            metadata=None if metadata is None else decode(metadata, parse_float),
            created_at=instant(created),
            position=position,
            idempotency_key=key,
        )
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        problem = f"event {version} of {kind} {number} cannot be read: {error}"
        unreadable = UnreadableEvent(problem)
        unreadable.checkpoint = f"{position}:{event_id}"
        raise unreadable from error


def posting_state(row: Row, parse_float: Optional[ParseFloat]) -> PostingState:
    """The state in a row of sql/state_columns.sql."""
    number, current, sequence, outputs, is_terminal, updated, version, terminal, ended, run = row
    return PostingState(
        posting_id=number,
        current_conversation_id=current,
        execution_sequence=sequence,
        outputs=decode(outputs, parse_float),
        is_terminal=is_terminal,
        last_updated=instant(updated),
        aggregate_version=version,
        terminal=None if terminal is None else decode(terminal, parse_float),
        ended_runs=decode(ended, parse_float),
        run=None if run is None else decode(run, parse_float),
    )
