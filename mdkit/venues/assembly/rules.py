"""How a book is proven to be in step with its venue: one rule for each way that venues offer."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import Protocol
from zlib import crc32

from mdkit.books.order_book import OrderBook
from mdkit.venues.assembly.parsed import BookUpdate


class Rule(Protocol):
    """Judges the updates of one book, in order of receipt.

    Attributes:
        name: what proves the book, in two words.
        needs_update: whether a snapshot is proven only by the first update that follows it.
        state: the number that it waits for or after, and whether a snapshot was last.
        shares_clock: whether two connections give the same update the same time.
    """

    name: str
    needs_update: bool
    shares_clock: bool
    state: tuple[int, bool]

    def begin(self, snapshot: BookUpdate) -> None:
        """Take a snapshot for the book from here on."""

    def is_old(self, update: BookUpdate) -> bool:
        """Whether the book holds all of an update already."""

    def follows(self, update: BookUpdate) -> str:
        """Return "" where an update continues the book, which it then has; else why it does not."""

    def holds(self, update: BookUpdate, book: OrderBook) -> str:
        """Return "" where the book after an update is as the venue has it; else what differs."""


class _Unchecked:
    """The base of rules: nothing is old, everything follows and holds."""

    name = "whole books"
    needs_update = False
    shares_clock = True
    state = (0, False)

    def begin(self, snapshot: BookUpdate) -> None:
        """Keep nothing."""

    def is_old(self, update: BookUpdate) -> bool:
        """Return False."""
        return False

    def follows(self, update: BookUpdate) -> str:
        """Return "": everything does."""
        return ""

    def holds(self, update: BookUpdate, book: OrderBook) -> str:
        """Return "": nothing is checked."""
        return ""


class WholeBooks(_Unchecked):
    """Every message is the whole book: there is nothing that could be missed."""


class ConnectionCounter(_Unchecked):
    """The frames of the connection are counted, which is checked there and not for each book."""

    name = "frame counter"
    shares_clock = False


class SequenceRanges(_Unchecked):
    """Updates say which of the venue's changes they hold, from `first` to `last`.

    Binance spot: https://developers.binance.com/docs/binance-spot-api-docs, "How to manage a
    local order book correctly".
    """

    name = "sequence ranges"
    needs_update = True

    def begin(self, snapshot: BookUpdate) -> None:
        """Expect an update that holds the change after the snapshot's last."""
        self.state = snapshot.last, True

    def is_old(self, update: BookUpdate) -> bool:
        """Whether its last change is in the book."""
        return update.last <= self.state[0]

    def follows(self, update: BookUpdate) -> str:
        """Return why changes are missing between the book and an update."""
        last, is_fresh = self.state
        due = last + 1
        if update.first > due or (update.first < due and not is_fresh):
            return f"sequence: expected U={due}, got U={update.first}"
        self.state = update.last, False
        return ""


class PreviousRanges(_Unchecked):
    """Updates say the number of the update before them, and a snapshot lies within one.

    Binance futures: https://developers.binance.com/docs/derivatives, "How to manage a local order
    book correctly". Numbers jump, so that `first` follows no rule after the first update.
    """

    name = "sequence chain"
    needs_update = True

    def begin(self, snapshot: BookUpdate) -> None:
        """Expect an update around the snapshot's last change."""
        self.state = snapshot.last, True

    def is_old(self, update: BookUpdate) -> bool:
        """Whether its last change is in the book; the snapshot's own may be given again."""
        last, is_fresh = self.state
        return update.last < last if is_fresh else update.last <= last

    def follows(self, update: BookUpdate) -> str:
        """Return why changes are missing between the book and an update."""
        last, is_fresh = self.state
        if is_fresh and update.first > last:
            return f"sequence: expected U<={last}, got U={update.first}"
        if not is_fresh and update.previous != last:
            return f"sequence: expected pu={last}, got pu={update.previous}"
        self.state = update.last, False
        return ""


class Chain(_Unchecked):
    """Each update names the number of the one before it.

    OKX: https://www.okx.com/docs-v5, "Order book channel". An update without changes repeats the
    number, and after maintenance numbers begin lower: both are fine as long as the chain holds.
    """

    name = "sequence chain"

    def begin(self, snapshot: BookUpdate) -> None:
        """Expect an update that names the snapshot."""
        self.state = snapshot.last, False

    def follows(self, update: BookUpdate) -> str:
        """Return why an update is not the next one."""
        last = self.state[0]
        if update.previous != last:
            return f"sequence: expected prevSeqId={last}, got prevSeqId={update.previous}"
        self.state = update.last, False
        return ""


class ChainWithChecksums(Chain):
    """A chain; in recordings from before the chain was sent, checksums in its place.

    A checksum of 0 is none: OKX sends nothing else any more. The old ones are the signed CRC-32
    of the best 25 levels, bids and asks in turn.
    """

    def follows(self, update: BookUpdate) -> str:
        """Return why an update is not the next one, where it is numbered."""
        return super().follows(update) if update.last or update.previous else ""

    def holds(self, update: BookUpdate, book: OrderBook) -> str:
        """Return which checksums differ."""
        if not update.checksum:
            return ""
        bids, asks = book.bids.texts(25), book.asks.texts(25)
        texts = [text for pair in zip_longest(bids, asks) for text in pair if text is not None]
        own = crc32(b":".join(texts))
        own -= (own >> 31) << 32
        if own == update.checksum:
            return ""
        return f"checksum: expected {update.checksum}, the book gives {own}"


class Checksums(_Unchecked):
    """Updates carry a checksum of the best levels, over the text of their numbers.

    Args:
        digest: makes the checksum of a book.
    """

    name = "checksum"

    def __init__(self, digest: Callable[[OrderBook], int]) -> None:
        self._digest = digest

    def holds(self, update: BookUpdate, book: OrderBook) -> str:
        """Return which checksums differ."""
        if update.checksum is None:
            return ""
        own = self._digest(book)
        if own == update.checksum:
            return ""
        return f"checksum: expected {update.checksum}, the book gives {own}"


def crc32_of_best(book: OrderBook, levels: int = 10) -> int:
    """Return the CRC-32 of the texts of the best asks, then of the best bids, best first."""
    return crc32(b"".join((*book.asks.texts(levels), *book.bids.texts(levels))))
