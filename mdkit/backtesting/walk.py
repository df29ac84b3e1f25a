"""Walk forward: choose on one stretch of history, judge on the next, move on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mdkit.backtesting.engine import Engine, account_run, run_engine
from mdkit.backtesting.metrics import METRICS
from mdkit.backtesting.panel import Panel, make_panel
from mdkit.backtesting.result import Result
from mdkit.backtesting.sweep import Job, Params, Progress, Report, evaluate_all, make_job
from mdkit.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class WalkForward:
    """The outcome of `walk_forward`.

    Attributes:
        windows: a row per window: `train_start`, `test_start`, `test_end`, the parameters that
            were chosen, and the figure `in_sample` and `out_of_sample`.
        results: a `Result` per window, of the stretch out of sample.
        equity: out of sample, one window after the other, as a multiple of the beginning.
        metric: what was chosen by.
    """

    windows: pd.DataFrame
    results: tuple[Result, ...]
    equity: pd.Series[Any]
    metric: str

    @property
    def degradation(self) -> float:
        """The mean figure out of sample less that in sample: what choosing by it flattered."""
        found = self.windows["out_of_sample"] - self.windows["in_sample"]
        return float(found.mean())

    def plot(self) -> Figure:
        """Return a figure of the equity out of sample, with each window and its choice."""
        from mdkit.backtesting.plots import draw_walk_forward

        names = [n for n in self.windows.columns if n not in _COLUMNS]
        labels = [
            (row["test_start"], row["test_end"], "\n".join(f"{n} {row[n]}" for n in names))
            for _, row in self.windows.iterrows()
        ]
        name = self.results[0].strategy.name
        inside = self.windows["in_sample"].mean()
        outside = self.windows["out_of_sample"].mean()
        metric = self.metric.replace("_", " ")
        title = f"{name} walked forward: mean {metric} {inside:.2f} in, {outside:.2f} out of sample"
        return draw_walk_forward(self.equity, labels, title)

    def __repr__(self) -> str:
        return (
            f"<WalkForward of {len(self.windows)} windows: return out of sample "
            f"{self.equity.iloc[-1] - 1.0:.2%}; mean {self.metric} "
            f"{self.windows['in_sample'].mean():.2f} in sample, "
            f"{self.windows['out_of_sample'].mean():.2f} out of sample>"
        )


_COLUMNS = ("train_start", "test_start", "test_end", "in_sample", "out_of_sample")


def walk_forward(
    strategy: Any,
    bars: Any,
    grid: Mapping[str, Iterable[Any]],
    *,
    train: int,
    test: int,
    metric: str = "sharpe",
    constraint: Callable[[Params], bool] | None = None,
    progress: Progress = None,
    engine: Engine = "auto",
    periods_per_year: float | None = None,
    risk_free: float = 0.0,
    **terms: Any,
) -> WalkForward:
    """Choose parameters on `train` bars, run them on the next `test` bars, and move on by `test`.

    In each window the combination with the highest `metric` in sample is chosen (the first of
    equals; figures that are nan are never chosen unless all are). Out of sample the strategy
    has seen the training bars, so that its indicators are ready, and takes over the target that
    it said last; the account begins flat, with the same cash in every window. The other
    arguments are those of `sweep`.

    Raises `SettingsError` when there are fewer than `train` + `test` bars.
    """
    for name, value in (("train", train), ("test", test)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise SettingsError(f"{name} is {value!r}; give a number of bars")
    panel = make_panel(bars)
    if len(panel) < train + test:
        raise SettingsError(
            f"there are {len(panel):,} bars; train={train:,} and test={test:,} need "
            f"{train + test:,}"
        )
    job, combinations, report = make_job(
        strategy, panel, grid, metric, constraint, progress, engine, periods_per_year, risk_free,
        terms, rounds=(len(panel) - train) // test,
    )  # fmt: skip
    rows: list[dict[str, Any]] = []
    results: list[Result] = []
    for number, start in enumerate(range(0, len(panel) - train - test + 1, test)):
        middle, end = start + train, start + train + test
        here = dataclasses.replace(job, panel=panel.cut(start, middle))
        sofar = partial(_report_from, report, number * len(combinations))
        figures = [row[0] for row in evaluate_all(here, combinations, sofar)]
        values = np.array(figures, float)
        best = int(np.nanargmax(values)) if not np.isnan(values).all() else 0
        result = _out_of_sample(job, combinations[best], panel.cut(start, end), train)
        results.append(result)
        rows.append(
            {
                "train_start": panel.index[start],
                "test_start": panel.index[middle],
                "test_end": panel.index[end - 1] + panel.step,
                **combinations[best],
                "in_sample": figures[best],
                "out_of_sample": METRICS[job.metrics[0]].compute(result.account),
            }
        )
    return WalkForward(pd.DataFrame(rows), tuple(results), _chained(results), job.metrics[0])


def _report_from(report: Report, before: int, done: int) -> None:
    report(before + done)


def _out_of_sample(job: Job, params: Params, panel: Panel, train: int) -> Result:
    """Run over training and test bars, and an account over the test bars alone."""
    chosen = job.strategy.with_params(**params)
    run, used, why = run_engine(chosen, panel, job.terms, job.engine)
    signals = run.signals.reshape(len(panel.symbols), -1)
    tested = panel.cut(train, len(panel))
    kept = [panel.symbols.index(symbol) for symbol in tested.symbols]
    fresh = signals[kept, train:].copy()
    for row, own in zip(fresh, signals[kept, :train], strict=True):
        said = own[~np.isnan(own)]
        if len(said) and np.isnan(row[0]):
            row[0] = said[-1]
    again = account_run(tested, job.terms, fresh.ravel(), used)
    return Result(chosen, tested, again, job.terms, used, why, job.periods_per_year, job.risk_free)


def _chained(results: list[Result]) -> pd.Series[Any]:
    parts, worth = [], 1.0
    for result in results:
        part = result.run.equity / result.terms.cash * worth
        parts.append(pd.Series(part, result.panel.index))
        worth = float(part[-1])
    return pd.concat(parts).rename("equity")
