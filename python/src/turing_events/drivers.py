"""What differs between psycopg, its asynchronous half and psycopg2."""

from __future__ import annotations

import asyncio
import os
import threading
from functools import cached_property
from importlib import import_module
from typing import Any, Optional
from urllib.parse import unquote
from weakref import WeakKeyDictionary

from .statements import Statement

# libpq's transaction status, as both drivers tell it
_IDLE, _OPEN, _FAILED = 0, 2, 3

# in an address, what programs in Rust know and libpq does not, or by another name
_PARAMETERS = ("schema", "pooled", "statement-cache-capacity")
_NAMES = {
    "ssl-ca": "sslrootcert",
    "ssl-cert": "sslcert",
    "ssl-key": "sslkey",
    "ssl-mode": "sslmode",
    "ssl-root-cert": "sslrootcert",
}

# what a session of the store's own has, whatever the database's settings are
_ENCODING = {"client_encoding": "utf8"}
_READ_COMMITTED = "SET default_transaction_isolation = 'read committed'"

_locks: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
_guard = threading.Lock()


class Session:
    """A connection, and what an operation has to know of it."""

    def __init__(self, connection: Any, is_async: bool = False) -> None:
        names = {kind.__module__.partition(".")[0] for kind in type(connection).__mro__}
        found = names & {"psycopg", "psycopg2"}
        # their cursors and pools are none
        if not found or not hasattr(connection, "info"):
            kind = type(connection)
            raise TypeError(
                f"{kind.__module__}.{kind.__qualname__} is no connection of psycopg or psycopg2: "
                "give the driver's own, which is connection.connection in Django and "
                "connection.connection.driver_connection in SQLAlchemy"
            )
        if is_async != hasattr(connection, "__aenter__") or getattr(connection, "async_", False):
            raise TypeError(
                "EventStore takes an ordinary connection, "
                "AsyncEventStore one of psycopg.AsyncConnection"
            )
        self.connection = connection
        self._is_async = is_async
        self._is_new = "psycopg" in found
        self._driver = import_module(found.pop())
        self.error: type[Exception] = self._driver.Error

    @cached_property
    def lock(self) -> Any:
        """Held for an operation, which may be several statements.

        It is the connection's, whichever stores and threads use that.
        """
        with _guard:
            made = asyncio.Lock() if self._is_async else threading.RLock()
            return _locks.setdefault(self.connection, made)

    @property
    def _status(self) -> int:
        return int(self.connection.info.transaction_status)

    @property
    def is_idle(self) -> bool:
        return self._status == _IDLE

    @property
    def is_open(self) -> bool:
        return self._status == _OPEN

    @property
    def is_failed(self) -> bool:
        return self._status == _FAILED

    @property
    def is_lost(self) -> bool:
        return bool(self.connection.closed)

    @property
    def is_autocommit(self) -> bool:
        return bool(self.connection.autocommit)

    @property
    def tells_each_result(self) -> bool:
        """Whether of several statements that are sent at once each has its result, or the last."""
        return self._is_new

    def cursor(self, statement: Statement) -> Any:
        """A plain cursor, whatever the application's connection makes otherwise."""
        encoding = self.connection.info.parameter_status("client_encoding")
        if encoding not in ("UTF8", None):
            raise self._driver.NotSupportedError(
                f"the connection's client_encoding is {encoding}, which has not every character "
                "that an event may have: connect with client_encoding='utf8'"
            )
        if not self._is_new:
            return self.connection.cursor(cursor_factory=self._driver.extensions.cursor)
        if self.connection.pgconn.pipeline_status:
            raise self._driver.NotSupportedError(
                "the event store waits for each answer, which a pipeline puts off: "
                "call it outside of pipeline(); append_events() sends many events at once"
            )
        # what has no parameters may be several statements, which the server would not prepare
        is_sent_as_text = statement.result or statement.parameters is None
        kind = ("Async" if self._is_async else "") + (
            "ClientCursor" if is_sent_as_text else "Cursor"
        )
        return getattr(self._driver, kind)(self.connection, row_factory=self._driver.rows.tuple_row)


class Address:
    """Where to connect to, as Turing's programs write it, with parameters that libpq has not."""

    def __init__(self, dsn: Optional[str], schema: Optional[str], is_needed: bool) -> None:
        if is_needed:
            dsn = dsn or os.environ.get("DATABASE_URL")
        elif dsn:
            raise ValueError("a connection and a dsn are two places: give one of them")
        if is_needed and not dsn:
            raise ValueError(
                "no connection, no dsn, and DATABASE_URL is not set: where is the event store?"
            )
        scheme, is_url, _ = (dsn or "").partition("://")
        # libpq would repeat it, with the password
        if is_url and "=" not in scheme and scheme not in ("postgres", "postgresql"):
            raise ValueError(f"the address begins with {scheme}://: write postgres://…")
        base, mark, query = (dsn or "").partition("?" if is_url else "\0")
        pairs = [pair.partition("=") for pair in query.split("&")]
        ours = {name: unquote(value) for name, _, value in pairs if name in _PARAMETERS}
        self.schema = schema or ours.get("schema") or "public"
        pooled = ours.get("pooled", "false")
        if pooled not in ("true", "false"):
            raise ValueError(f"pooled={pooled} in the address: write pooled=true, or leave it out")
        self.is_pooled = pooled == "true"
        passed_on = (
            _NAMES.get(name, name) + sign + value
            for name, sign, value in pairs
            if name not in _PARAMETERS
        )
        self.dsn = base + mark + "&".join(passed_on)

    def connect(self) -> Any:
        """A connection on which each statement is a transaction."""
        driver = _imported("psycopg", "psycopg2")
        if driver.__name__ == "psycopg":
            connection = driver.connect(self.dsn, **self._options())
        else:
            connection = driver.connect(self.dsn, **_ENCODING)
            connection.autocommit = True
        if not self.is_pooled:
            with connection.cursor() as cursor:
                cursor.execute(_READ_COMMITTED)
        return connection

    async def connect_async(self) -> Any:
        psycopg = _imported("psycopg")
        connection = await psycopg.AsyncConnection.connect(self.dsn, **self._options())
        if not self.is_pooled:
            await connection.execute(_READ_COMMITTED)
        return connection

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"autocommit": True, **_ENCODING}
        # a transaction of a proxy's has another session each time
        return {**options, "prepare_threshold": None} if self.is_pooled else options


def _imported(*drivers: str) -> Any:
    """The first that is there and finds its libpq."""
    problems = []
    for driver in drivers:
        try:
            return import_module(driver)
        except ImportError as error:
            problems.append(f"{driver}: {str(error).strip()}")
    raise ImportError(
        "no driver can be loaded: pip install 'psycopg[binary]'\n" + "\n".join(problems)
    )
