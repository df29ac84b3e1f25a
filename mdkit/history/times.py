"""What may be written for `start` and `end`: text, datetimes, Timestamps, or "30d" for ago."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, date, datetime
from typing import Any

from mdkit.errors import SettingsError
from mdkit.history.intervals import DAY_MS, MINUTE_MS
from mdkit.venues.reading.numbers import MAX_MILLIS

_AGO = re.compile(r"(\d{1,6})\s*([mM]|[hH]|[dD]|[wW]|[yY])")
_HAS_YEAR = re.compile(r"(?<!\d)\d{4}(?!\d)|^\d{8}(?!\d)")
_YEAR_LAST = re.compile(r"(?<!\d)\d{1,2}([/.-])\d{1,2}\1\d{4}(?!\d)")
_UNITS = {"m": MINUTE_MS, "h": 60 * MINUTE_MS, "d": DAY_MS, "w": 7 * DAY_MS, "y": 365 * DAY_MS}
_CURE = (
    'write it as "2025-01-31", "2025-01-31T14:30", a datetime or a Timestamp (without a time '
    'zone it is UTC), or as "30d" for that long ago (m minutes, h, d, w, M months, y)'
)


def milliseconds(value: Any, name: str, now_ms: int) -> int:
    """Return a time as ms since the epoch; raise `SettingsError` that says what is accepted.

    A time without a zone is UTC. "30d" is 30 days before `now_ms`, "1M" a month (of the calendar,
    as the interval "1M"), "1m" a minute.
    """
    if isinstance(value, str):
        text = value.strip()
        ago = _AGO.fullmatch(text)
        if ago and ago[2] == "M":
            return _months_before(now_ms, int(ago[1]))
        if ago:
            return max(0, now_ms - int(ago[1]) * _UNITS[ago[2].lower()])
        text = text.lower()
        if text in ("now", "today", "yesterday"):
            today = now_ms // DAY_MS * DAY_MS
            return {"now": now_ms, "today": today, "yesterday": today - DAY_MS}[text]
        check_text(value, name, _CURE)
    import numpy as np
    import pandas as pd

    if not isinstance(value, str | date | datetime | np.datetime64) or value is pd.NaT:
        raise SettingsError(f"{name}={value!r} is not a time: {_CURE}.")
    try:
        stamp = pd.Timestamp(value)
        stamp = stamp.tz_localize(UTC) if stamp.tzinfo is None else stamp.tz_convert(UTC)
        ms = int(stamp.to_datetime64().astype("M8[ms]").astype(np.int64))
    except (ValueError, OverflowError, TypeError, AttributeError):
        raise SettingsError(f"{name}={value!r} is not a time: {_CURE}.") from None
    if not 0 <= ms <= MAX_MILLIS:
        raise SettingsError(f"{name}={value!r} is outside 1970 to 2262.")
    return ms


def _months_before(now_ms: int, months: int) -> int:
    """Return the time so many months earlier; the last day of a month that lacks the day."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    month = now.year * 12 + now.month - 1 - months
    if month < 1970 * 12:
        return 0
    day = min(now.day, monthrange(month // 12, month % 12 + 1)[1])
    then = now.replace(year=month // 12, month=month % 12 + 1, day=day, microsecond=0)
    return int(then.timestamp()) * 1000 + now_ms % 1000


def check_text(text: str, name: str, cure: str) -> None:
    """Raise `SettingsError` for a text that is read as a time in more than one way.

    pandas takes 05/11/2023 for the 11th of May and 14/11/2023 for the 14th of November, and a
    text without a year for today or the year 1.
    """
    if _YEAR_LAST.search(text):
        raise SettingsError(
            f"{name}={text!r} has the year last, and days and months can be confused: {cure}."
        )
    if not _HAS_YEAR.search(text.strip()):
        raise SettingsError(f"{name}={text!r} is not a time: {cure}.")
