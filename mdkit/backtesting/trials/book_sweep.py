"""A sweep over recorded events of books: read once, gone through by every combination."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mdkit.backtesting.account.metrics import METRICS
from mdkit.backtesting.account.terms import BacktestWarning, Terms
from mdkit.backtesting.books.door import backtest_books, refuse_bars
from mdkit.backtesting.books.strategy.loading import tape_of
from mdkit.backtesting.books.strategy.tape import BookTape
from mdkit.backtesting.chance.steps import Steps, step_returns
from mdkit.backtesting.result import Result
from mdkit.backtesting.trials.arguments import trading_terms
from mdkit.backtesting.trials.grid import Params, Trials, column_of, few_returns
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


@dataclass(frozen=True)
class BookJob:
    """What all combinations over books have in common."""

    strategy: Strategy
    events: Any
    recorded: bool
    terms: Terms
    latency_ms: Any
    engine: str
    periods_per_year: float | None
    risk_free: float
    allow_nonpositive: bool
    runs: int
    """How many there are, about."""

    def run(self, params: Params) -> Result:
        """Return the result of one combination."""
        chosen = self.strategy.with_params(**params)
        panel, run, used, why = backtest_books(
            chosen, self.events, self.terms, latency_ms=self.latency_ms, engine=self.engine,
            allow_nonpositive=self.allow_nonpositive, recorded=self.recorded, runs=self.runs,
        )  # fmt: skip
        return Result(
            chosen, panel, run, self.terms, used, why, self.periods_per_year, self.risk_free
        )


def book_job(
    strategy: Strategy,
    data: Any,
    runs: int,
    latency_ms: Any,
    engine: str,
    periods_per_year: float | None,
    risk_free: float,
    allow_nonpositive: bool,
    terms: Mapping[str, Any],
    what: str,
) -> BookJob:
    """Return checked arguments of `sweep` or `walk_forward`, the events read."""
    agreed = trading_terms(terms, engine, periods_per_year, risk_free, what)
    agreed.check_books()
    data = held_events(data, strategy.kinds)
    refuse_bars(strategy, data)
    recording = recording_of(data)
    return BookJob(
        strategy, loaded(strategy, data, recording, engine), recording is not None, agreed,
        latency_ms, engine, periods_per_year, risk_free, allow_nonpositive, runs,
    )  # fmt: skip


def sweep_books(
    job: BookJob, trials: Trials, names: Sequence[str], metrics: tuple[str, ...]
) -> pd.DataFrame:
    """Backtest what a search asks for over books; return what `sweep` does."""
    ratios: list[float] = []
    best: Steps | None = None
    account: Any = None

    def evaluate(params: Params) -> tuple[Any, ...]:
        nonlocal best, account
        account = job.run(params).account
        steps = step_returns(account)
        if best is None or steps.sharpe > max((r for r in ratios if r == r), default=-np.inf):
            best = steps
        ratios.append(steps.sharpe)
        return tuple(METRICS[name].compute(account) for name in metrics)

    combinations, rows = trials(evaluate)
    assert best is not None
    parameters = [column_of(name, metrics) for name in names]
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
