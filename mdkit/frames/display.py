"""DataFrames that print every column, and prices with all their decimals."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pandas as pd

_MOST_PLACES = 12
_PRICES = frozenset(
    ("bid", "ask", "mid", "spread", "price", "last", "open", "high", "low", "close")
)
"""Columns whose decimals are told from their values; `bid_2` and the like as well."""


class Table(pd.DataFrame):
    """An ordinary DataFrame that prints whole.

    pandas leaves out columns that do not fit the terminal, and all but six decimals. This one
    continues wide tables below, as pandas does outside of terminals, and shows prices with as
    many decimals as they have. What is made of it (a part, a copy) prints in the same way;
    `pd.DataFrame(table)` is a plain one.
    """

    _books: Any = None
    """The rows with all levels, or what makes that table; see `book_levels.books_of`."""
    _metadata: ClassVar[list[str]] = ["_books"]  # what pandas hands on to parts and copies

    @property
    def _constructor(self) -> Callable[..., Table]:
        return Table

    def __repr__(self) -> str:
        """Return the table as text, as wide as the terminal."""
        width = min(pd.get_option("display.width") or 80, shutil.get_terminal_size().columns)
        most, least = pd.get_option("display.max_rows"), pd.get_option("display.min_rows")
        text: str = self.to_string(
            formatters=price_formatters(self),
            line_width=width,
            max_rows=most,
            min_rows=least,
            max_colwidth=pd.get_option("display.max_colwidth"),
            show_dimensions=bool(most) and len(self) > most,
        )
        return text

    def _repr_html_(self) -> str | None:
        """Return the table as HTML, for notebooks."""
        if not pd.get_option("display.notebook_repr_html"):
            return None
        most, least = pd.get_option("display.max_rows"), pd.get_option("display.min_rows")
        is_cut = bool(most) and len(self) > most
        html: str = self.to_html(
            formatters=price_formatters(self),
            max_rows=least if is_cut else None,
            show_dimensions=is_cut,
            notebook=True,
        )
        return html


def price_formatters(table: pd.DataFrame) -> dict[Any, Callable[[Any], str]]:
    """Return how to write the columns of prices: all with the decimals that the longest has."""
    if not table.columns.is_unique:
        return {}
    found: dict[Any, Callable[[Any], str]] = {}
    for name in table.columns:
        is_price = isinstance(name, str) and name.rstrip("0123456789").rstrip("_") in _PRICES
        if is_price and table[name].dtype == np.float64:
            found[name] = _writer(decimals(table[name].to_numpy()))
    return found


def decimals(values: np.ndarray[Any, np.dtype[np.float64]]) -> int:
    """Return how many decimals the values need, at most twelve."""
    values = values[np.isfinite(values) & (np.abs(values) < 1e15)]
    for places in range(_MOST_PLACES):
        scale = 10.0**places
        scaled = values * scale
        if (np.rint(scaled) / scale == values)[np.abs(scaled) < 2.0**50].all():
            return places
    return _MOST_PLACES


def _writer(places: int) -> Callable[[Any], str]:
    return lambda value: "NaN" if value != value else f"{value:.{places}f}"
