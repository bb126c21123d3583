"""A migrated database for the tests, at TURING_TEST_STORE; TURING is the program `turing`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Any, Callable

import psycopg
import psycopg2
import pytest
from hypothesis import HealthCheck, settings

from turing_events import EventStore

# `./test --full` tries so many times more
MANY = 20 if os.environ.get("ES_CAMPAIGN") == "full" else 1

# this machine may be busy, and nothing is kept from one run to the next
settings.register_profile(
    "busy",
    max_examples=100 * MANY,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("busy")

Connect = Callable[[], Any]


_NEEDED = {
    "TURING_TEST_STORE": "the address of a database that `turing migrate` has migrated",
    "TURING": "the program turing, such as target/debug/turing",
}


def needed(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        pytest.exit(f"{name} is not set: {_NEEDED[name]}", returncode=2)
    return value


@pytest.fixture(scope="session")
def url() -> str:
    return needed("TURING_TEST_STORE")


@pytest.fixture(scope="session")
def turing(url: str) -> Callable[..., str]:
    """What the program answers."""

    def run(*arguments: str) -> str:
        command = [needed("TURING"), *arguments, "--store", url, "--json"]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, encoding="utf-8"
        ).stdout

    return run


@pytest.fixture(scope="session")
def control(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the test's own, on which each statement is a transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def new_posting(control: psycopg.Connection[Any]) -> Callable[[], int]:
    """Registers a posting that no other test has."""

    def register() -> int:
        row = control.execute(
            "INSERT INTO postings (posting_id) "
            "SELECT coalesce(max(posting_id), 0) + 1 FROM postings RETURNING posting_id"
        ).fetchone()
        assert row
        return int(row[0])

    return register


@pytest.fixture
def posting(new_posting: Callable[[], int]) -> int:
    return new_posting()


@pytest.fixture
def now(control: psycopg.Connection[Any]) -> str:
    """The checkpoint of the newest event, while nobody else appends."""
    row = control.execute(
        "SELECT position || ':' || event_id FROM execution_events ORDER BY position DESC LIMIT 1"
    ).fetchone()
    return str(row[0]) if row else ""


@pytest.fixture(params=[psycopg, psycopg2], ids=["psycopg", "psycopg2"])
def driver(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def connect(driver: Any, url: str) -> Iterator[Connect]:
    """Makes connections of a driver, which are closed with the test."""
    made: list[Any] = []

    def one() -> Any:
        made.append(driver.connect(url))
        return made[-1]

    yield one
    for connection in made:
        connection.close()


@pytest.fixture
def connection(connect: Connect) -> Any:
    return connect()


@pytest.fixture
def store(connection: Any) -> EventStore:
    """In transactions that the test commits, on each driver."""
    return EventStore(connection)


@pytest.fixture
def own(url: str) -> Iterator[EventStore]:
    """On a connection of its own, where each call is a transaction."""
    with EventStore(dsn=url) as store:
        yield store
