"""What the guide says of rights: the roles of `turing migrate --roles` suffice."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any, Callable

import psycopg
import pytest

from turing_events import EventStore, NotDualWriting

DONE = "llm_call_completed"


@pytest.fixture(scope="module")
def roles(control: psycopg.Connection[Any], turing: Callable[..., str]) -> Iterator[str]:
    """The beginning of the names of this database's roles."""
    prefix = f"python_{control.info.dbname}"[:40].lower()
    try:
        turing("migrate", "--roles", "--role-prefix", prefix)
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stderr)
    yield prefix
    # roles are of the whole server
    for role in ("owner", "projector", "writer", "reader"):
        name = f"{prefix}_{role}"
        control.execute(
            f"REASSIGN OWNED BY {name} TO CURRENT_USER; DROP OWNED BY {name}; DROP ROLE {name}"
        )


def test_a_writer_does_all_but_rebuild_and_a_reader_reads_and_follows(
    connection: Any,
    driver: Any,
    control: psycopg.Connection[Any],
    roles: str,
    posting: int,
    now: str,
) -> None:
    connection.autocommit = True
    store = EventStore(connection)
    cursor = connection.cursor()

    def read() -> None:
        assert store.get_current_version(posting) == 2
        assert len(list(store.iter_aggregate_events("posting", posting))) == 2
        state = store.get_posting_state(posting, at_version=1)
        assert (
            state is not None and store.get_posting_state(posting, at=state.last_updated) == state
        )
        assert len(list(store.follow(now, poll_interval=None))) == 2
        store.validate()

    cursor.execute(f"SET ROLE {roles}_writer")
    for _ in range(2):
        store.append_event(DONE, aggregate_id=posting, event_data={"output": "x"})
    read()
    with pytest.raises(driver.errors.InsufficientPrivilege):
        store.rebuild_projection(posting)
    # it might, if there were a cutover
    with pytest.raises(NotDualWriting):
        store.dual_write(DONE, aggregate_id=posting)

    cursor.execute(f"SET ROLE {roles}_reader")
    read()
    for write in (store.append_event, store.dual_write):
        with pytest.raises(driver.errors.InsufficientPrivilege):
            write(DONE, aggregate_id=posting)

    cursor.execute(f"SET ROLE {roles}_projector")
    read()
    store.rebuild_projection(posting)
    cursor.execute("RESET ROLE")
