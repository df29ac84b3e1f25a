"""What a venue pushes: streams, each the frames of one subscription, and their messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.messages import Key, Message
from mdkit.exchange.venues.book import Change, VenueBook

Encode = Callable[[int], bytes]
"""A frame's text for the time (ns since the epoch) that it tells."""


class Execution(NamedTuple):
    """A trade: price in ticks, size in units, the aggressor's side, a number, and when (ns)."""

    ticks: int
    units: int
    side: str
    id: int
    ns: int


class Day(NamedTuple):
    """A symbol's figures of 24 hours: prices in ticks, the volume in units, `last` the last one."""

    last: int
    open: int
    high: int
    low: int
    volume: int

    @property
    def middle(self) -> int:
        """The middle of the day's range, which stands for its average price."""
        return (self.high + self.low) // 2

    def after(self, price: int) -> Day:
        """Return the figures after a trade at this price."""
        return self._replace(last=price, high=max(self.high, price), low=min(self.low, price))


class Subscriber(Protocol):
    """An open connection, as a dialect knows it."""

    path: str
    params: dict[str, str]
    keys: set[Key]
    expected: set[Key]
    """What it has been promised and will get from its first frame (a snapshot) on."""
    state: dict[str, Any]
    """What the dialect keeps of this connection."""
    opened: float
    """When it was opened, by the loop's clock."""
    last_sent: float
    """When something was sent last, by the same clock."""

    def reply(self, text: bytes) -> None:
        """Send one text now."""

    def ping(self, payload: bytes) -> None:
        """Send a ping of the protocol, and cut the connection if no pong comes in time."""

    def close(self, code: int, reason: str) -> None:
        """Close with a close frame."""

    def abort(self) -> None:
        """Cut the connection without one."""


class WireMessage(Message):
    """One frame to push, written when somebody takes it.

    `only` is the one connection that it is for, `is_diff` whether a book without it is wrong,
    `fate` what a fault has done to it: "lost", "repeated", "reordered", or "".
    """

    __slots__ = ("_encode_at", "_text", "fate", "is_diff", "ns", "only", "rendered")

    def __init__(
        self,
        offset: float,
        key: Key,
        ns: int,
        encode: Encode,
        *,
        is_diff: bool = False,
        only: Subscriber | None = None,
    ) -> None:
        super().__init__(offset, key)
        self.ns = ns
        self.is_diff = is_diff
        self.only = only
        self.fate = ""
        self.rendered: dict[str, bytes] = {}
        self._encode_at = encode
        self._text: bytes | None = None

    @property
    def text(self) -> bytes:
        """The frame's text, as it is without what a connection adds."""
        if self._text is None:
            self._text = self._encode_at(self.ns)
        return self._text

    def shifted(self, nanoseconds: int) -> WireMessage:
        """Return the same frame telling another time."""
        moved = self.copy(self._encode_at)
        moved.ns = max(0, self.ns + nanoseconds)
        return moved

    def copy(self, encode: Encode) -> WireMessage:
        """Return the message with other text."""
        made = WireMessage(
            self.offset, self.key or ("", ""), self.ns, encode, is_diff=self.is_diff, only=self.only
        )
        made.fate = self.fate
        return made

    def withheld(self) -> WireMessage:
        """Return the message as one that is sent, numbered, and never arrives."""
        made = self.copy(self._encode_at)
        made.fate = "lost"
        return made


class Stream:
    """The frames of one subscription, which all who hold it get alike.

    `every` is the market's time in seconds between two pushes; at 0 each change is pushed by
    itself. `is_book` says that a lost frame spoils a book.
    """

    every = 0.0
    is_book = False

    def __init__(self, key: Key, spec: Instrument, book: VenueBook) -> None:
        self.key = key
        self.spec = spec
        self.book = book

    def on_change(self, change: Change) -> None:
        """Take note of a change of the book."""

    def on_trades(self, trades: Sequence[Execution]) -> None:
        """Take note of trades."""

    def on_day(self, day: Day) -> None:
        """Take note of the day's figures."""

    def take(self, now_ns: int) -> list[Encode]:
        """Return the frames that are to be pushed now."""
        return []

    def empty(self) -> list[Encode]:
        """Return a frame that tells of no change, where the venue sends such."""
        return []

    def first(self) -> list[Encode]:
        """Return what a new subscriber gets before anything else."""
        return []


class NewTrades(Stream):
    """A stream that keeps trades until the next push, beside what makes it one venue's.

    Args:
        stream: of the stream.
        recent: the trades before, for new subscribers.
    """

    def __init__(self, *stream: Any, recent: Iterable[Execution] = ()) -> None:
        super().__init__(*stream)
        self.recent = recent
        self._new: list[Execution] = []

    def on_trades(self, trades: Sequence[Execution]) -> None:
        """Keep them for the next push."""
        self._new += trades

    def taken(self) -> list[Execution]:
        """Return what traded since the last push."""
        new, self._new = self._new, []
        return new
