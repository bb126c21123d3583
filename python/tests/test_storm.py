"""Many writers at once, on both drivers, and followers that see every event once and in order."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import psycopg
import psycopg2

from turing_events import Event, EventStore, IntegrityError, NewEvent

DONE = "llm_call_completed"
WRITERS = 8
APPENDS = 25


class Writer:
    """Appends in every way there is, and knows what is certainly committed and what never is."""

    def __init__(self, number: int, connection: Any, postings: list[int]) -> None:
        self.number, self.connection, self.postings = number, connection, postings
        self.store = EventStore(connection)
        self.chance = random.Random(number)
        self.committed: list[Event] = []
        self.undone: list[Event] = []
        self.conflicts = 0

    def run(self) -> Writer:
        for attempt in range(APPENDS):
            written = self.append(attempt)
            if self.chance.random() < 0.2:
                self.connection.rollback()
                self.undone += [event for event in written if event.idempotency_key is None]
            else:
                self.connection.commit()
                self.committed += written
        self.connection.close()
        return self

    def append(self, attempt: int) -> list[Event]:
        posting = self.chance.choice(self.postings)
        data = {"writer": self.number, "attempt": attempt}
        way = self.chance.randrange(4)
        if way == 0:
            return [self.store.append_event(DONE, aggregate_id=posting, event_data=data)]
        if way == 1:
            # the same for all writers, who race for it
            task = self.store.append_event(
                "llm_call_failed",
                aggregate_id=self.postings[attempt % 2],
                event_data={"error": attempt},
                idempotency_key=f"task {attempt}",
            )
            return [task]
        if way == 2:
            batch: list[NewEvent] = [
                {"event_type": DONE, "aggregate_id": one, "event_data": data}
                for one in self.chance.sample(self.postings, 2) * 2
            ]
            return self.store.append_events(batch)
        while True:
            version = self.store.get_current_version(posting) + 1
            try:
                event = self.store.append_event(
                    DONE, aggregate_id=posting, event_data=data, aggregate_version=version
                )
                return [event]
            except IntegrityError:
                self.conflicts += 1


def followed(url: str, after: str, last: threading.Event, target: list[int]) -> list[Event]:
    """What a follower sees, up to the target, which is known when the writers have ended."""
    seen = []
    with EventStore(dsn=url) as store:
        for event in store.follow(after, poll_interval=0.002):
            seen.append(event)
            if last.is_set() and event.position >= target[0]:
                break
    return seen


def test_many_writers_lose_nothing_and_followers_see_all_of_it(
    url: str,
    now: str,
    new_posting: Callable[[], int],
    own: EventStore,
    control: psycopg.Connection[Any],
) -> None:
    postings = [new_posting() for _ in range(3)]
    connects: Iterator[Any] = itertools.cycle([psycopg.connect, psycopg2.connect])
    writers = [
        Writer(number, connect(url), postings) for number, connect in zip(range(WRITERS), connects)
    ]
    ended, target = threading.Event(), [0]
    with ThreadPoolExecutor() as threads:
        followers = [threads.submit(followed, url, now, ended, target) for _ in range(2)]
        try:
            done = list(threads.map(Writer.run, writers))
        finally:
            target[0] = own.append_event("noted", "workflow", postings[0]).position
            ended.set()
            own.append_event("noted", "workflow", postings[0])
        seen = [follower.result(120) for follower in followers]

    log = list(own.follow(now, poll_interval=None))
    assert seen[0] == seen[1] == log[: len(seen[0])] and seen[0][-1].position >= target[0]
    ids = Counter(event.event_id for event in log)
    assert set(ids.values()) == {1}
    assert all(event.event_id in ids for writer in done for event in writer.committed)
    assert not any(event.event_id in ids for writer in done for event in writer.undone)
    for posting in postings:
        events = own.get_aggregate_events("posting", posting)
        assert [event.aggregate_version for event in events] == list(range(1, len(events) + 1))
        assert [event.position for event in events] == sorted(event.position for event in events)
        keys = Counter(event.idempotency_key for event in events if event.idempotency_key)
        assert set(keys.values()) <= {1}
    assert sum(writer.conflicts for writer in done) > 0, "the storm tried too little"
    # times run backwards where transactions waited for one another: that is a warning
    findings = [finding for finding in own.validate() if finding.aggregate_id in postings]
    assert [finding for finding in findings if finding.severity == "error"] == []
