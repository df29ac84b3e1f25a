"""Where messages wait: a lane for each symbol, and in it a slot for each kind of message."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from mdkit.errors import SettingsError
from mdkit.stream.holes import Hole, Holes
from mdkit.stream.ledger import Account

Overflow = Literal["block", "drop_oldest", "drop_newest", "conflate", "spill"]
POLICIES: tuple[Overflow, ...] = get_args(Overflow)


class Lane:
    """The messages of one symbol that wait, in order of arrival."""

    __slots__ = ("group", "held", "holes", "key", "messages", "scheduled", "slots", "spilled")

    def __init__(self, key: str, group: int = 0) -> None:
        self.key = key
        self.group = group
        self.holes: dict[Slot, Holes] = {}
        self.messages: deque[Message] = deque()
        self.slots: list[Slot] = []
        self.scheduled = False
        self.held = False
        self.spilled = 0


class Slot:
    """One symbol and channel: which lane its messages wait in, and who counts them.

    `context` is the consumer's own; the buffer does not look at it. `symbol` is the account's,
    unless several symbols share that account.

    Messages are counted as they come: `refused` on arrival, or else `admitted`, and those leave
    in order of arrival, given to a worker or given up. So the n-th that leaves is the n-th that
    was admitted, which is how a recording tells what was not seen.
    """

    __slots__ = (
        "account",
        "admitted",
        "context",
        "index",
        "lane",
        "left",
        "policy",
        "refused",
        "spilled",
        "symbol",
    )

    def __init__(
        self,
        account: Account,
        lane: Lane,
        policy: Overflow,
        index: int,
        context: Any = None,
        symbol: str | None = None,
    ) -> None:
        self.account = account
        self.lane = lane
        self.policy = policy
        self.index = index
        self.context = context
        self.symbol = account.symbol if symbol is None else symbol
        self.admitted = 0
        self.refused = 0
        self.spilled = 0
        self.left = 0

    def break_off(self, hole: Hole) -> None:
        """Note a hole behind everything admitted so far."""
        self.holes().after(self.admitted, hole)

    def holes(self) -> Holes:
        """Return the holes that no worker has come to yet, to note one."""
        return self.lane.holes.setdefault(self, Holes(self.account.channel))


Loss = Literal["refused", "dropped", "conflated", "left"]
OnLoss = Callable[["Slot", Loss, int, int], None]
"""(slot, what happened, which message first, how many): `refused` counts arrivals from 1, the
others count admitted messages from 1. What a dead worker process held was dropped."""

Message = tuple[Slot, bytes, int]
"""(slot, raw bytes, received_ns)"""

MESSAGE_BYTES = 64 + 33 + 32 + 8
"""What a queued message takes beside its own bytes: the tuple, the bytes object's head, the time,
and its place in the lane. A book of ten levels is about 700 bytes."""


def check_overflow(overflow: str | Mapping[str, str]) -> dict[str, Overflow]:
    """Return the policy by channel ("*" for all others), or raise `SettingsError`."""
    by_channel = {"*": overflow} if isinstance(overflow, str) else {"*": "block", **overflow}
    checked: dict[str, Overflow] = {}
    for channel, policy in by_channel.items():
        if policy not in POLICIES:
            where = "" if channel == "*" else f" for channel {channel!r}"
            raise SettingsError(
                f"overflow={policy!r}{where} is not a policy: choose one of {', '.join(POLICIES)}."
            )
        checked[channel] = policy
    return checked
