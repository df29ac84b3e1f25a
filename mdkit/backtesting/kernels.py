"""The compiled loops: over a strategy's bars, and over an account's. Needs numba."""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

import re
from typing import Any

import numba
import numpy as np
from numba.core import types

from mdkit.backtesting.compiled.subset import Wider
from mdkit.backtesting.fills import run_single
from mdkit.backtesting.layout import BarRow, Kind, Layout
from mdkit.backtesting.mirror import Translator, answer, loader, save

_FLOATS = types.float64[::1]
# Columns of a DataFrame are read-only; arrays that are not may take their place.
_COLUMN = types.Array(types.float64, 1, "C", readonly=True)
_BARS = (*(_COLUMN,) * 5, types.Array(types.int64, 1, "C", readonly=True))
_OPTIONS = {"nogil": True, "no_cfunc_wrapper": True}
_NAN = np.nan


def instance_kernel(layout: Layout) -> tuple[Any, dict[tuple[type, str], Kind]]:
    """Return the compiled loop of a class, and None or the attributes that need other kinds."""
    translator = Translator()
    load = loader(translator.mirror(layout))

    def kernel(address, opens, highs, lows, closes, volumes, starts, begin, end, signals):
        strategy = load(address)
        for i in range(begin, end):
            said, value = answer(
                strategy.__call__(
                    BarRow(opens[i], highs[i], lows[i], closes[i], volumes[i], starts[i])
                )
            )
            if said and value != value:
                return i
            signals[i] = value if said else _NAN
        save(address, strategy)
        return -1

    arguments = (types.uintp, *_BARS, types.int64, types.int64, _FLOATS)
    try:
        compiled = numba.njit(types.int64(*arguments), **_OPTIONS)(kernel)
    except Wider:
        return None, translator.flow.wider
    translator.flow.check()
    return compiled, {}


def function_kernel(function: Any, params: tuple[Any, ...]) -> Any:
    """Return the compiled loop of a function that is given its parameters as a tuple."""
    translator = Translator()
    call = translator(function)

    def kernel(params, opens, highs, lows, closes, volumes, starts, begin, end, signals):
        for i in range(begin, end):
            bar = BarRow(opens[i], highs[i], lows[i], closes[i], volumes[i], starts[i])
            said, value = answer(call(bar, *params))
            if said and value != value:
                return i
            signals[i] = value if said else _NAN
        return -1

    arguments = (numba.typeof(params), *_BARS, types.int64, types.int64, _FLOATS)
    compiled = numba.njit(types.int64(*arguments), **_OPTIONS)(kernel)
    translator.flow.check()
    return compiled


def single_kernel() -> Any:
    """Return `fills.run_single`, compiled."""
    arguments = (_COLUMN, _COLUMN, _COLUMN, types.boolean, _FLOATS, _FLOATS, _FLOATS)
    return numba.njit(types.int64(*arguments), **_OPTIONS)(run_single)


def account_kernel(layout: Layout) -> Any:
    """Return `Account.run`, compiled."""
    translator = Translator(checked=False)
    load = loader(translator.mirror(layout))

    def kernel(address, signals, opens, highs, lows, closes, bars, at_close, equities):
        account = load(address)
        done = account.run(signals, opens, highs, lows, closes, bars, at_close, equities)
        save(address, account)
        return done

    columns = (_COLUMN,) * 5
    arguments = (types.uintp, *columns, types.int64, types.boolean, _FLOATS)
    return numba.njit(types.boolean(*arguments), **_OPTIONS)(kernel)


_REASONS = (
    (
        r"Cannot resolve setattr: \((\w+) #\d+\)\.(\w+)",
        "{0}.{1} is first set while it runs; make it in start()",
    ),
    (
        r"Cannot cast none to \w+[^\0]*?lowering \"\((\w+)\)\.(\w+)",
        "{0}.{1} becomes None while it runs; let it be None in start() too",
    ),
    (
        r"Cannot cast [^\0]*?lowering \"\((\w+)\)\.(\w+)",
        "{0}.{1} is replaced by something else while it runs; only numbers can be",
    ),
    (
        r"Unknown attribute '(\w+)' of type BarRow",
        "it uses bar.{0}; compiled code sees prices, volume and start_ns",
    ),
    (
        r"Unknown attribute '(\w+)' of type ([\w ]+)",
        "it uses {0} of a {1}, which compiled code does not have",
    ),
    (r"Untyped global name '([\w.]+)'", "it uses {0}, which numba cannot compile"),
    (r"(it returns .*)", "{0}"),
    (r"((?:Use of unsupported|The '\w+' syntax|Unsupported|Cannot unify).*)", "{0}"),
    (r"(No (?:implementation|matching) .*(?:\n.*){0,3})", "{0}"),
)


def reason(error: Exception) -> str:
    """Return a sentence that tells a user what numba could not compile."""
    text = str(error).partition(" Raised from")[0]  # a notebook's cell is no file to open
    for pattern, sentence in _REASONS:
        found = re.search(pattern, text)
        if found is not None:
            return " ".join(sentence.format(*found.groups()).split())[:200]
    lines = (line.strip("- ") for line in text.splitlines())
    noise = ("Failed in", "Resolution failure")
    return next((x for x in lines if x and not x.startswith(noise)), type(error).__name__)[:200]
