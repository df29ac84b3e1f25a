"""Backtests: a strategy over history, on the Python engine or the native one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from mdkit.backtesting import native
from mdkit.backtesting.fills import FILL_FIELDS, run_single
from mdkit.backtesting.layout import CannotCompile
from mdkit.backtesting.terms import Fill, Terms, check_rates
from mdkit.errors import SettingsError, StrategyError
from mdkit.events import Bar, Gap
from mdkit.history.intervals import check_interval
from mdkit.strategies.contract import Strategy, as_signal, as_strategy

if TYPE_CHECKING:
    from mdkit.backtesting.native import Columns, Floats
    from mdkit.backtesting.panel import Panel
    from mdkit.backtesting.result import Result

Engine = Literal["auto", "python", "native"]
_PRICES = ("open", "high", "low", "close")
_WIDTH = len(FILL_FIELDS)


@dataclass(frozen=True)
class Run:
    """What an engine did: signals as flat columns, equity by bar, and fills of shape (n, 6).

    Of depth also `times`, when each fill came due (ns UTC), and `shown`, the size that the book
    showed at the price of each.
    """

    signals: Floats
    equity: Floats
    fills: Floats
    times: npt.NDArray[np.int64] | None = None
    shown: Floats | None = None


def backtest(
    strategy: Any,
    bars: Any,
    *,
    fee: float = 0.0,
    slippage: float = 0.0,
    fill: Fill = "next_open",
    cash: float = 10_000.0,
    engine: Engine = "auto",
    periods_per_year: float | None = None,
    stop_loss: float | None = None,
    take_profit: float | None = None,
    risk_free: float = 0.0,
    weights: Mapping[str, float] | None = None,
    latency_ms: float = 0.0,
    interval: str | None = None,
    trade: bool = True,
    allow_nonpositive: bool = False,
) -> Result:
    """Run a strategy over history and return what became of the money.

    The strategy gets one completed bar at a time and answers with a target exposure in
    [-1, 1] of equity, or None for no change; it cannot see a bar before it is complete,
    because it is handed nothing else. The rules of orders, costs and stops stand in
    `mdkit.backtesting.fills`, for depth in `mdkit.backtesting.quotes`.

    A recording is run as the strategies of its session saw it: without what was dropped or
    conflated, and with `on_gap` told of gaps in their places. `Result.signals` are then, bit for
    bit, what that session said, and what a replay says. For all that arrived, seen or not, give
    the events themselves: `iter(md.read_recording(path))`.

        md.backtest(md.strategies.pressure, "data/morning.jsonl.gz", latency_ms=50)
        md.backtest(md.strategies.SmaCross, "data/morning.jsonl.gz", interval="1m")
        md.backtest(md.strategies.spread_monitor, "data/morning.jsonl.gz", trade=False)

    Args:
        strategy: decorated function or class, or an instance of one, on bars or on depth; with
            `trade=False` on any events.
        bars: for strategies on bars a DataFrame with an index of bar starts in a time zone and
            `open high low close volume`. Days, of which returns are, begin at midnight in that
            zone: that of the market, or UTC. Several symbols in one account come as a frame with a
            symbol level or a dict of frames. For all others any iterable of events in order of
            time. For either a recording: its path, a pattern, a list of those (merged by time), or
            what `md.read_recording` returns.
        fee, slippage: fractions of the value traded, 0.001 for 0.1 %.
        fill: `"next_open"`, the open of the bar after the one that decided; or `"close"`, the
            close of that bar itself, which assumes that one can trade at a price just seen.
        cash: the account's equity at the beginning.
        engine: `"python"` is the reference; `"native"` compiles the same object with numba and
            gives the same bits; `"auto"` takes native where it can. `Result.engine` and
            `Result.engine_reason` tell which ran and why.
        periods_per_year: returns per year for annualised figures, at most 366 since returns are
            daily; None counts them (see `calendar.Calendar.returns_per_year`): 252 where five
            days a week are traded, 365 where seven, 12 for bars of months.
        stop_loss, take_profit: fractions of the entry price; None for none.
        risk_free: the yearly rate subtracted in Sharpe, Sortino and alpha.
        weights: each symbol's share of the equity; equal shares unless given.
        latency_ms: for depth alone: milliseconds from a book to the fill of what it led to.
        interval: for recordings alone: the bars that a strategy on bars gets, as with
            `md.live(bars=)`: "1m", "1h", ... They are made of trades, or of tickers where the
            recording holds no trades.
        trade: False buys nothing. The strategy may then say values of any size, such as a
            spread in basis points; they are the result's signals, and equity stays `cash`.
        allow_nonpositive: True for markets whose prices can be zero or below (calendar spreads,
            power, oil in April 2020); what happens there stands in `mdkit.backtesting.fills`.
            Otherwise a bar with such a price is left out, with a `BacktestWarning`.

    Raises `SettingsError` for arguments or bars that cannot work, `RecordingError` when there is
    no such recording, and `StrategyError` when the strategy fails or says something that is no
    exposure.
    """
    from mdkit.backtesting.recorded import bar_tape, recording_of
    from mdkit.backtesting.result import Result

    chosen = as_strategy(strategy)
    terms = Terms(fee, slippage, fill, cash, stop_loss, take_profit, weights, trade)
    check_rates(periods_per_year, risk_free)
    if engine not in ("auto", "python", "native"):
        raise SettingsError(f'engine is {engine!r}; give "auto", "python" or "native"')
    if chosen.is_async:
        raise SettingsError(f"strategy {chosen.name} is async, which runs live only")
    recording = recording_of(bars)
    if interval is not None:
        if recording is None:
            raise SettingsError(
                f"interval is {interval!r}, but bars is a {type(bars).__name__}: interval is for "
                "recordings, whose trades are folded into bars; leave it out"
            )
        interval = check_interval(interval)
    elif recording is not None and "bar" in chosen.kinds:
        raise SettingsError(
            f"strategy {chosen.name} wants bars, and {recording!r} is of single events; give the "
            'bars to fold them into, such as interval="1m"'
        )
    if "bar" not in chosen.kinds or (recording is not None and len(chosen.kinds) > 1):
        from mdkit.backtesting.quotes import backtest_depth

        return backtest_depth(
            chosen,
            bars if recording is None else recording,
            terms,
            latency_ms=latency_ms,
            engine=engine,
            periods_per_year=periods_per_year,
            risk_free=risk_free,
            interval=interval,
            allow_nonpositive=allow_nonpositive,
        )
    if latency_ms:
        raise SettingsError("latency_ms is for depth; bars fill at the next open or at the close")
    from mdkit.backtesting.panel import make_panel

    steps: Sequence[Bar | Gap] | None = None
    if recording is not None and interval is not None:
        tape = bar_tape(recording, interval, allow_nonpositive=allow_nonpositive)
        panel, steps = tape.panel, tape.steps
    else:
        panel = make_panel(bars, allow_nonpositive=allow_nonpositive)
    terms.shares(panel.symbols)  # which refuses weights that do not fit, before anything runs
    run, used, why = run_engine(chosen, panel, terms, engine, steps)
    return Result(
        strategy=chosen,
        panel=panel,
        run=run,
        terms=terms,
        engine=used,
        engine_reason=why,
        periods_per_year=periods_per_year,
        risk_free=risk_free,
    )


def run_engine(
    strategy: Strategy,
    panel: Panel,
    terms: Terms,
    engine: Engine,
    steps: Sequence[Bar | Gap] | None = None,
) -> tuple[Run, str, str]:
    """Return what happened, which engine ran, and why that one.

    `steps` are the panel's bars with the gaps between them, where their order is known.
    """
    if engine == "python":
        return python_run(strategy, panel, terms, steps), "python", "asked for"
    try:
        if any(isinstance(step, Gap) for step in steps or ()) and _hears_gaps(strategy):
            raise CannotCompile("bars are missing, and it has an on_gap")
        run = native_run(strategy, panel, terms)
    except CannotCompile as reason:
        # The reference says what went wrong, and on which bar.
        if isinstance(reason, native.NativeError):
            python_run(strategy, panel, terms, steps)
        if engine == "native":
            raise SettingsError(
                f'strategy {strategy.name} cannot run natively: {reason}. Use engine="python", '
                'or "auto" to have that chosen'
            ) from reason
        return python_run(strategy, panel, terms, steps), "python", f"native cannot: {reason}"
    return run, "native", "asked for" if engine == "native" else "it compiles"


def python_run(
    strategy: Strategy, panel: Panel, terms: Terms, steps: Sequence[Bar | Gap] | None = None
) -> Run:
    """Run the reference engine: bar by bar, in plain Python; `steps` as for `run_engine`."""
    if steps is None:
        own = _python_signals(strategy, panel)
    else:
        own = _recorded_signals(strategy, panel, steps)
    signals = panel.spread([np.array(said, np.float64) for said in own])
    if terms.trade:
        _check_exposures(strategy, panel, signals)
    return account_run(panel, terms, signals, "python")


def account_run(panel: Panel, terms: Terms, signals: Floats, engine: str) -> Run:
    """Run an account alone, over signals as flat columns."""
    if not terms.trade:
        return Run(signals, np.full(len(panel), float(terms.cash)), np.empty((0, _WIDTH)))
    if engine == "native":
        return Run(signals, *native_account(panel, terms, signals, Scratch()))
    equity = [0.0] * len(panel)
    fills = [0.0] * (_WIDTH * (2 * _changes(signals) + 4 * len(panel.symbols) + 2))
    said = signals.tolist()
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
    return Run(signals, *native_account(panel, terms, signals, scratch))


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


def _python_signals(strategy: Strategy, panel: Panel) -> list[list[float]]:
    """Return every symbol's own signals, nan for None."""
    interval = panel.interval
    events = [
        bar_events(symbol, columns, interval)
        for symbol, columns in zip(panel.symbols, panel.bars, strict=True)
    ]
    if strategy.per == "symbol" or len(events) == 1:
        return [_signals(strategy, strategy.instance(), bars) for bars in events]
    # One instance sees all symbols, in order of time and, within a bar, of symbols.
    queue = sorted(
        ((bar.start_ns, s, bar) for s, bars in enumerate(events) for bar in bars),
        key=lambda entry: entry[:2],
    )
    said = iter(_signals(strategy, strategy.instance(), (bar for _, _, bar in queue)))
    own: list[list[float]] = [[] for _ in events]
    for _, s, _ in queue:
        own[s].append(next(said))
    return own


