"""The book over time: how much rested at each price, as a table of times by prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from mdkit.errors import SettingsError
from mdkit.orderflow.columns import checked, checked_time, utc
from mdkit.orderflow.profile import bin_edges, bin_places, checked_bins
from mdkit.orderflow.steps import nice_step

if TYPE_CHECKING:
    import pandas as pd

    Floats = npt.NDArray[np.float64]

_COLUMNS = 300
"""About how many times a table has where nobody says how far they lie apart."""


def book_heatmap(
    books: pd.DataFrame,
    seconds: float | None = None,
    price_bins: int = 100,
    *,
    every: Any = None,
    side: Literal["bid", "ask"] | None = None,
) -> pd.DataFrame:
    """Return the size that rested at each price over time: a row a time, a column a price bin.

    Args:
        books: of one symbol, as `session.frame("depth", symbol)` returns them; all levels that
            are kept count, not only those shown.
        seconds: how much of the newest, None for all.
        price_bins: into how many equal bins the range of prices is divided.
        every: how far times lie apart, such as "1s"; None for about 300 rows.
        side: of one side only; None for both.

    The index `time` (UTC) holds whole multiples of `every`; a row is the last book received up to
    then, which holds until the next one, but not into a gap: times of which nothing is known are
    nan. The columns `price` are the bins' lower edges. 0 says that nothing rested in a bin; nan,
    that the bin lies beyond the book's deepest known level on its side.

    Raises `SettingsError` for a table of something else or of several symbols, and for bins,
    seconds or a time that are none.

    Example:
        >>> books = md.read_recording(md.sample()).frame("depth", "AAPL.US")
        >>> md.book_heatmap(books, price_bins=8, every="1s").shape
        (14, 8)
    """
    import pandas as pd

    from mdkit.books.levels import books_of
    from mdkit.frames.display import Table
    from mdkit.frames.sampling import rows_at_ends

    stamps = checked(books, ("bid", "bid_size", "ask", "ask_size"), "depth")
    bins = checked_bins(price_bins)
    if side not in ("bid", "ask", None):
        raise SettingsError(f'side is {side!r}; give "bid", "ask", or None for both')
    if seconds is not None and not (isinstance(seconds, (int, float)) and 0 < seconds < 1e9):
        raise SettingsError(f"seconds is {seconds!r}; give a number above 0, or None for all")
    whole = books_of(books)
    order = np.argsort(stamps, kind="stable")
    stamps = stamps[order]
    first = 0
    if seconds is not None and stamps.size:
        first = int(np.searchsorted(stamps, stamps[-1] - int(seconds * 1e9)))
    kept = stamps[first:]
    step = checked_time("every", every) if every is not None else _step_for(kept)
    gap = whole["gap"].to_numpy(bool)[order] if "gap" in whole else np.zeros(stamps.size, bool)
    # Sampled over all rows: a book from before the window may stand at its beginning.
    ends, at, known, _ = rows_at_ends(stamps, gap, step)
    shown = ends >= (kept[0] if kept.size else 0)
    ends, at, known = ends[shown], at[shown], known[shown]
    sides = [levels_of(whole, name, order[at]) for name in ("bid", "ask")]
    values, edges = _filled(sides, known, bins, side)
    columns = pd.Index(edges, dtype=float, name="price")
    return Table(values, utc(ends, "time"), columns)


def levels_of(whole: pd.DataFrame, side: str, rows: Any) -> tuple[Floats, Floats]:
    """Return prices and sizes of a side, shape (rows, levels), best first; nan for no level."""
    count = 1
    while f"{side}_{count + 1}" in whole:
        count += 1
    names = [side, *(f"{side}_{level}" for level in range(2, count + 1))]
    sizes = [f"{side}_size", *(f"{side}_size_{level}" for level in range(2, count + 1))]
    return whole[names].to_numpy(float)[rows], whole[sizes].to_numpy(float)[rows]


def _step_for(stamps: npt.NDArray[np.int64]) -> int:
    """Return a step in ns, of at least a millisecond, that makes about 300 of a stretch."""
    span = int(stamps[-1] - stamps[0]) if stamps.size else 0
    return int(nice_step(max(span / _COLUMNS, 1e6)))


def _filled(
    sides: list[tuple[Floats, Floats]],
    known: npt.NDArray[np.bool_],
    bins: int,
    wanted: str | None,
) -> tuple[Floats, Floats]:
    prices = np.concatenate([price[known].ravel() for price, _ in sides])
    prices = prices[np.isfinite(prices)]
    values = np.full((known.size, bins), np.nan)
    if not prices.size:
        return values, np.full(bins, np.nan)
    low, high = float(prices.min()), float(prices.max())
    edges = bin_edges(low, high, bins)
    for row in np.flatnonzero(known):
        line = values[row]
        for number, (price, size) in enumerate(sides):
            if wanted is not None and wanted != ("bid", "ask")[number]:
                continue
            there = np.isfinite(price[row])
            if not there.any():
                continue
            places = bin_places(price[row][there], low, high, bins)
            inside = slice(int(places.min()), int(places.max()) + 1)
            line[inside] = np.where(np.isnan(line[inside]), 0.0, line[inside])
            np.add.at(line, places, size[row][there])
        if wanted is None:  # between the best bid and the best ask nothing rests: that is known
            spread = [p[row][0] for p, _ in sides]
            if np.isfinite(spread).all():
                places = bin_places(np.array(spread), low, high, bins)
                inside = slice(int(places.min()), int(places.max()) + 1)
                line[inside] = np.where(np.isnan(line[inside]), 0.0, line[inside])
    return values, edges
