"""What the canvas shows of a session: collected from its frames, cut into pictures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mdkit.canvas.rings import MS, Ring, Rows
from mdkit.orderflow.columns import Trades, checked_time
from mdkit.orderflow.footprint import FootprintBuilder, bar_rows, smallest_step
from mdkit.orderflow.profile import profile_of, value_area
from mdkit.orderflow.steps import nice_step
from mdkit.views.dashboard.gaps import RecentGaps
from mdkit.views.dashboard.series import (
    CAPACITIES,
    STEPS_MS,
    BookSeries,
    MetricSeries,
    SignalSeries,
    TradeSeries,
)
from mdkit.views.dashboard.state import book_fault

if TYPE_CHECKING:
    from mdkit.pipeline.pipeline import Pipeline

BARS = 600
"""Footprint bars kept."""
_CELLS = 24
"""Cells that a footprint bar should have at most; more are joined."""
_FEW_PRICES = 250
_BINS = 150
"""Bins of the volume profile where more prices than `_FEW_PRICES` were traded."""
_PROFILE_SECONDS = 0.25
_BARS_SECONDS = 0.1
"""How often the bar that is forming is sent."""


class Collector:
    """Keeps the series of one symbol up to date. To be used in the pipeline's loop.

    Args:
        pipeline: what is looked at.
        symbol: of which; None takes the first of which anything has come.
        interval: of the footprint bars.
        level: which of `STEPS_MS` pictures show.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        symbol: str | None = None,
        interval: str = "5s",
        level: int = 0,
    ) -> None:
        self.pipeline = pipeline
        self.interval = interval
        self.level = level
        self.symbol = ""
        self.beginnings = pipeline.beginnings
        self.metrics = MetricSeries(pipeline.metrics)
        self.range = (0.0, 0.0)
        self.is_anew = False
        """Whether what pictures showed before has no place in the next one."""
        self.begin(symbol or "")

    def begin(self, symbol: str) -> None:
        """Look at another symbol, or at the same one anew."""
        pipeline = self.pipeline
        self.symbol = symbol
        self.books: BookSeries | None = None
        self.trades: TradeSeries | None = None
        self.signals = SignalSeries(pipeline.signals, symbol)
        self.gaps = RecentGaps(symbol)
        self.changed_bars: set[int] = set()
        self._begin_bars(None)
        self._sent: dict[str, int] = {}
        self._newest_sent: int | None = None
        self._profile_at = self._bars_at = 0.0
        self._profile: Rows | None = None

    def fold(self, interval: str) -> None:
        """Fold the trades held into bars of another interval."""
        checked_time("interval", interval)
        self.interval = interval
        self._begin_bars(None if self.trades is None else self.trades.held())

    def _begin_bars(self, held: Trades | None) -> None:
        step_ns = checked_time("interval", self.interval)
        self.footprint = FootprintBuilder(step_ns)
        if held is not None and held.received.size:
            self.footprint.add(held)
            self._fit_cells(held)
        self.changed_bars = set(self.footprint.bars)
        self.tick = float("inf")

    def _fit_cells(self, held: Trades) -> None:
        """Join prices into cells where bars would have more than can be read."""
        counts = [len(bar.cells) for bar in self.footprint.bars.values()]
        if not counts or max(np.median(counts), counts[-1] / 2) <= _CELLS:
            return
        spans = [bar.high - bar.low for bar in self.footprint.bars.values()]
        least = max(float(np.median(spans)), spans[-1]) / _CELLS
        step = round(nice_step(least), 12)
        self.footprint = FootprintBuilder(self.footprint.step_ns, step)
        self.footprint.add(held)

    def _fit_newest(self) -> None:
        """Join prices once the bar that forms has far more than can be read."""
        newest = next(reversed(self.footprint.bars.values()))
        if self.footprint.price_step is None and len(newest.cells) > 2 * _CELLS:
            assert self.trades is not None
            self._fit_cells(self.trades.held())
            self.changed_bars = set(self.footprint.bars)

    # -- collecting ---------------------------------------------------------------------------

    def update(self) -> bool:
        """Take in what has come; False where nothing has."""
        if self.beginnings != self.pipeline.beginnings:  # a replay has jumped
            self.beginnings = self.pipeline.beginnings
            self.metrics = MetricSeries(self.pipeline.metrics, self.pipeline.metrics.total)
            self.begin(self.symbol)
            self.is_anew = True
        if not self.symbol:
            self._choose()
        frames = self.pipeline.frames
        is_new = self.metrics.update()
        if self.books is None and self.symbol in frames.symbols("depth"):
            self.books = BookSeries(frames.table("depth", self.symbol))
        if self.books is not None:
            is_new |= self.books.update()
        if self.trades is None and self.symbol in frames.symbols("trade"):
            self.trades = TradeSeries(frames.table("trade", self.symbol))
            if self.trades.update() is not None:
                self._begin_bars(self.trades.held())
                is_new = True
        elif self.trades is not None and (new := self.trades.update()) is not None:
            self.changed_bars |= self.footprint.add(new)
            is_new = True
            self._fit_newest()
        is_new |= self.signals.update()
        is_new |= self.gaps.look(self.pipeline)
        bars = self.footprint.bars
        while len(bars) > BARS:
            del bars[next(iter(bars))]
        return is_new

    def _choose(self) -> None:
        frames = self.pipeline.frames
        seen = (*frames.symbols("depth"), *frames.symbols("trade"))
        wanted = [symbol for symbol in self.pipeline.source.symbols if symbol in seen]
        if wanted or seen:
            self.begin((wanted or seen)[0])

    def ring(self, name: str) -> Ring | None:
        """Return a series by name, at the resolution that pictures show."""
        if name == "books":
            return None if self.books is None else self.books.ring(self.level)
        if name == "flow":
            return None if self.trades is None else self.trades.flow(self.level)
        if name == "trades":
            return None if self.trades is None else self.trades.ring
        return self.signals.ring if name == "signals" else self.metrics.ring

    @property
    def last_ms(self) -> float:
        """When the newest book or trade was received."""
        newest = [ring.rows[-1, 0] for ring in (self.ring("books"), self.ring("trades"))
                  if ring is not None and len(ring)]  # fmt: skip
        return float(max(newest, default=0.0))

    @property
    def price_step(self) -> float:
        """The height of a footprint's cell."""
        return self.footprint.price_step or (self.tick if self.tick < float("inf") else 0.01)

    # -- pictures -----------------------------------------------------------------------------

    def parts(self, anew: bool) -> dict[str, Rows]:
        """Return what the page does not have yet; all of it with `anew`."""
        if anew:
            self._sent.clear()
            self.changed_bars = set(self.footprint.bars)
            self._profile_at = self._bars_at = 0.0
        parts: dict[str, Rows] = {}
        for name in ("books", "flow", "trades", "signals", "metrics"):
            ring = self.ring(name)
            if ring is None or not len(ring):
                continue
            sent = self._sent.get(name, 0)
            # The newest step may have changed since: it goes again.
            again = 1 if name in ("books", "flow") and sent else 0
            rows = ring.since(sent - again)
            self._sent[name] = ring.total
            if len(rows):
                parts[name] = rows
        self._add_bars(parts)
        self._add_profile(parts)
        return parts

    def _add_bars(self, parts: dict[str, Rows]) -> None:
        now = time.monotonic()
        if now - self._bars_at < _BARS_SECONDS:
            return
        bars = self.footprint.bars
        if self.changed_bars.isdisjoint(bars):
            return
        self._bars_at = now
        newest = next(reversed(bars))
        if self._newest_sent not in (None, newest):
            self.changed_bars.add(self._newest_sent)  # it forms no longer, and is whole by now
        self._newest_sent = newest
        if self._is_tick_smaller():
            self.changed_bars = set(bars)  # what is an imbalance depends on it
        changed = [bars[start] for start in sorted(self.changed_bars) if start in bars]
        self.changed_bars = set()
        parts["bars"] = np.array(
            [
                (
                    *(bar.start_ns / MS, bar.open, bar.high, bar.low, bar.close),
                    *(bar.volume, bar.delta, bar.point_of_control),
                    float(bar.partial or bar.start_ns == newest),
                )
                for bar in changed
            ]
        )
        tick = self.price_step
        marks = {"buy": 1.0, "sell": -1.0, "": 0.0}
        parts["cells"] = np.array(
            [
                (row[0] / MS, *row[1:5], marks[row[7]])
                for bar in changed
                for row in bar_rows(bar, tick)
            ]
        )

    def _is_tick_smaller(self) -> bool:
        """Take in the prices of bars that changed; True where they lie closer than any before."""
        if self.footprint.price_step is not None:
            return False
        before, bars = self.tick, self.footprint.bars
        prices = {p for start in self.changed_bars if start in bars for p in bars[start].cells}
        if len(prices) > 1:
            self.tick = min(self.tick, smallest_step(prices))
        return self.tick < before

    def _add_profile(self, parts: dict[str, Rows]) -> None:
        """Add the volume profile of the trades in the range that is shown."""
        now = time.monotonic()
        if self.trades is None or now - self._profile_at < _PROFILE_SECONDS:
            return
        self._profile_at = now
        rows = self.trades.ring.rows
        begin, end = self.range
        if end > begin:
            first, last = np.searchsorted(rows[:, 0], (begin, end))
            rows = rows[first:last]
        found = profile_rows(rows)
        if len(found) or self._profile is not None:
            parts["profile"] = self._profile = found

    @property
    def now_ms(self) -> float:
        """The newest moment of a picture: that of the source's clock, or of the end."""
        last = self.last_ms
        if last and self.pipeline.finished.is_set():
            return last
        return self.pipeline.source.clock_ns() / MS

    @property
    def seen_ms(self) -> float:
        """Until when the newest book is known to stand: now, unless anything speaks against it."""
        pipeline, source = self.pipeline, self.pipeline.source
        waiting = len(pipeline.buffer) + len(pipeline.buffer.spill)
        is_known = (
            source.connected
            and not source.stale_for
            and not pipeline.paused
            and not pipeline.finished.is_set()
            and not waiting  # it may be an older one that was handled last
            and not book_fault(source, self.symbol)
        )
        return self.now_ms if is_known else self.last_ms

    def head(self) -> dict[str, Any]:
        """Return what goes with every picture: names, and moments in ms since the epoch."""
        return {
            "symbol": self.symbol,
            "now": self.now_ms,
            "seen": self.seen_ms,
            "level": self.level,
            "step": STEPS_MS[self.level],
            "interval": self.interval,
            "interval_ms": self.footprint.step_ns / MS,
            "price_step": self.price_step,
            "strategies": list(self.signals.strategies),
            "gaps": self.gaps.rows,
        }


def constants(pipeline: Pipeline) -> Mapping[str, Any]:
    """Return what never changes of a pipeline."""
    return {
        "steps": STEPS_MS,
        "capacity": {**CAPACITIES, "bars": BARS},
        "levels": pipeline.frames.levels,
        "maxsize": pipeline.buffer.maxsize,
    }


def profile_rows(rows: Rows) -> Rows:
    """Return the volume profile of trades: price, sold, bought, neutral, point of control, area."""
    if not len(rows):
        return np.empty((0, 6))
    trades = _trades(rows)
    bins = _BINS if np.unique(trades.price).size > _FEW_PRICES else None
    prices, sold, bought, neutral = profile_of(trades, bins)
    poc, inside = value_area(sold + bought + neutral)
    return np.column_stack((prices, sold, bought, neutral, poc, inside))


def _trades(rows: Rows) -> Trades:
    stamps = np.rint(rows[:, 0] * MS).astype(np.int64)
    return Trades(stamps, rows[:, 1], rows[:, 2], rows[:, 3].astype(np.int8), rows[:, 4] > 0)
