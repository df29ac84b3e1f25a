"""What one book says of its depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mdkit.events import Depth, Level
from mdkit.measures import checked_levels, mid
from mdkit.strategies.flow.flow import NAN, Bools, Floats, Flow, Ints, column, level_columns

if TYPE_CHECKING:
    import pandas as pd


class _OfOneBook(Flow):
    """An indicator without memory: each book for itself."""

    channel = "depth"

    def __init__(self, levels: int = 5) -> None:
        self.levels = checked_levels(levels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.levels})"

    def reset(self) -> None:
        """Begin anew; there is nothing to forget but the last value."""
        self.ready, self.value = False, NAN

    def _sides(self, table: pd.DataFrame) -> list[list[tuple[Floats, Floats]]]:
        """Return the columns of prices and sizes of each level, bids and asks."""
        name = type(self).__name__
        return [
            [
                (column(table, f"{side}{end}", name), column(table, f"{side}_size{end}", name))
                for end in level_columns(self.levels)
            ]
            for side in ("bid", "ask")
        ]


class BookSlope(_OfOneBook):
    """How steeply size mounts up with the distance from the mid: size per bp, mean of both sides.

    Of each side the slope of the least-squares line through the origin of the size up to a level
    on the level's distance from the mid in bp, over the first `levels` levels. nan without both
    sides, and where the mid is zero or below. After Naes and Skjeltorp, "Order book characteristics
    and the volume-volatility relation", Journal of Financial Markets 9 (2006), with sizes in place
    of their logarithms.

    Example:
        >>> books = md.read_recording(md.sample()).frame("depth", "AAPL.US")
        >>> round(float(md.BookSlope(levels=5).over(books).iloc[-1]), 2)
        354.6
    """

    def update(self, event: Depth) -> float:
        """Take the next book; return its slope."""
        middle = mid(event)
        self.value = NAN
        if middle > 0.0:
            slopes = [_slope(side[: self.levels], middle) for side in (event.bids, event.asks)]
            self.value = (slopes[0] + slopes[1]) / 2.0
        self.ready = True
        return self.value

    def _over(self, table: pd.DataFrame, times: Ints, breaks: Bools) -> Floats:
        middle = column(table, "mid", "BookSlope")
        slopes = []
        for side in self._sides(table):
            total, above, below = (np.zeros(len(times)) for _ in range(3))
            for price, size in side:
                there = ~np.isnan(price)
                away = np.abs(price / middle - 1.0) * 1e4
                total = np.where(there, total + size, total)
                above = np.where(there, above + away * total, above)
                below = np.where(there, below + away * away, below)
            slopes.append(np.where(below > 0.0, above / below, np.nan))
        return np.where(middle > 0.0, (slopes[0] + slopes[1]) / 2.0, np.nan)


class DepthWeightedMid(_OfOneBook):
    """The mid price of several levels: each side's mean price, weighted by the other's size.

    (b A + a B) / (A + B), where b and a are the size-weighted mean prices bid and asked over the
    first `levels` levels, and B and A the sizes; with one level it is `md.microprice`. A price:
    study its distance from the mid. nan where a side has no size.

    Example:
        >>> books = md.read_recording(md.sample()).frame("depth", "AAPL.US")
        >>> round(float(md.DepthWeightedMid(levels=5).over(books).iloc[-1]), 4)
        158.6038
    """

    def update(self, event: Depth) -> float:
        """Take the next book; return the price."""
        (bids, bid_value), (asks, ask_value) = (
            _totals(side[: self.levels]) for side in (event.bids, event.asks)
        )
        self.ready = True
        self.value = NAN
        if bids and asks:
            bid, ask = bid_value / bids, ask_value / asks
            self.value = (bid * asks + ask * bids) / (bids + asks)
        return self.value

    def _over(self, table: pd.DataFrame, times: Ints, breaks: Bools) -> Floats:
        sides = []
        for side in self._sides(table):
            total, value = np.zeros(len(times)), np.zeros(len(times))
            for price, size in side:
                there = ~np.isnan(price)
                total = np.where(there, total + size, total)
                value = np.where(there, value + price * size, value)
            sides.append((total, value))
        (bids, bid_value), (asks, ask_value) = sides
        bid, ask = bid_value / bids, ask_value / asks
        found = (bid * asks + ask * bids) / (bids + asks)
        return np.where((bids == 0.0) | (asks == 0.0), np.nan, found)


def _slope(side: tuple[Level, ...], middle: float) -> float:
    total = above = below = 0.0
    for price, size in side:
        away = abs(price / middle - 1.0) * 1e4
        total += size
        above += away * total
        below += away * away
    return above / below if below > 0.0 else NAN


def _totals(side: tuple[Level, ...]) -> tuple[float, float]:
    total = value = 0.0
    for price, size in side:
        total += size
        value += price * size
    return total, value
