"""How fast the package is beside the same statements by hand, and beside the library eventsourcing.

    python bench.py postgres://… [PART]    # a migrated database that nobody else uses

PART is a text that the names of what is measured have; ROUNDS and CALLS say how often.

Each figure is the ratio of two rates, ours to theirs, measured in turns: the median of all rounds
and the quartiles. By hand the version is found by the INSERT, as `append_event` finds it. The
library `eventsourcing` is measured if it is installed: pip install 'eventsourcing[postgres]'.
"""

from __future__ import annotations

import json
import os
import sys
import time
from statistics import quantiles
from typing import Any, Callable
from urllib.parse import parse_qs, urlsplit

import psycopg
import psycopg2

from turing_events import EventStore, NewEvent

ROUNDS = int(os.environ.get("ROUNDS", "31"))
CALLS = int(os.environ.get("CALLS", "200"))
PART = "".join(sys.argv[2:])
LOADED = 1000

DATA = {"output": "x" * 250, "status": "SUCCESS"}
METADATA = {"conversation_id": 9184, "actor_id": 74, "duration_ms": 245}
# the version is the next one, as append_event finds it
INSERT = """
    INSERT INTO execution_events
        (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
    SELECT 'posting', %(id)s, coalesce(max(aggregate_version), 0) + 1, 'llm_call_completed',
        %(data)s, %(metadata)s
    FROM execution_events
    WHERE aggregate_type = 'posting' AND aggregate_id = %(id)s
    RETURNING event_id, aggregate_version, position, created_at
"""
# the version is known, and nothing is looked up
KNOWN = """
    INSERT INTO execution_events
        (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
    VALUES ('posting', %(id)s, %(version)s, 'llm_call_completed', %(data)s, %(metadata)s)
    RETURNING event_id, aggregate_version, position, created_at
"""
SELECT = """
    SELECT event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data,
        metadata, created_at, position, idempotency_key
    FROM execution_events
    WHERE aggregate_type = 'posting' AND aggregate_id = %s
    ORDER BY aggregate_version
"""

Call = Callable[[], object]


class Hand:
    """The statements of an application that has no package."""

    def __init__(self, connection: Any, posting: int, has_savepoint: bool = False) -> None:
        self.cursor, self.posting, self.version = connection.cursor(), posting, 0
        self.has_savepoint = has_savepoint

    def append(self, statement: str = INSERT) -> object:
        self.version += 1
        documents = {"data": json.dumps(DATA), "metadata": json.dumps(METADATA)}
        parameters = {"id": self.posting, "version": self.version, **documents}
        if self.has_savepoint:
            self.cursor.execute("SAVEPOINT hand")
        self.cursor.execute(statement, parameters)
        row = self.cursor.fetchone()
        if self.has_savepoint:
            self.cursor.execute("RELEASE SAVEPOINT hand")
        return row

    def append_known(self) -> object:
        return self.append(KNOWN)


def rate(call: Call, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return calls / (time.perf_counter() - began)


def compare(name: str, ours: Call, theirs: Call, calls: int = CALLS) -> None:
    if PART not in name:
        return
    rate(ours, calls // 4 + 1), rate(theirs, calls // 4 + 1)
    ratios, rates = [], []
    for round in range(ROUNDS):
        pair = [ours, theirs] if round % 2 else [theirs, ours]
        measured = {call: rate(call, calls) for call in pair}
        ratios.append(measured[ours] / measured[theirs])
        rates.append((measured[ours], measured[theirs]))
    low, middle, high = quantiles(ratios, n=4)
    mine, hers = (quantiles(column, n=4)[1] for column in zip(*rates))
    print(f"{name:58} {middle:5.2f}  ({low:.2f} to {high:.2f})  {mine:9.1f} /s to {hers:9.1f} /s")


def eventsourcing_append(url: str) -> Call:
    """An append of one event to one aggregate by the library's recorder, its version known."""
    from eventsourcing.application import Application
    from eventsourcing.domain import Aggregate, event

    class Posting(Aggregate):
        @event("LlmCallCompleted")
        def complete(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
            self.last = metadata["conversation_id"]

    parts, query = urlsplit(url), parse_qs(urlsplit(url).query)
    environment = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": query.get("host", [parts.hostname or "127.0.0.1"])[0],
        "POSTGRES_PORT": str(parts.port or query.get("port", ["5432"])[0]),
        "POSTGRES_USER": query.get("user", [parts.username or "postgres"])[0],
        "POSTGRES_PASSWORD": parts.password or query.get("password", [""])[0],
    }
    application: Application = Application(env=environment)
    posting = Posting()
    application.save(posting)

    def append() -> object:
        posting.complete(DATA, METADATA)
        return application.save(posting)

    return append


def main(url: str) -> None:
    control = psycopg.connect(url, autocommit=True)

    def posting() -> int:
        registered = control.execute(
            "INSERT INTO postings (posting_id) "
            "SELECT coalesce(max(posting_id), 0) + 1 FROM postings RETURNING posting_id"
        ).fetchone()
        assert registered
        return int(registered[0])

    def append(store: EventStore, number: int, kind: str = "posting") -> Call:
        return lambda: store.append_event("llm_call_completed", kind, number, DATA, METADATA)

    def ended(connection: Any, call: Call) -> Call:
        def one() -> None:
            call()
            connection.commit()

        return one

    for driver in (psycopg, psycopg2):
        name = driver.__name__
        ours, theirs = driver.connect(url), driver.connect(url)
        store = EventStore(ours)

        ours.autocommit = theirs.autocommit = True
        mine, hand = append(store, posting()), Hand(theirs, posting())
        compare(f"{name}: append", mine, hand.append)
        compare(
            f"{name}: append; by hand its version known", mine, Hand(theirs, posting()).append_known
        )

        ours.autocommit = theirs.autocommit = False
        mine = ended(ours, append(store, posting()))
        for text, has_savepoint in (("", False), (", by hand in a savepoint too", True)):
            hand = Hand(theirs, posting(), has_savepoint)
            compare(f"{name}: append and commit{text}", mine, ended(theirs, hand.append))

        long = posting()
        event: NewEvent = {"event_type": "llm_call_completed", "aggregate_id": long}
        store.append_events([{**event, "event_data": DATA, "metadata": METADATA}] * LOADED)
        ours.commit()
        cursor = theirs.cursor()

        def load(store: EventStore = store, long: int = long) -> object:
            return store.get_aggregate_events("posting", long)

        def select(cursor: Any = cursor, long: int = long) -> object:
            cursor.execute(SELECT, [long])
            return cursor.fetchall()

        compare(f"{name}: load {LOADED} events", load, select, calls=max(CALLS // 20, 1))
        ours.close()
        theirs.close()

    try:
        theirs_append = eventsourcing_append(url)
    except ImportError:
        print("eventsourcing is not installed: pip install 'eventsourcing[postgres]'")
        return
    with EventStore(dsn=url) as own:
        compare("append to a posting, beside eventsourcing", append(own, posting()), theirs_append)
        # without the state of postings, which the other has nothing like
        other = append(own, posting(), "workflow")
        compare("append to another stream, beside eventsourcing", other, theirs_append)


if __name__ == "__main__":
    main(sys.argv[1])
