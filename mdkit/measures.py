"""What one order book says, as a number; and what each book of a table says, as a column.

Every function takes a `Depth` event, or the plain dict that the feed pushes:
`{"bids": [[price, size], ...], "asks": [[price, size], ...]}`, bids by price descending and
asks ascending. Given a table of books, as `session.frame("depth")` returns it, it returns a
Series with the same bits, by the table's index; given `session.book(symbol)`, a number. Sums run
from the best level outwards, one addition after the other, so that a measure has the same bits
here, in a live frame's columns and in a compiled strategy.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from math import inf, nan
from typing import TYPE_CHECKING, Any, TypeGuard, overload

from mdkit.books.decimals import difference, halfway
from mdkit.errors import SettingsError
from mdkit.events import Depth

if TYPE_CHECKING:
    import pandas as pd

Book = Depth | Mapping[str, Any]
"""An order book: a `Depth` event or a dict with `bids` and `asks`."""

Side = Sequence[Sequence[float]]


@overload
def pressure_ratio(book: Book, levels: int = 5) -> float: ...
@overload
def pressure_ratio(book: pd.DataFrame, levels: int = 5) -> pd.Series[float]: ...
def pressure_ratio(book: Book | pd.DataFrame, levels: int = 5) -> Any:
    """Return the size bid over the size asked, each summed over the first `levels` levels.

    1 is balance, 2 means twice as much to buy as to sell. A side with nothing on it counts as
    size 0: no asks give inf, no bids give 0, and a book with neither gives nan. Sides may have
    fewer levels than asked for. Raises `SettingsError` when `levels` is below 1.

    Example:
        >>> book = {"bids": [[100.0, 30.0], [99.9, 50.0]], "asks": [[100.2, 10.0], [100.3, 10.0]]}
        >>> md.pressure_ratio(book, levels=2)
        4.0
    """
    if _is_table(book):
        return _of_table(pressure_ratio, book, levels)
    bid, ask = _sizes(book, levels)
    if ask:
        return bid / ask
    return inf if bid > 0 else nan


@overload
def imbalance(book: Book, levels: int = 5) -> float: ...
@overload
def imbalance(book: pd.DataFrame, levels: int = 5) -> pd.Series[float]: ...
def imbalance(book: Book | pd.DataFrame, levels: int = 5) -> Any:
    """Return (B - A) / (B + A) for the sizes B bid and A asked over the first `levels` levels.

    In [-1, 1]: the same comparison as `pressure_ratio`, but symmetric and bounded. nan when
    neither side has any size. Raises `SettingsError` when `levels` is below 1.

    Example:
        >>> book = {"bids": [[100.0, 30.0], [99.9, 50.0]], "asks": [[100.2, 10.0], [100.3, 10.0]]}
        >>> md.imbalance(book, levels=1)
        0.5
    """
    if _is_table(book):
        return _of_table(imbalance, book, levels)
    bid, ask = _sizes(book, levels)
    total = bid + ask
    return (bid - ask) / total if total else nan


@overload
def spread(book: Book) -> float: ...
@overload
def spread(book: pd.DataFrame) -> pd.Series[float]: ...
def spread(book: Book | pd.DataFrame) -> Any:
    """Return the best ask minus the best bid, in price units; nan when a side is empty.

    A difference of decimals: 158.55 - 158.54 is 0.01, without a float's noise.

    Example:
        >>> md.spread({"bids": [[158.54, 30.0]], "asks": [[158.55, 10.0]]})
        0.01
    """
    if _is_table(book):
        return _of_table(spread, book)
    bids, asks = _sides(book)
    return difference(asks[0][0], bids[0][0]) if bids and asks else nan


@overload
def mid(book: Book) -> float: ...
@overload
def mid(book: pd.DataFrame) -> pd.Series[float]: ...
def mid(book: Book | pd.DataFrame) -> Any:
    """Return the price halfway between best bid and best ask; nan when a side is empty.

    A mean of decimals, as `spread` is a difference of them.

    Example:
        >>> md.mid({"bids": [[100.0, 30.0]], "asks": [[100.2, 10.0]]})
        100.1
    """
    if _is_table(book):
        return _of_table(mid, book)
    bids, asks = _sides(book)
    return halfway(bids[0][0], asks[0][0]) if bids and asks else nan


@overload
def microprice(book: Book) -> float: ...
@overload
def microprice(book: pd.DataFrame) -> pd.Series[float]: ...
def microprice(book: Book | pd.DataFrame) -> Any:
    """Return the best prices' mean, each weighted by the size waiting on the *other* side.

    (bid x ask_size + ask x bid_size) / (bid_size + ask_size): it leans towards the side that
    is about to be used up. Stoikov, "The micro-price: a high-frequency estimator of future
    prices", Quantitative Finance 18 (2018), calls this the weighted mid-price and starts from
    it. nan when a side is empty or both best sizes are 0.

    Example:
        >>> md.microprice({"bids": [[100.0, 30.0]], "asks": [[100.2, 10.0]]})
        100.15
    """
    if _is_table(book):
        return _of_table(microprice, book)
    bids, asks = _sides(book)
    if not (bids and asks):
        return nan
    bid, bid_size = bids[0]
    ask, ask_size = asks[0]
    total = bid_size + ask_size
    return (bid * ask_size + ask * bid_size) / total if total else nan


def rolling(
    table: pd.DataFrame,
    column: str,
    window: int | str | timedelta,
    how: str = "mean",
    *,
    across_gaps: bool = False,
) -> pd.Series:
    """Return a rolling measure of a live frame's column that does not reach across gaps.

    Args:
        table: as `session.frame(channel, symbol)` gives it, of one symbol.
        column: which figures.
        window: rows (an int), or a time such as "30s" or a timedelta.
        how: "mean", "sum", "std", "min", "max", "median", or what else pandas rolls.
        across_gaps: take no notice of gaps.

    After a gap the result is nan until the window has filled again; as pandas, also at the
    start, there for windows of rows only. A partial bar is a gap, and for a time so is a row whose
    time is before the last one's, as when this machine's clock was set back. Raises
    `SettingsError` for a column or a measure that there is not, and, with `across_gaps`, for a
    time where times run backwards.

    Example:
        >>> books = md.read_recording(md.sample()).frame("depth", "AAPL.US")
        >>> float(md.rolling(books, "spread", "1s", "max").iloc[-1].round(2))
        0.03
    """
    import numpy as np
    import pandas as pd

    if column not in table:
        there = ", ".join(map(str, table))
        raise SettingsError(f"the frame has no column {column!r}; it has {there}.")
    if "symbol" in table and table["symbol"].nunique() > 1:
        raise SettingsError(
            "the frame holds several symbols: take one, as in frame(channel, symbol)."
        )
    values = table[column]
    gaps = table["gap"].to_numpy() if "gap" in table and not across_gaps else None
    if gaps is not None and "partial" in table:
        partial = table["partial"].to_numpy()
        values = values.mask(partial)
        gaps = gaps | partial
        gaps[1:] |= partial[:-1]
    if not hasattr(window, "__index__") and not values.index.is_monotonic_increasing:
        back = np.append(False, np.diff(values.index.to_numpy("M8[ns]").view(np.int64)) < 0)
        if across_gaps:
            raise SettingsError(
                f"the times run backwards at {values.index[back][0]}, as when a clock was set "
                "back: no window of time reaches across that. Give a number of rows, or sort it."
            )
        gaps = back if gaps is None else gaps | back
    parts = [values] if gaps is None else [p for _, p in values.groupby(gaps.cumsum())]
    rolled = []
    for number, part in enumerate(parts):
        over = part.rolling(window)
        if not callable(getattr(over, how, None)) or how.startswith("_"):
            raise SettingsError(f'how={how!r} is not a rolling measure: try "mean" or "std".')
        result = getattr(over, how)()
        if number and not hasattr(window, "__index__"):  # a time
            result = result.mask(part.index < part.index[0] + pd.Timedelta(window))
        rolled.append(result)
    return pd.concat(rolled) if rolled else values.astype(float)


def _is_table(book: Any) -> TypeGuard[pd.DataFrame]:
    return not isinstance(book, Depth) and hasattr(book, "columns")


def _of_table(measure: Callable[..., Any], table: pd.DataFrame, *levels: int) -> Any:
    from mdkit.books import tables as book_tables

    if table.index.name == "level":  # what session.book returns: its rows are one book's levels
        return measure(book_tables.one_book(table), *levels)
    return book_tables.measured(measure.__name__, table, *map(checked_levels, levels))


def _sides(book: Any) -> tuple[Side, Side]:
    if isinstance(book, Depth):
        return book.bids, book.asks
    return book["bids"], book["asks"]


def _sizes(book: Any, levels: int) -> tuple[float, float]:
    if type(levels) is not int or levels < 1:
        levels = checked_levels(levels)
    bids, asks = _sides(book)
    # A plain loop takes half the time of sum() over a generator; and from Python 3.12 sum()
    # compensates rounding, which neither NumPy nor compiled code would reproduce.
    bid = ask = 0.0
    for _, size in bids[:levels]:
        bid += size
    for _, size in asks[:levels]:
        ask += size
    return bid, ask


def checked_levels(levels: Any) -> int:
    """Return levels as an int; raise `SettingsError` unless it is a whole number from 1 on."""
    try:
        count = operator.index(levels)
    except TypeError:
        count = 0
    if count < 1:
        raise SettingsError(f"levels is {levels!r}; give a whole number of at least 1") from None
    return count
