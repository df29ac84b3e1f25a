"""Whether the numbers of a saved result can be those of one: places that there are, in order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mdkit.backtesting.account.book_run import ORDER_KINDS, TIMES_IN_FORCE
from mdkit.backtesting.account.fills import REASONS
from mdkit.backtesting.bars import bar_run, columns
from mdkit.backtesting.bars.orders import STOP

_LATEST = 2**62
"""ns; the year 2116, beyond which the ends of long bars could not be written."""


def check_starts(starts: npt.NDArray[np.int64]) -> None:
    """Raise `ValueError` unless these are times in order."""
    if not len(starts) or not -_LATEST <= starts[0] <= starts[-1] <= _LATEST:
        raise ValueError("there are no bars, or none that could have been")
    if not (starts[1:] >= starts[:-1]).all():
        raise ValueError("the bars are not in order of time")


def check_fills(fills: Any, bars: int, symbols: int) -> None:
    """Raise `ValueError` unless these are fills of such bars and symbols, in their order."""
    _check_finite(fills, "fills")
    for column, end, name in (
        (0, bars, "bars"),
        (1, symbols, "symbols"),
        (5, len(REASONS), "reasons"),
    ):
        _check_places(fills[:, column], 0, end, f"fills: {name}")
    if not (fills[1:, 0] >= fills[:-1, 0]).all():
        raise ValueError("the fills are not in order")


def check_books(fills: Any, orders: Any, symbols: int) -> None:
    """Raise `ValueError` unless these are an account's fills and orders on books."""
    _check_places(fills[:, 8], 0, len(orders), "fills: orders")
    _check_finite(fills[:, 10], "times of fills")
    for column, end, name in (
        (0, symbols, "symbols"), (1, len(ORDER_KINDS), "kinds"), (7, len(TIMES_IN_FORCE), "lives"),
    ):  # fmt: skip
        _check_places(orders[:, column], 0, end, f"orders: {name}")
    _check_finite(orders[:, 8:], "times of orders")


def check_answers(asked: columns.BarAnswers, states: Any, bars: int, symbols: int) -> None:
    """Raise `ValueError` unless these are orders on such bars and symbols."""
    for name, low, end in (
        ("due", -1, bars), ("sent", 0, bars), ("symbol", 0, symbols), ("slot", 0, 2),
        ("kind", 0, STOP + 1), ("name", 0, len(columns.ORDER_KINDS)), ("pair", 0, 2),
        ("life", 0, len(TIMES_IN_FORCE)),
    ):  # fmt: skip
        _check_places(getattr(asked, name), low, end, f"orders: {name}")
    _check_places(states, 0, len(bar_run.STATES), "orders: states")


def _check_places(values: Any, low: int, end: int, name: str) -> None:
    """Raise `ValueError` unless all are whole numbers from `low` on and below `end`."""
    if not ((values >= low) & (values < end) & (values == np.floor(values))).all():
        raise ValueError(f"{name} that there are not")


def _check_finite(values: Any, name: str) -> None:
    if not np.isfinite(values).all():
        raise ValueError(f"{name} that are no numbers")
