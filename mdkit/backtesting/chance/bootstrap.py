"""Bands of a result's figures: what it would have given had chance dealt its returns otherwise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mdkit.arrow import ArrowTable
from mdkit.backtesting.account.metrics import Account
from mdkit.backtesting.chance.steps import Floats, step_returns
from mdkit.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Bootstrap(ArrowTable):
    """The outcome of `Result.bootstrap`.

    Attributes:
        draws: a row per draw, with `return`, `sharpe` and `max_drawdown` (fractions).
        table: the same figures of the returns themselves, and their 5th, 50th and 95th percentile
            over the draws.
        frequency: what a return covers.
        block: the mean length of a block, in returns.
        name: whose result it is.
    """

    draws: pd.DataFrame
    table: pd.DataFrame
    frequency: str
    block: float
    name: str

    def plot(self) -> Figure:
        """Return a figure of the three distributions, each with its band and the result itself."""
        from mdkit.backtesting.more_plots import draw_bootstrap

        return draw_bootstrap(self)

    def _arrow_table(self) -> pd.DataFrame:
        return self.draws

    def __repr__(self) -> str:
        rows = [
            f"{str(name).replace('_', ' ')} {row['result']:.4g} (90 % between {row['5 %']:.4g} and "
            f"{row['95 %']:.4g})"
            for name, row in self.table.iterrows()
        ]
        return f"<Bootstrap of {self.name}: {', '.join(rows)}; {len(self.draws):,} draws>"

    def _repr_html_(self) -> str:
        told = (
            f"{len(self.draws):,} draws of {self.frequency}, in blocks of {self.block:.3g} returns "
            "in the mean"
        )
        table = self.table.to_html(border=0, float_format="{:,.4g}".format)
        return f"<div>{table}<small>{told}</small></div>"


def bootstrap(account: Account, count: int, block: float | None, seed: int, name: str) -> Bootstrap:
    """Draw returns again in blocks of random length; see `Result.bootstrap`."""
    if not isinstance(count, int) or isinstance(count, bool) or count < 20:
        raise SettingsError(f"draws is {count!r}; give a number of 20 or more, such as 1000")
    steps = step_returns(account)
    returns = steps.returns
    size = len(returns)
    if size < 10:
        raise SettingsError(f"there are {size} returns, too few to draw from; take more data")
    if block is None:
        block = max(1.0, size ** (1.0 / 3.0))
    if not 1.0 <= block <= size:
        raise SettingsError(f"block is {block!r}; give a mean length from 1 to {size} returns")
    random = np.random.default_rng(seed)
    year = steps.per_year if steps.per_year == steps.per_year else float(size)
    figures = np.array([_figures(returns[_drawn(random, size, block)], year) for _ in range(count)])
    draws = pd.DataFrame(figures, columns=["return", "sharpe", "max_drawdown"])
    table = draws.quantile([0.05, 0.5, 0.95]).T
    table.columns = ["5 %", "50 %", "95 %"]
    table.insert(0, "result", _figures(returns, year))
    return Bootstrap(draws, table, steps.frequency, float(block), name)


def _drawn(random: Any, size: int, block: float) -> Any:
    """Return places of returns, in blocks of geometric lengths of this mean, round the end."""
    new = random.random(size) < 1.0 / block
    new[0] = True
    starts = np.flatnonzero(new)
    begins = random.integers(0, size, len(starts))
    which = np.cumsum(new) - 1
    return (begins[which] + np.arange(size) - starts[which]) % size


def _figures(returns: Floats, year: float) -> tuple[float, float, float]:
    worth = np.cumprod(1.0 + returns)
    deviation = float(np.std(returns, ddof=1))
    sharpe = float(np.mean(returns)) / deviation * math.sqrt(year) if deviation > 0.0 else math.nan
    peaks = np.maximum(np.maximum.accumulate(worth), 1.0)
    return float(worth[-1]) - 1.0, sharpe, float((worth / peaks - 1.0).min())
