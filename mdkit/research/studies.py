"""`study`: does a measure say anything about what comes next? One, or several side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mdkit import measures
from mdkit.errors import SettingsError
from mdkit.numbers import is_finite
from mdkit.research.forward import BP, moves, prices_of
from mdkit.research.study import HORIZONS, Study
from mdkit.research.tools.data import Market
from mdkit.research.tools.finding import Finding
from mdkit.research.tools.measuring import Points, named, points_of
from mdkit.research.tools.segments import Horizons, Timeline, options, spans, taken

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_LONGEST_DELAY = 86_400_000.0


class Studies(Finding):
    """Studies of several measures on the same market; `studies["name"]` is one of them."""

    def __init__(self, studies: Mapping[str, Study]) -> None:
        self.studies = dict(studies)
        self.name = ", ".join(self.studies)

    def __getitem__(self, name: str) -> Study:
        return self.studies[name]

    def __len__(self) -> int:
        return len(self.studies)

    @property
    def table(self) -> pd.DataFrame:
        """A row a measure, the most telling first.

        `horizon` (the best one), `ic low high` there, `top_bottom_bp`, `half_life` in seconds,
        `is_telling` (see `Study`), `events`.
        """
        rows = {}
        for name, one in self.studies.items():
            best = one.best
            row = one.ic.loc[best]
            rows[name] = {
                "horizon": best,
                **row[["ic", "low", "high"]].to_dict(),
                "top_bottom_bp": one.decay.loc[best, "top_bottom_bp"],
                "half_life": one.half_life,
                "is_telling": one.is_telling,
                "events": one.ic["events"][best],
            }
        found = pd.DataFrame.from_dict(rows, "index").rename_axis("measure")
        order = found["ic"].abs().where(found["is_telling"], found["ic"].abs() - 1.0)
        return found.loc[order.sort_values(ascending=False, na_position="last").index]

    @property
    def ic(self) -> pd.DataFrame:
        """The ICs: a row a measure, a column a horizon."""
        return pd.DataFrame({name: one.ic["ic"] for name, one in self.studies.items()}).T

    @property
    def sentence(self) -> str:
        """Which says most, in one sentence."""
        table = self.table
        telling = table[table["is_telling"]]
        if not len(telling):
            return f"none of {self.name} tells anything of the mid"
        others = len(table) - 1
        compared = f", the most of {others + 1} measures" if others else ""
        return f"{self.studies[str(telling.index[0])].sentence}{compared}"

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """What a saved page shows."""
        return {"Measures": self.table, "IC by horizon": self.ic}

    def plot(self) -> Figure:
        """Return a figure: IC by horizon with bands, and top less bottom in bp, a colour each."""
        from mdkit.research.plots import draw_studies

        return draw_studies(self.studies)


def study(
    measure: Any,
    data: Any,
    horizons: Horizons = HORIZONS,
    *,
    symbol: str | None = None,
    delay_ms: float = 0.0,
    bins: int = 10,
    resamples: int = 500,
    seed: int = 0,
) -> Any:
    """Return what a measure says about the moves of the mid after it: a `Study`.

    Args:
        measure: a strategy, whose values are those that it gave or would give live; a measure
            of books such as `md.imbalance`; an indicator such as `md.OFI()`; a Series by time;
            or a dict or list of several, which give a `Studies` that compares them.
        data: a recording (its path, a pattern, a list, or what `md.read_recording` gives), a list
            of events, a session as far as it is, a table of books, or `{"depth": books, "trade":
            trades}`.
        horizons: how far to look ahead.
        symbol: which, where there are several.
        delay_ms: how long after the event one can act: moves begin then.
        bins: how many quantiles to compare.
        resamples, seed: of the bands' bootstrap.

    Moves are in bp of the mid price in force, by time of receipt; none reaches across a gap.
    Raises `SettingsError` for arguments that cannot be.

    Example:
        >>> study = md.study(md.imbalance, md.sample(), ("200ms", "1s"), symbol="AAPL.US")
        >>> study.ic[["events", "ic"]].round(2)
                 events    ic
        horizon
        200ms       744  0.21
        1s          702 -0.15
    """
    options({"bins": (bins, 2), "resamples": (resamples, 1), "seed": (seed, 0)})
    if not (is_finite(delay_ms) and 0.0 <= delay_ms <= _LONGEST_DELAY):
        raise SettingsError(
            f"delay_ms is {delay_ms!r}; give milliseconds, from 0 to those of a day"
        )
    found, several = named(measure), isinstance(measure, Mapping | list | tuple)
    market, ahead = Market(data, symbol), spans(horizons)
    table = market.depth
    line = Timeline(table)
    mids = prices_of(table, "mid")[line.order]
    spreads = measures.spread(table).to_numpy(np.float64)[line.order]
    delay_ns = round(delay_ms * 1e6)
    made = {}
    for name, what in found.items():
        points = points_of(what, market, line)
        known = points.rows >= 0
        points = Points(points.values[known], points.times[known], points.rows[known])
        start = points.times + delay_ns
        rows = line.rows_later(points.rows, start) if delay_ns else points.rows
        moved = np.stack([moves(line, mids, rows, start, one) for one in ahead.values()], axis=1)
        with np.errstate(all="ignore"):
            costs = taken(spreads / mids * BP, points.rows)
        costs = costs[np.isfinite(costs)]
        made[name] = Study(
            name,
            market.symbol,
            points,
            moved,
            line.segments[points.rows],
            ahead,
            float(costs.mean()) if len(costs) else float("nan"),
            bins=bins,
            resamples=resamples,
            seed=seed,
            delay_ns=delay_ns,
        )
    return Studies(made) if several else next(iter(made.values()))
