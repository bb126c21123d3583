"""How far the log can be read without ever missing an event, from one look to the next.

The rule is the store's: docs/adr/0014-frontier.md, and `execution_events_next_look`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Optional

from .errors import LogDiverged, LogNotReadable
from .records import Row

_CHECKPOINT = re.compile("[0-9]{1,19}:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Frontier:
    """What was seen so far.

    Everything at or below `position` is there to be seen, or never will be.
    """

    position: int = 0
    event_id: Optional[str] = None
    visible: int = 0
    visible_id: Optional[str] = None
    holders: tuple[str, ...] = ()
    lows: tuple[int, ...] = ()

    @classmethod
    def at(cls, checkpoint: Optional[str]) -> Frontier:
        """Behind an event that was read: nothing at or below it is undecided."""
        if checkpoint is None or checkpoint == "":
            return cls()
        if not isinstance(checkpoint, str) or not _CHECKPOINT.fullmatch(checkpoint):
            raise ValueError(
                f"{checkpoint!r} is no checkpoint: give the one of an event, or None to begin"
            )
        position, _, event_id = checkpoint.partition(":")
        return cls(int(position), event_id, int(position), event_id)

    def parameters(self) -> dict[str, Any]:
        """For sql/look.sql."""
        lists = {"holders": list(self.holders), "lows": list(self.lows)}
        return {**vars(self), **lists}

    def observe(self, look: Row) -> Frontier:
        """Takes a look into account. Any later statement may read pages up to the position."""
        (
            isolation,
            is_standby,
            is_same,
            visible,
            visible_id,
            holders,
            lows,
            newest,
            newest_id,
            drawn,
        ) = look
        if isolation not in ("read committed", "read uncommitted"):
            raise LogNotReadable(
                f"the transaction is {isolation.upper()}",
                "it sees what there was when it began, and would miss what commits meanwhile",
                "follow on a connection that is READ COMMITTED, or on one of its own: EventStore()",
            )
        if is_standby:
            raise LogNotReadable(
                "this server is a standby",
                "nobody can know there which transactions are under way",
                "follow on the primary",
            )
        if not is_same or newest < self.position:
            raise LogDiverged(
                f"the event at {self.position}, which was read before, is there no more"
            )
        if drawn < max(visible, self.visible):
            raise LogDiverged(
                f"the sequence of positions stands at {drawn}, behind {max(visible, self.visible)}",
                cure="run turing validate, which names the setval that repairs it",
            )
        return replace(
            self,
            position=newest,
            event_id=newest_id,
            visible=visible,
            visible_id=visible_id,
            holders=tuple(holders),
            lows=tuple(lows),
        )
