"""Bars for a venue's REST: of any of its intervals, the running one among them."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from mdkit.exchange.market.periods import INTERVALS, following
from mdkit.exchange.venues.feed import VenueFeed
from mdkit.exchange.venues.instruments import RULES
from mdkit.history.intervals import FIXED_MS

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
# Intervals that the history does not know, as so many of one that it does.
_MADE_OF = {
    "3m": ("1m", 3),
    "6h": ("1h", 6),
    "8h": ("4h", 2),
    "12h": ("4h", 3),
    "2d": ("1d", 2),
    "3d": ("1d", 3),
    "5d": ("1d", 5),
    "15d": ("1d", 15),
}


class Bar(NamedTuple):
    """A bar: open and close time (ms, both inclusive), prices in ticks, volume in units.

    `turnover` is in ticks times units, `trades` a number of trades.
    """

    open_ms: int
    close_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    turnover: int
    trades: int
    is_closed: bool


async def bars(
    feed: VenueFeed,
    symbol: str,
    venue: str,
    interval: str,
    *,
    start: int | None = None,
    end: int | None = None,
    limit: int,
    newest: bool = False,
    offset_ms: int = 0,
) -> list[Bar]:
    """Return up to `limit` bars whose open times are within [start, end], oldest first.

    With `newest`, or without `start`, they are the last of these, else the first. The running
    bar is the last one where the range reaches it. Bars of hours and days begin `offset_ms`
    before UTC's (for days of another time zone). Nothing is older than the venue's listing.
    """
    return await asyncio.to_thread(
        _bars, feed, symbol, RULES[venue].listed_ms, interval, start, end, limit, newest, offset_ms
    )


def _bars(
    feed: VenueFeed,
    symbol: str,
    listed_ms: int,
    interval: str,
    start: int | None,
    end: int | None,
    limit: int,
    newest: bool,
    offset_ms: int,
) -> list[Bar]:
    now = feed.now_ms
    if end is None or end > now:
        end = now
    is_first = start is not None and not newest
    least = max(start if start is not None else 0, listed_ms)
    if offset_ms:
        step = _step(interval)
        # Whole bars of another time zone, made of hours.
        first = -(-(least + offset_ms) // step) * step - offset_ms if is_first else None
        found = _folded(feed, symbol, "1h", step, offset_ms, first, end, limit)
    elif interval in _MADE_OF:
        unit, number = _MADE_OF[interval]
        step = FIXED_MS[unit] * number
        first = -(-least // step) * step if is_first else None
        found = _folded(feed, symbol, unit, step, 0, first, end, limit)
    else:
        found = _plain(feed, symbol, interval, least if is_first else None, end, limit)
    return [bar for bar in found if least <= bar.open_ms <= end]


def _step(interval: str) -> int:
    unit, number = _MADE_OF.get(interval, (interval, 1))
    return FIXED_MS[unit] * number


def _plain(
    feed: VenueFeed, symbol: str, interval: str, start: int | None, end: int, limit: int
) -> list[Bar]:
    assert interval in INTERVALS
    history, tape, now = feed.histories[symbol], feed.tapes[symbol], feed.now_ms
    rows = history.bars(tape, interval, now, start, end, limit)
    running = history.forming(tape, interval, now)
    size = max(1, feed.instruments[symbol].size)
    found = [_bar(at, row, following(interval, at), size, True) for at, row in rows]
    is_within = (start is None or running[0] >= start) and running[0] <= end
    if is_within and (start is None or len(found) < limit):
        found.append(_bar(*running, following(interval, running[0]), size, False))
    return found[-limit:]


def _bar(at: int, row: tuple[int, ...], end: int, size: int, is_closed: bool) -> Bar:
    open_, high, low, close, volume, turnover = row
    trades = 1 + volume // size if volume else 0
    return Bar(at, end - 1, open_, high, low, close, volume, turnover, trades, is_closed)


def _folded(
    feed: VenueFeed,
    symbol: str,
    unit: str,
    step: int,
    offset_ms: int,
    start: int | None,
    end: int,
    limit: int,
) -> list[Bar]:
    """Return bars of `step` milliseconds made of those of `unit`, the running one included."""
    parts = step // FIXED_MS[unit]
    small = _plain(feed, symbol, unit, start, _end(end, step, offset_ms), (limit + 1) * parts)
    folded: list[Bar] = []
    for bar in small:
        at = (bar.open_ms + offset_ms) // step * step - offset_ms
        if folded and folded[-1].open_ms == at:
            last = folded[-1]
            folded[-1] = last._replace(
                high=max(last.high, bar.high),
                low=min(last.low, bar.low),
                close=bar.close,
                volume=last.volume + bar.volume,
                turnover=last.turnover + bar.turnover,
                trades=last.trades + bar.trades,
                is_closed=at + step <= feed.now_ms,
            )
        elif bar.open_ms == at:
            folded.append(bar._replace(close_ms=at + step - 1, is_closed=at + step <= feed.now_ms))
    return folded[:limit] if start is not None else folded[-limit:]


def _end(end: int, step: int, offset_ms: int) -> int:
    """Return the last moment of the period that `end` is in."""
    return (end + offset_ms) // step * step - offset_ms + step - 1
