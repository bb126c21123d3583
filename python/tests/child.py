"""A process that appends, follows, or writes an old table, as a test tells it that holds its pipes.

python child.py psycopg|psycopg2|old-psycopg|old-psycopg2|follow|copy ADDRESS
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

from turing_events import Event, EventStore, NotDualWriting, VersionConflict

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


# what a program does that knows nothing of events
_CHANGE = """
    UPDATE posting_state_checkpoints
    SET current_conversation_id = %(conversation)s::int,
        outputs = outputs || jsonb_build_object(%(conversation)s::int, %(value)s::jsonb),
        conversation_history = conversation_history || jsonb_build_object(
            'conversation_id', %(conversation)s::int, 'by', 'python'
        ),
        execution_count = execution_count + 1,
        is_terminal = FALSE,
        updated_at = clock_timestamp()
    WHERE posting_id = %(posting)s::int
"""
_MAKE = """
    INSERT INTO posting_state_checkpoints
        (posting_id, current_conversation_id, outputs, conversation_history, execution_count)
    VALUES (
        %(posting)s::int,
        %(conversation)s::int,
        jsonb_build_object(%(conversation)s::int, %(value)s::jsonb),
        jsonb_build_array(jsonb_build_object('conversation_id', %(conversation)s::int)),
        1
    )
"""
_LOOK = """
    SELECT outputs::text, conversation_history::text, execution_count
    FROM posting_state_checkpoints
    WHERE posting_id = %(posting)s::int
"""


def old(driver: str, url: str) -> None:
    """Answers each line, an output of a conversation, when it is committed or refused.

    Its `way` is `table` for a program that writes the old table alone, `both` for one that writes
    the event, too, and `event` for one that is done with the old table.
    """
    connection = import_module(driver).connect(url)
    ways = {"table": write_table, "both": write_both, "event": write_event}
    for line in sys.stdin:
        given = json.loads(line)
        try:
            ways[given.pop("way")](connection, given)
            connection.commit()
            answer: dict[str, Any] = {"written": True}
        except NotDualWriting:
            connection.rollback()
            answer = {"not_dual_writing": True}
        except (VersionConflict, connection.OperationalError) as error:
            # others were faster, or hold the row; the same again may do
            connection.rollback()
            answer = {"busy": getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)}
        except connection.Error as error:
            connection.rollback()
            answer = {"refused": str(error)}
        tell(answer)
    connection.close()


def write_table(connection: Any, given: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        parameters = {**given, "value": json.dumps(given["value"])}
        cursor.execute(_CHANGE, parameters)
        if cursor.rowcount == 0:
            cursor.execute(_MAKE, parameters)


def write_both(connection: Any, given: dict[str, Any]) -> None:
    store, posting, conversation = EventStore(connection), given["posting"], given["conversation"]
    # whoever changes one of both from here on makes the version another
    version = store.get_current_version(posting)
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, {"posting": posting})
        found = cursor.fetchone() or ("{}", "[]", 0)
    history = [*json.loads(found[1]), {"conversation_id": conversation, "by": "python"}]
    store.dual_write(
        "llm_call_completed",
        aggregate_id=posting,
        event_data={"output": given["value"]},
        metadata={"conversation_id": conversation},
        aggregate_version=version + 1,
        old_row={
            "current_conversation_id": conversation,
            "outputs": {**json.loads(found[0]), str(conversation): given["value"]},
            "conversation_history": history,
            "execution_count": found[2] + 1,
            "is_terminal": False,
            "note": "both",
        },
    )


def write_event(connection: Any, given: dict[str, Any]) -> None:
    EventStore(connection).append_event(
        "llm_call_completed",
        aggregate_id=given["posting"],
        event_data={"output": given["value"]},
        metadata={"conversation_id": given["conversation"]},
    )


def end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    what, address = sys.argv[1:]
    if what == "follow":
        follow(address)
    elif what == "copy":
        copy(address)
    elif what.startswith("old-"):
        old(what[len("old-") :], address)
    else:
        append(what, address)
