"""Volume profile: how much was traded at each price."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mdkit.errors import SettingsError
from mdkit.orderflow.columns import BUY, NEUTRAL, SELL, Trades, trades_of
from mdkit.orderflow.cvd import sums_by

if TYPE_CHECKING:
    import pandas as pd

    Floats = npt.NDArray[np.float64]

VALUE_AREA = 0.70
"""The share of all volume that the value area holds, by convention."""


def volume_profile(trades: pd.DataFrame, price_bins: int | None = None) -> pd.DataFrame:
    """Return the volume traded at each price, by side.

    Args:
        trades: of one symbol, as `session.frame("trade", symbol)` returns them.
        price_bins: into how many equal bins the range of prices is divided; None for a row at
            every price traded. A bin is named by its lower edge.

    The index is `price`, ascending. Columns: `sell`, `buy`, `neutral` (sizes, by the aggressor's
    side), `volume`, `delta` (buy - sell), `poc` (the point of control: the price with the most
    volume, the lowest of several) and `value_area` (the prices around it with 70 % of the volume,
    taken in by the larger of the two neighbours each time).

    Raises `SettingsError` for a table of something else or of several symbols, and for bins that
    are no whole number of at least 1.

    Example:
        >>> trades = md.read_recording(md.sample()).frame("trade", "AAPL.US")
        >>> md.volume_profile(trades, price_bins=3)[["sell", "buy", "poc"]]
                  sell     buy    poc
        price
        158.49  1122.0  1014.0  False
        158.54  8963.0  5793.0   True
        158.59  4901.0  4856.0  False
    """
    import pandas as pd

    from mdkit.frames.display import Table

    prices, sell, buy, neutral = profile_of(trades_of(trades), price_bins)
    volume = sell + buy + neutral
    poc, inside = value_area(volume)
    data = {"sell": sell, "buy": buy, "neutral": neutral, "volume": volume, "delta": buy - sell}
    return Table({**data, "poc": poc, "value_area": inside}, pd.Index(prices, name="price"))


def profile_of(trades: Trades, price_bins: int | None = None) -> tuple[Floats, ...]:
    """Return prices, and the sizes sold, bought and of unknown side at each."""
    by_side = [np.where(trades.side == side, trades.size, 0.0) for side in (SELL, BUY, NEUTRAL)]
    if price_bins is None or not trades.price.size:
        checked_bins(price_bins or 1)
        prices, _, *sums = sums_by(trades.price, *by_side)  # type: ignore[arg-type]
        return prices, *sums
    bins = checked_bins(price_bins)
    low, high = float(trades.price.min()), float(trades.price.max())
    places = bin_places(trades.price, low, high, bins)
    sums = [np.bincount(places, sizes, bins) for sizes in by_side]
    return bin_edges(low, high, bins), *sums


def value_area(volume: Floats) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which row is the point of control, and which rows are the value area."""
    poc, inside = np.zeros(volume.size, bool), np.zeros(volume.size, bool)
    if not volume.size or not volume.sum() > 0:
        return poc, inside
    low = high = int(volume.argmax())
    poc[low] = True
    held, enough = float(volume[low]), VALUE_AREA * float(volume.sum())
    while held < enough and (low > 0 or high < volume.size - 1):
        below = volume[low - 1] if low > 0 else -1.0
        above = volume[high + 1] if high < volume.size - 1 else -1.0
        if above >= below:
            high += 1
            held += float(above)
        else:
            low -= 1
            held += float(below)
    inside[low : high + 1] = True
    return poc, inside


def checked_bins(bins: Any) -> int:
    """Return a number of bins as an int; raise `SettingsError` unless it is from 1 to 10,000."""
    try:
        count = 0 if isinstance(bins, bool) else operator.index(bins)
    except TypeError:
        count = 0
    if not 1 <= count <= 10_000:
        raise SettingsError(f"price_bins is {bins!r}; give a whole number from 1 to 10,000")
    return count


def bin_edges(low: float, high: float, bins: int) -> Floats:
    """Return the lower edges of equal bins from `low` to `high`."""
    edges: Floats = low + np.arange(bins, dtype=np.float64) * ((high - low) / bins)
    return edges


def bin_places(prices: Floats, low: float, high: float, bins: int) -> npt.NDArray[np.intp]:
    """Return the bin that each price is in: bins include their lower edge, the last both."""
    if high <= low:
        return np.zeros(prices.shape, np.intp)
    edges = bin_edges(low, high, bins)
    return np.searchsorted(edges, prices, "right") - 1
