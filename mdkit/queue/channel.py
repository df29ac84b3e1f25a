"""One symbol and channel in the queue: its counts, its policy, and the lane it waits in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Literal, Self, TypeVar

from mdkit.gap.pending import PendingGap, PendingGaps
from mdkit.queue.ledger import Counts
from mdkit.queue.policies import Overflow


class QueuedChannel(Counts):
    """What the queue knows of one symbol and channel.

    Messages are numbered from 1 in two ways: all that arrived (`received`), and those that were
    let into the queue (`admitted`), which leave it in that order, given to a worker or given up
    (`left`). So the n-th that leaves is the n-th that was admitted, which is how gaps find their
    place among them.

    Attributes:
        kind: the kind of its events, "depth" for one; the overflow policy goes by it.
        origin: "live", or "rest" for what the REST service gives of the same events.
        lane: where its messages wait.
        index: its number in the buffer, by which messages on disk name it.
        admitted, refused, left: messages since the session began.
    """

    __slots__ = ("admitted", "index", "kind", "lane", "left", "origin", "policy", "refused")

    lane: Lane[Self]
    policy: Overflow
    index: int

    def __init__(self, symbol: str, kind: str, origin: str = "live") -> None:
        super().__init__(symbol, kind if origin == "live" else f"{kind}:{origin}")
        self.kind = kind
        self.origin = origin
        self.admitted = 0
        self.refused = 0
        self.left = 0

    @property
    def pending(self) -> PendingGaps:
        """The gaps that no worker has come to yet, to add one."""
        return self.lane.pending.setdefault(self, PendingGaps(self.channel))

    def interrupt(self, gap: PendingGap) -> None:
        """Put a gap behind everything admitted so far."""
        self.pending.after(self.admitted, gap)

    def fills(self, other: QueuedChannel) -> bool:
        """Whether this is what REST gives for the gaps of what the other pushes."""
        return (
            self.origin != "live"
            and other.origin == "live"
            and self.symbol == other.symbol
            and self.kind == other.kind
        )


C = TypeVar("C", bound=QueuedChannel)

Message = tuple[C, bytes, int, int]
"""(channel, raw bytes, received_ns, place)"""

LINE = 1 << 20
"""How far the places of one line of a recording and of the next are apart.

The place of a message is its line times this; of one that was made of a line, perhaps with others,
it is so much more as its number among them, from 1 on. It is 0 where a message is not recorded.
Lines are counted over all recordings of a session.
"""


MESSAGE_BYTES = 72 + 33 + 32 + 8
"""What a queued message takes beside its own bytes: the tuple, the bytes object's head, the time,
and its place in the lane. A book of ten levels is about 700 bytes."""

Loss = Literal["refused", "dropped", "conflated", "left"]
OnLoss = Callable[[Loss, Sequence[int]], None]
"""(what happened, the places of the messages). What a dead worker process held was dropped."""


class Lane(Generic[C]):
    """The messages of one symbol that wait, in order of arrival.

    Attributes:
        group: of the workers that serve it.
        pending: the gaps between its messages, by channel.
        scheduled: whether its turn is due.
        held: whether a worker has messages of it.
        spilled: messages that wait on disk.
    """

    __slots__ = ("channels", "group", "held", "key", "messages", "pending", "scheduled", "spilled")

    def __init__(self, key: str, group: int = 0) -> None:
        self.key = key
        self.group = group
        self.pending: dict[QueuedChannel, PendingGaps] = {}
        self.messages: deque[Message[C]] = deque()
        self.channels: list[C] = []
        self.scheduled = False
        self.held = False
        self.spilled = 0


def take(lane: Lane[C], limit: int) -> list[Message[C]]:
    """Take up to `limit` messages out of a lane."""
    waiting = lane.messages
    if len(waiting) <= limit:
        batch = list(waiting)
        waiting.clear()
    else:
        batch = [waiting.popleft() for _ in range(limit)]
    if len(lane.channels) == 1:
        count_out(lane.channels[0], len(batch))
    else:
        for message in batch:
            count_out(message[0], 1)
    return batch


def count_out(channel: C, count: int) -> None:
    """Count messages of a channel as taken, or fewer than none as given back."""
    channel.left += count
    channel.queued -= count
    channel.in_flight += count
