"""States, now and in the past, and events, as the program `turing` reads them too."""

from __future__ import annotations

import tracemalloc
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Callable

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import MANY
from documents import DOCUMENTS, same
from turing_events import EventStore, UnreadableEvent
from turing_events.documents import decode
from turing_events.statements import Statements

DONE = "llm_call_completed"
STATE = [
    "current_conversation_id",
    "execution_sequence",
    "outputs",
    "is_terminal",
    "terminal",
    "ended_runs",
    "run",
]
EVENTS = st.lists(
    st.tuples(
        st.sampled_from([DONE, "llm_call_failed", "circuit_breaker_open", "posting_terminal"]),
        DOCUMENTS,
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=8 * MANY)
@given(events=EVENTS)
def test_the_program_reads_the_events_and_states_that_python_writes_and_reads(
    url: str,
    new_posting: Callable[[], int],
    turing: Callable[..., str],
    events: list[tuple[str, dict[str, Any], int]],
) -> None:
    posting = new_posting()
    sent = [{"output": data, "error": None, "reason": "r"} for _, data, _ in events]
    with EventStore(dsn=url, parse_float=Decimal) as exact:
        written = exact.append_events(
            {
                "event_type": name,
                "aggregate_id": posting,
                "event_data": data,
                "metadata": {"conversation_id": number},
            }
            for (name, _, number), data in zip(events, sent)
        )
        versions = {1, len(events) // 2 + 1, len(events)}
        states = {at: exact.get_posting_state(posting, at_version=at) for at in versions}
        assert exact.get_posting_state(posting) == states[len(events)]

    lines = turing("events", "posting", str(posting)).rstrip("\n").split("\n")
    for event, data, line in zip(written, sent, lines):
        told = decode(line, Decimal)
        assert (told["event_id"], told["event_type"]) == (str(event.event_id), event.event_type)
        assert same(data, told["payload"], decimals=True) and same(
            event.event_data, told["payload"]
        )
        assert (
            datetime.fromisoformat(told["recorded_at"].replace("Z", "+00:00")) == event.created_at
        )
    assert len(lines) == len(written) == len(events)

    for version, state in states.items():
        assert state is not None and state.aggregate_version == version
        line = turing("state", "posting", str(posting), "--at-version", str(version))
        told = decode(line, Decimal)["state"]
        for field in STATE:
            assert same(told[field], state[field], decimals=True), field


def test_a_state_of_the_past_is_that_of_a_version_or_of_an_instant(
    store: EventStore, connection: Any, posting: int
) -> None:
    assert store.get_posting_state(posting) is None
    events = []
    for number in range(1, 5):
        events.append(
            store.append_event(
                DONE,
                aggregate_id=posting,
                event_data={"output": number},
                metadata={"conversation_id": number},
            )
        )
        connection.commit()
    for number, event in enumerate(events, 1):
        for past in (
            store.get_posting_state(posting, at_version=number),
            store.get_posting_state(
                posting, at=event.created_at.astimezone(timezone(timedelta(hours=9)))
            ),
        ):
            assert past is not None
            assert past.execution_sequence == list(range(1, number + 1))
            assert past["outputs"] == {str(n): n for n in range(1, number + 1)}
            assert past.last_updated == event.created_at
    before = events[0].created_at - timedelta(microseconds=1)
    assert store.get_posting_state(posting, at=before) is None
    assert store.get_posting_state(posting, at_version=0) is None
    assert store.get_posting_state(posting, at_version=99) == store.get_posting_state(posting)
    with pytest.raises(ValueError, match="give one of them"):
        store.get_posting_state(posting, at_version=1, at=before)
    with pytest.raises(ValueError, match="without a time zone"):
        store.get_posting_state(posting, at=datetime(2026, 1, 1))
    with pytest.raises(TypeError, match="which is no datetime: datetime.fromisoformat reads text"):
        store.get_posting_state(posting, at="2026-01-01 10:00:00+00")  # type: ignore[arg-type]


def test_a_posting_whose_first_event_is_missing_has_no_state(
    store: EventStore, connection: Any, posting: int
) -> None:
    connection.cursor().execute(
        "INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, "
        "event_type, event_data) VALUES ('posting', %s, 2, %s, '{}')",
        [posting, DONE],
    )
    assert store.get_posting_state(posting) is None
    assert store.get_posting_state(posting, at_version=2) is None


def test_versions_are_counted_for_each_aggregate(store: EventStore, posting: int) -> None:
    assert store.get_current_version(posting) == 0
    store.append_events([{"event_type": DONE, "aggregate_id": posting}] * 3)
    assert store.get_current_version(posting) == 3
    assert store.get_current_version(posting, "workflow") == 0
    assert [
        event.aggregate_version
        for event in store.get_aggregate_events("posting", posting, after_version=1)
    ] == [2, 3]


def test_a_wrong_row_is_found_and_rebuilt(
    own: EventStore, control: psycopg.Connection[Any], posting: int
) -> None:
    own.append_event(
        DONE, aggregate_id=posting, event_data={"output": "x"}, metadata={"conversation_id": 1}
    )
    control.execute(
        "UPDATE posting_state_projection SET outputs = '{}' WHERE posting_id = %s", [posting]
    )
    [finding] = [finding for finding in own.validate() if finding.aggregate_id == posting]
    assert (finding.kind, finding["severity"]) == ("projection_differs", "error")
    assert finding.repair == f'SELECT "public".rebuild_posting_state({posting})'
    own.rebuild_projection(posting)
    assert [finding for finding in own.validate() if finding.aggregate_id == posting] == []
    state = own.get_posting_state(posting)
    assert state is not None and state.outputs == {"1": "x"}


def test_a_long_stream_is_read_with_bounded_memory(own: EventStore, posting: int) -> None:
    megabyte = "x" * 1024 * 1024
    for _ in range(4):
        own.append_events(
            {
                "event_type": "noted",
                "aggregate_type": "workflow",
                "aggregate_id": posting,
                "event_data": {"n": megabyte},
            }
            for _ in range(10)
        )
    tracemalloc.start()
    seen = [event.aggregate_version for event in own.iter_aggregate_events("workflow", posting)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == list(range(1, 41))
    assert peak < 16 * len(megabyte), "40 MiB passed by"


def test_what_metadata_has_counts_for_the_size_of_a_page(
    own: EventStore, posting: int, now: str
) -> None:
    kind, about = "workflow", {"about": "x" * 65000}
    own.append_events(
        {"event_type": "noted", "aggregate_type": kind, "aggregate_id": posting, "metadata": about}
        for _ in range(150)
    )
    statements = Statements("public")
    limits = {"events": 150, "bytes": 4 * 1024 * 1024}
    page = {"aggregate_type": kind, "aggregate_id": posting, "after_version": 0}
    after = int(now.partition(":")[0] or 0)
    for statement in (
        statements("aggregate_page", **page, **limits),
        statements("log_page", after=after, last=2**62, **limits),
    ):
        rows = own._session().connection.execute(statement.sql, statement.parameters).fetchall()
        assert len(rows) == 65, "the first whose end is beyond 4 MiB is the last"
    assert len(list(own.iter_aggregate_events(kind, posting))) == 150
    assert len(list(own.follow(now, poll_interval=None))) == 150


def test_pages_join_without_a_gap(own: EventStore, posting: int) -> None:
    for _ in range(5):
        own.append_events([{"event_type": DONE, "aggregate_id": posting}] * 100)
    paged = list(own.iter_aggregate_events("posting", posting, after_version=7))
    assert paged == own.get_aggregate_events("posting", posting, after_version=7)
    assert [event.aggregate_version for event in paged] == list(range(8, 501))


def test_a_row_that_is_no_event_is_named_and_can_be_passed(
    own: EventStore, control: psycopg.Connection[Any], posting: int
) -> None:
    insert = (
        "INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, "
        "event_type, event_data, created_at) VALUES ('workflow', %s, %s, 'noted', %s, %s)"
    )
    control.execute(insert, [posting, 1, "{}", "20000-01-01 00:00:00+00"])
    control.execute(insert, [posting, 2, '{"n": ' + "9" * 5000 + "}", "2026-01-01 00:00:00+00"])
    with pytest.raises(
        UnreadableEvent, match=f"event 1 of workflow {posting} cannot be read"
    ) as caught:
        own.get_aggregate_events("workflow", posting)
    [event] = own.follow(caught.value.checkpoint, poll_interval=None)
    assert event.event_data == {"n": Decimal("9" * 5000)}
