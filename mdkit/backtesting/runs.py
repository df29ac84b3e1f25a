"""Runs of a strategy over bars: its signals, by Python or by compiled code, and its account."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mdkit.backtesting.account.book_run import BookRun
from mdkit.backtesting.account.fills import FILL_FIELDS, run_single
from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.bars.bar_run import BarRun
from mdkit.backtesting.bars.columns import ORDERS, BarAnswers, Said, bar_answers, new_orders
from mdkit.backtesting.bars.engines import run_bars
from mdkit.backtesting.bars.sizes import Sized, exposures
from mdkit.backtesting.compiled import native
from mdkit.backtesting.compiled.layout import CannotCompile
from mdkit.backtesting.data.volume import check_volume
from mdkit.errors import StrategyError
from mdkit.events import Bar, Gap
from mdkit.strategies.contract import Strategy, as_signal
from mdkit.workers.failures import where_failed

if TYPE_CHECKING:
    from mdkit.backtesting.compiled.native import Columns, Floats
    from mdkit.backtesting.data.panel import Panel

_PRICES = ("open", "high", "low", "close")
_WIDTH = len(FILL_FIELDS)
_LOOK = 1024
"""Bars between two looks at the clock."""


class TooLong(Exception):  # noqa: N818 - a reason to go another way
    """Python has taken longer over the bars than it was given."""


@dataclass(frozen=True)
class Run:
    """What an engine did: signals as flat columns, equity by bar, and fills of shape (n, 6).

    Of books also `times`, when each fill was (ns UTC), `shown`, the size that the book showed at
    the price of each, or of the trade that met a resting order, and all that the account did.
    """

    signals: Floats
    equity: Floats
    fills: Floats
    times: npt.NDArray[np.int64] | None = None
    shown: Floats | None = None
    books: BookRun | None = None
    bars: BarRun | None = None


def python_run(
    strategy: Strategy,
    panel: Panel,
    terms: Terms,
    steps: Sequence[Bar | Gap] | None = None,
    seconds: float = math.inf,
) -> Run:
    """Run the reference engine: bar by bar, in plain Python; `steps` as for `engine.run_engine`.

    Raises `TooLong` where the strategy takes more than so many seconds.
    """
    check_volume(strategy, panel)
    orders: list[Said] | None = [[] for _ in panel.symbols] if terms.trade else None
    if steps is None:
        own = _python_signals(strategy, panel, seconds, orders)
    else:
        own = _recorded_signals(strategy, panel, steps, orders)
    signals = panel.spread([np.array(said, np.float64) for said in own])
    if terms.trade:
        _check_exposures(strategy, panel, signals)
    answers = None
    if orders is not None and any(orders):
        answers = bar_answers([new_orders(*each) for each in zip(orders, own, strict=True)], panel)
    return account_run(panel, terms, signals, "python", answers)


def account_run(
    panel: Panel, terms: Terms, signals: Floats, engine: str, answers: BarAnswers | None = None
) -> Run:
    """Run an account alone, over signals as flat columns and orders."""
    if not terms.trade:
        return Run(signals, np.full(len(panel), float(terms.cash)), np.empty((0, _WIDTH)))
    if engine == "native" and answers is None:
        return _native_run(panel, terms, signals, Scratch())
    sized = exposures(panel, terms, signals)
    if answers is not None or not terms.is_plain:
        return _bar_run(panel, terms, signals, sized, answers, engine)
    equity = [0.0] * len(panel)
    fills = [0.0] * (_WIDTH * (2 * _changes(sized.flat) + 4 * len(panel.symbols) + 2))
    said = sized.flat.tolist()
    at_close = terms.fill == "close"
    if _is_simple(panel, terms):
        opens, closes = (panel.flat(name).tolist() for name in ("open", "close"))
        costs = terms.single(panel.symbols)
        count = run_single(said, opens, closes, at_close, costs, equity, fills)
    else:
        account = terms.account(panel.symbols, fills)
        opens, highs, lows, closes = (panel.flat(name).tolist() for name in _PRICES)
        account.run(said, opens, highs, lows, closes, len(panel), at_close, equity)
        count = account.count
    return Run(signals, np.array(equity), np.array(fills[: _WIDTH * count]).reshape(-1, _WIDTH))


def _bar_run(
    panel: Panel, terms: Terms, signals: Floats, sized: Sized, answers: BarAnswers | None,
    engine: str,
) -> Run:  # fmt: skip
    """Run an account with orders, stops that follow, margin or financing."""
    if answers is None:
        answers = bar_answers([[] for _ in panel.symbols], panel)
    equity, fills, ran = run_bars(panel, terms, sized, answers, engine)
    return Run(signals, equity, fills, bars=ran)


def _native_run(panel: Panel, terms: Terms, signals: Floats, scratch: Scratch) -> Run:
    """Run an account alone, compiled, over signals as flat columns."""
    sized = exposures(panel, terms, signals)
    if not terms.is_plain:
        return _bar_run(panel, terms, signals, sized, None, "native")
    return Run(signals, *native_account(panel, terms, sized.flat, scratch))


def _is_simple(panel: Panel, terms: Terms) -> bool:
    """Whether `fills.run_single` does for these bars."""
    return panel.positive and terms.is_simple(panel.symbols)


class Scratch:
    """Arrays that are used again: fresh pages from the system cost a sweep a third of its time.

    A `Run` made with one is good until the next. Belongs to one thread.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, Floats] = {}

    def take(self, name: str, size: int) -> Floats:
        """Return an array of floats of this size, of any content."""
        kept = self._arrays.get(name)
        if kept is None or len(kept) < size:
            kept = self._arrays[name] = np.empty(size)
        return kept[:size]


