"""The past: minute bars for every symbol since 2000, any of them at once, from a seed.

Every number is a hash of (seed, symbol, what it is for, index), so that any day can be had
without those before it, and the same everywhere: no random generator whose stream may change
with a library's version. A day's close comes from a mean-reverting walk of log prices; its
minutes are a walk tied to the day before's close and to its own. All longer bars aggregate
these minutes, in integers, so that they agree exactly.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from mdkit.exchange.config import FIRST_MS, LAST_MS
from mdkit.exchange.market.hours import open_minutes, session_of, trades_between
from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.market.periods import DAY_MS, FIXED, following, period_start
from mdkit.exchange.market.tape import MINUTE_MS, Tape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]
    """Shape (n, 6): open, high, low, close in ticks, volume in units, turnover."""

MINUTES = 1440
_FIRST_DAY = FIRST_MS // DAY_MS
_DAYS = LAST_MS // DAY_MS - _FIRST_DAY
_REVERSION = 0.995
_CACHED_DAYS = 128
_CHUNK = 32
_CLOSED = -1
"""The volume of a day without trading."""


def _key(*parts: object) -> int:
    digest = blake2b("|".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _hash(key: int, index: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return splitmix64 of each index (Steele, Lea, Flood: Fast splittable generators, 2014)."""
    z = index * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return mixed


