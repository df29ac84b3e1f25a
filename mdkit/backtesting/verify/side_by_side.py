"""The native engine beside the Python one, stopped now and then to compare their state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mdkit.backtesting.books.strategy.answers import SILENT, book_columns, new_answers
from mdkit.backtesting.books.strategy.tape import BookTape
from mdkit.backtesting.compiled import native
from mdkit.backtesting.compiled.layout import CannotCompile, Memory, same, state_of
from mdkit.backtesting.compiled.native import Columns
from mdkit.backtesting.data.panel import bar_columns
from mdkit.backtesting.verify.reference import key_of
from mdkit.backtesting.verify.verification import Difference, Trace, state_difference
from mdkit.events import Bar
from mdkit.strategies.contract import Strategy, as_signal

_STOPS = 64
"""How many times, about, the native engine's state is compared on the way."""


def check_native(
    strategy: Strategy, events: Sequence[Any], expected: dict[str, Trace]
) -> Difference | None:
    """Return where compiled code first differs from the strategy, symbol by symbol, or None.

    Raises `CannotCompile` when there is nothing to compare.
    """
    if strategy.kinds == ("depth",):
        return _over_books(strategy, events, expected)
    if strategy.kinds != ("bar",):
        kinds = " and ".join(strategy.kinds)
        raise CannotCompile(f"it runs on {kinds}, natively only bars do, or books alone")
    code = native.compile_strategy(strategy)
    if strategy.per == "session" and len({event.symbol for event in events}) > 1:
        raise CannotCompile('a strategy per="session" over several symbols')
    for symbol, trace in expected.items():
        bars = [event for event in events if key_of(strategy, event) == symbol]
        found = _native_difference(strategy, code, symbol, bars, trace.outputs)
        if found:
            return found
    return None


def _over_books(
    strategy: Strategy, events: Sequence[Any], expected: dict[str, Trace]
) -> Difference | None:
    """Do the same over books, a stretch at a time; state is compared after each."""
    code = native.compile_strategy(strategy, "depth")
    for symbol, trace in expected.items():
        books = [event for event in events if key_of(strategy, event) == symbol]
        tape = BookTape(books, recorded=True)
        if not tape.plain:
            raise CannotCompile("prices or sizes are of other types than floats")
        columns = book_columns(tape, np.arange(len(books)))
        said = new_answers(len(books))
        reference: Any = strategy.instance()
        state = code.start(strategy)
        stretch = max(1, len(books) // _STOPS)
        for begin in range(0, len(books), stretch):
            some = np.arange(begin, min(begin + stretch, len(books)))
            try:
                failed = code.answer(state, tape.levels, some, columns, said)
            except Exception as error:
                raise CannotCompile(f"such a run is handed to Python: {error}") from error
            if failed >= 0:
                return Difference("native", symbol, failed, "output", "a value", "nan")
            for number in some.tolist():
                reference(books[number])
                got = None if said[0][number] == SILENT else float(said[1][number])
                if not same(trace.outputs[number], got):
                    value = trace.outputs[number]
                    return Difference("native", symbol, number, "output", value, got)
            if isinstance(state, Memory):
                told = state_difference(state_of(reference), state.read())
                if told is not None:
                    return Difference("native", symbol, int(some[-1]), *told)
    return None


def _native_difference(
    strategy: Strategy,
    code: native.NativeStrategy,
    symbol: str,
    bars: Sequence[Bar],
    outputs: Sequence[float | None],
) -> Difference | None:
    """Run both engines side by side, a stretch at a time; a stretch that differs bar by bar."""
    columns = bar_columns(bars)
    signals = np.empty(len(bars))
    reference: Any = strategy.instance()
    state = code.start(strategy)
    stretch = max(1, len(bars) // _STOPS)
    begin = 0
    while begin < len(bars):
        end = min(begin + stretch, len(bars))
        before = state.copy() if isinstance(state, Memory) else state
        told = _run_both(strategy, code, state, reference, columns, bars, begin, end, signals)
        if told is None:
            begin = end
            continue
        if end == begin + 1:
            return Difference("native", symbol, begin, *told)
        # Once more from the last stop, one bar at a time; the reference starts afresh.
        state, stretch = before, 1
        reference = strategy.instance()
        for bar in bars[:begin]:
            reference(bar)
    return None


def _run_both(
    strategy: Strategy,
    code: native.NativeStrategy,
    state: Any,
    reference: Any,
    columns: Columns,
    bars: Sequence[Bar],
    begin: int,
    end: int,
    signals: Any,
) -> tuple[str, Any, Any] | None:
    try:
        failed = code.run(state, columns, begin, end, signals)
    except Exception as error:
        # The reference went through: a number that compiled code has no room for.
        raise CannotCompile(f"such a run is handed to Python: {error}") from error
    if failed >= 0:
        return "output", "a value", "nan"
    for number in range(begin, end):
        value = as_signal(reference(bars[number]), strategy.name)
        got = None if signals[number] != signals[number] else float(signals[number])
        if not same(value, got):
            return "output", value, got
    if not isinstance(state, Memory):
        return None
    return state_difference(state_of(reference), state.read())
