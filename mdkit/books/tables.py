"""The measures of order books, over tables of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from mdkit.books.decimals import Floats, differences_and_middles
from mdkit.books.levels import books_of
from mdkit.errors import SettingsError

_SUMMED = 5
"""How many levels the columns `bid_depth` and `ask_depth` are the sums of."""


def measured(name: str, table: pd.DataFrame, *levels: int) -> pd.Series[float]:
    """Return a measure of each row of a table of books.

    Raises `SettingsError` for a table of anything else, and where it lacks levels asked for.
    """
    with np.errstate(all="ignore"):
        values = _MEASURES[name](table, *levels)
    return pd.Series(values, table.index, name=name)


def one_book(ladder: pd.DataFrame) -> dict[str, list[tuple[float, float]]]:
    """Return the book whose levels are the rows of a table, as `session.book` returns it."""
    sides = {}
    for side in ("bid", "ask"):
        levels = zip(_column(ladder, side), _column(ladder, f"{side}_size"), strict=True)
        sides[f"{side}s"] = [(float(p), float(size)) for p, size in levels if p == p]
    return sides


def _spread(table: pd.DataFrame) -> Floats:
    return differences_and_middles(_column(table, "ask"), _column(table, "bid"))[0]


def _mid(table: pd.DataFrame) -> Floats:
    return differences_and_middles(_column(table, "ask"), _column(table, "bid"))[1]


def _microprice(table: pd.DataFrame) -> Floats:
    bid, ask = _column(table, "bid"), _column(table, "ask")
    bid_size, ask_size = _column(table, "bid_size"), _column(table, "ask_size")
    value: Floats = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
    return np.where(bid_size + ask_size == 0.0, np.nan, value)


def _pressure_ratio(table: pd.DataFrame, levels: int) -> Floats:
    bid, ask = _sums(table, levels)
    return np.where(ask == 0.0, np.where(bid > 0.0, np.inf, np.nan), bid / ask)


def _imbalance(table: pd.DataFrame, levels: int) -> Floats:
    bid, ask = _sums(table, levels)
    total = bid + ask
    return np.where(total == 0.0, np.nan, (bid - ask) / total)


_MEASURES: dict[str, Callable[..., Floats]] = {
    "spread": _spread,
    "mid": _mid,
    "microprice": _microprice,
    "pressure_ratio": _pressure_ratio,
    "imbalance": _imbalance,
}


def _sums(table: pd.DataFrame, levels: int) -> tuple[Floats, Floats]:
    """Return the sizes of both sides, each summed over the first levels."""
    if levels > 1 and levels != _SUMMED:
        table = books_of(table)
    bid, ask = (_sum(table, side, levels) for side in ("bid", "ask"))
    return bid, ask


def _sum(table: pd.DataFrame, side: str, levels: int) -> Floats:
    if levels == _SUMMED and f"{side}_depth" in table:
        return _column(table, f"{side}_depth")
    names = [f"{side}_size", *(f"{side}_size_{level}" for level in range(2, levels + 1))]
    total = np.zeros(len(table))
    for name in names:
        if name != names[0] and name not in table:
            raise SettingsError(
                f"the table has no column {name!r}, so {levels} levels cannot be summed; "
                f'session.frame("depth", symbol, levels={levels}) has them where so many are kept'
            )
        # One level after the other, as a single book's are added; a level that is not there is 0.
        total += np.nan_to_num(_column(table, name), nan=0.0, posinf=np.inf, neginf=-np.inf)
    return total


def _column(table: pd.DataFrame, name: str) -> Floats:
    if name not in table:
        raise SettingsError(
            f"the table has no column {name!r}: a measure of books takes a Depth event, a dict "
            f'with bids and asks, session.book(symbol) or session.frame("depth"); there are '
            f"{', '.join(map(str, table.columns))}"
        )
    return table[name].to_numpy(np.float64)
