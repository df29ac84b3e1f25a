"""A sweep over recorded events of books: read once, gone through by every combination."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mdkit.backtesting.account.metrics import METRICS
from mdkit.backtesting.account.terms import BacktestWarning, Terms, check_rates
from mdkit.backtesting.books.door import backtest_books, refuse_bars
from mdkit.backtesting.books.loading import tape_of
from mdkit.backtesting.books.tape import BookTape
from mdkit.backtesting.chance.steps import step_returns
from mdkit.backtesting.grid import Params, Progress, column_of, few_returns, reporter
from mdkit.backtesting.result import Result
from mdkit.errors import SettingsError
from mdkit.frames.held import held_events
from mdkit.recording.reading.reader import Recording
from mdkit.recording.replay.seen import recording_of, steps_of
from mdkit.strategies.contract import Strategy


def loaded(strategy: Strategy, data: Any, recording: Recording | None, engine: str) -> Any:
    """Return events to be gone through many times: in columns where those hold all that they are.

    The Python engine gets the events themselves.
    """
    if isinstance(data, BookTape):
        return data
    if recording is not None:
        if engine != "python" and strategy.kinds == ("depth",):
            tape = tape_of(recording)
            return tape if tape.plain else list(steps_of(recording, None))
        return list(steps_of(recording, None))
    events = list(data)
    if engine != "python" and strategy.kinds == ("depth",):
        tape = tape_of(events)
        return tape if tape.plain else events
    return events


def sweep_books(
    strategy: Strategy,
    data: Any,
    combinations: list[Params],
    metrics: tuple[str, ...],
    progress: Progress,
    latency_ms: Any,
    engine: str,
    periods_per_year: float | None,
    risk_free: float,
    allow_nonpositive: bool,
    terms: Mapping[str, Any],
) -> pd.DataFrame:
    """Backtest combinations over books; return what `sweep` does."""
    try:
        agreed = Terms(**terms)
    except TypeError as error:
        raise SettingsError(f"sweep: {error}".replace("Terms.__init__() ", "")) from None
    if not agreed.trade:
        raise SettingsError("trade is False; figures are of what was traded, so leave it out")
    agreed.check_books()
    check_rates(periods_per_year, risk_free)
    data = held_events(data, strategy.kinds)
    refuse_bars(strategy, data)
    recording = recording_of(data)
    events = loaded(strategy, data, recording, engine)
    report = reporter(progress, len(combinations))
    rows: list[tuple[Any, ...]] = []
    ratios: list[float] = []
    best = None
    for number, params in enumerate(combinations, 1):
        chosen = strategy.with_params(**params)
        panel, run, used, why = backtest_books(
            chosen, events, agreed, latency_ms=latency_ms, engine=engine,
            allow_nonpositive=allow_nonpositive, recorded=recording is not None,
            runs=len(combinations),
        )  # fmt: skip
        account = Result(chosen, panel, run, agreed, used, why, periods_per_year, risk_free).account
        rows.append(tuple(METRICS[name].compute(account) for name in metrics))
        steps = step_returns(account)
        if steps.sharpe > max((r for r in ratios if r == r), default=-np.inf) or best is None:
            best = steps
        ratios.append(steps.sharpe)
        report(number)
    assert best is not None
    parameters = [column_of(name, metrics) for name in combinations[0]]
    frame = pd.DataFrame([list(params.values()) for params in combinations], columns=parameters)
    frame.attrs["parameters"] = parameters
    for name, column in zip(metrics, zip(*rows, strict=True), strict=True):
        frame[name] = list(column)
    frame.attrs["trials"] = {
        "sharpe": ratios,
        "moments": best.moments,
        "returns": len(best.returns),
        "frequency": best.frequency,
    }
    few = few_returns(account.calendar, metrics)
    if few:
        warnings.warn(few, BacktestWarning, stacklevel=3)
    return frame
