"""Holes: where, between two messages of a symbol and channel, something was not seen.

A hole is noted when it opens, which may be long before the messages around it are handled. It
lies at a place in the order of the messages that were admitted to the queue, so it reaches the
strategies at the same place whatever the timing, and again when a recording is replayed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from operator import attrgetter

from mdkit.events import DROPPED, Gap

_place = attrgetter("place")


@dataclass(slots=True)
class Hole:
    """A stretch that was not seen, in ns by the clock of receipt.

    `told` says whether whoever made it has reported it already. `place` is twice the number of
    the admitted message that is missing, or one more than twice that of the one before.
    `filled` is how many messages REST had given for the channel by then.
    """

    reason: str
    from_ns: int
    to_ns: int
    lost: int | None = None
    told: bool = True
    place: int = 0
    channel: str = ""
    filled: int = 0

    def gap(self, symbol: str) -> Gap:
        """Return the hole as the event that strategies and tables get."""
        return Gap(symbol, self.channel, self.reason, self.from_ns, self.to_ns, self.lost)


class Holes:
    """The holes of one slot, which counts as `channel`, that no worker has come to yet."""

    __slots__ = ("_list", "channel")

    def __init__(self, channel: str = "") -> None:
        self.channel = channel
        self._list: list[Hole] = []  # by place, and at the same place as they were noted

    def after(self, admitted: int, hole: Hole) -> None:
        """Put a hole behind the `admitted`-th message."""
        hole.place = 2 * admitted + 1
        insort(self._list, hole, key=_place)

    def refused(self, admitted: int, received_ns: int) -> None:
        """Note that a message was dropped on arrival, behind the `admitted`-th."""
        self._drop(2 * admitted + 1, received_ns)

    def dropped(self, number: int, received_ns: int) -> None:
        """Note that the `number`-th admitted message was dropped while it waited."""
        self._drop(2 * number, received_ns)

    def _drop(self, place: int, received_ns: int) -> None:
        # A run of drops is one hole, so that there are fewer holes than messages that wait.
        behind = bisect_right(self._list, place, key=_place)
        hole = self._list[behind - 1] if behind else None
        if hole is not None and not hole.told and hole.place >= place - 1 - (place % 2 == 0):
            hole.place = place
            hole.to_ns = received_ns
            hole.lost = (hole.lost or 0) + 1
            return
        new = Hole(DROPPED, received_ns, received_ns, 1, False, place, self.channel)
        self._list.insert(behind, new)

    def before(self, number: int) -> list[Hole]:
        """Take out the holes before the `number`-th admitted message, in order, drops joined."""
        return self._take(bisect_left(self._list, 2 * number, key=_place))

    def rest(self) -> list[Hole]:
        """Take out all holes."""
        return self.before(1 << 62)

    def told_before(self, number: int, filling: int) -> list[Hole]:
        """Take out the holes that the `filling`-th message by REST comes behind.

        As `before`, but nothing behind the last hole that was told when fewer had come.
        """
        end = bisect_left(self._list, 2 * number, key=_place)
        while end and not (self._list[end - 1].told and self._list[end - 1].filled < filling):
            end -= 1
        return self._take(end)

    def _take(self, end: int) -> list[Hole]:
        due = self._list[:end]
        if not due:
            return due
        del self._list[:end]
        joined = due[:1]
        for hole in due[1:]:
            last = joined[-1]
            if not hole.told and not last.told:
                last.to_ns = hole.to_ns
                last.lost = (last.lost or 0) + (hole.lost or 0)
            else:
                joined.append(hole)
        return joined

    def __bool__(self) -> bool:
        return bool(self._list)
