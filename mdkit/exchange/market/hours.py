"""When a market trades: a simulated one may keep the hours of a real one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from mdkit.exchange.market.periods import DAY_MS
from mdkit.exchange.market.tape import MINUTE_MS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HOURS = ("us",)
"""The names of hours: "us" is 9:30 to 16:00 in New York, Monday to Friday; no holidays."""
_OPEN, _CLOSE = time(9, 30), time(16, 0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def _zone() -> ZoneInfo:
    return ZoneInfo("America/New_York")


@lru_cache(maxsize=65_536)
def session_of(day: int) -> tuple[int, int] | None:
    """Return when trading begins and ends (ms) on a day, counted from 1970; None on weekends.

    Both times are of the same UTC day, in summer and in winter.
    """
    date = (_EPOCH + timedelta(days=day)).date()
    if date.weekday() >= 5:
        return None
    begins, ends = (datetime.combine(date, at, _zone()) for at in (_OPEN, _CLOSE))
    return round(begins.timestamp() * 1000), round(ends.timestamp() * 1000)


def trades_between(begin_ms: int, end_ms: int) -> bool:
    """Return whether there is trading at some time in [begin_ms, end_ms)."""
    for day in range(begin_ms // DAY_MS, (end_ms - 1) // DAY_MS + 1):
        found = session_of(day)
        if found is not None and found[0] < end_ms and begin_ms < found[1]:
            return True
    return False


def open_minutes(first: int, end: int) -> NDArray[np.bool_]:
    """Return for each minute [first, end), counted from the epoch, whether there is trading."""
    import numpy as np

    is_open = np.zeros(end - first, bool)
    per_day = DAY_MS // MINUTE_MS
    for day in range(first // per_day, (end - 1) // per_day + 1):
        found = session_of(day)
        if found is not None:
            begins, ends = (ms // MINUTE_MS - first for ms in found)
            is_open[max(0, begins) : max(0, ends)] = True
    return is_open


def kept(began_ms: int, offsets: Iterator[float]) -> Iterator[float]:
    """Yield times that are seconds of trading since `began_ms` as seconds on the clock.

    `offsets` never decrease; nor does what is yielded, none of which is outside the hours.
    """
    sessions = _sessions(began_ms)
    begins, ends = next(sessions)
    spent = 0.0
    for offset in offsets:
        while begins + (offset - spent) * 1000 >= ends:
            spent += (ends - begins) / 1000
            begins, ends = next(sessions)
        yield (begins - began_ms) / 1000 + (offset - spent)


def _sessions(from_ms: int) -> Iterator[tuple[int, int]]:
    """Yield when trading begins and ends, from a time on, which may be within it."""
    day = from_ms // DAY_MS
    while True:
        found = session_of(day)
        if found is not None and found[1] > from_ms:
            yield max(found[0], from_ms), found[1]
        day += 1
