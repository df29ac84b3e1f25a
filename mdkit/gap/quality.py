"""Frozen and empty books, times that run backwards, unusable messages: what events show amiss."""

from __future__ import annotations

from mdkit.events import Depth, Gap, MarketEvent

FROZEN_NS = 60_000_000_000
"""A book of which messages go on to come but nothing changes for so long is called frozen."""
_LOOK_NS = 5_000_000_000
_NEVER = 1 << 63


class BookQuality:
    """Finds what is amiss in the events of one symbol and channel, and returns it as gaps.

    A book is compared every five seconds of receipt: comparing every one would cost as much as
    decoding it. It all depends on the messages alone, so a replay tells the same.

    Attributes:
        newest_ns: the exchange time of the last event.
        look_ns: from when on, by time of receipt, an event is to be looked at.
        backwards, frozen, empty: how often times ran backwards, and how many books were found
            frozen or empty.
    """

    __slots__ = (
        "_book",
        "_channel",
        "_compare_ns",
        "_empty_ns",
        "_looked_ns",
        "_reported_ns",
        "_since_ns",
        "_symbol",
        "_unusable",
        "backwards",
        "empty",
        "frozen",
        "is_of_books",
        "look_ns",
        "newest_ns",
    )

    def __init__(self, symbol: str, channel: str) -> None:
        self._symbol = symbol
        self._channel = channel
        self.is_of_books = channel == "depth"
        self.backwards = self.frozen = self.empty = 0
        self._unusable: Gap | None = None
        self.newest_ns = 0
        self._empty_ns = 0  # since when the book is empty
        self.forget()

    def forget(self) -> None:
        """Compare the next book with none before it, since something was missed between them."""
        self._book: Depth | None = None
        self._reported_ns = 0  # up to when the book was reported as frozen
        self._since_ns = self._looked_ns = 0
        self._compare_ns = 0 if self.is_of_books else _NEVER
        self.look_ns = 0 if self.is_of_books or self._unusable else _NEVER

    @property
    def counts(self) -> dict[str, int]:
        """How often times ran backwards, and how many books were found frozen or empty."""
        return {"backwards": self.backwards, "frozen": self.frozen, "empty": self.empty}

    def note_unusable(self, received_ns: int, parts: int = 0) -> None:
        """Count an unusable message, or `parts` of one, as missing before the next event.

        Parts are trades, or tickers, of a message whose others are usable.
        """
        run = self._unusable
        first, count = (received_ns, 0) if run is None else (run.from_ns, run.lost or 0)
        what = f"unusable {self._channel}s" if parts else "unusable messages"
        reason = what if run is None else run.reason
        self._unusable = self._gap(reason, first, received_ns, count + (parts or 1))
        self.look_ns = 0

    def look(self, event: MarketEvent, received_ns: int) -> list[Gap]:
        """Look at an event; return the gaps that strategies meet before it."""
        gaps = [] if self._unusable is None else [self._unusable]
        self._unusable = None
        if isinstance(event, Depth):
            gaps += self._emptiness(event, received_ns)
            if received_ns >= self._compare_ns:
                gaps += self._compare(event, received_ns)
                self._compare_ns = received_ns + _LOOK_NS
        self.look_ns = 0 if self._empty_ns else self._compare_ns
        return gaps

    def end(self) -> list[Gap]:
        """Return the gaps that no event came after."""
        gaps = [] if self._unusable is None else [self._unusable]
        self._unusable = None
        if 0 < self._reported_ns < self._looked_ns:
            gaps.append(self._frozen(self._reported_ns, self._looked_ns))
            self._reported_ns = self._looked_ns
        return gaps if self._symbol else []

    def _emptiness(self, book: Depth, received_ns: int) -> list[Gap]:
        since = self._empty_ns
        if book.bids or book.asks:
            self._empty_ns = 0
            return [self._gap("the book was empty", since, received_ns)] if since else []
        self.empty += 1
        self._empty_ns = since or received_ns
        return [] if since else [self._gap("the book is empty", received_ns, received_ns)]

    def _compare(self, book: Depth, received_ns: int) -> list[Gap]:
        before, self._book = self._book, book
        looked_ns, self._looked_ns = self._looked_ns, received_ns
        reported_ns = self._reported_ns
        # Nothing came for a while: then it is not the book that stood still.
        is_silent = received_ns - looked_ns > 2 * _LOOK_NS
        if is_silent or before is None or before.bids != book.bids or before.asks != book.asks:
            self._since_ns, self._reported_ns = received_ns, 0
            end_ns = looked_ns if is_silent else received_ns
            return [self._frozen(reported_ns, end_ns)] if 0 < reported_ns < end_ns else []
        if reported_ns or received_ns - self._since_ns < FROZEN_NS:
            return []
        self.frozen += 1
        self._reported_ns = received_ns
        return [self._frozen(self._since_ns, received_ns)]

    def _frozen(self, from_ns: int, to_ns: int) -> Gap:
        reason = f"frozen: the book has not changed for {(to_ns - from_ns) / 1e9:.0f} s"
        return self._gap(reason, from_ns, to_ns)

    def _gap(self, reason: str, from_ns: int, to_ns: int, lost: int | None = None) -> Gap:
        return Gap(self._symbol, self._channel, reason, from_ns, to_ns, lost)
