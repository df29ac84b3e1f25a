"""Series of one symbol for the canvas: each takes in the new rows of a live table.

Where a series has steps it is kept at several resolutions, so that minutes are shown in detail and
hours at all. Of books the last of each step is kept, as `session.frame("depth", every=...)` does;
of trades the sums, as `md.cvd(trades, every=...)` gives them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mdkit.canvas.rings import MS, Ring, Rows, in_ms
from mdkit.frames import EventFrame, LiveFrame
from mdkit.frames.flags import AFTER_GAP
from mdkit.frames.live import Block
from mdkit.orderflow.columns import BUY, NEUTRAL, SELL, Trades, sides
from mdkit.orderflow.cvd import running_delta, sums_by

STEPS_MS = (50.0, 500.0, 5_000.0)
CAPACITY = 2_400
"""Steps kept at each resolution: 2 minutes, 20 minutes and over 3 hours."""
TRADES, SIGNALS, METRICS = 12_000, 8_000, 6_000
CAPACITIES = {
    "books": CAPACITY,
    "flow": CAPACITY,
    "trades": TRADES,
    "signals": SIGNALS,
    "metrics": METRICS,
}
"""Rows kept of each series, here and on the page."""
_SIGNAL_STEP_NS = 50_000_000


class BookSeries:
    """The last book of each step: time, gap, and the columns of a `DepthFrame`."""

    def __init__(self, table: EventFrame[Any]) -> None:
        self._table = table
        self._taken = 0
        width = 2 + sum(kind == "float" for kind in table.columns.values())
        self._rings = [Ring(width, CAPACITY) for _ in STEPS_MS]
        self._folded = [0] * len(STEPS_MS)

    def update(self) -> bool:
        """Take in new books; False where there were none."""
        if self._table.total == self._taken:
            return False
        block = self._table.last_of_steps(self._taken, int(STEPS_MS[0] * MS))
        is_cut = _outran(self._table, self._taken)
        self._taken = self._table.total
        if not block.received.size:
            return False
        rows = np.empty((block.received.size, self._rings[0].width))
        rows[:, 0] = in_ms(block.received)
        rows[:, 1] = (block.flags & AFTER_GAP) > 0
        rows[0, 1] = max(rows[0, 1], is_cut)
        rows[:, 2:] = block.floats.T
        for part in _parts(rows, CAPACITY // 2):
            _append(self._rings[0], part, STEPS_MS[0])
            for level in range(1, len(STEPS_MS)):
                if self._rings[0].total - self._folded[level] > CAPACITY // 2:
                    self.ring(level)
        return True

    def ring(self, level: int) -> Ring:
        """Return the series at one of the resolutions, up to date."""
        ring, finest = self._rings[level], self._rings[0]
        if level and finest.total:
            # The finest row seen last may have been given anew since: it goes again.
            rows = finest.since(self._folded[level] - 1)
            self._folded[level] = finest.total
            firsts, lasts = _steps(rows[:, 0], STEPS_MS[level])
            folded = rows[lasts].copy()
            folded[:, 1] = np.maximum.reduceat(rows[:, 1], firsts)
            _append(ring, folded, STEPS_MS[level])
        return ring


def _outran(table: EventFrame[Any], taken: int) -> bool:
    """Whether rows came and went since `taken` of them had been looked at."""
    return bool(taken) and table.total - taken > len(table)


def _parts(rows: Rows, size: int) -> list[Rows]:
    """Return rows in parts, none of which a ring is too small for."""
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def _append(ring: Ring, rows: Rows, step: float) -> None:
    """Append rows, each of which takes the place of one before in the same step."""
    steps = rows[:, 0] // step
    same = np.flatnonzero(steps[1:] == steps[:-1])
    if same.size:  # where rows came in two parts
        rows[same + 1, 1] = np.maximum(rows[same, 1], rows[same + 1, 1])
        rows = np.delete(rows, same, 0)
    if len(ring) and (newest := ring.rows[-1])[0] // step == steps[0]:
        rows[0, 1] = max(rows[0, 1], newest[1])
        ring.amend(rows[0])
        rows = rows[1:]
    if len(rows):
        ring.append(rows)


class TradeSeries:
    """Trades one by one (time, price, size, side, gap, cumulative delta), and their flow in steps.

    Rows of a flow: end of the step, bought, sold, neutral, cumulative delta, gap.
    """

    def __init__(self, table: EventFrame[Any]) -> None:
        self._table = table
        self._taken = 0
        self._delta = 0.0
        self.ring = Ring(6, TRADES)
        self._flows = [Ring(6, CAPACITY) for _ in STEPS_MS]
        self._folded = [0] * len(STEPS_MS)

    def update(self) -> Trades | None:
        """Take in new trades and return them; None where there were none."""
        if self._table.total == self._taken:
            return None
        new = _trades(self._table.since(self._taken))
        is_cut = _outran(self._table, self._taken)
        self._taken = self._table.total
        if not new.received.size:
            return None
        new.gap[0] |= is_cut
        total = running_delta(new, self._delta)
        self._delta = float(total[-1])
        columns = (in_ms(new.received), new.price, new.size, new.side, new.gap, total)
        for part in _parts(np.column_stack(columns), TRADES // 2):
            self.ring.append(part)
            for level in range(len(STEPS_MS)):
                if self.ring.total - self._folded[level] > TRADES // 2:
                    self.flow(level)
        return new

    def flow(self, level: int) -> Ring:
        """Return the flow at one of the resolutions, up to date."""
        ring, step = self._flows[level], STEPS_MS[level]
        rows = self.ring.since(self._folded[level])
        self._folded[level] = self.ring.total
        if len(rows):
            size, side = rows[:, 2], rows[:, 3]
            by_side = [np.where(side == one, size, 0.0) for one in (BUY, SELL, NEUTRAL)]
            _take_flow(ring, np.ceil(rows[:, 0] / step) * step, by_side, rows[:, 5], rows[:, 4])
        return ring

    def held(self) -> Trades:
        """Return the trades that were taken in, as far as the table still holds them."""
        # None that came since: whoever folds these folds what `update` returns as well.
        block = self._table.since(self._table.total - self._table.capacity)
        newer = self._table.total - self._taken
        return _trades(block.rows(0, max(0, block.received.size - newer)))


def _trades(block: Block) -> Trades:
    gap = (block.flags & AFTER_GAP) > 0
    price, size = block.floats[:2]
    return Trades(block.received, price, size, sides(block.objects[0]), gap)


def _take_flow(ring: Ring, ends: Rows, by_side: list[Rows], total: Rows, gap: Rows) -> None:
    if len(ring) and ring.rows[-1, 0] == ends[0]:
        # Summed on from where the step stood, so that the sums have the bits of a plain loop.
        last = ring.rows[-1].copy()
        ends = np.append(last[0], ends)
        by_side = [np.append(last[1 + n], sizes) for n, sizes in enumerate(by_side)]
        total, gap = np.append(last[4], total), np.append(last[5], gap)
    groups, lasts, *sums = sums_by(ends, *by_side)  # type: ignore[arg-type]
    missed = np.zeros(groups.size)
    np.maximum.at(missed, np.searchsorted(groups, ends), gap)
    rows = np.column_stack((groups, *sums, total[lasts], missed))
    if len(ring) and ring.rows[-1, 0] == groups[0]:
        ring.amend(rows[0])
        rows = rows[1:]
    ring.append(rows)


class SignalSeries:
    """What strategies said of one symbol: time, the strategy's number, value.

    Of each strategy the last of 50 ms, or where a value changed its sign.
    """

    def __init__(self, table: LiveFrame[Any], symbol: str) -> None:
        self._table = table
        self._symbol = symbol
        self._taken = 0
        self._last: dict[str, int] = {}
        self.strategies: dict[str, int] = {}
        self.ring = Ring(3, SIGNALS)

    def update(self) -> bool:
        """Take in new signals; False where there were none."""
        if self._table.total == self._taken:
            return False
        block = self._table.since(self._taken)
        self._taken = self._table.total
        symbols, names = block.objects
        ours = np.flatnonzero(symbols == self._symbol)
        if not ours.size:
            return False
        values = block.floats[0, ours]
        # Step and sign in one number: a row that has that of the one before is left out.
        kinds = 2 * (block.received[ours] // _SIGNAL_STEP_NS) + (values > 0)
        names, is_new = names[ours], np.zeros(ours.size, bool)
        numbers = np.empty(ours.size)
        for name in dict.fromkeys(names.tolist()):
            its = np.flatnonzero(names == name)
            numbers[its] = self.strategies.setdefault(name, len(self.strategies))
            is_new[its] = np.diff(kinds[its], prepend=self._last.get(name, -1)) != 0
            self._last[name] = int(kinds[its[-1]])
        wanted = np.flatnonzero(is_new)
        if not wanted.size:
            return False
        stamps = in_ms(block.received[ours[wanted]])
        self.ring.append(np.column_stack((stamps, numbers[wanted], values[wanted])))
        return True


class MetricSeries:
    """The queue over time: time, queued, spilled, in, out, lost (messages a second), lag (ms)."""

    def __init__(self, table: LiveFrame[Any], since: int = 0) -> None:
        self._table = table
        self._taken = since
        self._last = (0.0, 0.0)
        self.ring = Ring(7, METRICS)

    def update(self) -> bool:
        """Take in new samples; False where there were none."""
        if self._table.total == self._taken:
            return False
        block = self._table.since(self._taken)
        self._taken = self._table.total
        if not block.received.size:
            return False
        rows = np.empty((block.received.size, 7))
        rows[:, 0] = in_ms(block.received)
        queued, spilled, coming, going, dropped, lag = block.floats
        for column, values in enumerate((queued, spilled, coming, going, dropped, lag), start=1):
            rows[:, column] = values
        at, before = self._last if self._last[0] else (rows[0, 0], dropped[0])
        seconds = np.diff(rows[:, 0], prepend=at) / 1e3
        lost = np.diff(dropped, prepend=before)
        rows[:, 5] = np.divide(lost, seconds, out=np.zeros_like(lost), where=seconds > 0)
        self._last = (float(rows[-1, 0]), float(dropped[-1]))
        self.ring.append(rows)
        return True


def _steps(stamps: Rows, step: float) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return where each step begins and ends among rows."""
    edges = np.flatnonzero(np.diff(stamps // step)) + 1
    return np.append(0, edges), np.append(edges - 1, stamps.size - 1)
