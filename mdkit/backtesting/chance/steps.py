"""Returns over equal stretches of time, of which even minutes of books have enough."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mdkit.backtesting.account.metrics import MIN_RETURNS, Account

Floats = npt.NDArray[np.float64]
STEPS = 250
"""Into so many steps what is too short for returns of days is cut, or fewer where it has fewer
rows."""


class Steps(NamedTuple):
    """Returns of equal steps. `per_year` is nan where they are no days: nothing is annualised."""

    returns: Floats
    frequency: str
    per_year: float

    @property
    def sharpe(self) -> float:
        """mean / std (ddof=1) of one step; nan where there are fewer than two, or none differ."""
        if len(self.returns) < 2:
            return math.nan
        deviation = float(np.std(self.returns, ddof=1))
        return float(np.mean(self.returns)) / deviation if deviation > 0.0 else math.nan

    @property
    def moments(self) -> tuple[float, float]:
        """Skewness and kurtosis (3 for a normal distribution) of the returns."""
        apart = self.returns - self.returns.mean()
        variance = float(np.mean(apart**2))
        if not variance > 0.0:
            return math.nan, math.nan
        return (
            float(np.mean(apart**3)) / variance**1.5,
            float(np.mean(apart**4)) / variance**2,
        )


def step_returns(account: Account) -> Steps:
    """Return the account's own returns where they are enough for figures, else those of steps."""
    if len(account.returns) >= MIN_RETURNS:
        return Steps(account.returns, account.calendar.frequency, account.year)
    starts = account.calendar.starts
    count = min(STEPS, len(starts) - 1)
    if count < 2 or starts[-1] <= starts[0]:
        return Steps(np.empty(0), "none", math.nan)
    edges = np.linspace(float(starts[0]), float(starts[-1]), count + 1)
    rows = np.searchsorted(starts, edges[1:].astype(np.int64), side="right") - 1
    worth = np.concatenate([[account.cash], account.equity[np.maximum(rows, 0)]])
    before = worth[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.where(before > 0.0, worth[1:] / before - 1.0, 0.0)
    seconds = float(starts[-1] - starts[0]) / 1e9 / count
    return Steps(returns, f"{count} steps of {seconds:,.3g} s", math.nan)