def native_run(
    strategy: Strategy,
    panel: Panel,
    terms: Terms,
    code: native.NativeStrategy | None = None,
    scratch: Scratch | None = None,
) -> Run:
    """Run the compiled engine; raise `CannotCompile` when the strategy has no compiled form."""
    check_volume(strategy, panel)
    scratch = scratch or Scratch()
    if strategy.per == "session" and len(panel.symbols) > 1:
        raise CannotCompile('a strategy per="session" over several symbols')
    if code is None:
        code = native.compile_strategy(strategy)
    own = []
    for number, columns in enumerate(panel.bars):
        signals = scratch.take(f"signals {number}", len(columns.close))
        state = code.start(strategy)
        try:
            failed = code.run(state, columns, 0, len(signals), signals)
        except Exception as error:
            raise native.NativeError(f"it failed with {type(error).__name__}: {error}") from error
        if failed >= 0:
            raise native.NativeError("it returned nan")
        own.append(signals)
    signals = panel.spread(own)
    if not terms.trade:
        return account_run(panel, terms, signals, "native")
    _check_exposures(strategy, panel, signals)
    return _native_run(panel, terms, signals, scratch)


def native_account(
    panel: Panel, terms: Terms, signals: Floats, scratch: Scratch
) -> tuple[Floats, Floats]:
    """Return the equity at each close, and fills of shape (n, 6), of an account run natively."""
    equity = scratch.take("equity", len(panel))
    at_close = terms.fill == "close"
    room = len(signals) // 16 + 64
    count = -1
    while count < 0:
        room *= 4
        fills = scratch.take("fills", _WIDTH * room)
        if _is_simple(panel, terms):
            opens, closes = panel.flat("open"), panel.flat("close")
            costs = np.array(terms.single(panel.symbols))
            count = native.run_single(signals, opens, closes, at_close, costs, equity, fills)
        else:
            account = terms.account(panel.symbols, fills)
            columns = (panel.flat(name) for name in _PRICES)
            done = native.run_account(account, signals, *columns, len(panel), at_close, equity)
            count = account.count if done else -1
    return equity, fills[: _WIDTH * count].copy().reshape(-1, _WIDTH)


def bar_events(symbol: str, columns: Columns, interval: str) -> Iterable[Bar]:
    """Return the bars of one symbol as events, one at a time."""
    prices = (column.tolist() for column in columns[:5])
    return map(Bar, repeat(symbol), *prices, columns.start_ns.tolist(), repeat(interval))


def _within(end: float, bars: Iterable[Bar]) -> Iterator[Bar]:
    """Yield the bars; raise `TooLong` once the clock is past `end`."""
    bars = iter(bars)
    while some := list(islice(bars, _LOOK)):
        yield from some
        if time.perf_counter() > end:
            raise TooLong


