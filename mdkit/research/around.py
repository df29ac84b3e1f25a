"""`around`: what the price does before and after something happens, on average."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mdkit.errors import SettingsError
from mdkit.research.forward import check_rows, moves, prices_of
from mdkit.research.tools.bootstrap import band, ratios
from mdkit.research.tools.data import Market
from mdkit.research.tools.finding import Finding, with_band
from mdkit.research.tools.measuring import name_of, points_of
from mdkit.research.tools.segments import (
    Floats,
    Ints,
    Timeline,
    label,
    options,
    stamps,
)
from mdkit.strategies.contract import Strategy
from mdkit.strategies.flow.flow import nanoseconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STEPS = 71
_BURST = 5.0


class Around(Finding):
    """The mean path of the mid around moments, in bp from where it stood then.

    `table`: by seconds from the moment, `events` that have a price there, `move_bp`, `low`,
    `high`. After a signal, a path goes the signal's way: that of a sell is turned over.
    """

    def __init__(self, name: str, symbol: str, count: int, table: pd.DataFrame) -> None:
        self.name, self.symbol, self.count, self.table = name, symbol, count, table

    @property
    def occasions(self) -> str:
        """How many there were, with their name."""
        head, of, rest = self.name.partition(" of ")
        if head not in ("signal", "gap", "burst", "moment"):
            return f"{self.count:,} x {self.name}"
        return f"{self.count:,} {head}{'s' * (self.count != 1)}{of}{rest}"

    @property
    def sentence(self) -> str:
        """What the path comes to at its end, in one sentence."""
        known = self.table.dropna(subset=["move_bp"])
        on = f" of {self.symbol}" if self.symbol else ""
        if not len(known):
            return f"there is no {self.name}{on} with prices around it"
        end = known.iloc[-1]
        told = f"{with_band(end, 'move_bp')} bp"
        return (
            f"{label(known.index[-1] * 1e9)} after {self.occasions} the mid{on} stands "
            f"{told} from where it was"
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """What a saved page shows."""
        return {"Mean path in bp": self.table}

    def plot(self) -> Figure:
        """Return a figure: the mean path, with its band."""
        from mdkit.research.plots import draw_around

        return draw_around(self)


def around(
    data: Any,
    when: Any,
    before: str = "10s",
    after: str = "60s",
    *,
    symbol: str | None = None,
    steps: int = _STEPS,
    resamples: int = 500,
    seed: int = 0,
) -> Around:
    """Return the mean path of the mid around moments, with its band.

    Args:
        data: recordings, a session or tables of books; see `md.study`.
        when: "gap", the first book after each; "burst", seconds in which five times as many books
            came as in the median second, the first of each run of them; a mask of the books'
            rows; times; or a strategy, at its signals that are not 0, where those that repeat
            the last one are none.
        before, after: how far to look.
        symbol: which, where there are several.
        steps: how many moments the path has, evenly; 0 is always among them.
        resamples, seed: of the bands' bootstrap over moments, those less than `after` apart as
            one.

    A path ends where a gap parts it from its moment; the means are over what is left. So before
    a "gap" there is none. Raises `SettingsError` for a `when` that is none of these.

    Example:
        >>> pressure = md.strategies.pressure(enter=3.0)
        >>> path = md.around(md.sample(), pressure, "500ms", "1s", symbol="AAPL.US", steps=4)
        >>> path.table[["events", "move_bp"]].round(2)
                 events  move_bp
        seconds
        -0.5          9    -0.67
         0.0          9     0.00
         0.5          9     0.49
         1.0          8     0.16
    """
    options({"steps": (steps, 2), "resamples": (resamples, 1), "seed": (seed, 0)})
    back, ahead = nanoseconds(before, "before"), nanoseconds(after, "after")
    market = Market(data, symbol)
    table = market.depth
    line = Timeline(table)
    name, times, rows, signs = _moments(when, market, table, line)
    kept = rows >= 0
    times, rows, signs = times[kept], rows[kept], signs[kept]
    share = max(1, round((steps - 1) * back / (back + ahead)))
    offsets = np.concatenate(
        [np.linspace(-back, 0, share + 1)[:-1], np.linspace(0, ahead, max(2, steps - share))]
    )
    mids = prices_of(table, "mid")[line.order]
    groups = np.cumsum(np.append(0, np.diff(times) >= ahead)) if len(times) else rows
    found = {}
    for offset in np.rint(offsets).astype(np.int64).tolist():
        moved = moves(line, mids, rows, times, offset) * signs
        good = np.isfinite(moved)
        number = int(groups.max()) + 1 if len(groups) else 0
        counts = np.bincount(groups[good], minlength=number).astype(float)
        totals = np.bincount(groups[good], moved[good], minlength=number)
        used = counts > 0.0
        sums = np.stack([counts[used], totals[used]], axis=1)
        drawn = band(sums, ratios, resamples, seed)
        found[offset / 1e9] = (int(good.sum()), *(float(part[0]) for part in drawn[:3]))
    columns = ["events", "move_bp", "low", "high"]
    made = pd.DataFrame.from_dict(found, "index", columns=columns).rename_axis("seconds")
    return Around(name, market.symbol, len(times), made)


def _moments(
    when: Any, market: Market, table: pd.DataFrame, line: Timeline
) -> tuple[str, Ints, Ints, Floats]:
    """Return a name, times, the rows in force and signs, ascending by time."""
    if isinstance(when, str) and when in ("gap", "burst"):
        rows = _gaps(line) if when == "gap" else _bursts(line)
        return when, line.times[rows], rows, np.ones(len(rows))
    if isinstance(when, Strategy) or hasattr(when, "__strategy__"):
        points = points_of(when, market, line)
        signs = np.sign(points.values)
        new = np.append(True, signs[1:] != signs[:-1])[: len(signs)] & (signs != 0.0)
        name = f"signal of {name_of(when)}"
        return name, points.times[new], points.rows[new], signs[new]
    mask = np.asarray(when) if isinstance(when, pd.Series | np.ndarray) else None
    if mask is not None and mask.dtype == bool:
        check_rows(when, table, "when")
        rows = np.flatnonzero(mask[line.order])
        name = str(getattr(when, "name", None) or "moment")
        return name, line.times[rows], rows, np.ones(len(rows))
    try:
        times = np.sort(stamps(pd.DatetimeIndex(pd.to_datetime(when, utc=True))))
    except (TypeError, ValueError):
        raise SettingsError(
            f'when is {when!r}; give "gap", "burst", a mask of the rows, times or a strategy'
        ) from None
    return "moment", times, line.rows_at(times), np.ones(len(times))


def _gaps(line: Timeline) -> Ints:
    found: Ints = np.flatnonzero(line.segments[1:] != line.segments[:-1]).astype(np.int64) + 1
    return found


def _bursts(line: Timeline) -> Ints:
    """Return the first row of each run of seconds with far more books than usual."""
    seconds, firsts, counts = np.unique(
        line.times // 1_000_000_000, return_index=True, return_counts=True
    )
    busy = counts > _BURST * np.median(counts) if len(counts) else np.zeros(0, bool)
    begins = busy & np.append(True, ~busy[:-1] | (np.diff(seconds) > 1))[: len(busy)]
    found: Ints = firsts[begins].astype(np.int64)
    return found