def _normal(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return nearly normal deviates: the standardised sum of a hash's four 16-bit parts."""
    low = np.uint64(0xFFFF)
    total = sum(((bits >> np.uint64(shift)) & low).astype(np.int64) for shift in (0, 16, 32, 48))
    return (np.asarray(total) - 131_070) / 37_837.2


def _uniform(bits: NDArray[np.uint64], shift: int) -> NDArray[np.float64]:
    return ((bits >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.float64) / 65_536


class History:
    """One symbol's past up to `opened_ms`, and from there on what its tape says.

    The day of the opening starts and ends its past part at the previous day's close, which is
    the price that trading starts at: whatever the time of day, the same messages follow.
    `anchor` moves the whole history so that this price is that number of ticks. `hours` leaves
    out the minutes in which there is no trading; prices go on moving meanwhile.
    """

    def __init__(
        self,
        instrument: Instrument,
        seed: int,
        opened_ms: int,
        anchor: int | None = None,
        hours: str | None = None,
    ) -> None:
        self._keeps_hours = hours is not None
        self._instrument = instrument
        self._opened_day = opened_ms // DAY_MS - _FIRST_DAY
        self._opened_minute = opened_ms // MINUTE_MS
        self._minute_key = _key(seed, instrument.symbol, "minutes")
        self._range_key = _key(seed, instrument.symbol, "ranges")
        key = _key(seed, instrument.symbol, "days")
        self._closes = _day_closes(
            key, instrument.volatility, instrument.base, self._opened_day, anchor
        )
        self._blocks: OrderedDict[int, Rows] = OrderedDict()
        self._daily: dict[int, tuple[int, ...]] = {}
        # Long requests are answered in a thread, to leave the loop to the pushed messages.
        self._lock = threading.Lock()

    @property
    def opening_ticks(self) -> int:
        """The previous UTC day's close, in ticks."""
        return int(self._closes[self._opened_day])

    def previous_day(self) -> tuple[int, ...]:
        """Return open, high, low, close, volume and turnover of the day before the opening.

        Where hours are kept that is the last one with trading.
        """
        day = self._opened_day - 1
        if self._keeps_hours:
            while day > 0 and session_of(day + _FIRST_DAY) is None:
                day -= 1
        with self._lock:
            return tuple(int(x) for x in self._days(day, day + 1)[0])

    def bars(
        self, tape: Tape, interval: str, now_ms: int, start: int | None, end: int | None, limit: int
    ) -> list[tuple[int, tuple[int, ...]]]:
        """Return up to `limit` completed bars as (start in ms, row), oldest first.

        `start` and `end` bound the bars' start times, both inclusive. Without `start` the
        newest are returned, else the first ones from it.
        """
        last = period_start(interval, now_ms)
        if end is not None:
            last = min(last, following(interval, period_start(interval, end)))
        starts: list[int] = []
        if start is None:
            at = last
            while len(starts) < limit and at > FIRST_MS:
                at = period_start(interval, at - 1)
                if at >= FIRST_MS and self._trades_in(interval, at):
                    starts.append(at)
            starts.reverse()
        else:
            at = period_start(interval, max(start, FIRST_MS))
            if at < max(start, FIRST_MS):
                at = following(interval, at)
            while len(starts) < limit and at < last:
                if self._trades_in(interval, at):
                    starts.append(at)
                at = following(interval, at)
        if not starts:
            return []
        rows = self._aggregate(tape, interval, [*starts, following(interval, starts[-1])], now_ms)
        return [(at, row) for at, row in zip(starts, rows, strict=True) if row is not None]

    def _trades_in(self, interval: str, start: int) -> bool:
        return not self._keeps_hours or trades_between(start, following(interval, start))

    def forming(self, tape: Tape, interval: str, now_ms: int) -> tuple[int, tuple[int, ...]]:
        """Return (start in ms, row) of the period that `now_ms` is in, as far as it has come."""
        start = period_start(interval, now_ms)
        edge = (now_ms // MINUTE_MS + 1) * MINUTE_MS
        (row,) = self._aggregate(tape, interval, [start, edge], now_ms)
        return start, row or (tape.last, tape.last, tape.last, tape.last, 0, 0)

    def _aggregate(
        self, tape: Tape, interval: str, edges: list[int], now_ms: int
    ) -> list[tuple[int, ...] | None]:
        """Return one row for each stretch between neighbouring edges (ms); None without trading."""
        with self._lock:
            if interval in FIXED or edges[-1] // DAY_MS == edges[0] // DAY_MS:
                unit, rows = (
                    MINUTE_MS,
                    self._minutes(tape, edges[0] // MINUTE_MS, edges[-1] // MINUTE_MS),
                )
            else:
                unit = DAY_MS
                rows = self._whole_days(tape, edges[0] // DAY_MS, -(-edges[-1] // DAY_MS), now_ms)
        at = (np.array(edges[:-1]) - edges[0]) // unit
        traded = np.ones(len(at), bool)
        if self._keeps_hours:
            if unit == MINUTE_MS:
                first = edges[0] // MINUTE_MS
                open_ = np.flatnonzero(open_minutes(first, first + len(rows)))
            else:
                open_ = np.flatnonzero(rows[:, 4] != _CLOSED)
            begins = np.searchsorted(open_, np.append(at, len(rows)))
            traded = begins[:-1] < begins[1:]
            # Between two stretches with trading no row is left, so that each ends at the next.
            rows, at = rows[open_], begins[:-1][traded]
            if not len(rows):
                return [None] * len(traded)
        ends = np.append(at[1:], len(rows)) - 1
        columns = (
            rows[at, 0],
            np.maximum.reduceat(rows[:, 1], at),
            np.minimum.reduceat(rows[:, 2], at),
            rows[ends, 3],
            np.add.reduceat(rows[:, 4], at),
            np.add.reduceat(rows[:, 5], at),
        )
        found = iter(zip(*(column.tolist() for column in columns), strict=True))
        return [next(found) if has_rows else None for has_rows in traded]

    def _whole_days(self, tape: Tape, first: int, end: int, now_ms: int) -> Rows:
        """Return daily rows of the epoch days [first, end); the last may still be forming."""
        past = min(end, self._opened_day + _FIRST_DAY)
        parts: list[Rows] = []
        if first < past:
            parts.append(self._days(first - _FIRST_DAY, past - _FIRST_DAY))
        now = now_ms // MINUTE_MS + 1
        for day in range(max(first, past), end):
            minutes = self._minutes(tape, day * MINUTES, min((day + 1) * MINUTES, now))
            parts.append(np.array([self._fold(day, minutes)], dtype=np.int64))
        return np.concatenate(parts)

    def _minutes(self, tape: Tape, first: int, end: int) -> Rows:
        """Return the rows of the minutes [first, end), counted from the epoch."""
        parts: list[Rows] = []
        past = min(end, self._opened_minute)
        if first < past:
            zero = _FIRST_DAY * MINUTES
            day, last = (first - zero) // MINUTES, (past - 1 - zero) // MINUTES
            block = np.concatenate(self._day_blocks(day, last + 1))
            base = (day + _FIRST_DAY) * MINUTES
            parts.append(block[first - base : past - base])
        if end > past:
            parts.append(np.array(tape.rows(max(first, past), end), dtype=np.int64))
        return np.concatenate(parts)

    def _days(self, first: int, end: int) -> Rows:
        """Return daily rows of complete days before the opening's, counted from 2000-01-01."""
        for chunk in range(first, end, _CHUNK):
            days = [d for d in range(chunk, min(chunk + _CHUNK, end)) if d not in self._daily]
            if days:
                # Aggregates are kept for good; the minutes, 1,440 times as many, are not.
                for day, block in zip(days, self._make(days), strict=True):
                    self._daily[day] = self._fold(day + _FIRST_DAY, block)
        return np.array([self._daily[day] for day in range(first, end)], dtype=np.int64)

    def _fold(self, day: int, minutes: Rows) -> tuple[int, ...]:
        """Return the row of a day's first minutes; the day is counted from the epoch."""
        if self._keeps_hours:
            minutes = minutes[open_minutes(day * MINUTES, day * MINUTES + len(minutes))]
            if not len(minutes):
                return (1, 1, 1, 1, _CLOSED, 0)
        return _fold(minutes)

    def _day_blocks(self, first: int, end: int) -> list[Rows]:
        wanted = range(first, end)
        missing = [day for day in wanted if day not in self._blocks]
        made: dict[int, Rows] = {}
        for i in range(0, len(missing), _CHUNK):
            days = missing[i : i + _CHUNK]
            made.update(zip(days, self._make(days), strict=True))
        blocks = [made[day] if day in made else self._blocks[day] for day in wanted]
        for day, block in zip(wanted, blocks, strict=True):
            self._blocks[day] = block
            self._blocks.move_to_end(day)
        while len(self._blocks) > _CACHED_DAYS:
            self._blocks.popitem(last=False)
        return blocks

    def _make(self, days: list[int]) -> list[Rows]:
        """Return the minutes of these days; of the opening's day those before the opening."""
        whole = [day for day in days if day != self._opened_day]
        made = dict(zip(whole, self._walks(whole, MINUTES), strict=True)) if whole else {}
        if self._opened_day in days:
            count = self._opened_minute % MINUTES
            made[self._opened_day] = self._walks([self._opened_day], count)[0]
        return [made[day] for day in days]

    def _walks(self, days: list[int], count: int) -> list[Rows]:
        """Return `count` minutes for each day, from the day before's close to its own."""
        if not count:
            return [np.empty((0, 6), dtype=np.int64) for _ in days]
        index = np.array(days, dtype=np.int64)[:, None] * MINUTES + np.arange(count)
        bits = _hash(self._minute_key, index.astype(np.uint64))
        more = _hash(self._range_key, index.astype(np.uint64))
        begin = self._closes[days][:, None]
        is_opening = np.array(days)[:, None] == self._opened_day
        finish = np.where(is_opening, begin, self._closes[np.array(days) + 1][:, None])
        sigma = self._instrument.volatility / MINUTES**0.5 * begin
        walk = np.cumsum(_normal(bits), axis=1)
        part = np.arange(1, count + 1) / count
        path = begin + (finish - begin) * part + sigma * (walk - part * walk[:, -1:])
        close = np.maximum(1, np.rint(path)).astype(np.int64)
        close[:, -1:] = finish
        open_ = np.concatenate([begin, close[:, :-1]], axis=1)
        high = np.maximum(open_, close) + np.rint(sigma * 0.6 * _uniform(more, 0)).astype(np.int64)
        low = np.minimum(open_, close) - np.rint(sigma * 0.6 * _uniform(more, 16)).astype(np.int64)
        low = np.maximum(1, low)
        size = self._instrument.size * 4
        volume = 1 + np.rint(size * (_uniform(more, 32) + 0.2) ** 2).astype(np.int64)
        turnover = volume * (open_ + high + low + close) // 4
        rows = np.stack([open_, high, low, close, volume, turnover], axis=2)
        return list(rows)


@functools.lru_cache(maxsize=32)
def _day_closes(
    key: int, volatility: float, base: float, opened_day: int, anchor: int | None
) -> NDArray[np.int64]:
    """Return the close before day 0 and then each day's, in ticks; all who ask share them.

    To make them is most of the time that it takes to list a symbol.
    """
    # x[k] = r x[k-1] + e[k], written without a loop. r**-36525 is still only 1e79.
    days = np.arange(_DAYS + 1)
    shocks = _normal(_hash(key, days.astype(np.uint64))) * volatility
    decay = np.exp(days * np.log(_REVERSION))
    walk = decay * np.cumsum(shocks / decay)
    if anchor is not None:
        base = anchor / float(np.exp(walk[opened_day]))
    closes: NDArray[np.int64] = np.maximum(1, np.rint(base * np.exp(walk))).astype(np.int64)
    if anchor is not None:
        closes[opened_day] = anchor
    closes.flags.writeable = False
    return closes


def _fold(rows: Rows) -> tuple[int, ...]:
    return (
        int(rows[0, 0]),
        int(rows[:, 1].max()),
        int(rows[:, 2].min()),
        int(rows[-1, 3]),
        int(rows[:, 4].sum()),
        int(rows[:, 5].sum()),
    )
