"""Pending gaps: where, between two queued messages of a channel, something was not seen.

A gap is found when it opens, which may be long before the messages around it are handled. It is
kept by its position in the order in which messages were admitted to the queue, so that it reaches
strategies at the same place whatever the timing, and again when a recording is replayed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass
from operator import attrgetter

from mdkit.events import DROPPED, Gap

_position = attrgetter("position")


@dataclass(slots=True)
class PendingGap:
    """A stretch that was not seen, in ns by the clock of receipt.

    Attributes:
        reported: whether `gaps()` has it already.
        position: with n the number of an admitted message, counted from 1: 2n if that message
            itself is missing, 2n + 1 if something is missing behind it.
        rest_messages: how many messages REST had given for the channel when the gap was found.
    """

    reason: str
    from_ns: int
    to_ns: int
    lost: int | None = None
    reported: bool = True
    position: int = 0
    channel: str = ""
    rest_messages: int = 0

    def gap(self, symbol: str) -> Gap:
        """Return the event that strategies and tables get."""
        return Gap(symbol, self.channel, self.reason, self.from_ns, self.to_ns, self.lost)


class PendingGaps:
    """The gaps of one channel, by position, that no worker has come to yet.

    Three cases decide where a gap lies:

    1. A connection broke, or a subscription ended: behind everything admitted so far (`after`).
    2. The queue refused a message on arrival: behind the last one admitted (`refused`).
    3. The queue gave up a message that waited: in that message's own place (`dropped`).

    Drops that follow each other directly (2 and 3) are one gap that grows, so that there are
    never more gaps than waiting messages. A gap that was reported already never grows.
    """

    __slots__ = ("_gaps", "channel")

    def __init__(self, channel: str = "") -> None:
        self.channel = channel
        self._gaps: list[PendingGap] = []  # by position; at the same one, in order of discovery

    def after(self, admitted: int, gap: PendingGap) -> None:
        """Put a gap behind the `admitted`-th message."""
        gap.position = 2 * admitted + 1
        insort(self._gaps, gap, key=_position)

    def refused(self, admitted: int, received_ns: int) -> None:
        """Count a message that was dropped on arrival, behind the `admitted`-th."""
        self._drop(2 * admitted + 1, received_ns)

    def dropped(self, number: int, received_ns: int) -> None:
        """Count the `number`-th admitted message as dropped while it waited."""
        self._drop(2 * number, received_ns)

    def _drop(self, position: int, received_ns: int) -> None:
        behind = bisect_right(self._gaps, position, key=_position)
        gap = self._gaps[behind - 1] if behind else None
        adjoins = position - 1 - (position % 2 == 0)  # the message before, or what is behind it
        if gap is not None and not gap.reported and gap.position >= adjoins:
            gap.position = position
            gap.to_ns = received_ns
            gap.lost = (gap.lost or 0) + 1
            return
        new = PendingGap(DROPPED, received_ns, received_ns, 1, False, position, self.channel)
        self._gaps.insert(behind, new)

    def before(self, number: int) -> list[PendingGap]:
        """Take out the gaps before the `number`-th admitted message, in order, drops joined."""
        return self._take(bisect_left(self._gaps, 2 * number, key=_position))

    def rest(self) -> list[PendingGap]:
        """Take out all gaps."""
        return self.before(1 << 62)

    def reported_before(self, number: int, rest_message: int) -> list[PendingGap]:
        """Take out the gaps that the `rest_message`-th message by REST comes behind.

        As `before`, but nothing behind the last reported gap that was found when fewer messages
        had come by REST: what REST gave fills that one, and is older than the drops behind it.
        """
        end = bisect_left(self._gaps, 2 * number, key=_position)
        while end:
            last = self._gaps[end - 1]
            if last.reported and last.rest_messages < rest_message:
                break
            end -= 1
        return self._take(end)

    def _take(self, end: int) -> list[PendingGap]:
        due = self._gaps[:end]
        if not due:
            return due
        del self._gaps[:end]
        joined = due[:1]
        for gap in due[1:]:
            last = joined[-1]
            if not gap.reported and not last.reported:
                last.to_ns = gap.to_ns
                last.lost = (last.lost or 0) + (gap.lost or 0)
            else:
                joined.append(gap)
        return joined

    def __bool__(self) -> bool:
        return bool(self._gaps)
