"""The compiled loops: over a strategy's bars, and over an account's. Needs numba."""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

import re
from typing import Any

import numba
import numpy as np
from numba.core import types

from mdkit.backtesting.account.fills import run_single
from mdkit.backtesting.compiled import store
from mdkit.backtesting.compiled.checks.kinds import NeedsWider
from mdkit.backtesting.compiled.layout import BarRow, Layout, Wider
from mdkit.backtesting.compiled.mirror import Translator, answer, loader, save

_FLOATS = types.float64[::1]
# Columns of a DataFrame are read-only; arrays that are not may take their place.
_COLUMN = types.Array(types.float64, 1, "C", readonly=True)
_BARS = (*(_COLUMN,) * 5, types.Array(types.int64, 1, "C", readonly=True))
_OPTIONS = {"nogil": True, "no_cfunc_wrapper": True}
_NAN = np.nan


def instance_kernel(layout: Layout, *, stub: bool = False) -> tuple[Any, Wider]:
    """Return the compiled loop of a class, or None and the attributes that need other kinds.

    A `stub` is what a kept kernel is loaded into: nothing is compiled.
    """
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

    if stub:
        return numba.njit(**_OPTIONS)(kernel), {}
    arguments = (types.uintp, *_BARS, types.int64, types.int64, _FLOATS)
    try:
        compiled = numba.njit(types.int64(*arguments), **_OPTIONS)(kernel)
    except NeedsWider:
        return None, translator.flow.wider
    translator.flow.check()
    return compiled, {}


def function_kernel(function: Any, params: tuple[Any, ...], *, stub: bool = False) -> Any:
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

    if stub:
        return numba.njit(**_OPTIONS)(kernel)
    arguments = (numba.typeof(params), *_BARS, types.int64, types.int64, _FLOATS)
    compiled = numba.njit(types.int64(*arguments), **_OPTIONS)(kernel)
    translator.flow.check()
    return compiled


def single_kernel() -> Any:
    """Return `fills.run_single`, compiled."""
    arguments = (_COLUMN, _COLUMN, _COLUMN, types.boolean, _FLOATS, _FLOATS, _FLOATS)
    return _kept("single", numba.njit(**_OPTIONS)(run_single), types.int64(*arguments))


def account_key(which: str, layout: Layout) -> str:
    """Return the key of an account's code: it depends on where the attributes lie, and on mdkit."""
    return f"{which} {layout}"


def account_kernel(which: str, layout: Layout) -> Any:
    """Return `Account.run`, or `run` or `go` of an account over "books" or "bars", compiled."""
    translator = Translator(checked=False)
    load = loader(translator.mirror(layout))

    def run(address, signals, opens, highs, lows, closes, bars, at_close, equities):
        account = load(address)
        done = account.run(signals, opens, highs, lows, closes, bars, at_close, equities)
        save(address, account)
        return done

    def run_books(address):
        account = load(address)
        done = account.run()
        save(address, account)
        return done

    def run_bars(address):
        account = load(address)
        done = account.go()
        save(address, account)
        return done

    columns: tuple[Any, ...] = ()
    if which == "account":
        columns = (*(_COLUMN,) * 5, types.int64, types.boolean, _FLOATS)
    kernel = {"account": run, "books": run_books, "bars": run_bars}[which]
    kind = types.boolean(types.uintp, *columns)
    return _kept(account_key(which, layout), numba.njit(**_OPTIONS)(kernel), kind)


def _kept(key: str, kernel: Any, kind: Any) -> Any:
    """Return a kernel of mdkit's own, from disk where it was kept."""
    if store.load(key, kernel) is None:
        kernel.compile(kind)
        store.save(key, kernel, None)
    return kernel


_REASONS = (
    (r"Cannot bind ", "it calls a function whose arguments are by keyword alone"),
    (r"IMPORT_NAME", "it imports within a function; import at the top instead"),
    (r"STORE_GLOBAL", "it sets a global variable"),
    (r"use of yield in a closure", "it has a generator expression; use a loop"),
    (r"'view' can only be called", "an attribute called view means something else to numba"),
    (r"Unsupported constraint encountered: del", "it deletes an attribute"),
    (r"Type of variable .* cannot be determined", "the type of a variable cannot be determined"),
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
        r"Unknown attribute '(\w+)' of type (\w+)",
        "it uses {0} of {1}, which compiled code does not have",
    ),
    (r"Untyped global name '([\w.]+)'", "it uses {0}, which numba cannot compile"),
    (r"(it returns .*)", "{0}"),
    (r"(levels is .* is expected)", "{0}"),
    (
        r"getitem\(side of a book, slice<a:b:c>\)",
        "it takes a side of a book in steps, which compiled code does not",
    ),
    (
        r"No implementation of function Function\(<(?:built-in function|class) '?(\w+)'?>\)"
        r"[^>]*>>> \w+\((.*)\)",
        "it uses {0} on {1}, which has no compiled form",
    ),
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
