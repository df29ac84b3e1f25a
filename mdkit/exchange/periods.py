"""The intervals of bars, and where their periods begin. All in milliseconds, UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from mdkit.exchange.tape import MINUTE_MS

DAY_MS = 86_400_000
INTERVALS = ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "1d", "1w", "1M")
LATEST_INTERVALS = ("1m", "3m", *INTERVALS[1:])
FIXED = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240}
"""The intervals that are a number of minutes and never cross midnight."""


def period_start(interval: str, ms: int) -> int:
    """Return the start, in ms, of the period that a time is in. Weeks begin on Monday, UTC."""
    if interval in FIXED:
        size = FIXED[interval] * MINUTE_MS
        return ms // size * size
    day = ms // DAY_MS
    if interval == "1d":
        return day * DAY_MS
    if interval == "1w":
        return (day - (day + 3) % 7) * DAY_MS
    date = datetime.fromtimestamp(ms / 1000, UTC)
    return int(datetime(date.year, date.month, 1, tzinfo=UTC).timestamp()) * 1000


def following(interval: str, start: int) -> int:
    """Return the start, in ms, of the period after the one that begins at `start`."""
    if interval in FIXED:
        return start + FIXED[interval] * MINUTE_MS
    days = {"1d": 1, "1w": 7, "1M": 32}[interval]
    return period_start(interval, start + days * DAY_MS)