def _python_signals(
    strategy: Strategy, panel: Panel, seconds: float, orders: list[Said] | None
) -> list[list[float]]:
    """Return every symbol's own signals, nan for None; its orders go to `orders`."""
    interval = panel.interval
    events: list[Iterable[Bar]] = [
        bar_events(symbol, columns, interval)
        for symbol, columns in zip(panel.symbols, panel.bars, strict=True)
    ]
    if seconds < math.inf:
        end = time.perf_counter() + seconds
        events = [_within(end, bars) for bars in events]
    if strategy.per == "symbol" or len(events) == 1:
        return [
            _signals(strategy, strategy.instance(), bars, None if orders is None else orders[s])
            for s, bars in enumerate(events)
        ]
    # One instance sees all symbols, in order of time and, within a bar, of symbols.
    queue = sorted(
        ((bar.start_ns, s, bar) for s, bars in enumerate(events) for bar in bars),
        key=lambda entry: entry[:2],
    )
    together: Said | None = None if orders is None else []
    said = _signals(strategy, strategy.instance(), (bar for _, _, bar in queue), together)
    own: list[list[float]] = [[] for _ in events]
    answers = dict(together or ())
    for number, (_, s, _) in enumerate(queue):
        if orders is not None and number in answers:
            orders[s].append((len(own[s]), answers[number]))
        own[s].append(said[number])
    return own


def _recorded_signals(
    strategy: Strategy, panel: Panel, steps: Sequence[Bar | Gap], orders: list[Said] | None
) -> list[list[float]]:
    """Return every symbol's own signals, nan for None, over steps in the order of a recording."""
    number = {symbol: s for s, symbol in enumerate(panel.symbols)}
    own: dict[str, list[float]] = {symbol: [] for symbol in panel.symbols}
    shared = strategy.instance() if strategy.per == "session" else None
    calls: dict[str, Any] = {}
    for step in steps:
        call = shared or calls.get(step.symbol)
        if call is None:
            call = calls[step.symbol] = strategy.instance()
        if isinstance(step, Gap):
            tell_gap(strategy, call, step)
        else:
            answers: Said | None = None if orders is None else []
            said = _signals(strategy, call, (step,), answers)
            if orders is not None:
                place = len(own[step.symbol])
                orders[number[step.symbol]] += [(place, order) for _, order in answers or ()]
            own[step.symbol] += said
    return list(own.values())


def tell_gap(strategy: Strategy, call: Any, gap: Gap) -> None:
    """Tell an instance of a gap, if it cares; raise `StrategyError` when that fails."""
    on_gap = getattr(call, "on_gap", None)
    if on_gap is None:
        return
    try:
        on_gap(gap)
    except Exception as error:
        raise failed(strategy, f"in on_gap, on {gap}", error) from error


def failed(strategy: Strategy, on: str, error: Exception) -> StrategyError:
    """Return the error for a strategy that raised one: on what, which, and in which line."""
    where = where_failed(error)
    at = f" ({where})" if where else ""
    return StrategyError(
        f"strategy {strategy.name} failed {on}: {type(error).__name__}: {error}{at}"
    )


def not_an_exposure(strategy: Strategy, value: float, when: str) -> StrategyError:
    """Return the error for a value that no account can hold."""
    return StrategyError(
        f"strategy {strategy.name} said {value:g} on {when}; a target exposure lies between -1 "
        "and 1. To see what a strategy says without trading it, use trade=False"
    )


def hears_gaps(strategy: Strategy) -> bool:
    """Whether a strategy has an `on_gap`."""
    return hasattr(strategy.instance(), "on_gap")


def _signals(
    strategy: Strategy, call: Callable[[Any], Any], bars: Iterable[Bar], orders: Said | None
) -> list[float]:
    """Return what an instance says, nan for None and for orders, which go to `orders`."""
    signals: list[float] = []
    append = signals.append
    nan = math.nan
    for bar in bars:
        try:
            value = call(bar)
        except Exception as error:
            raise failed(strategy, f"on the bar of {when(bar.start_ns)}", error) from error
        if value is None:
            append(nan)
        elif type(value) is float and value == value:
            append(value)
        elif orders is not None and isinstance(value, ORDERS):
            orders.append((len(signals), value))
            append(nan)
        else:
            append(as_signal(value, strategy.name))  # type: ignore[arg-type]
    return signals


def _check_exposures(strategy: Strategy, panel: Panel, signals: Floats) -> None:
    with np.errstate(invalid="ignore"):
        highest, lowest = np.fmax.reduce(signals), np.fmin.reduce(signals)
    if not (highest > 1.0 or lowest < -1.0):
        return
    at = int(np.argmax((signals > 1.0) | (signals < -1.0)))
    raise not_an_exposure(strategy, signals[at], f"the bar of {panel.index[at % len(panel)]}")


def _changes(signals: Floats) -> int:
    said = signals[signals == signals]
    return int(np.count_nonzero(said[1:] != said[:-1])) + 1


def when(nanoseconds: int) -> str:
    """Return a time as messages have it."""
    text = str(np.datetime64(nanoseconds // 1000, "us"))
    return f"{text.rstrip('0').rstrip('.')}Z"
