"""The asynchronous store is the store, awaited."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any, Callable

import psycopg
import pytest

from turing_events import AsyncEventStore, EventStore, VersionConflict

DONE = "llm_call_completed"


def methods(store: type) -> dict[str, tuple[Any, ...]]:
    def described(method: Any) -> tuple[Any, ...]:
        signature = inspect.signature(method)
        returned = str(signature.return_annotation).replace("Async", "")
        # a generator that is awaited returns nothing
        returned = returned.replace("[Event, None, None]", "[Event, None]")
        return (list(signature.parameters.values()), returned, method.__doc__)

    found = {name: method for name, method in vars(store).items() if inspect.isfunction(method)}
    return {
        name: described(method)
        for name, method in found.items()
        if name == "__init__" or name[0] != "_"
    }


def test_both_stores_have_the_same_methods() -> None:
    assert methods(EventStore) == methods(AsyncEventStore)
    assert len(methods(EventStore)) == 12


def test_a_refusal_leaves_the_open_transaction_as_it_was(url: str, posting: int) -> None:
    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            store = AsyncEventStore(connection)
            async with connection.transaction():
                await connection.execute(
                    "UPDATE postings SET data = '{\"a\": 1}' WHERE posting_id = %s", [posting]
                )
                assert (await store.append_event(DONE, aggregate_id=posting)).aggregate_version == 1
                with pytest.raises(VersionConflict) as caught:
                    await store.append_event(DONE, aggregate_id=posting, aggregate_version=1)
                assert isinstance(caught.value, psycopg.errors.UniqueViolation)
                written = await store.append_events(
                    [{"event_type": DONE, "aggregate_id": posting}] * 2
                )
                assert [event.aggregate_version for event in written] == [2, 3]
            assert await store.get_current_version(posting) == 3
            assert [
                event
                async for event in store.iter_aggregate_events("posting", posting, after_version=1)
            ] == written
            assert await store.get_aggregate_events("posting", posting, after_version=1) == written
            state = await store.get_posting_state(posting, at_version=2)
            assert state is not None and state.aggregate_version == 2
            await store.rebuild_projection(posting)
            assert [
                finding for finding in await store.validate() if finding.aggregate_id == posting
            ] == []

    asyncio.run(main())


def test_tasks_share_a_store_of_its_own_and_its_follower_sees_what_they_write(
    url: str, new_posting: Callable[[], int]
) -> None:
    postings = [new_posting() for _ in range(8)]

    async def main() -> None:
        async with AsyncEventStore(dsn=url) as store, AsyncEventStore(dsn=url) as other:
            after = (await store.append_event(DONE, aggregate_id=postings[0])).checkpoint
            following = other.follow(after, poll_interval=0.01)
            written = await asyncio.gather(
                *(store.append_event(DONE, aggregate_id=posting) for posting in postings)
            )
            seen = [await following.__anext__() for _ in postings]
            assert seen == sorted(written, key=lambda event: event.position)

    asyncio.run(main())


async def waits(control: psycopg.Connection[Any], process: int) -> None:
    """Until a session waits for another."""
    asked = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s"
    deadline = time.monotonic() + 60
    while control.execute(asked, [process]).fetchone() != ("Lock",):
        assert time.monotonic() < deadline, "it waits for nobody"
        await asyncio.sleep(0.01)


def test_a_cancelled_append_leaves_the_open_transaction_as_it_was(
    url: str, control: psycopg.Connection[Any], new_posting: Callable[[], int]
) -> None:
    contended, other = new_posting(), new_posting()

    async def main() -> None:
        async with (
            await psycopg.AsyncConnection.connect(url) as holder,
            await psycopg.AsyncConnection.connect(url) as connection,
        ):
            await AsyncEventStore(holder).append_event(DONE, aggregate_id=contended)
            store = AsyncEventStore(connection)
            # as the first of its transaction, and behind another
            for status in (0, 2):
                if status:
                    await store.append_event(DONE, aggregate_id=other)
                append = asyncio.ensure_future(store.append_event(DONE, aggregate_id=contended))
                await waits(control, connection.info.backend_pid)
                append.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await append
                assert connection.info.transaction_status == status
            await holder.rollback()
            assert (await store.append_event(DONE, aggregate_id=contended)).aggregate_version == 1
            await connection.commit()
            assert await store.get_current_version(other) == 1

    asyncio.run(main())


def test_tasks_share_a_connection_and_each_is_told_what_became_of_its_own_append(
    url: str, posting: int
) -> None:
    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            store = AsyncEventStore(connection)
            await store.append_event(DONE, aggregate_id=posting)
            appends = [
                AsyncEventStore(connection).append_event(
                    DONE, aggregate_id=posting, aggregate_version=version
                )
                for version in [1, None] * 5
            ]
            told = await asyncio.gather(*appends, return_exceptions=True)
            assert all(isinstance(conflict, VersionConflict) for conflict in told[::2])
            await connection.commit()
            assert told[1::2] == await store.get_aggregate_events(
                "posting", posting, after_version=1
            )

    asyncio.run(main())


def test_each_store_says_which_connection_it_takes(url: str, connection: Any) -> None:
    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(url) as awaited:
            with pytest.raises(TypeError, match="AsyncEventStore one of psycopg.AsyncConnection"):
                EventStore(awaited)
        with pytest.raises(TypeError, match="EventStore takes an ordinary connection"):
            AsyncEventStore(connection)

    asyncio.run(main())
