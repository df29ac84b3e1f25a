"""`forward`: by how much the price moved after each event."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mdkit import measures
from mdkit.errors import SettingsError
from mdkit.research.tools.segments import Floats, Horizons, Ints, Timeline, spans, taken

BP = 1e4
_PRICES = {"mid": measures.mid, "microprice": measures.microprice}


def forward(frame: pd.DataFrame, horizons: Horizons, price: Any = "mid") -> pd.DataFrame:
    """Return future moves in basis points after each event, a column a horizon.

    Args:
        frame: books of one symbol by time of receipt, as `session.frame("depth", symbol)` and
            `recording.frame("depth", symbol)` give them; any table by time with a column `price`
            does.
        horizons: times such as "1s", or several.
        price: "mid", "microprice", the name of a column, or a Series of the same rows.

    The move over 1 s at time t is 10,000 * (p(t + 1 s) / p(t) - 1), where p is the price of the
    last event not after that time. nan where that would lie beyond a gap (the column `gap`), a
    clock that was set back, or the last event, and where a price is zero or below. Raises
    `SettingsError` for a table of several symbols, and where there is no such price.

    Source: the return convention of Cont, Kukanov and Stoikov, "The price impact of order book
    events", Journal of Financial Econometrics 12 (2014), in relative terms.

    Example:
        >>> books = md.read_recording(md.sample()).frame("depth", "AAPL.US")
        >>> md.forward(books, ["100ms", "1s"]).iloc[0].round(2).tolist()
        [0.0, 1.89]
    """
    check_one(frame)
    line = Timeline(frame)
    prices = prices_of(frame, price)[line.order]
    rows = np.arange(len(frame))
    moved = np.full((len(frame), len(found := spans(horizons))), np.nan)
    for column, span in enumerate(found.values()):
        moved[line.order, column] = moves(line, prices, rows, line.times, span)
    return pd.DataFrame(moved, frame.index, list(found))


def moves(line: Timeline, prices: Floats, rows: Ints, times: Ints, span: int) -> Floats:
    """Return moves in bp from the price at `rows` to that `span` nanoseconds after `times`."""
    later = line.rows_later(rows, times + span)
    with np.errstate(all="ignore"):
        moved = np.asarray((taken(prices, later) / taken(prices, rows) - 1.0) * BP, np.float64)
    moved[~np.isfinite(moved)] = np.nan
    return moved


def prices_of(frame: pd.DataFrame, price: Any) -> Floats:
    """Return the price of each row, nan where it is zero or below: no move is a share of that.

    Raises `SettingsError` where there is none such.
    """
    found = given_prices(frame, price)
    return np.where(found > 0.0, found, np.nan)


def given_prices(frame: pd.DataFrame, price: Any) -> Floats:
    """Return the price of each row, whatever it is; raise `SettingsError` for none such."""
    if isinstance(price, pd.Series | np.ndarray):
        check_rows(price, frame, "price")
        given: Floats = np.asarray(price, np.float64)
        return given
    if not isinstance(price, str) or (price not in frame and price not in _PRICES):
        raise SettingsError(
            f'price={price!r} is not to be had: give "mid", "microprice", a Series, or one of '
            f"{', '.join(map(str, frame.columns))}"
        )
    if price in frame:
        return frame[price].to_numpy(np.float64)
    measured: Floats = np.asarray(_PRICES[price](frame), np.float64)
    return measured


def check_rows(values: Any, frame: pd.DataFrame, name: str) -> None:
    """Raise `SettingsError` unless values are of a table's rows, a Series in their order."""
    if len(values) != len(frame):
        raise SettingsError(f"{name} has {len(values):,} rows, the table {len(frame):,}")
    if isinstance(values, pd.Series) and not values.index.equals(frame.index):
        raise SettingsError(f"{name} has other times than the table: reindex it to the table's")


def check_one(frame: Any) -> None:
    """Raise `SettingsError` unless this is a table of one symbol."""
    if not isinstance(frame, pd.DataFrame):
        raise SettingsError(f"a table is needed, not a {type(frame).__name__}")
    if "symbol" in frame and frame["symbol"].nunique() > 1:
        raise SettingsError("the table holds several symbols: take one, as in frame(..., symbol)")
