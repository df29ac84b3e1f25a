"""What a venue's frame says, in one form for all venues. Symbols are the venue's own names."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from msgspec import Struct

from mdkit.events import Level, Ticker, Trade


class BookUpdate(Struct, gc=False):
    """New sizes of price levels, or a whole book.

    Attributes:
        bids, asks: (price, size) in any order; size 0 removes a level.
        is_snapshot: whether this is all there is, and whatever was before is gone.
        via_rest: whether it was asked for by REST, beside the updates of the socket.
        first, last, previous: the venue's numbers of the first and last change that it holds,
            and of the last one before it; as far as the venue has such.
        checksum: over the book after this update.
        bid_texts, ask_texts: what the checksum is made of, for each level.
    """

    symbol: str
    bids: Sequence[Level]
    asks: Sequence[Level]
    is_snapshot: bool = False
    via_rest: bool = False
    exchange_ns: int = 0
    first: int = 0
    last: int = 0
    previous: int = 0
    checksum: int | None = None
    bid_texts: Sequence[bytes] | None = None
    ask_texts: Sequence[bytes] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether levels have prices and sizes, and each a text where there are texts."""
        sides = ((self.bids, self.bid_texts), (self.asks, self.ask_texts))
        return all(
            (texts is None or len(texts) == len(levels))
            and all(0 < price < inf and 0 <= size < inf for price, size in levels)
            for levels, texts in sides
        )


class BestQuote(Struct, gc=False):
    """The venue's own best prices after its change number `last`: proves a book that we made."""

    symbol: str
    last: int
    bid: Level
    ask: Level


class Trades(Struct, gc=False):
    """Trades of one symbol; what the events call their symbol is filled in later.

    `may_repeat` says that some may have been given before.
    """

    symbol: str
    events: Sequence[Trade]
    unusable: tuple[str, ...] = ()
    may_repeat: bool = False


class Figures(Struct, gc=False):
    """A ticker of one symbol."""

    symbol: str
    event: Ticker


class Counted(Struct, gc=False):
    """The number of a frame among all of its connection."""

    number: int


class Reply(Struct, gc=False):
    """An answer to a command."""


class Beat(Struct, gc=False):
    """A sign of life that says nothing else."""


class Notice(Struct, gc=False):
    """The venue will end this connection soon: a new one is wanted."""

    reason: str


Parsed = BookUpdate | BestQuote | Trades | Figures | Counted | Reply | Beat | Notice
