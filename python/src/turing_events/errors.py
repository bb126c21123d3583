"""What the store refuses, with cause and cure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, Optional

# what a pickle has besides the text
_KEPT = ("cause", "cure", "checkpoint")


class EventStoreError(Exception):
    """What the store refuses.

    An error that the database told is raised as a class that is also the driver's own, such as
    `psycopg.errors.UniqueViolation`, so that code which expects that goes on working.
    """

    cause = ""
    cure = ""

    def __init__(self, problem: str, cause: str = "", cure: str = "") -> None:
        self.cause = cause or self.cause
        self.cure = cure or self.cure
        super().__init__(f"{problem}\ncause: {self.cause}\ncure: {self.cure}")

    @property
    def diag(self) -> Any:
        """What the server said, field by field."""
        return getattr(self.__cause__, "diag", None)

    @property
    def sqlstate(self) -> Optional[str]:
        """The server's code for it."""
        return getattr(self.diag, "sqlstate", None)

    pgcode = sqlstate  # as psycopg2 calls it

    @property
    def pgerror(self) -> Optional[str]:
        """psycopg2's text of it."""
        return getattr(self.__cause__, "pgerror", None)

    def __reduce__(self) -> Any:
        # the class that is also the driver's is made when it is needed, so nobody finds it by name
        return _restored, (
            vars(type(self)).get("made_of", type(self)),
            self.args[0],
            {name: getattr(self, name) for name in _KEPT if hasattr(self, name)},
        )


class IntegrityError(EventStoreError):
    """What DB-API calls so, whichever the driver is."""


class VersionConflict(IntegrityError):
    """The version is taken, or it is not the next one."""

    cause = "somebody else has appended, or the version was not that of the last event plus 1"
    cure = (
        "load the state, decide again, and append with the current version + 1; "
        "or leave aggregate_version out"
    )


class UnknownPosting(IntegrityError):
    """The posting is not registered, so it can have no events."""

    cause = "there is no row for it in the table postings"
    cure = "register it first: INSERT INTO postings (posting_id) VALUES (…)"


class KeyReused(EventStoreError):
    """The idempotency key was used on this stream for something else."""

    cause = "an event with this key is there, of another type or with other data"
    cure = "make keys of what is done, such as run, posting, conversation and attempt"


class NotDualWriting(EventStoreError):
    """The old table and the events are not written together, in this phase of the cutover."""

    cause = "no cutover has begun to write both, or the old table is deprecated already"
    cure = (
        "turing cutover status --store postgres://… tells the phase and what comes next; before "
        "dual-write write the old table alone, and after deprecate append the event alone"
    )


class OutcomeUnknown(EventStoreError):
    """The connection was lost while an append was under way: it may be written or not."""

    cause = "the connection was lost before the answer came"
    cure = (
        "look whether the event is there before you append it again; "
        "with an idempotency_key you can just send it again"
    )


class NotMigrated(EventStoreError):
    """The database, or the schema, has no event store that this version can use."""

    cause = "the database has no event store in this schema, or one of an older version"
    cure = "turing migrate --store postgres://…; another schema is named by EventStore(…, schema=…)"


class LogDiverged(EventStoreError):
    """The log is not the one that was read before."""

    cause = "the database was restored from a backup, or a failover lost commits"
    cure = (
        "find out what is different, build anew what was derived from the events, "
        "and follow from the beginning"
    )


class LogNotReadable(EventStoreError):
    """Here the log cannot be followed without missing events."""


class UnreadableEvent(EventStoreError):
    """Somebody inserted a row that is no event; `checkpoint` is the place behind it in the log."""

    cause = "somebody inserted a row by hand that append_event would have refused"
    cure = "events cannot be removed: when you follow the log, go on after the error's checkpoint"
    checkpoint = ""


def raise_typed(error: Exception, is_lost: bool = False) -> NoReturn:
    """Raises the store's error that a driver's error stands for; itself if it stands for none."""
    diag = getattr(error, "diag", None)
    kind = OutcomeUnknown if is_lost else _kind(diag)
    if kind is None or isinstance(error, EventStoreError):
        raise error
    lines = (getattr(diag, field, None) for field in ("message_primary", "message_detail"))
    problem = "\n".join(line for line in lines if line) or str(error).strip()
    # the server names the posting, and the phase
    cure = diag.message_hint if kind in (UnknownPosting, NotDualWriting) and diag else None
    raise _also(kind, type(error))(problem, cure=cure or "") from error


def _kind(diag: Any) -> Optional[type[EventStoreError]]:
    state = getattr(diag, "sqlstate", None)
    if state in ("23505", "23000") and diag.constraint_name == "unique_aggregate_version":
        return VersionConflict
    if state == "ES004":
        return KeyReused
    if state == "ES009":
        return NotDualWriting
    if state == "23503" and diag.table_name == "execution_events":
        return UnknownPosting
    # in a statement of ours, and not within a trigger of somebody's
    if state in ("42883", "42P01", "42703", "3F000") and diag.context is None:
        return NotMigrated
    return None


def _also(kind: type[EventStoreError], driver: type[Exception]) -> Any:
    return type(kind.__name__, (kind, driver), {"__module__": kind.__module__, "made_of": kind})


def _restored(kind: type[EventStoreError], text: str, fields: Mapping[str, Any]) -> EventStoreError:
    error = kind.__new__(kind, text)
    error.args = (text,)
    vars(error).update(fields)
    return error
