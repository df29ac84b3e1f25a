"""A symbol's tape: its last trades, and its minutes folded from them, in whole ticks."""

from __future__ import annotations

from collections import deque

import msgspec

from mdkit.events import Trade

MINUTE_MS = 60_000
Row = tuple[int, int, int, int, int, int]
"""Open, high, low, close in ticks, volume in units, turnover in ticks times units."""


class Tape:
    """What has traded since the exchange opened at `opened_ms`, beginning from `ticks`."""

    def __init__(self, ticks: int, opened_ms: int) -> None:
        self.first_minute = opened_ms // MINUTE_MS
        self.first = self.last = self.high = self.low = ticks
        self.volume = 0
        self.trades: deque[Trade] = deque(maxlen=1000)
        self._minutes: dict[int, list[int]] = {}

    def record(self, ms: int, ticks: int, units: int) -> None:
        """Fold one execution into its minute."""
        minute = ms // MINUTE_MS
        if minute < self.first_minute:
            # A recording's clocks may run backwards across symbols, never by much.
            minute = self.first_minute
        row = self._minutes.get(minute)
        if row is None:
            self._minutes[minute] = [ticks, ticks, ticks, ticks, units, ticks * units]
        else:
            if ticks > row[1]:
                row[1] = ticks
            if ticks < row[2]:
                row[2] = ticks
            row[3] = ticks
            row[4] += units
            row[5] += ticks * units
        self.last = ticks
        self.high = max(self.high, ticks)
        self.low = min(self.low, ticks)
        self.volume += units

    def rows(self, first: int, end: int) -> list[Row]:
        """Return the minutes [first, end), counted from the epoch, none before the opening.

        A minute without a trade is flat at the last price and has no volume.
        """
        rows: list[Row] = []
        close = self.first
        if first > self.first_minute:
            before = [minute for minute in self._minutes if minute < first]
            if before:
                close = self._minutes[max(before)][3]
        for minute in range(max(first, self.first_minute), end):
            row = self._minutes.get(minute)
            if row is None:
                rows.append((close, close, close, close, 0, 0))
            else:
                rows.append((row[0], row[1], row[2], row[3], row[4], row[5]))
                close = row[3]
        return rows


class Figures(msgspec.Struct, frozen=True):
    """The previous UTC day's figures, which the tickers' 24-hour figures build on."""

    open: int
    high: int
    low: int
    volume: int
