"""What a look at the end of the log says, and what it must not be believed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from turing_events import LogDiverged, LogNotReadable
from turing_events.frontier import Frontier

ID = "00000000-0000-0000-0000-00000000000"
FIELDS = {
    "isolation": "read committed",
    "is_standby": False,
    "is_same": True,
    "visible": 9,
    "visible_id": f"{ID}9",
    "holders": ["3/1"],
    "lows": [7],
    "newest": 7,
    "newest_id": f"{ID}7",
    "drawn_since": 12,
}


def look(**fields: Any) -> list[Any]:
    return list({**FIELDS, **fields}.values())


def test_the_next_look_is_told_what_this_one_saw() -> None:
    frontier = Frontier().observe(look())
    assert frontier.parameters() == {
        "position": 7,
        "event_id": f"{ID}7",
        "visible": 9,
        "visible_id": f"{ID}9",
        "holders": ["3/1"],
        "lows": [7],
    }


def test_a_checkpoint_is_where_everything_before_is_decided() -> None:
    frontier = Frontier.at(f"7:{ID}7")
    assert (frontier.position, frontier.event_id) == (7, f"{ID}7")
    assert (frontier.visible, frontier.visible_id, frontier.holders) == (7, f"{ID}7", ())
    assert Frontier.at(None) == Frontier.at("") == Frontier()


@pytest.mark.parametrize(
    "checkpoint", ["7", "7:", "7:x", f"²:{ID}7", f"7:{ID}7 ", 7, 0, UUID(int=7)]
)
def test_what_is_no_checkpoint_is_refused(checkpoint: Any) -> None:
    with pytest.raises(ValueError, match="is no checkpoint: give the one of an event"):
        Frontier.at(checkpoint)


@pytest.mark.parametrize(
    ("fields", "error", "problem"),
    [
        (
            {"is_same": False},
            LogDiverged,
            "the event at 8, which was read before",
        ),
        ({"newest": 7}, LogDiverged, "the event at 8, which was read before"),
        ({"newest": 9, "drawn_since": 8}, LogDiverged, "the sequence of positions stands at 8"),
        ({"is_standby": True, "newest": None}, LogNotReadable, "this server is a standby"),
        ({"isolation": "serializable"}, LogNotReadable, "the transaction is SERIALIZABLE"),
    ],
)
def test_a_log_that_cannot_be_followed_is_told_of(
    fields: dict[str, Any], error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        Frontier.at(f"8:{ID}8").observe(look(**fields))
