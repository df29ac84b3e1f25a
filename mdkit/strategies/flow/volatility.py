"""Realised volatility of the mid price."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from mdkit.errors import SettingsError
from mdkit.events import Depth
from mdkit.measures import mid
from mdkit.strategies.flow.flow import NAN, Bools, Floats, Flow, Ints, column, nanoseconds, time_of

if TYPE_CHECKING:
    import pandas as pd


class RealizedVolatility(Flow):
    """The square root of the summed squared returns of the mid over a window, in bp.

    The mid is looked at every `step`, at multiples of it; each return is relative to the step
    before. A mid that is unknown, zero or below counts as the last one before. `window` is rounded
    to whole steps. Source: Andersen, Bollerslev, Diebold and Labys, "Modeling and forecasting
    realized volatility", Econometrica 71 (2003).

    Example:
        >>> books = md.read_recording(md.sample()).frame("depth", "AAPL.US")
        >>> round(float(md.RealizedVolatility("200ms", "2s").over(books).iloc[-1]), 2)
        3.15
    """

    channel = "depth"

    def __init__(self, step: str = "1s", window: str = "1min") -> None:
        self.step, self.window = step, window
        self._step_ns = nanoseconds(step, "RealizedVolatility: step")
        self._count = round(nanoseconds(window, "RealizedVolatility: window") / self._step_ns)
        if self._count < 1:
            raise SettingsError(f"RealizedVolatility: window {window} is shorter than step {step}")
        self.reset()

    def __repr__(self) -> str:
        return f"RealizedVolatility({self.step}, {self.window})"

    def reset(self) -> None:
        """Begin anew, as after a gap."""
        self._squares: deque[float] = deque(maxlen=self._count)
        self._price = self._sampled = NAN
        self._cell: int | None = None
        self.ready, self.value = False, NAN

    def update(self, event: Depth) -> float:
        """Take the next book; return the volatility of the steps that are over."""
        return self._take(time_of(event), mid(event))

    def _take(self, time: int, price: float) -> float:
        cell = time // self._step_ns
        if self._cell is not None and cell < self._cell:
            self.reset()
        if self._cell is not None and cell > self._cell:
            self._end_steps(cell - self._cell)
        self._cell = cell
        if price > 0.0:
            self._price = price
        return self.value

    def _end_steps(self, count: int) -> None:
        """End the step under way, and those after it in which nothing came."""
        if self._sampled == self._sampled:
            change = self._price / self._sampled - 1.0
            self._squares.append(change * change)
        self._sampled = self._price
        if self._sampled == self._sampled:
            self._squares.extend([0.0] * min(count - 1, self._count))
        self.ready = len(self._squares) == self._count
        total = 0.0
        for square in self._squares:
            total += square
        self.value = math.sqrt(total) * 1e4 if self.ready else NAN

    def _over(self, table: pd.DataFrame, times: Ints, breaks: Bools) -> Floats:
        fresh = RealizedVolatility(self.step, self.window)
        values = np.empty(len(times))
        mids = column(table, "mid", "RealizedVolatility")
        cells = times // self._step_ns
        # Between two steps the value stays, so only the last row of each is looked at.
        starts = np.flatnonzero(np.append(True, (cells[1:] != cells[:-1]) | breaks[1:]))
        known = np.flatnonzero(mids > 0.0)
        ends = np.append(starts[1:], len(times))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            if breaks[start]:
                fresh.reset()
            at = known[np.searchsorted(known, end) - 1] if len(known) else -1
            price = float(mids[at]) if start <= at < end else NAN
            values[start:end] = fresh._take(int(times[start]), price)
        return values
