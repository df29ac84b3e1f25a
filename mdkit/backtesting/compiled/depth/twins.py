"""What is compiled in place of mdkit's measures and orders, with the same bits or an error.

The measures take events, dicts and tables, which compiled code does not have; the orders are
objects. Each is stated here once more, in the part of Python that compiles. Where the original
raises, its twin does, in fewer words: the run is then handed to Python, which says what is wrong.
Needs numba.
"""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from numba.core import types as numba_types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from mdkit import measures
from mdkit.backtesting.account.answers import Limit, Quote
from mdkit.backtesting.account.book_run import GTC, GTX, IOC, LIMIT, QUOTE, TIMES_IN_FORCE
from mdkit.backtesting.compiled.depth.orders import order
from mdkit.backtesting.compiled.mirror import answer
from mdkit.books import decimals

_SCALES = tuple(scale for scale, _ in decimals._PAIRS)
_LIMITS = tuple(limit for _, limit in decimals._PAIRS)
_EXACT = 2**53
_GTC, _IOC, _GTX = TIMES_IN_FORCE


@intrinsic
def _whole(typing: Any, number: Any) -> Any:
    """Return a whole number; nothing else compiles."""
    if not isinstance(number, numba_types.Integer):
        raise TypingError(f"levels is {number}, where a whole number is expected")

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.cast(builder, args[0], number, numba_types.int64)

    return numba_types.int64(number), generate


def _summed(side: Any, levels: Any) -> Any:
    count = _whole(levels)
    if count < 1:
        raise ValueError("levels is below 1")
    total = 0.0
    for _, size in side[:count]:
        total += size
    return total


def _pressure_ratio(book: Any, levels: Any = 5) -> Any:
    bid, ask = _summed(book.bids, levels), _summed(book.asks, levels)
    if ask != 0.0:
        return bid / ask
    return math.inf if bid > 0.0 else math.nan


def _imbalance(book: Any, levels: Any = 5) -> Any:
    bid, ask = _summed(book.bids, levels), _summed(book.asks, levels)
    total = bid + ask
    return (bid - ask) / total if total != 0.0 else math.nan


def _fits(price: Any, scale: Any) -> Any:
    return float(round(price * scale)) / scale == price


def _common_scale(one: Any, other: Any) -> Any:
    for places in (2, 5, 8):
        scale, limit = _SCALES[places], _LIMITS[places]
        near = -limit < one and one < limit and -limit < other and other < limit
        if near and _fits(one, scale) and _fits(other, scale):
            return scale
    for places in range(len(_SCALES) - 1, -1, -1):
        scale, limit = _SCALES[places], _LIMITS[places]
        if -limit < one and one < limit and -limit < other and other < limit:
            return scale if _fits(one, scale) and _fits(other, scale) else 0.0
    return 0.0


def _difference(high: Any, low: Any) -> Any:
    scale = _common_scale(high, low)
    if scale != 0.0:
        return float(round(high * scale) - round(low * scale)) / scale
    return high - low


def _halfway(one: Any, other: Any) -> Any:
    scale = _common_scale(one, other)
    if scale != 0.0:
        return float(round(one * scale) + round(other * scale)) / (2.0 * scale)
    return (one + other) / 2.0


def _spread(book: Any) -> Any:
    if len(book.bids) == 0 or len(book.asks) == 0:
        return math.nan
    return _difference(book.asks[0][0], book.bids[0][0])


def _mid(book: Any) -> Any:
    if len(book.bids) == 0 or len(book.asks) == 0:
        return math.nan
    return _halfway(book.bids[0][0], book.asks[0][0])


def _microprice(book: Any) -> Any:
    if len(book.bids) == 0 or len(book.asks) == 0:
        return math.nan
    bid, bid_size = book.bids[0]
    ask, ask_size = book.asks[0]
    total = bid_size + ask_size
    return (bid * ask_size + ask * bid_size) / total if total != 0.0 else math.nan


def _checked(number: Any) -> Any:
    """Return a finite number as a float, the very number that it was."""
    if math.isnan(number) or math.isinf(number) or abs(number) > _EXACT:
        raise ValueError("an order's number is none that compiled code takes")
    return float(number)


def _life(time_in_force: Any) -> Any:
    if time_in_force == _GTC:
        return GTC
    if time_in_force == _IOC:
        return IOC
    if time_in_force == _GTX:
        return GTX
    raise ValueError("no time in force")


def _limit(price: Any, size: Any, time_in_force: Any = "GTC") -> Any:
    lots = _checked(size)
    if lots == 0.0:
        raise ValueError("an order of no size")
    return order(LIMIT, _checked(price), math.nan, lots, math.inf, _life(time_in_force))


def _quote(
    bid: Any = None, ask: Any = None, size: Any = 0.0, max_position: Any = None,
    time_in_force: Any = "GTC",
) -> Any:  # fmt: skip
    has_bid, low = answer(bid)
    has_ask, high = answer(ask)
    bounded, most = answer(max_position)
    low = _checked(low) if has_bid else math.nan
    high = _checked(high) if has_ask else math.nan
    most = _checked(most) if bounded else math.inf
    lots = _checked(size)
    quoted = has_bid or has_ask
    life = _life(time_in_force)
    if low >= high or (quoted and not lots > 0.0) or most < 0.0 or life == IOC:
        raise ValueError("no quote")
    return order(QUOTE, low, high, lots, most, life)


TWINS: Mapping[Any, Callable[..., Any]] = {
    measures.pressure_ratio: _pressure_ratio,
    measures.imbalance: _imbalance,
    measures.spread: _spread,
    measures.mid: _mid,
    measures.microprice: _microprice,
    decimals.difference: _difference,
    decimals.halfway: _halfway,
    Limit: _limit,
    Quote: _quote,
}
"""By what a strategy calls: what is compiled in its place."""


def _refused(*_: Any) -> Any:
    raise ValueError("refused")


def twin_of(function: Any) -> Any:
    """Return what is compiled in place of a function or a class; None for itself.

    A function that never returns, by its annotation, is compiled to an error: what it says is
    said by Python.
    """
    if isinstance(function, types.FunctionType):
        if function.__annotations__.get("return") in ("NoReturn", NoReturn):
            return _refused
    elif not isinstance(function, type):
        return None
    return TWINS.get(function)
