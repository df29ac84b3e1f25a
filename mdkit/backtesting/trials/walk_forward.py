"""Walk forward: choose on one stretch of history, judge on the next, move on."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mdkit.backtesting.account.metrics import METRICS
from mdkit.backtesting.account.terms import BacktestWarning, Terms
from mdkit.backtesting.data.panel import Panel, make_panel
from mdkit.backtesting.engine import Engine, run_engine
from mdkit.backtesting.result import Result
from mdkit.backtesting.runs import Run, account_run
from mdkit.backtesting.trials.book_walk import walk_books
from mdkit.backtesting.trials.grid import Params, Progress, Report, column_of, few_returns, is_count
from mdkit.backtesting.trials.sweep import Job, evaluate_all, make_job
from mdkit.backtesting.trials.walked import COLUMNS, WalkForward, best_of, chained
from mdkit.errors import SettingsError
from mdkit.strategies.contract import as_strategy


def walk_forward(
    strategy: Any,
    bars: Any,
    grid: Mapping[str, Iterable[Any]],
    *,
    train: Any,
    test: Any,
    purge: Any = 0,
    embargo: Any = 0,
    metric: str = "sharpe",
    constraint: Callable[[Params], bool] | None = None,
    progress: Progress = None,
    engine: Engine = "auto",
    periods_per_year: float | None = None,
    risk_free: float = 0.0,
    allow_nonpositive: bool = False,
    latency_ms: Any = 0.0,
    **terms: Any,
) -> WalkForward:
    """Choose parameters on `train` bars, run them on the next `test` bars, and move on by `test`.

    In each window the combination with the best `metric` in sample is chosen: the highest, or
    the lowest volatility, turnover or duration of a drawdown (the first of equals; figures that
    are nan are never chosen unless all are, which is warned of). Out of sample the strategy has
    seen the training bars, so that its indicators are ready, and takes over the target that it
    said last, though no order that stands (`md.Limit` and its like); the account begins flat, with
    the same cash in every window. The last window tests
    on the bars that are left, which may be fewer than `test`. Several symbols keep their shares
    of the equity in every window; that of one which is not listed yet, or not any more, stays in
    cash. The other arguments are those of `sweep`.

    `purge` leaves so many bars at the end of each training stretch out of the choice, and `embargo`
    so many at the beginning of each test out of the verdict, so that what hangs together across the
    border (a target that looks ahead so far, an average that looks back) does not flatter it. López
    de Prado, Advances in Financial Machine Learning, 2018, chapter 7.

    Over books, of a strategy on depth, the four are spans of time, `train="10min"`, and the data a
    recording, a list of them, what `load_books` returns or events. Windows begin at the first
    event, by time of receipt. Strategies are then fresh in every stretch, of training and of test:
    none has seen a book of another one, and there is none in force before its first. Windows
    without a book with both sides in either stretch, as between two recordings, are passed over
    with a `BacktestWarning`.

    Raises `SettingsError` when there are fewer than `train` + `test` bars, or less time than that,
    or when purge or embargo leave none of a stretch.

    Example:
        >>> import pandas as pd
        >>> closes = [100.0, 101.0, 103.0, 102.0, 99.0, 98.0, 101.0, 104.0]
        >>> days = pd.date_range("2026-01-01", periods=8, tz="UTC")
        >>> bars = pd.DataFrame({name: closes for name in ("open", "high", "low", "close")}, days)
        >>> grid = {"fast": [1], "slow": [2, 3]}
        >>> terms = {"train": 4, "test": 2, "metric": "return"}
        >>> walked = md.walk_forward(md.strategies.SmaCross, bars, grid, **terms)
        >>> walked.windows[["fast", "slow"]].values.tolist()
        [[1, 3], [1, 2]]
    """
    chosen = as_strategy(strategy)
    if not isinstance(metric, str):
        raise SettingsError(f"metric is {metric!r}; give the name of one figure")
    if "depth" in chosen.kinds and not chosen.is_async:
        return walk_books(
            chosen, bars, grid, (train, test, purge, embargo), metric, constraint, progress,
            latency_ms, engine, periods_per_year, risk_free, allow_nonpositive, terms,
        )  # fmt: skip
    if latency_ms:
        raise SettingsError("latency_ms is for books; bars fill at the next open or at the close")
    for name, value in (("train", train), ("test", test)):
        if not is_count(value):
            raise SettingsError(f"{name} is {value!r}; give a number of bars")
    for name, value, of, whole in (
        ("purge", purge, "train", train),
        ("embargo", embargo, "test", test),
    ):
        if value != 0 and not (is_count(value) and value < whole):
            raise SettingsError(f"{name} is {value!r}; give 0 or more bars, less than {of}={whole}")
    panel = make_panel(bars, allow_nonpositive=allow_nonpositive)
    if len(panel) < train + test:
        raise SettingsError(
            f"there are {len(panel):,} bars; train={train:,} and test={test:,} need "
            f"{train + test:,}"
        )
    starts = range(0, len(panel) - train - embargo, test)
    job, combinations, report = make_job(
        strategy, panel, grid, metric, constraint, progress, engine, periods_per_year, risk_free,
        terms, rounds=len(starts), what="walk_forward",
    )  # fmt: skip
    figure = METRICS[metric]
    rows: list[dict[str, Any]] = []
    results: list[Result] = []
    undecided = 0
    for number, start in enumerate(starts):
        middle, end = start + train, min(start + train + test, len(panel))
        here = dataclasses.replace(job, panel=panel.cut(start, middle - purge))
        sofar = partial(_report_from, report, number * len(combinations))
        figures = [row[0] for row in evaluate_all(here, combinations, sofar)]
        found = best_of(figures, figure)
        undecided += found is None
        best = found or 0
        tested = panel.cut(start, end)
        result = _out_of_sample(job, combinations[best], tested, train + embargo)
        results.append(result)
        rows.append(
            {
                "train_start": panel.index[start],
                "test_start": panel.index[middle + embargo],
                "test_end": panel.end_of(end - 1),
                "test_bars": end - middle - embargo,
                **{column_of(n, COLUMNS): value for n, value in combinations[best].items()},
                "in_sample": figures[best],
                "out_of_sample": figure.compute(result.account),
            }
        )
    if undecided and len(combinations) > 1:
        few = few_returns(panel.cut(0, train).calendar, job.metrics)
        warnings.warn(
            f"in {undecided} of {len(rows)} windows no combination has a {metric} in sample, and "
            f"the first one was taken there{f' ({few})' if few else ''}",
            BacktestWarning,
            stacklevel=2,
        )
    return WalkForward(pd.DataFrame(rows), tuple(results), chained(results), metric)


def _report_from(report: Report, before: int, done: int) -> None:
    report(before + done)


def _out_of_sample(job: Job, params: Params, panel: Panel, train: int) -> Result:
    """Run over training and test bars, and an account over the test bars alone."""
    chosen = job.strategy.with_params(**params)
    run, used, why = run_engine(chosen, panel, job.terms, job.engine)
    signals = run.signals.reshape(len(panel.symbols), -1)
    tested = panel.cut(train, len(panel))
    fresh = signals[:, train:].copy()
    for row, own, places in zip(fresh, signals[:, :train], tested.places, strict=True):
        said = own[~np.isnan(own)]
        # On the symbol's first bar of the test, which is where it can be traded first.
        first = 0 if places is None else (int(places[0]) if len(places) else -1)
        if len(said) and first >= 0 and np.isnan(row[first]):
            row[first] = said[-1]
    again = _account_over(tested, panel, job.terms, fresh, run, used)
    return Result(chosen, tested, again, job.terms, used, why, job.periods_per_year, job.risk_free)


def _account_over(
    tested: Panel, panel: Panel, terms: Terms, fresh: Any, run: Run, engine: str
) -> Run:
    """Run an account over the test bars, which knows the sizes and ranges of those before."""
    answers = None if run.bars is None else run.bars.answers
    if terms.is_plain and terms.size is None and answers is None:
        return account_run(tested, terms, fresh.ravel(), engine)
    begin = len(panel) - len(tested)
    silent = np.full((len(fresh), begin), np.nan)
    signals = np.concatenate([silent, fresh], axis=1).ravel()
    if answers is not None:
        answers = answers.since(begin)
    whole = account_run(panel, terms, signals, engine, answers)
    fills = whole.fills - np.array([begin, 0, 0, 0, 0, 0], np.float64)
    bars = None if whole.bars is None else whole.bars.since(begin)
    return Run(fresh.ravel(), whole.equity[begin:], fills, bars=bars)
