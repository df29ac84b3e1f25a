"""`leadlag`: which of two prices moves first, and by how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mdkit.errors import SettingsError
from mdkit.research.forward import prices_of
from mdkit.research.tools.bootstrap import block_sums, simultaneous
from mdkit.research.tools.data import Market
from mdkit.research.tools.finding import Finding, with_band
from mdkit.research.tools.segments import (
    SHORTEST_BLOCK,
    Floats,
    Ints,
    Timeline,
    label,
    options,
)
from mdkit.strategies.flow.flow import nanoseconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LAGS = 41


class LeadLag(Finding):
    """The correlation of two prices over lags; a positive lag means that `a` moves first.

    `table`: by lag in seconds the `correlation` and its band, which holds for all lags together;
    `best_lag` is where it is largest
    in size, in seconds.
    """

    def __init__(self, a: str, b: str, table: pd.DataFrame) -> None:
        self.name, self.a, self.b, self.table = f"{a} and {b}", a, b, table

    @property
    def best_lag(self) -> float:
        """The lag of the largest correlation, in seconds; nan where there is none."""
        found = self.table["correlation"].abs().to_numpy(float)
        if not np.isfinite(found).any():
            return float("nan")
        return float(self.table.index.to_numpy(float)[int(np.nanargmax(found))])

    @property
    def lead_lag_ratio(self) -> float:
        """The sum of squared correlations at positive lags over that at negative ones.

        Above 1 `a` leads. Source: Huth and Abergel, "High frequency lead/lag relationships",
        Journal of Empirical Finance 26 (2014).
        """
        squares = self.table["correlation"] ** 2
        below = float(squares[squares.index < 0].sum())
        return float(squares[squares.index > 0].sum()) / below if below else float("nan")

    @property
    def sentence(self) -> str:
        """What was found, in one sentence."""
        lag = self.best_lag
        if np.isnan(lag):
            return f"{self.name} have no moves in common within the data"
        row = self.table.loc[lag]
        told = with_band(row, "correlation", ".2f")
        if row["low"] <= 0.0 <= row["high"]:
            return f"{self.name} do not move together: the largest correlation is {told}"
        if lag == 0.0:
            return f"{self.name} move together: correlation {told} without a lag"
        first, second = (self.a, self.b) if lag > 0.0 else (self.b, self.a)
        return f"{first} leads {second} by {label(abs(lag) * 1e9)}: correlation {told} at that lag"

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """What a saved page shows."""
        return {"Correlation by lag in seconds": self.table}

    def plot(self) -> Figure:
        """Return a figure: the correlation by lag, with its band."""
        from mdkit.research.plots import draw_leadlag

        return draw_leadlag(self)


def leadlag(
    data: Any,
    a: str,
    b: str,
    within: str = "2s",
    *,
    lags: int = _LAGS,
    resamples: int = 500,
    seed: int = 0,
) -> LeadLag:
    """Return the correlation of two symbols' mids over lags, and which of them leads.

    Args:
        data: recordings or a session that hold both; or a dict of them by the names `a` and `b`,
            each with one symbol, as from two venues.
        a, b: the symbols, or the names in the dict.
        within: the longest lag, to both sides.
        lags: how many are looked at, evenly; an odd number has 0 among them.
        resamples, seed: of the bands' bootstrap, over blocks of 5 s.

    Every two moves whose stretches of time overlap count, as they came: nothing is sampled or
    filled in. Where one price goes on in small steps after the other has jumped, the correlation
    may come out above 1. Moves across a gap are none. Times are those of receipt. The bands hold
    for all lags together, since the largest of many correlations is large by luck alone. Source:
    Hayashi and Yoshida, "On covariance estimation of non-synchronously observed diffusion
    processes", Bernoulli 11 (2005), over lags as Hoffmann, Rosenbaum and Yoshida, Bernoulli 19
    (2013).
    Raises `SettingsError` where one of them is not there.

    Example:
        >>> found = md.leadlag(md.sample(), "AAPL.US", "MSFT.US", within="100ms", lags=3)
        >>> found.table["correlation"].round(2).to_dict()
        {-0.1: 0.04, 0.0: -0.0, 0.1: -0.1}
    """
    options({"lags": (lags, 1), "resamples": (resamples, 1), "seed": (seed, 0)})
    longest = nanoseconds(within, "within")
    if a == b:
        raise SettingsError(f"a and b are both {a!r}; give two symbols")
    given = isinstance(data, dict) and {a, b} <= set(data)
    first = _moves(Market(data[a]) if given else Market(data, a))
    second = _moves(Market(data[b]) if given else Market(data, b))
    steps = np.linspace(-1.0, 1.0, lags) * longest if lags > 1 else np.zeros(1)
    began = (
        min(int(one[0][0]) for one in (first, second) if len(one[0])) if _both(first, second) else 0
    )
    shifts = np.rint(steps).astype(np.int64)
    sums = _sums(first, second, shifts.tolist(), began)
    correlation, low, high, _ = simultaneous(sums, _correlations, resamples, seed)
    table = pd.DataFrame(
        {"correlation": correlation, "low": low, "high": high},
        index=pd.Index(shifts / 1e9, name="lag"),
    )
    return LeadLag(a, b, table)


_Moves = tuple[Ints, Ints, Floats]
"""Of each move: when its stretch began, when it ended, and the change of the logarithm."""


def _both(first: _Moves, second: _Moves) -> bool:
    return bool(len(first[0]) and len(second[0]))


def _moves(market: Market) -> _Moves:
    """Return the moves of the mid: stretches from one change to the next, without gaps."""
    table = market.depth
    line = Timeline(table)
    mids = prices_of(table, "mid")[line.order]
    known = np.flatnonzero(np.isfinite(mids))
    times, segments = line.times[known], line.segments[known]
    # Of several books at one nanosecond the last is what stood.
    last = np.append((times[1:] != times[:-1]) | (segments[1:] != segments[:-1]), True)
    known = known[last[: len(known)]]
    times, prices, segments = line.times[known], mids[known], line.segments[known]
    changes = np.append(True, (prices[1:] != prices[:-1]) | (segments[1:] != segments[:-1]))
    kept = np.flatnonzero(changes[: len(known)])
    times, prices, segments = times[kept], prices[kept], segments[kept]
    good = segments[1:] == segments[:-1]
    found: _Moves = times[:-1][good], times[1:][good], np.diff(np.log(prices))[good]
    return found


def _sums(first: _Moves, second: _Moves, lags: list[int], began: int) -> Floats:
    """Return by block the sums of products of moves that overlap when b is seen earlier by each
    of the lags, and at the end those of the squares of either."""
    if not _both(first, second):
        return np.zeros((0, len(lags) + 2))
    _, end_a, move_a = first
    _, end_b, move_b = second
    totals = np.append(0.0, np.cumsum(move_b))
    products = [move_a * _overlapping(first, second, totals, lag) for lag in lags]
    numbers_a = np.maximum((end_a - began) // SHORTEST_BLOCK, 0)
    numbers_b = np.maximum((end_b - began) // SHORTEST_BLOCK, 0)
    count = int(max(numbers_a.max(), numbers_b.max())) + 1
    own = block_sums(numbers_a, count, np.stack([*products, move_a * move_a]))
    other = block_sums(numbers_b, count, (move_b * move_b)[None])
    return np.hstack([own, other])


def _overlapping(first: _Moves, second: _Moves, totals: Floats, lag: int) -> Floats:
    """Return for each move of a the sum of those of b that overlap it.

    They are neighbours: from the first that ends after it begins, to the last that begins before
    it ends. `totals` are b's moves added up.
    """
    low = np.searchsorted(second[1] - lag, first[0], side="right")
    high = np.searchsorted(second[0] - lag, first[1], side="left")
    found: Floats = np.where(high > low, totals[high] - totals[low], 0.0)
    return found


def _correlations(sums: Floats) -> Floats:
    below = np.sqrt(sums[..., -2] * sums[..., -1])
    found: Floats = sums[..., :-2] / np.where(below > 0.0, below, np.nan)[..., None]
    return found
