"""The compiled loop of a strategy over books. Needs numba."""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

import numba
from numba.core import types

from mdkit.backtesting.account.book_run import TARGET
from mdkit.backtesting.compiled.checks.kinds import NeedsWider
from mdkit.backtesting.compiled.checks.sides import book_at
from mdkit.backtesting.compiled.depth.orders import answer_row
from mdkit.backtesting.compiled.depth.twins import twin_of
from mdkit.backtesting.compiled.layout import Layout, Wider
from mdkit.backtesting.compiled.mirror import Translator, loader, save

_OPTIONS = {"nogil": True, "no_cfunc_wrapper": True}
_WHOLE, _FLOATS = types.int64[::1], types.float64[::1]
# Where the levels are; which events are gone through; of each where its levels begin, how many
# bids and asks it has, both its times, its symbol.
_GIVEN = (types.int64, *(_WHOLE,) * 7)
_SAID = (_WHOLE, *(_FLOATS,) * 4, _WHOLE)


def instance_loop(layout: Layout, *, stub: bool = False) -> tuple[Any, Wider]:
    """Return the compiled loop of a class, or None and the attributes that need other kinds.

    Answers are written by event, as `orders.answer_row` gives them. It returns the number of an
    event to which nan was said, else -1. A `stub` is what a kept loop is loaded into.
    """
    translator = Translator(twin_of=twin_of)
    load = loader(translator.mirror(layout))

    def loop(
        address, levels, which, firsts, bids, asks, exchange, received, symbols,
        kinds, bid, ask, size, most, life,
    ):  # fmt: skip
        strategy = load(address)
        for i in which:
            book = book_at(
                levels, firsts[i], bids[i], asks[i], exchange[i], received[i], symbols[i]
            )
            row = answer_row(strategy.__call__(book))
            if row[0] == TARGET and row[1] != row[1]:
                return i
            kinds[i], bid[i], ask[i], size[i], most[i], life[i] = row
        save(address, strategy)
        return -1

    if stub:
        return numba.njit(**_OPTIONS)(loop), {}
    signature = types.int64(types.uintp, *_GIVEN, *_SAID)
    try:
        compiled = numba.njit(signature, **_OPTIONS)(loop)
    except NeedsWider:
        return None, translator.flow.wider
    translator.flow.check()
    return compiled, {}


def function_loop(function: Any, params: tuple[Any, ...], *, stub: bool = False) -> Any:
    """Return the compiled loop of a function that is given its parameters as a tuple."""
    translator = Translator(twin_of=twin_of)
    call = translator(function)

    def loop(
        params, levels, which, firsts, bids, asks, exchange, received, symbols,
        kinds, bid, ask, size, most, life,
    ):  # fmt: skip
        for i in which:
            book = book_at(
                levels, firsts[i], bids[i], asks[i], exchange[i], received[i], symbols[i]
            )
            row = answer_row(call(book, *params))
            if row[0] == TARGET and row[1] != row[1]:
                return i
            kinds[i], bid[i], ask[i], size[i], most[i], life[i] = row
        return -1

    if stub:
        return numba.njit(**_OPTIONS)(loop)
    signature = types.int64(numba.typeof(params), *_GIVEN, *_SAID)
    compiled = numba.njit(signature, **_OPTIONS)(loop)
    translator.flow.check()
    return compiled
