"""Bars as plain columns, which is how they are paged, merged and cached; and as a DataFrame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from mdkit.venues.rest.klines import Kline

if TYPE_CHECKING:
    import pandas as pd

Stretch = tuple[int, int]
"""A stretch of time [from, to) in ms since the epoch."""

FIGURES = ("open", "high", "low", "close", "volume", "quote_volume")


class Klines(NamedTuple):
    """Bars in order of their starts, which are unique.

    `starts` is in ms since the epoch, shape (n,); `figures` has a row for each of `FIGURES`,
    shape (6, n), with nan where a service gives no quote volume.
    """

    starts: npt.NDArray[np.int64]
    figures: npt.NDArray[np.float64]

    @classmethod
    def of(cls, klines: Sequence[Kline]) -> Self:
        """Return decoded bars in order; of two with the same start the later one counts."""
        count = len(klines)
        starts = np.fromiter([k.time for k in klines], np.int64, count)
        figures = np.empty((len(FIGURES), count))
        for row, name in zip(figures[:-1], FIGURES, strict=False):
            row[:] = [getattr(k, name) for k in klines]
        nan = float("nan")
        figures[-1] = [nan if k.quote_volume is None else k.quote_volume for k in klines]
        return cls(starts, figures).sorted()

    @classmethod
    def empty(cls) -> Self:
        """Return no bars."""
        return cls(np.empty(0, np.int64), np.empty((len(FIGURES), 0)))

    @property
    def bars(self) -> int:
        """How many bars these are."""
        return int(self.starts.size)

    def sorted(self) -> Self:
        """Return the bars in order; of several with the same start the last one counts."""
        if self.starts.size < 2 or bool((np.diff(self.starts) > 0).all()):
            return self
        order = np.argsort(self.starts, kind="stable")
        starts = self.starts[order]
        last = np.append(starts[1:] != starts[:-1], True)
        return type(self)(starts[last], self.figures[:, order[last]])

    def between(self, start: int, end: int) -> Self:
        """Return the bars that begin in [start, end)."""
        first, last = np.searchsorted(self.starts, [start, end])
        if first == 0 and last == self.starts.size:
            return self
        return type(self)(self.starts[first:last], self.figures[:, first:last])

    def merged(self, *later: Klines) -> Self:
        """Return these and further bars as one; where both have a bar, the later one counts."""
        several: list[Klines] = [self, *later]
        parts = [part for part in several if part.starts.size]
        if not parts:
            return self
        starts = np.concatenate([part.starts for part in parts])
        figures = np.concatenate([part.figures for part in parts], axis=1)
        return type(self)(starts, figures).sorted()


def to_frame(
    klines: Klines, symbol: str | None = None, interval: str | None = None
) -> pd.DataFrame:
    """Return bars as a DataFrame: UTC index `time` (a bar's start), a float column a figure.

    `quote_volume` is there only where some bar has one. `attrs` name symbol and interval.
    """
    import pandas as pd

    figures = klines.figures
    quoted = figures.shape[1] > 0 and not bool(np.isnan(figures[-1]).all())
    names = FIGURES if quoted else FIGURES[:-1]
    stamps = (klines.starts * 1_000_000).view("M8[ns]")
    index = pd.DatetimeIndex(stamps, copy=False).tz_localize("UTC").rename("time")
    frame = pd.DataFrame(figures[: len(names)].T, index, list(names), copy=False)
    if symbol is not None:
        frame.attrs["symbol"] = symbol
    if interval is not None:
        frame.attrs["interval"] = interval
    return frame


def join_frames(frames: Mapping[str, pd.DataFrame], interval: str | None = None) -> pd.DataFrame:
    """Return one frame of several symbols' bars, with the index levels `symbol` and `time`."""
    import pandas as pd

    bare = []
    for frame in frames.values():
        frame = frame.copy(deep=False)
        frame.attrs = {}
        bare.append(frame)
    joined = pd.concat(bare, keys=list(frames), names=["symbol", "time"])
    if "quote_volume" in joined.columns:
        joined = joined[list(FIGURES)]
    if interval is not None:
        joined.attrs["interval"] = interval
    return joined


def without(whole: Stretch, parts: Sequence[Stretch]) -> list[Stretch]:
    """Return what is left of a stretch when parts of it are taken away."""
    left, at = [], whole[0]
    for start, end in joined_stretches(parts):
        if start >= whole[1]:
            break
        if start > at:
            left.append((at, start))
        at = max(at, end)
    if at < whole[1]:
        left.append((at, whole[1]))
    return left


def joined_stretches(parts: Sequence[Stretch]) -> list[Stretch]:
    """Return stretches in order, those that touch or overlap as one, empty ones left out."""
    joined: list[Stretch] = []
    for start, end in sorted(part for part in parts if part[0] < part[1]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def clipped(parts: Sequence[Stretch], start: int, end: int) -> Iterator[Stretch]:
    """Yield the parts of stretches that lie in [start, end)."""
    for a, b in parts:
        a, b = max(a, start), min(b, end)
        if a < b:
            yield a, b
