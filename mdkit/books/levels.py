"""Tables of order books that show few levels, and remember the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

SUMMARY = (
    *("bid", "bid_size", "ask", "ask_size", "mid", "spread", "pressure"),
    *("bid_depth", "ask_depth"),
)
"""Columns of floats that every table of books has."""


def shown_columns(columns: Iterable[str], levels: int) -> list[str]:
    """Return those columns of a table of books that one with so many levels a side has."""
    return [name for name in columns if level_of(name) <= levels]


def level_of(column: str) -> int:
    """Return which level a column is of, 1 for what is not of a level."""
    number = column.rpartition("_")[2]
    return int(number) if number.isdecimal() else 1


def narrowed(whole: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Return a table without the other levels, which `books_of` finds all the same."""
    wanted = {*columns, *(name for name in whole.columns if level_of(name) == 1)}
    kept = [name for name in whole.columns if name in wanted]
    if len(kept) == len(whole.columns):
        return whole
    table = whole[kept]
    object.__setattr__(table, "_books", whole)
    return table


def books_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table with all the levels that were kept.

    That is the table itself where nothing more is known, as of one made otherwise, or where what
    it shows has been changed.
    """
    books: Any = getattr(table, "_books", None)
    if books is None or not {"bid", "bid_size", "ask", "ask_size"} <= set(table.columns):
        return table
    whole: pd.DataFrame = books() if callable(books) else books
    if not table.index.equals(whole.index):
        places = _places(table, whole)
        if places is None:
            return table
        whole = whole.iloc[places]
    for name in SUMMARY[:4]:
        if not np.array_equal(table[name].to_numpy(), whole[name].to_numpy(), equal_nan=True):
            return table
    return whole


def _places(table: pd.DataFrame, whole: pd.DataFrame) -> npt.NDArray[np.intp] | None:
    """Return where the rows of a table are in the whole one, or None if that is not certain."""
    import pandas as pd

    keys: list[pd.Index[Any]] = []
    for one in (whole, table):
        if "symbol" in whole:
            if "symbol" not in one:
                return None
            keys.append(pd.MultiIndex.from_arrays([one.index, one["symbol"].astype(object)]))
        else:
            keys.append(one.index)
    if not keys[0].is_unique:
        return None
    places = keys[0].get_indexer(keys[1])
    return None if (places < 0).any() else places
