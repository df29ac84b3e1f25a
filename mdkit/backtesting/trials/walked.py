"""The outcome of walking forward: window by window, and as one line of equity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mdkit.arrow import ArrowTable
from mdkit.backtesting.account.metrics import Metric
from mdkit.backtesting.account.shown import shown_value
from mdkit.backtesting.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class WalkForward(ArrowTable):
    """The outcome of `walk_forward`.

    Attributes:
        windows: a row per window: `train_start`, `test_start`, `test_end`, how many `test_bars`
            (over books `test_books`), the parameters that were chosen (one that has the name of
            another column as "<name> (parameter)"), and the figure `in_sample` and
            `out_of_sample`.
        results: a `Result` per window, of the stretch out of sample.
        equity: out of sample, one window after the other, as a multiple of the beginning.
        metric: what was chosen by.
    """

    windows: pd.DataFrame
    results: tuple[Result, ...]
    equity: pd.Series[Any]
    metric: str

    @property
    def degradation(self) -> Any:
        """The mean figure out of sample less that in sample: what choosing by it flattered.

        A float, or a Timedelta where the figure is one.
        """
        found = (self.windows["out_of_sample"] - self.windows["in_sample"]).mean()
        return found if isinstance(found, pd.Timedelta) else float(found)

    def _mean(self, column: str) -> str:
        return shown_value(self.metric, self.windows[column].mean())

    def plot(self) -> Figure:
        """Return a figure of the equity out of sample, with each window and its choice."""
        from mdkit.backtesting.plots import draw_walk_forward

        names = [n for n in self.windows.columns if n not in COLUMNS]
        labels = [
            (row["test_start"], row["test_end"], "\n".join(f"{n} {row[n]}" for n in names))
            for _, row in self.windows.iterrows()
        ]
        name = self.results[0].strategy.name
        inside, outside = self._mean("in_sample"), self._mean("out_of_sample")
        metric = self.metric.replace("_", " ")
        title = f"{name} walked forward: mean {metric} {inside} in, {outside} out of sample"
        return draw_walk_forward(self.equity, labels, title)

    def _arrow_table(self) -> pd.DataFrame:
        return self.windows

    def __repr__(self) -> str:
        return (
            f"<WalkForward of {len(self.windows)} windows: return out of sample "
            f"{self.equity.iloc[-1] - 1.0:.2%}; mean {self.metric} "
            f"{self._mean('in_sample')} in sample, {self._mean('out_of_sample')} out of sample>"
        )


COLUMNS = (
    "train_start",
    "test_start",
    "test_end",
    "test_bars",
    "test_books",
    "in_sample",
    "out_of_sample",
)
"""Columns of a table of windows that are no parameters."""


def best_of(figures: Sequence[Any], metric: Metric) -> int | None:
    """Return the number of the best figure, the first of equals; None where all are nan."""
    values = np.array([metric.worth(value) for value in figures])
    return None if np.isnan(values).all() else int(np.nanargmax(values))


def chained(results: Sequence[Result]) -> pd.Series[Any]:
    """Return the equity of one result after the other, as a multiple of the beginning."""
    parts, worth = [], 1.0
    for result in results:
        part = result.run.equity / result.terms.cash * worth
        parts.append(pd.Series(part, result.panel.index))
        worth = float(part[-1])
    return pd.concat(parts).rename("equity")
