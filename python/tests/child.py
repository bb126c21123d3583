"""A process that appends, or follows, as a test tells it that holds the other ends of its pipes.

python child.py psycopg|psycopg2|follow|copy ADDRESS
"""

from __future__ import annotations

import json
import os
import sys
import threading
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from importlib import import_module
from typing import Any

from turing_events import Event, EventStore, VersionConflict

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def tell(answer: object) -> None:
    print(json.dumps(answer), flush=True)


def receipt(event: Event) -> dict[str, Any]:
    return {
        "event_id": str(event.event_id),
        "version": event.aggregate_version,
        "position": event.position,
        "recorded_at": (event.created_at - _EPOCH) // timedelta(microseconds=1),
    }


def append(driver: str, url: str) -> None:
    """Answers each line, the arguments of an append, when it is committed."""
    connection = import_module(driver).connect(url)
    store = EventStore(connection)
    for line in sys.stdin:
        arguments = json.loads(line)
        try:
            answer = receipt(store.append_event(**arguments))
        except VersionConflict:
            # the transaction goes on
            version = store.get_current_version(arguments["aggregate_id"])
            answer = {"conflict": True, "version": version}
        connection.commit()
        tell(answer)
    connection.close()


def follow(url: str) -> None:
    """Tells each event's id, up to the first that is of a workflow."""
    threading.Thread(target=end_with_input, daemon=True).start()
    with EventStore(dsn=url) as store:
        for event in store.follow(poll_interval=0.002):
            tell(str(event.event_id))
            if event.aggregate_type == "workflow":
                return


def copy(url: str) -> None:
    """Appends what it reads in the first workflow's events to two others, each in another way."""
    for driver, parse_float, number in (("psycopg", None, 2), ("psycopg2", Decimal, 3)):
        connection = import_module(driver).connect(url)
        store = EventStore(connection, parse_float=parse_float)
        for event in store.iter_aggregate_events("workflow", 1):
            store.append_event(event.event_type, "workflow", number, event.event_data)
        connection.commit()
        connection.close()


def end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    what, address = sys.argv[1:]
    if what == "follow":
        follow(address)
    elif what == "copy":
        copy(address)
    else:
        append(what, address)
