"""`signature`: realised volatility by the step at which the price is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mdkit.research.forward import BP, prices_of
from mdkit.research.tools.bootstrap import band
from mdkit.research.tools.data import Market
from mdkit.research.tools.finding import Finding
from mdkit.research.tools.segments import (
    Floats,
    Horizons,
    Timeline,
    check_count,
    options,
    spans,
    taken,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = ("100ms", "200ms", "500ms", "1s", "2s", "5s", "10s", "30s")


class Signature(Finding):
    """Volatility by step, in bp for a minute; flat where prices walk at random.

    `table`: by step `seconds`, `moves`, `volatility_bp` and its band. Falling means that moves
    turn back (bounce, or rest between updates), rising that they go on.
    """

    def __init__(self, symbol: str, table: pd.DataFrame) -> None:
        self.name = self.symbol = symbol
        self.table = table

    @property
    def sentence(self) -> str:
        """The volatility at the shortest and the longest step, in one sentence."""
        known = self.table.dropna()
        on = f" of {self.symbol}" if self.symbol else ""
        if len(known) < 2:
            return f"the data are too short for a signature{on}"
        first, last = known.iloc[0], known.iloc[-1]
        ratio = last["volatility_bp"] / first["volatility_bp"]
        apart = first["high"] < last["low"] or last["high"] < first["low"]
        shape = (
            ("rises: moves go on" if ratio > 1.0 else "falls: moves turn back")
            if apart
            else ("is flat within its bands")
        )
        return (
            f"volatility{on} {shape}, from {first['volatility_bp']:.2g} bp a minute at steps of "
            f"{known.index[0]} to {last['volatility_bp']:.2g} at {known.index[-1]}"
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """What a saved page shows."""
        return {"Volatility by step": self.table}

    def plot(self) -> Figure:
        """Return a figure: volatility by step, with its band."""
        from mdkit.research.plots import draw_signature

        return draw_signature(self)


def signature(
    data: Any,
    steps: Horizons = STEPS,
    *,
    symbol: str | None = None,
    price: Any = "mid",
    resamples: int = 500,
    seed: int = 0,
) -> Signature:
    """Return the realised volatility of the price by the step at which it is looked at.

    Args:
        data: recordings, a session or tables of books; see `md.study`.
        steps: from short to long.
        symbol: which, where there are several.
        price: as for `md.forward`.
        resamples, seed: of the bands' bootstrap, over blocks of ten steps.

    The price is looked at at multiples of the step from the first book of each stretch without a
    gap; volatility is the root of the mean squared move, scaled to a minute. Source: Andersen,
    Bollerslev, Diebold and Labys, "(Understanding, optimizing, using and forecasting) realized
    volatility and correlation" (1999).

    Example:
        >>> found = md.signature(md.sample(), ("100ms", "500ms"), symbol="AAPL.US")
        >>> found.table[["moves", "volatility_bp"]].round(1)
               moves  volatility_bp
        step
        100ms    144           10.9
        500ms     28            9.8
    """
    options({"resamples": (resamples, 1), "seed": (seed, 0)})
    market = Market(data, symbol)
    table = market.depth
    line = Timeline(table)
    prices = prices_of(table, price)[line.order]
    rows = {}
    for name, step in spans(steps).items():
        check_count("steps", name, int(line.times[-1] - line.times[0]), step)
        moved, numbers = _moves(line, prices, step)
        count = int(numbers.max()) + 1 if len(numbers) else 0
        counts = np.bincount(numbers, minlength=count).astype(float)
        squares = np.bincount(numbers, moved * moved, minlength=count)
        minute = 60e9 / step

        def root(sums: Floats, scale: float = minute) -> Floats:
            found: Floats = np.sqrt(sums[..., 1:] / sums[..., :1] * scale)
            return found

        found = band(np.stack([counts, squares], axis=1), root, resamples, seed, least=0.0)
        rows[name] = (step / 1e9, len(moved), *(float(part[0]) for part in found[:3]))
    columns = ["seconds", "moves", "volatility_bp", "low", "high"]
    made = pd.DataFrame.from_dict(rows, "index", columns=columns).rename_axis("step")
    return Signature(market.symbol, made)


def _moves(line: Timeline, prices: Floats, step: int) -> tuple[Floats, Any]:
    """Return the moves in bp over whole steps, and the number of the block of each."""
    moved, numbers, block = [np.zeros(0)], [np.zeros(0, np.int64)], 0
    starts = np.flatnonzero(np.append(True, line.segments[1:] != line.segments[:-1]))
    for start in starts.tolist():
        first, last = int(line.times[start]), int(line.ends[start])
        seen = taken(prices, line.rows_at(np.arange(first, last + 1, step)))
        with np.errstate(all="ignore"):
            own = np.diff(seen) / seen[:-1] * BP
        place = block + np.arange(len(own)) // 10
        good = np.isfinite(own)
        moved.append(own[good])
        numbers.append(place[good])
        block = int(place[-1]) + 1 if len(place) else block
    return np.concatenate(moved), np.concatenate(numbers)