def _recorded_signals(
    strategy: Strategy, panel: Panel, steps: Sequence[Bar | Gap]
) -> list[list[float]]:
    """Return every symbol's own signals, nan for None, over steps in the order of a recording."""
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
            own[step.symbol] += _signals(strategy, call, (step,))
    return list(own.values())


def tell_gap(strategy: Strategy, call: Any, gap: Gap) -> None:
    """Tell an instance of a gap, if it cares; raise `StrategyError` when that fails."""
    on_gap = getattr(call, "on_gap", None)
    if on_gap is None:
        return
    try:
        on_gap(gap)
    except Exception as error:
        raise StrategyError(
            f"strategy {strategy.name} failed in on_gap, on {gap}: {type(error).__name__}: {error}"
        ) from error


def not_an_exposure(strategy: Strategy, value: float, when: str) -> StrategyError:
    """Return the error for a value that no account can hold."""
    return StrategyError(
        f"strategy {strategy.name} said {value:g} on {when}; a target exposure lies between -1 "
        "and 1. To see what a strategy says without trading it, use trade=False"
    )


def _hears_gaps(strategy: Strategy) -> bool:
    return hasattr(strategy.instance(), "on_gap")


def _signals(strategy: Strategy, call: Callable[[Any], Any], bars: Iterable[Bar]) -> list[float]:
    signals: list[float] = []
    append = signals.append
    nan = math.nan
    for bar in bars:
        try:
            value = call(bar)
        except Exception as error:
            raise StrategyError(
                f"strategy {strategy.name} failed on the bar of {_when(bar.start_ns)}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if value is None:
            append(nan)
        elif type(value) is float and value == value:
            append(value)
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


def _when(nanoseconds: int) -> str:
    return f"{np.datetime64(nanoseconds, 'ns')!s:.19}Z"
