"""The newest rows of a series on the kernel's side, in the form in which the page wants them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float64]
"""Shape (rows, columns); the first column is a time in milliseconds since the epoch."""

MS = 1_000_000
"""Nanoseconds in a millisecond."""


def in_ms(stamps: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return nanoseconds since the epoch as milliseconds, exact to a quarter of a µs.

    In two parts, since as float64 the nanoseconds alone are only exact to a quarter of a µs
    either, and what is a whole millisecond would not stay one.
    """
    found: npt.NDArray[np.float64] = stamps // MS + (stamps % MS) / MS
    return found


class Ring:
    """The last `capacity` rows, each `width` numbers.

    `total` counts all rows ever. The newest row may be given anew (`amend`), so whoever has seen
    rows up to `total` should take the last one again.
    """

    def __init__(self, width: int, capacity: int) -> None:
        self.width = width
        self.capacity = capacity
        self.total = 0
        self._rows = np.empty((min(2 * capacity, 256), width))
        self._start = self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def rows(self) -> Rows:
        """The rows held, oldest first: a view, good until the next change."""
        return self._rows[self._start : self._end]

    def append(self, rows: Rows) -> None:
        """Append rows."""
        count = len(rows)
        self.total += count
        rows = rows[-self.capacity :]
        count = len(rows)
        if self._end + count > len(self._rows):
            self._make_room(count)
        self._rows[self._end : self._end + count] = rows
        self._end += count
        self._start = max(self._start, self._end - self.capacity)

    def amend(self, row: Rows) -> None:
        """Give the newest row anew."""
        self._rows[self._end - 1] = row

    def since(self, total: int) -> Rows:
        """Return the rows that came after `total` of them had, as far as they are held."""
        new = min(max(self.total - total, 0), len(self))
        return self._rows[self._end - new : self._end]

    def _make_room(self, count: int) -> None:
        kept = self.rows[max(0, len(self) + count - self.capacity) :].copy()
        size = min(2 * self.capacity, max(2 * len(self._rows), len(kept) + count))
        if size > len(self._rows):
            self._rows = np.empty((size, self.width))
        self._rows[: len(kept)] = kept
        self._start, self._end = 0, len(kept)
