"""Walk forward over books: windows of time, with fresh strategies in every stretch."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mdkit.backtesting.account.metrics import METRICS
from mdkit.backtesting.account.terms import BacktestWarning
from mdkit.backtesting.books.strategy.tape import BookTape
from mdkit.backtesting.result import Result
from mdkit.backtesting.trials.book_sweep import BookJob, book_job
from mdkit.backtesting.trials.grid import (
    Params,
    Progress,
    column_of,
    combinations_of,
    few_returns,
    metric_names,
    reporter,
)
from mdkit.backtesting.trials.walked import COLUMNS, WalkForward, best_of, chained
from mdkit.errors import SettingsError
from mdkit.strategies.contract import Strategy
from mdkit.strategies.flow.flow import nanoseconds

_NAMES = ("train", "test", "purge", "embargo")


def walk_books(
    strategy: Strategy,
    data: Any,
    grid: Mapping[str, Iterable[Any]],
    given: Sequence[Any],
    metric: str,
    constraint: Callable[[Params], bool] | None,
    progress: Progress,
    latency_ms: Any,
    engine: str,
    periods_per_year: float | None,
    risk_free: float,
    allow_nonpositive: bool,
    terms: Mapping[str, Any],
) -> WalkForward:
    """Do what `walk_forward` does, over books; `given` are train, test, purge and embargo."""
    train, test, purge, embargo = _spans(given)
    metric_names(metric)
    combinations = combinations_of(strategy, grid, constraint)
    job = book_job(
        strategy, data, len(combinations), latency_ms, engine, periods_per_year, risk_free,
        allow_nonpositive, terms, "walk_forward",
    )  # fmt: skip
    times = _times(job)
    if not len(times) or times[-1] - times[0] < train:
        span = pd.Timedelta(int(times[-1] - times[0]) if len(times) else 0)
        raise SettingsError(
            f"the events span {span}; train={given[0]!r} and test={given[1]!r} need more"
        )
    starts = range(int(times[0]), int(times[-1]) - train - embargo + 1, test)
    if len(starts) > len(times):
        raise SettingsError(
            f"test={given[1]!r} makes {len(starts):,} windows of {len(times):,} events; give a "
            "longer one"
        )
    windows = [
        (
            start,
            _part(times, start, start + train - purge),
            _part(times, start + train + embargo, start + train + test),
        )
        for start in starts
    ]
    whole = [
        window for window in windows if all(_has_books(job.events[part]) for part in window[1:])
    ]
    if not whole:
        raise SettingsError("no window has books with both sides, in training and in test")
    figure, report = METRICS[metric], reporter(progress, len(whole) * len(combinations))
    rows: list[dict[str, Any]] = []
    results: list[Result] = []
    undecided = done = 0
    few = ""
    for start, trained, tested in whole:
        figures = []
        here = dataclasses.replace(job, events=job.events[trained])
        for params in combinations:
            account = here.run(params).account
            figures.append(figure.compute(account))
            done += 1
            report(done)
        found = best_of(figures, figure)
        if found is None:
            undecided += 1
            few = few or few_returns(account.calendar, (metric,))
        best = found or 0
        result = dataclasses.replace(job, events=job.events[tested]).run(combinations[best])
        results.append(result)
        begin = start + train
        rows.append(
            {
                "train_start": _time(start),
                "test_start": _time(begin + embargo),
                "test_end": _time(min(begin + test, int(times[-1]))),
                "test_books": len(result.panel),
                **{column_of(n, COLUMNS): value for n, value in combinations[best].items()},
                "in_sample": figures[best],
                "out_of_sample": figure.compute(result.account),
            }
        )
    _warn(len(windows) - len(whole), len(windows), undecided, len(combinations), metric, few)
    return WalkForward(pd.DataFrame(rows), tuple(results), chained(results), metric)


def _warn(
    empty: int, windows: int, undecided: int, combinations: int, metric: str, few: str
) -> None:
    if empty:
        warnings.warn(
            f"{empty} of {windows} windows are passed over, since there is no book with both sides "
            "in training or in test",
            BacktestWarning,
            stacklevel=4,
        )
    if undecided and combinations > 1:
        warnings.warn(
            f"in {undecided} of {windows - empty} windows no combination has a {metric} in sample, "
            f"and the first one was taken there{f' ({few})' if few else ''}",
            BacktestWarning,
            stacklevel=4,
        )


def _spans(given: Sequence[Any]) -> tuple[int, int, int, int]:
    """Return train, test, purge and embargo in nanoseconds."""
    for name, value in zip(_NAMES, given, strict=True):
        is_number = isinstance(value, int | np.integer) and not isinstance(value, np.timedelta64)
        if is_number and (value or name in _NAMES[:2]):
            raise SettingsError(
                f'{name} is {value!r}; over books give a span of time, such as "10min"'
            )
    train, test = (nanoseconds(value, name) for name, value in zip(_NAMES, given[:2], strict=False))
    purge, embargo = (
        nanoseconds(value, name) if value else 0
        for name, value in zip(_NAMES[2:], given[2:], strict=True)
    )
    for name, value, of, most in (
        ("purge", purge, "train", train),
        ("embargo", embargo, "test", test),
    ):
        if value >= most:
            raise SettingsError(
                f"{name} is {given[_NAMES.index(name)]!r}; give less than "
                f"{of}={given[_NAMES.index(of)]!r}"
            )
    return train, test, purge, embargo


def _times(job: BookJob) -> Any:
    """Return when each event was received, never before an earlier one; a gap counts with those."""
    if isinstance(job.events, BookTape):
        stamps = np.where(job.events.received != 0, job.events.received, job.events.exchange)
    else:
        stamps = np.array([_stamp(event) for event in job.events], np.int64)
    times = np.maximum.accumulate(stamps)
    known = np.flatnonzero(times)
    return np.maximum(times, times[known[0]]) if len(known) else times


def _stamp(event: Any) -> int:
    return 0 if event.kind in ("gap", "bar") else event.received_ns or event.exchange_ns


def _part(times: Any, begin: int, end: int) -> slice:
    """Return which events were received from one time on, before another."""
    return slice(*np.searchsorted(times, [begin, end]).tolist())


def _has_books(events: Any) -> bool:
    if isinstance(events, BookTape):
        return bool(((events.bids > 0) & (events.asks > 0)).any())
    return any(event.kind == "depth" and event.bids and event.asks for event in events)


def _time(nanoseconds: int) -> pd.Timestamp:
    return pd.Timestamp(nanoseconds, tz="UTC")
