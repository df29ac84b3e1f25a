"""Order flow imbalance: what was added to and taken from both sides of the book."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mdkit.events import Depth, Level
from mdkit.measures import checked_levels
from mdkit.strategies.flow.flow import (
    NAN,
    Bools,
    Floats,
    Flow,
    Ints,
    column,
    level_columns,
    nanoseconds,
    time_of,
)
from mdkit.strategies.flow.window import TimeWindow, window_sums

if TYPE_CHECKING:
    import pandas as pd


class OFI(Flow):
    """Order flow imbalance over a window of time, in units of size.

    Between two books a bid at a price not below the last adds its size, one not above the last
    takes the last size away; asks the other way round. Summed over the window, and over `levels`
    levels a side. A level that one of the two books lacks adds nothing.

    Source: Cont, Kukanov and Stoikov, "The price impact of order book events", Journal of
    Financial Econometrics 12 (2014); for several levels Xu, Gould and Howison, "Multi-level
    order-flow imbalance in a limit order book", Market Microstructure and Liquidity 4 (2018), of
    whose vector this is the sum. Raises `SettingsError` for levels or windows that cannot be.

    Example:
        >>> books = md.read_recording(md.sample()).frame("depth", "AAPL.US")
        >>> float(md.OFI(levels=3, window="1s").over(books).iloc[-1])
        6127.0
    """

    channel = "depth"

    def __init__(self, levels: int = 1, window: str = "1s") -> None:
        self.levels = checked_levels(levels)
        self.window = window
        self._sums = TimeWindow(nanoseconds(window, "OFI: window"), 1)
        self._last: Depth | None = None

    def __repr__(self) -> str:
        return f"OFI({self.levels}, {self.window})"

    def reset(self) -> None:
        """Begin anew, as after a gap."""
        self._sums.reset()
        self._last, self.ready, self.value = None, False, NAN

    def update(self, event: Depth) -> float:
        """Take the next book; return the sum over the window, nan until ready."""
        time = time_of(event)
        if self._last is not None and time < time_of(self._last):
            self.reset()
        flow = 0.0
        if self._last is not None:
            for level in range(self.levels):
                flow += _flow(event.bids, self._last.bids, level, 1.0)
                flow += _flow(event.asks, self._last.asks, level, -1.0)
        self._last = event
        self._sums.add(time, flow)
        self.ready = self._sums.is_full
        self.value = self._sums.sums[0] if self.ready else NAN
        return self.value

    def _over(self, table: pd.DataFrame, times: Ints, breaks: Bools) -> Floats:
        flow = np.zeros(len(times))
        for end in level_columns(self.levels):
            for side, sign in (("bid", 1.0), ("ask", -1.0)):
                price = column(table, f"{side}{end}", "OFI")
                size = column(table, f"{side}_size{end}", "OFI")
                now, before = sign * price[1:], sign * price[:-1]
                added = np.where(now >= before, size[1:], 0.0)
                gone = np.where(now <= before, size[:-1], 0.0)
                step = sign * (added - gone)
                flow[1:] += np.where(np.isnan(now) | np.isnan(before), 0.0, step)
        flow[breaks] = 0.0
        sums, full = window_sums(times, breaks, flow[None], self._sums.length)
        return np.where(full, sums[0], np.nan)


def _flow(now: tuple[Level, ...], before: tuple[Level, ...], level: int, sign: float) -> float:
    if level >= len(now) or level >= len(before):
        return 0.0
    price, size = now[level]
    last, last_size = before[level]
    added = size if sign * price >= sign * last else 0.0
    gone = last_size if sign * price <= sign * last else 0.0
    return sign * (added - gone)
