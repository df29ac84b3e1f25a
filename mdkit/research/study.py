"""What one measure says about what comes next: for how long, by how much, at what cost."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mdkit.errors import SettingsError
from mdkit.research.tools.bootstrap import Band, band, correlation, correlation_sums, ratios
from mdkit.research.tools.finding import Finding, with_band
from mdkit.research.tools.measuring import Points, quantile_bins
from mdkit.research.tools.segments import (
    Floats,
    Ints,
    block_length,
    blocks,
)
from mdkit.strategies.flow.flow import nanoseconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HORIZONS = ("100ms", "1s", "5s", "10s", "60s")
_PARTS = {3: "tercile", 4: "quartile", 5: "quintile", 10: "decile"}


class Study(Finding):
    """What one measure says about the moves after it. Figures are computed when first asked for.

    Attributes:
        name, symbol: of the measure, and what it was studied on.
        points: its values, shape (n,), by time of receipt.
        moves: the moves after each in bp, shape (n, horizons); nan beyond a gap or the end.
        spread_bp: the mean spread at the events, in bp of the mid.

    A band (`low` to `high`) holds 95 of 100; see `mdkit.research.tools.bootstrap`. A block is twice
    as long as the horizon, since moves of overlapping windows are the same for one, and at least
    5 s, since measures and moves persist.
    """

    def __init__(
        self,
        name: str,
        symbol: str,
        points: Points,
        moved: Floats,
        segments: Ints,
        horizons: Mapping[str, int],
        spread_bp: float,
        *,
        bins: int,
        resamples: int,
        seed: int,
        delay_ns: int,
    ) -> None:
        self.name, self.symbol = name, symbol
        self.points, self.moves = points, moved
        self.spread_bp = spread_bp
        self._segments, self._horizons = segments, dict(horizons)
        self._bins, self._resamples, self._seed = bins, resamples, seed
        self._delay_ns = delay_ns

    @cached_property
    def ic(self) -> pd.DataFrame:
        """The information coefficient by horizon: `events blocks ic low high`.

        Spearman's rank correlation of the measure and the move after it, over events. `blocks`
        is the number of stretches of time that say something of their own.
        """
        return self._table(self._ics)

    @cached_property
    def quantiles(self) -> pd.DataFrame:
        """Mean moves by bins of the measure, at each horizon.

        Index `horizon` and `bin` (1 is the lowest); columns `from`, `to` (of the measure),
        `events`, `move_bp`, `low`, `high`. Bins are of equally many events, fewer where the
        measure takes few values.
        """
        parts = {horizon: self._binned(i)[0] for i, horizon in enumerate(self._horizons)}
        # An empty one has no types, and would take theirs from the others' columns.
        filled = {horizon: part for horizon, part in parts.items() if len(part)}
        return pd.concat(filled or parts, names=["horizon", "bin"])

    @cached_property
    def decay(self) -> pd.DataFrame:
        """How what it says is used up, by horizon.

        `seconds`; `ic` and its band; `step_ic`, that against the move from the horizon before to
        this one alone: near zero once all has been said; `top_bottom_bp`, the mean move in the
        highest bin less that in the lowest, with `bp_low` and `bp_high`.
        """
        rows = {}
        for i, (horizon, span) in enumerate(self._horizons.items()):
            _, spread = self._binned(i)
            before = self.moves[:, i - 1] if i else 0.0
            step = self.moves[:, i] - before
            valid = np.isfinite(step) & np.isfinite(self.points.values)
            rows[horizon] = {
                "seconds": span / 1e9,
                **self.ic.loc[horizon, ["ic", "low", "high"]].to_dict(),
                "step_ic": _rank_correlation(self.points.values[valid], step[valid]),
                "top_bottom_bp": float(spread.value[0]),
                "bp_low": float(spread.low[0]),
                "bp_high": float(spread.high[0]),
            }
        return pd.DataFrame.from_dict(rows, "index").rename_axis("horizon")

    @cached_property
    def half_life(self) -> float:
        """Seconds until the IC has halved since `best`, between horizons by their logs.

        nan where no IC is told from zero, or it does not fall so far within the horizons.
        """
        if not self.is_telling:
            return float("nan")
        seconds = np.array(list(self._horizons.values())) / 1e9
        values = np.abs(self.ic["ic"].to_numpy(float))
        top = self._place(None)
        half = values[top] / 2.0
        for i in range(top + 1, len(values)):
            if values[i] <= half:
                share = (values[i - 1] - half) / (values[i - 1] - values[i])
                return float(seconds[i - 1] * (seconds[i] / seconds[i - 1]) ** share)
        return float("nan")

    def by(self, step: str, horizon: str | None = None) -> pd.DataFrame:
        """Return the IC in each stretch of time such as "5min": `events blocks ic low high`.

        At the best horizon unless another is given. Raises `SettingsError` for one that was not
        studied.
        """
        place = self._place(horizon)
        valid = self._valid(place)
        length = nanoseconds(step, "step")
        numbers = self.points.times // length
        rows = {
            pd.Timestamp(int(n) * length, tz="UTC"): self._ic(valid & (numbers == n), place)
            for n in np.unique(numbers[valid])
        }
        return self._table(rows).rename_axis("from")

    @cached_property
    def stability(self) -> pd.DataFrame:
        """The IC in each half of the time, by horizon: `first`, `second`, `same_sign`."""
        times = self.points.times
        middle = (times[0] + times[-1]) / 2 if len(times) else 0
        rows = {}
        for i, horizon in enumerate(self._horizons):
            valid = self._valid(i)
            halves = [
                _rank_correlation(self.points.values[part], self.moves[part, i])
                for part in (valid & (times < middle), valid & (times >= middle))
            ]
            rows[horizon] = {
                "first": halves[0],
                "second": halves[1],
                "same_sign": halves[0] * halves[1] > 0,
            }
        return pd.DataFrame.from_dict(rows, "index").rename_axis("horizon")

    @cached_property
    def break_even(self) -> pd.DataFrame:
        """Whether it pays, by horizon, in bp of the price.

        `edge_bp`: what going with the highest and against the lowest bin earns at mid prices, on
        average; `spread_bp`: what a round trip at the touch costs; `net_bp`, the one less the
        other; `fee_bp`, the fee a side at which nothing is left. Without queues, rebates and
        market impact.
        """
        edge = self.decay["top_bottom_bp"].abs() / 2.0
        net = edge - self.spread_bp
        columns = {"edge_bp": edge, "spread_bp": self.spread_bp, "net_bp": net, "fee_bp": net / 2.0}
        return pd.DataFrame(columns)

    @property
    def best(self) -> str:
        """The horizon of the largest IC, of those told from zero where there are any."""
        size = np.abs(self.ic["ic"].to_numpy(float))
        if self.is_telling:
            size = np.where(size > self._limits, size, 0.0)
        return list(self._horizons)[int(np.nan_to_num(size).argmax())]

    @cached_property
    def is_telling(self) -> bool:
        """Whether some IC is told from zero, counting that several horizons were looked at.

        That is, whether some band would still exclude zero if it held 1 - 0.05 / horizons.
        """
        return bool((np.abs(self.ic["ic"].to_numpy(float)) > self._limits).any())

    @property
    def block_seconds(self) -> float:
        """How long a block is at the best horizon, in seconds."""
        return block_length(self._horizons[self.best]) / 1e9

    @property
    def sentence(self) -> str:
        """What was found, in one sentence."""
        best = self.best
        row, spread = self.ic.loc[best], float(self.decay["top_bottom_bp"][best])
        if not int(self.ic["events"].max()):
            return f"{self.name} says nothing: no event has a move after it within the data"
        told = f"IC {with_band(row, 'ic', '.2f')}"
        on = f" of {self.symbol}" if self.symbol else ""
        if not self.is_telling:
            return f"{self.name} tells nothing of the mid{on}: at best {told}, at {best}"
        edge = abs(spread) / 2.0
        compared = "less" if edge < self.spread_bp else "more"
        part = _PARTS.get(self._bins)
        ends = f"top to bottom {part}" if part else "top to bottom"
        return (
            f"{self.name} leads the mid{on} by {best}: {told}, {spread:.2g} bp {ends}: "
            f"{edge:.2g} bp a trade, {compared} than the spread of {self.spread_bp:.2g} bp"
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """What a saved page shows."""
        return {
            "IC by horizon": self.ic,
            "Decay": self.decay,
            "Mean moves by bins": self.quantiles,
            "Break-even": self.break_even,
            "Halves": self.stability,
        }

    def plot(self) -> Figure:
        """Return a figure: IC by horizon, moves by bins, edge against the spread, IC over time."""
        from mdkit.research.plots import draw_study

        return draw_study(self)

    @cached_property
    def _ics(self) -> dict[str, tuple[int, int, Band]]:
        return {h: self._ic(self._valid(i), i) for i, h in enumerate(self._horizons)}

    @cached_property
    def _limits(self) -> Floats:
        """How large each IC must be to be told from zero; nan where there is no band."""
        tails = 0.05 / len(self._horizons) / 2.0
        errors = np.array([found.error[0] for _, _, found in self._ics.values()])
        limits: Floats = NormalDist().inv_cdf(1.0 - tails) * errors
        return limits

    def _place(self, horizon: str | None) -> int:
        wanted = self._horizons[self.best] if horizon is None else nanoseconds(horizon, "horizon")
        if wanted not in self._horizons.values():
            raise SettingsError(
                f"{horizon!r} was not studied; the horizons are {', '.join(self._horizons)}"
            )
        return list(self._horizons.values()).index(wanted)

    def _valid(self, place: int) -> Any:
        return np.isfinite(self.points.values) & np.isfinite(self.moves[:, place])

    def _blocks(self, valid: Any, place: int) -> tuple[Ints, int]:
        length = block_length(list(self._horizons.values())[place])
        return blocks(self._segments[valid], self.points.times[valid], length)

    def _ic(self, valid: Any, place: int) -> tuple[int, int, Band]:
        count = int(valid.sum())
        if count < 3:
            nothing = np.full(1, np.nan)
            return count, 0, Band(nothing, nothing, nothing, nothing)
        ranks = _ranks(self.points.values[valid]), _ranks(self.moves[valid, place])
        numbers, number = self._blocks(valid, place)
        sums = correlation_sums(*ranks, numbers, number)
        found = band(sums, correlation, self._resamples, self._seed, least=-1.0, most=1.0)
        return count, number, found

    def _binned(self, place: int) -> tuple[pd.DataFrame, Band]:
        valid = self._valid(place)
        values, moved = self.points.values[valid], self.moves[valid, place]
        if not len(values):
            nothing = np.full(1, np.nan)
            empty = pd.DataFrame(columns=["from", "to", "events", "move_bp", "low", "high"])
            return empty, Band(nothing, nothing, nothing, nothing)
        bins = quantile_bins(values, self._bins)
        used = int(bins.max()) + 1
        numbers, number = self._blocks(valid, place)
        cells = numbers * used + bins
        counts = np.bincount(cells, minlength=number * used).reshape(number, -1)
        totals = np.bincount(cells, moved, number * used).reshape(number, -1)
        sums = np.hstack([counts.astype(float), totals])
        found = band(sums, ratios, self._resamples, self._seed)
        spread = band(sums, _top_less_bottom, self._resamples, self._seed)
        ends = [(values[bins == b].min(), values[bins == b].max()) for b in range(used)]
        columns = {
            "from": [low for low, _ in ends],
            "to": [high for _, high in ends],
            "events": counts.sum(axis=0),
            "move_bp": found.value,
            "low": found.low,
            "high": found.high,
        }
        return pd.DataFrame(columns, pd.RangeIndex(1, used + 1, name="bin")), spread

    def _table(self, rows: Mapping[Any, tuple[int, int, Band]]) -> pd.DataFrame:
        made = {
            key: (count, number, *(float(part[0]) for part in found[:3]))
            for key, (count, number, found) in rows.items()
        }
        columns = ["events", "blocks", "ic", "low", "high"]
        table = pd.DataFrame.from_dict(made, "index", columns=columns)
        return table.astype({"events": int, "blocks": int}).rename_axis("horizon")


def _ranks(values: Floats) -> Floats:
    """Return ranks, those of equal values their mean."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    firsts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    lasts = np.append(firsts[1:], len(values)) - 1
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((firsts + lasts) / 2.0, lasts - firsts + 1)
    return ranks


def _rank_correlation(x: Floats, y: Floats) -> float:
    if len(x) < 3:
        return float("nan")
    sums = correlation_sums(_ranks(x), _ranks(y), np.zeros(len(x), np.int64), 1)
    return float(correlation(sums.sum(axis=0))[0])


def _top_less_bottom(sums: Floats) -> Floats:
    means = ratios(sums)
    if means.shape[-1] < 2:
        return np.full(means[..., :1].shape, np.nan)  # one bin has no other end
    found: Floats = means[..., -1:] - means[..., :1]
    return found
