"""Whether what comes is to be trusted: frozen books, times that run backwards, clocks apart."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mdkit.events import Depth, Gap, MarketEvent

if TYPE_CHECKING:
    import pandas as pd

FROZEN_NS = 60_000_000_000
"""A book of which messages go on to come but nothing changes for so long is called frozen."""
_LOOK_NS = 5_000_000_000
_NEVER = 1 << 63
_KEPT_DELAYS = 1000
_MOST_SYMBOLS = 10_000
"""Symbols of which delays are kept; a feed that invents symbols must not fill the memory."""


class Watch:
    """Looks after the events of one symbol and channel.

    A book is looked at every five seconds of receipt: comparing every one would cost as much as
    decoding it. It depends on the messages alone, so a replay sees the same.
    """

    __slots__ = (
        "_book",
        "_since_ns",
        "_told",
        "backwards",
        "empty",
        "frozen",
        "is_of_books",
        "look_ns",
        "newest_ns",
    )

    def __init__(self, channel: str) -> None:
        self.newest_ns = 0
        """The latest exchange time so far."""
        self.is_of_books = channel == "depth"
        self.look_ns = 0 if self.is_of_books else _NEVER
        """When, by time of receipt, the next book is to be looked at."""
        self.backwards = self.frozen = self.empty = 0
        self._book: Depth | None = None
        self._since_ns = 0
        self._told = False

    def begin_anew(self) -> None:
        """Compare with nothing that came so far; the counts go on."""
        self.newest_ns = 0
        self.look_ns = 0 if self.is_of_books else _NEVER
        self._book = None

    @property
    def counts(self) -> dict[str, int]:
        """How often times ran backwards, and how many books were found frozen or empty."""
        return {"backwards": self.backwards, "frozen": self.frozen, "empty": self.empty}

    def look(self, event: MarketEvent, received_ns: int) -> Gap | None:
        """Look at a book; return a gap, once, when it has stood still for too long."""
        assert isinstance(event, Depth)
        self.look_ns = received_ns + _LOOK_NS
        before, self._book = self._book, event
        if before is None or before.bids != event.bids or before.asks != event.asks:
            self._since_ns, self._told = received_ns, False
            return None
        still = received_ns - self._since_ns
        if still < FROZEN_NS or self._told:
            return None
        self._told = True
        self.frozen += 1
        said = f"frozen: the book has not changed for {still / 1e9:.0f} s"
        return Gap(event.symbol, "depth", said, self._since_ns, received_ns)


@dataclass
class Clocks:
    """Receive time minus exchange time, in ns, sampled once a batch, by symbol.

    The two clocks may be seconds apart, either way. The smallest difference is the clocks'
    offset plus the quickest way a message ever took, which nobody can tell apart without
    asking the other clock; what a message took longer than the quickest one is its delay.
    """

    smallest: dict[str, int] = field(default_factory=dict)
    recent: dict[str, deque[int]] = field(default_factory=dict)

    def add(self, symbol: str, difference_ns: int) -> None:
        """Take one sample."""
        recent = self.recent.get(symbol)
        if recent is None:
            if len(self.recent) >= _MOST_SYMBOLS:
                return
            recent = self.recent[symbol] = deque(maxlen=_KEPT_DELAYS)
        recent.append(difference_ns)
        if difference_ns < self.smallest.get(symbol, _NEVER):
            self.smallest[symbol] = difference_ns

    def frame(self) -> pd.DataFrame:
        """Return a row a symbol: offset_ms, delay_ms, delay_p99_ms, and of how many `samples`.

        The newest 1,000 are looked at. `offset_ms` is how far the exchange's clock is behind this
        one, the quickest way included; negative when it runs ahead.
        """
        import pandas as pd

        rows = {}
        for symbol, recent in self.recent.items():
            late = (np.array(recent) - self.smallest[symbol]) / 1e6
            rows[symbol] = (
                self.smallest[symbol] / 1e6,
                float(np.median(late)),
                float(np.quantile(late, 0.99)),
                len(recent),
            )
        columns = ["offset_ms", "delay_ms", "delay_p99_ms", "samples"]
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
        return frame.rename_axis("symbol")
