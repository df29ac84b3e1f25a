"""Backtests: a strategy over history, on the Python engine or the native one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from mdkit.backtesting.account.contracts import Contract, Fees
from mdkit.backtesting.account.leverage import Financing, Margin
from mdkit.backtesting.account.sizing import ATRStop, RiskSize, VolatilityTarget
from mdkit.backtesting.account.terms import BarFills, Fill, Fills, Terms, check_rates
from mdkit.backtesting.compiled import native
from mdkit.backtesting.compiled.layout import CannotCompile
from mdkit.backtesting.data.signals import GivenSignals, given_signals
from mdkit.backtesting.runs import Run, TooLong, hears_gaps, native_run, python_run
from mdkit.errors import SettingsError
from mdkit.events import Bar, Gap
from mdkit.history.intervals import check_interval
from mdkit.strategies.contract import Strategy, as_strategy

if TYPE_CHECKING:
    import pandas as pd

    from mdkit.backtesting.data.panel import Panel
    from mdkit.backtesting.result import Result

Engine = Literal["auto", "python", "native"]


def backtest(
    strategy: Any = None,
    bars: Any = None,
    *,
    signals: pd.Series[Any] | pd.DataFrame | None = None,
    fee: float | Fees = 0.0,
    slippage: float = 0.0,
    fill: Fill = "next_open",
    cash: float = 10_000.0,
    engine: Engine = "auto",
    periods_per_year: float | None = None,
    stop_loss: float | ATRStop | None = None,
    take_profit: float | ATRStop | None = None,
    trailing_stop: float | ATRStop | None = None,
    size: RiskSize | VolatilityTarget | None = None,
    margin: Margin | None = None,
    financing: Financing | None = None,
    benchmark: Any = None,
    risk_free: float = 0.0,
    weights: Mapping[str, float] | None = None,
    latency_ms: float | tuple[float, float] | Literal["recorded"] = 0.0,
    fills: Fills | BarFills | None = None,
    max_share: float = 1.0,
    time_in_force: Literal["GTC", "IOC"] = "GTC",
    contracts: Mapping[str, Contract] | None = None,
    interval: str | None = None,
    trade: bool = True,
    allow_nonpositive: bool = False,
) -> Result:
    """Run a strategy over history and return what became of the money.

    The strategy gets one completed bar at a time and answers with a target exposure in
    [-1, 1] of equity, or None for no change; it cannot see a bar before it is complete,
    because it is handed nothing else. The rules of targets, costs and stops stand in
    `mdkit.backtesting.account.fills`, for books in `mdkit.backtesting.books.door`. It may also
    answer with an order, `md.Limit` or `md.Quote`, and on bars with `md.Stop` or `md.OCO`, whose
    rules, and those of stops that follow, of margin and financing, stand in
    `mdkit.backtesting.bars`.

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
            `open high low close volume`, in any case; volume only where the strategy reads it. An
            index without a zone is taken as UTC, with a `BacktestWarning`. Days, of which returns
            are, begin at midnight in that zone: that of the market, or UTC. Several symbols in one
            account come as a frame with a symbol level or a dict of frames. For all others any
            iterable of events in order of time. For either a recording: its path, a pattern, a
            list of those (merged by time), or what `md.read_recording` returns; of books also what
            `md.load_books` made of one, over which many runs are fast. Or a session, for
            what it holds in memory (books as deep as it keeps them), or its `frame("depth")`.
        signals: target exposures in place of a strategy: a Series by time (UTC where it has no
            zone), or a DataFrame with a column per symbol; nan for no change. On bars each is of
            the bar that starts then, and is filled as if a strategy had said it there; on books it
            is sent at the symbol's first book at that time or later.
        fee, slippage: fractions of the value traded, 0.001 for 0.1 %; `md.Fees(maker=, taker=)`
            where resting orders pay another fee. Slippage comes on top of what the book shows.
        fill: `"next_open"`, the open of the bar after the one that decided; or `"close"`, the
            close of that bar itself, which assumes that one can trade at a price just seen.
        cash: the account's equity at the beginning.
        engine: `"python"` is the reference; `"native"` compiles the same object with numba and
            gives the same bits; `"auto"` takes native where it can and that is sooner. On books
            "native" compiles the account in any case, and the strategy where it has a compiled
            form. `Result.engine` and `Result.engine_reason` tell which ran and why.
        periods_per_year: returns per year for annualised figures, at most 366 since returns are
            daily; None counts them (see `calendar.Calendar.returns_per_year`): 252 where five
            days a week are traded, 365 where seven, 12 for bars of months.
        stop_loss, take_profit: fractions of the entry price; None for none. `trailing_stop`: one
            of the best price since the entry. Each may be `md.ATRStop(3)` instead, a distance of
            so many average true ranges.
        size: for bars alone: what a signal's exposure is worth: `md.RiskSize(0.01)`, a loss of so
            much of the equity at the stop, or `md.VolatilityTarget(0.15)`; None for the equity.
        margin: for bars alone: `md.Margin()`, how much equity positions need, below which they
            are liquidated. None for no bound: weights and sizes above 1 then borrow.
        financing: for bars alone: `md.Financing`, what it costs to hold positions.
        benchmark: what alpha, beta and the information ratio are against, and the plot shows: a
            symbol of the bars, or a Series of prices or bars of something else; None for buying
            and holding.
        risk_free: the yearly rate subtracted in Sharpe, Sortino and alpha.
        weights: each symbol's share of the equity; equal shares unless given.
        latency_ms: for books alone: milliseconds from an event to when the order that it led to
            reaches the book; a range, `(20, 80)`, to be drawn from evenly; or "recorded", what the
            event itself took to arrive.
        fills: on books `"book"`, the default, walks the levels shown; `"touch"` fills at the best
            price alone, up to the size there; `"queue"` waits in the queue at the near touch. What
            each rests on stands in `mdkit.backtesting.books.door`. Of limits on bars: `"through"`,
            the default, fills where a bar trades beyond the price, `"touch"` at it too.
        max_share: for books alone: the share of the size shown that can be taken.
        time_in_force: for books alone: "GTC", what of a target cannot be filled waits for the
            next books, or "IOC", it is given up.
        contracts: for books alone: `md.Contract` by symbol; one of size 1 for others.
        interval: for recordings alone: the bars that a strategy on bars gets, as with
            `md.live(bars=)`: "1m", "1h", ... They are made of trades, or of tickers where the
            recording holds no trades.
        trade: False buys nothing. The strategy may then say values of any size, such as a
            spread in basis points; they are the result's signals, and equity stays `cash`.
        allow_nonpositive: True for markets whose prices can be zero or below (calendar spreads,
            power, oil in April 2020); what happens there stands in
            `mdkit.backtesting.account.fills`. Otherwise a bar with such a price is left out,
            with a `BacktestWarning`.

    Raises `SettingsError` for arguments, signals or bars that cannot work, `RecordingError` when
    there is no such recording, and `StrategyError` when the strategy fails or says something that
    is no exposure.

    Example:
        >>> result = md.backtest(md.strategies.pressure, md.sample(), fee=0.0001, latency_ms=50)
        >>> len(result.fills)
        28
    """
    from mdkit.backtesting.data.benchmark import as_benchmark
    from mdkit.backtesting.data.recorded import bar_tape
    from mdkit.backtesting.result import Result
    from mdkit.frames.held import held_events
    from mdkit.recording.replay.seen import recording_of

    if bars is None:
        raise SettingsError("there is nothing to run over: give bars, events or a recording")
    if signals is not None:
        if strategy is not None:
            raise SettingsError("a strategy and signals are both given; give one of them")
        strategy = given_signals(signals, bars, interval)
    chosen = as_strategy(strategy)
    terms = Terms(
        fee, slippage, fill, cash, stop_loss, take_profit, weights, trade, fills or "book",
        max_share, time_in_force, contracts, trailing_stop, size, margin, financing,
    )  # fmt: skip
    check_rates(periods_per_year, risk_free)
    if engine not in ("auto", "python", "native"):
        raise SettingsError(f'engine is {engine!r}; give "auto", "python" or "native"')
    if chosen.is_async:
        raise SettingsError(f"strategy {chosen.name} is async, which runs live only")
    given, bars = bars, held_events(bars, chosen.kinds)
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
        from mdkit.backtesting.books.door import backtest_books

        terms.check_books()
        panel, run, used, why = backtest_books(
            chosen,
            bars if recording is None else recording,
            terms,
            latency_ms=latency_ms,
            engine=engine,
            interval=interval,
            allow_nonpositive=allow_nonpositive,
        )
        if isinstance(chosen, GivenSignals):
            chosen.check(panel.symbols, None)
            chosen.check_said(run.signals, panel.index[-1])
        compared = as_benchmark(benchmark, panel)
        rates = (periods_per_year, risk_free)
        return Result(chosen, panel, run, terms, used, why, *rates, compared, given)
    if latency_ms:
        raise SettingsError("latency_ms is for depth; bars fill at the next open or at the close")
    if fills == "book":
        raise SettingsError('fills="book" is for books; on bars "through" or "touch"')
    terms.check_bars()
    from mdkit.backtesting.data.panel import make_panel

    steps: Sequence[Bar | Gap] | None = None
    if recording is not None and interval is not None:
        tape = bar_tape(recording, interval, allow_nonpositive=allow_nonpositive)
        panel, steps = tape.panel, tape.steps
    else:
        panel = make_panel(bars, allow_nonpositive=allow_nonpositive)
    if isinstance(chosen, GivenSignals):
        chosen.check(panel.symbols, panel.index if recording is not None else None)
    terms.shares(panel.symbols)  # which refuses weights that do not fit, before anything runs
    compared = as_benchmark(benchmark, panel)
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
        benchmark=compared,
        data=given,
    )


_PATIENCE = 1.5
"""Seconds that Python is given before compiling is thought to be worth it, which takes two."""


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
        if any(isinstance(step, Gap) for step in steps or ()) and hears_gaps(strategy):
            raise CannotCompile("bars are missing, and it has an on_gap")
        if engine == "auto" and not native.is_compiled(strategy):
            try:
                run = python_run(strategy, panel, terms, steps, _PATIENCE)
                return run, "python", "it was done sooner than compiling is"
            except TooLong:
                pass
        run = native_run(strategy, panel, terms)
    except CannotCompile as reason:
        # Where compiled code failed, the reference says what went wrong, and on which bar; or it
        # goes through, since it has room for numbers that compiled code has not.
        failed = isinstance(reason, native.NativeError)
        instead = python_run(strategy, panel, terms, steps) if failed or engine == "auto" else None
        if instead is None or engine == "native":
            raise SettingsError(
                f'strategy {strategy.name} cannot run natively: {reason}. Use engine="python", '
                'or "auto" to have that chosen'
            ) from reason
        return instead, "python", f"native cannot: {reason}"
    return run, "native", "asked for" if engine == "native" else "it compiles"
