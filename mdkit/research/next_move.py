"""`next_move`: which way the mid goes next, by what the book looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mdkit import measures
from mdkit.errors import SettingsError
from mdkit.research.forward import check_one, check_rows, given_prices
from mdkit.research.tools.bootstrap import band, block_sums, ratios
from mdkit.research.tools.finding import Finding
from mdkit.research.tools.measuring import quantile_bins
from mdkit.research.tools.segments import SHORTEST_BLOCK, Timeline, blocks, options

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class NextMove(Finding):
    """The probability that the mid's next move is up, by bins of a measure.

    `table`: by bin the measure's `from` and `to`, `events`, `p_up` with its band, and the median
    `seconds` until the move.
    """

    def __init__(self, name: str, symbol: str, table: pd.DataFrame) -> None:
        self.name, self.symbol, self.table = name, symbol, table

    @property
    def sentence(self) -> str:
        """What was found, in one sentence."""
        table, on = self.table, f" of {self.symbol}" if self.symbol else ""
        if not len(table):
            return f"the mid{on} never moves within the data"
        first, last = table.iloc[0], table.iloc[-1]
        apart = first["high"] < last["low"] or last["high"] < first["low"]
        told = f"{first['p_up']:.2f} in the lowest to {last['p_up']:.2f} in the highest"
        verb = "moves" if apart else "does not move"
        return (
            f"{self.name} {verb} the chance that the mid{on} goes up next: {told} of "
            f"{len(table)} bins"
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """What a saved page shows."""
        return {"Chance that the next move is up": self.table}

    def plot(self) -> Figure:
        """Return a figure: the chance by bin, with bands."""
        from mdkit.research.plots import draw_next_move

        return draw_next_move(self)


def next_move(
    frame: pd.DataFrame,
    by: Any = None,
    *,
    bins: int = 5,
    resamples: int = 500,
    seed: int = 0,
) -> NextMove:
    """Return the probability that the next move of the mid is up, by bins of a measure.

    Args:
        frame: books of one symbol, as `session.frame("depth", symbol)` gives them.
        by: a Series of the same rows, or a measure of books; unless given `md.imbalance` of the
            best level, which is the queue imbalance.
        bins: equal stretches of what a measure in [-1, 1] can be; quantiles of any other.
        resamples, seed: of the bands' bootstrap, over blocks of 5 s.

    An event counts where the mid moves later and before a gap. Source: Gould and Bonart, "Queue
    imbalance as a one-tick-ahead price predictor in a limit order book", Market Microstructure
    and Liquidity 2 (2016). Raises `SettingsError` for a table of several symbols.

    Example:
        >>> books = md.read_recording(md.sample()).frame("depth", "AAPL.US")
        >>> md.next_move(books).table[["events", "p_up"]].round(2)
             events  p_up
        bin
        1        44  0.25
        2       165  0.39
        3       210  0.48
        4       188  0.61
        5       139  0.51
    """
    check_one(frame)
    options({"bins": (bins, 2), "resamples": (resamples, 1), "seed": (seed, 0)})
    if by is None:
        values, name = measures.imbalance(frame, 1), "queue imbalance"
    elif isinstance(by, pd.Series):
        values, name = by, str(by.name) if by.name is not None else "the measure"
    elif callable(by):
        values, name = by(frame), str(getattr(by, "__name__", "the measure"))
    else:
        raise SettingsError(f"by is {by!r}; give a Series or a measure such as md.imbalance")
    check_rows(values, frame, "by")
    line = Timeline(frame)
    mids = given_prices(frame, "mid")[line.order]
    x = np.asarray(values, np.float64)[line.order]
    up, wait = _next(mids, line)
    known = np.isfinite(x) & np.isfinite(up)
    x, up, wait = x[known], up[known], wait[known]
    columns = ["from", "to", "events", "p_up", "low", "high", "seconds"]
    if not len(x):
        empty = pd.DataFrame(columns=columns).rename_axis("bin")
        return NextMove(name, str(frame.attrs.get("symbol", "")), empty)
    if x.min() >= -1.0 and x.max() <= 1.0 and x.min() < 0.0 < x.max():
        edges = np.linspace(-1.0, 1.0, bins + 1)[1:-1]
        place = np.searchsorted(edges, x, side="right")
    else:
        place = quantile_bins(x, bins)
    used, place = np.unique(place, return_inverse=True)
    numbers, number = blocks(line.segments[known], line.times[known], SHORTEST_BLOCK)
    inside = [(place == b).astype(float) for b in range(len(used))]
    sums = block_sums(numbers, number, np.stack([*inside, *(one * up for one in inside)]))
    found = band(sums, ratios, resamples, seed, least=0.0, most=1.0)
    rows = [
        (
            x[place == b].min(),
            x[place == b].max(),
            int((place == b).sum()),
            found.value[b],
            found.low[b],
            found.high[b],
            float(np.median(wait[place == b])),
        )
        for b in range(len(used))
    ]
    index = pd.RangeIndex(1, len(used) + 1, name="bin")
    return NextMove(name, str(frame.attrs.get("symbol", "")), pd.DataFrame(rows, index, columns))


def _next(mids: Any, line: Timeline) -> tuple[Any, Any]:
    """Return of each row whether the next move is up (1, 0, nan for none), and after how long."""
    count = len(mids)
    up, wait = np.full(count, np.nan), np.full(count, np.nan)
    known = np.flatnonzero(np.isfinite(mids))
    if len(known) < 2:
        return up, wait
    prices, segments = mids[known], line.segments[known]
    steps = np.flatnonzero((prices[1:] != prices[:-1]) & (segments[1:] == segments[:-1])) + 1
    at = np.searchsorted(steps, np.arange(len(known)), side="right")
    has = at < len(steps)
    step = steps[np.minimum(at, len(steps) - 1)] if len(steps) else np.zeros(len(known), int)
    has &= segments[step] == segments
    rows, later = known[has], step[has]
    up[rows] = prices[later] > prices[later - 1]
    wait[rows] = (line.times[known[later]] - line.times[rows]) / 1e9
    return up, wait
