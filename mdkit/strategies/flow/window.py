"""Sums over the last stretch of time, by event and over columns, with the same bits.

Nothing is ever subtracted, which would leave rounding behind for good. Time is cut at multiples
of the window, so that a window is always the end of one piece and the beginning of the next. Of
the piece that is under way there is a running total; when it is over, the totals of all its
endings are made at once, from the newest back. A window's sum is one of these and the running
total: a queue made of two stacks (see `mdkit.strategies.indicators`), turned by the clock.
"""

from __future__ import annotations

import numpy as np

from mdkit.strategies.flow.flow import Bools, Floats, Ints


class TimeWindow:
    """Sums of `width` figures of the events in (t - length, t].

    Attributes:
        sums: after `add`.
        is_full: whether a whole window has passed since the first event.
    """

    def __init__(self, length: int, width: int) -> None:
        self.length, self.width = length, width
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.sums = [0.0] * self.width
        self.is_full = False
        self._first = self._last = 0
        self._piece: int | None = None
        self._times: list[int] = []
        self._rows: list[tuple[float, ...]] = []
        self._totals = [0.0] * self.width
        self._old_times: list[int] = []
        self._endings: list[list[float]] = []
        self._at = 0

    def add(self, time: int, *figures: float) -> None:
        """Take an event's figures; one before the last begins anew."""
        if self._piece is not None and time < self._last:
            self.reset()
        piece = time // self.length
        if self._piece is None:
            self._first = time
        elif piece != self._piece:
            self._turn(follows=piece == self._piece + 1)
        self._piece, self._last = piece, time
        self._times.append(time)
        self._rows.append(figures)
        self._totals = [total + figure for total, figure in zip(self._totals, figures, strict=True)]
        old, begin = self._old_times, time - self.length
        while self._at < len(old) and old[self._at] <= begin:
            self._at += 1
        if self._at < len(old):
            endings = self._endings[self._at]
            self.sums = [old + new for old, new in zip(endings, self._totals, strict=True)]
        else:
            self.sums = list(self._totals)
        self.is_full = self.is_full or time - self._first >= self.length

    def _turn(self, *, follows: bool) -> None:
        """Make the endings of the piece that is over; without what came between, forget it."""
        self._old_times, self._endings, self._at = [], [], 0
        if follows:
            self._old_times = self._times
            total = [0.0] * self.width
            endings = []
            for row in reversed(self._rows):
                total = [before + figure for before, figure in zip(total, row, strict=True)]
                endings.append(total)
            self._endings = endings[::-1]
        self._times, self._rows, self._totals = [], [], [0.0] * self.width


def window_sums(times: Ints, breaks: Bools, columns: Floats, length: int) -> tuple[Floats, Bools]:
    """Return what `TimeWindow` gives after each event: sums like `columns`, and `is_full`.

    `columns` has the shape (width, events).
    """
    count = len(times)
    runs = np.cumsum(breaks)
    pieces = times // length
    starts = (
        np.flatnonzero(np.append(True, (pieces[1:] != pieces[:-1]) | (runs[1:] != runs[:-1])))
        if count
        else np.zeros(0, np.int64)
    )
    ends = np.append(starts[1:], count)
    running, endings = np.empty_like(columns), np.empty_like(columns)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        part = columns[:, start:end]
        np.cumsum(part, axis=1, out=running[:, start:end])
        endings[:, start:end] = np.cumsum(part[:, ::-1], axis=1)[:, ::-1]
    sums = running.copy()
    for piece in range(1, len(starts)):
        start, end, before = int(starts[piece]), int(ends[piece]), int(starts[piece - 1])
        if pieces[start] != pieces[before] + 1 or runs[start] != runs[before]:
            continue
        # The first event of the piece before that is within each window.
        at = before + np.searchsorted(times[before:start], times[start:end] - length, side="right")
        within = at < start
        rows = np.arange(start, end)[within]
        sums[:, rows] = endings[:, at[within]] + running[:, rows]
    firsts = np.zeros(int(runs[-1]) + 1 if count else 0, np.int64)
    firsts[runs[::-1]] = times[::-1]
    return sums, times - firsts[runs] >= length
