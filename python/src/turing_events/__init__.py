"""Turing's event store from Python, on the application's own connection to PostgreSQL."""

from .aio import AsyncEventStore
from .errors import (
    EventStoreError,
    IntegrityError,
    KeyReused,
    LogDiverged,
    LogNotReadable,
    NotDualWriting,
    NotMigrated,
    OutcomeUnknown,
    UnknownPosting,
    UnreadableEvent,
    VersionConflict,
)
from .records import Event, Finding, NewEvent, PostingState
from .store import EventStore

__all__ = [
    "AsyncEventStore",
    "Event",
    "EventStore",
    "EventStoreError",
    "Finding",
    "IntegrityError",
    "KeyReused",
    "LogDiverged",
    "LogNotReadable",
    "NewEvent",
    "NotDualWriting",
    "NotMigrated",
    "OutcomeUnknown",
    "PostingState",
    "UnknownPosting",
    "UnreadableEvent",
    "VersionConflict",
]
