"""How fast the package is beside the same statements by hand, and beside the library eventsourcing.

    python bench.py postgres://…    # a migrated database that nobody else uses

Each figure is the ratio of two rates, ours to theirs, measured in turns: the median of all rounds, and
the quartiles. The Python library `eventsourcing` is measured if it is installed.
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

from turing_events import EventStore

ROUNDS = int(os.environ.get("ROUNDS", "31"))
CALLS = int(os.environ.get("CALLS", "200"))
LOADED = 1000

DATA = {"output": "x" * 250, "status": "SUCCESS"}
METADATA = {"conversation_id": 9184, "actor_id": 74, "duration_ms": 245}
INSERT = """
    INSERT INTO execution_events
        (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
    VALUES ('posting', %s, %s, 'llm_call_completed', %s, %s)
    RETURNING event_id, position, created_at
"""
SELECT = """
    SELECT event_id, aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata,
        created_at, position, idempotency_key
    FROM execution_events
    WHERE aggregate_type = 'posting' AND aggregate_id = %s
    ORDER BY aggregate_version
"""

Call = Callable[[], object]


class Hand:
    """The statements of an application that has no package."""

    def __init__(self, connection: Any, posting: int) -> None:
        self.cursor, self.posting, self.version = connection.cursor(), posting, 0

    def append(self) -> object:
        self.version += 1
        documents = [json.dumps(DATA), json.dumps(METADATA)]
        self.cursor.execute(INSERT, [self.posting, self.version, *documents])
        return self.cursor.fetchone()

    def append_in_savepoint(self) -> object:
        self.cursor.execute("SAVEPOINT hand")
        row = self.append()
        self.cursor.execute("RELEASE SAVEPOINT hand")
        return row


def rate(call: Call, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return calls / (time.perf_counter() - began)


def compare(name: str, ours: Call, theirs: Call, calls: int = CALLS) -> None:
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
            "INSERT INTO postings (posting_id) SELECT coalesce(max(posting_id), 0) + 1 FROM postings "
            "RETURNING posting_id"
        )
        return registered.fetchone()[0]  # type: ignore[index]

    def append(store: EventStore, number: int) -> Call:
        return lambda: store.append_event(
            "llm_call_completed", aggregate_id=number, event_data=DATA, metadata=METADATA
        )

    def ended(connection: Any, call: Call) -> Call:
        def one() -> None:
            call()
            connection.commit()

        return one

    for driver in (psycopg, psycopg2):
        name = driver.__name__
        ours, theirs = driver.connect(url), driver.connect(url)
        ours.autocommit = theirs.autocommit = True
        single = append(EventStore(ours), posting())
        compare(f"{name}: append, each a transaction", single, Hand(theirs, posting()).append)

        ours.autocommit = theirs.autocommit = False
        store, hand = EventStore(ours), Hand(theirs, posting())
        together = append(store, posting())
        compare(f"{name}: append and commit", ended(ours, together), ended(theirs, hand.append))
        compare(
            f"{name}: append and commit, by hand in a savepoint too",
            ended(ours, together),
            ended(theirs, hand.append_in_savepoint),
        )

        long = posting()
        store.append_events(
            [
                {
                    "event_type": "llm_call_completed",
                    "aggregate_id": long,
                    "event_data": DATA,
                    "metadata": METADATA,
                }
            ]
            * LOADED
        )
        ours.commit()
        cursor = theirs.cursor()

        def select() -> object:
            cursor.execute(SELECT, [long])
            return cursor.fetchall()

        load = lambda: store.get_aggregate_events("posting", long)
        compare(f"{name}: load {LOADED} events", load, select, calls=max(CALLS // 20, 1))
        ours.close(), theirs.close()

    try:
        theirs_append = eventsourcing_append(url)
    except ImportError:
        print("eventsourcing is not installed: pip install 'eventsourcing[postgres]'")
        return
    with EventStore(dsn=url) as store:
        compare("append, beside eventsourcing", append(store, posting()), theirs_append)


if __name__ == "__main__":
    main(sys.argv[1])
