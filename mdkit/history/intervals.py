"""The intervals of bars: where periods begin and end. Milliseconds since the epoch, UTC."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mdkit.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Stamps = npt.NDArray[np.int64]

KLINE_INTERVALS = ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "1d", "1w", "1M")
"""What completed bars are served at; "1M" is a calendar month."""
MINUTE_MS = 60_000
DAY_MS = 86_400_000
_WEEK_MS = 7 * DAY_MS
# 1970-01-01 was a Thursday; weeks begin on Monday.
_MONDAY_MS = 3 * DAY_MS
FIXED_MS = {
    "1s": 1_000,
    "5s": 5_000,
    "10s": 10_000,
    "15s": 15_000,
    "30s": 30_000,
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "1d": DAY_MS,
    "1w": _WEEK_MS,
}
"""The intervals whose periods all last the same, with that time."""
INTERVALS = (*FIXED_MS, "1M")
"""All intervals that mdkit can fold bars to. "1w" begins on Monday, "1M" on the first."""


def check_interval(interval: object, known: tuple[str, ...] = INTERVALS) -> str:
    """Return the interval; raise `SettingsError` that lists the valid ones if it is not one."""
    if isinstance(interval, str) and interval in known:
        return interval
    hint = ""
    if isinstance(interval, str):
        text = re.sub(r"^(?=[a-zA-Z])", "1", interval.strip())
        close = {"min": "m", "t": "m", "mo": "M", "me": "M", "ms": "M", "hour": "h", "day": "d"}
        written = re.fullmatch(r"(\d+)(\D+)", text)
        number, unit = written.groups() if written else ("", "")
        for guess in (number + unit.lower(), number + close.get(unit.lower(), "?")):
            if guess in known:
                hint = f' Did you mean "{guess}"?'
                break
    raise SettingsError(
        f"interval={interval!r} is not an interval; the valid ones are {', '.join(known)} "
        f'("1m" is a minute, "1M" a month).{hint}'
    )


def period_start(interval: str, ms: int) -> int:
    """Return the start of the period that a time is in."""
    size = FIXED_MS.get(interval)
    if size is None:
        import numpy as np

        return int(np.datetime64(ms, "ms").astype("M8[M]").astype("M8[ms]").astype(np.int64))
    if size == _WEEK_MS:
        return (ms + _MONDAY_MS) // size * size - _MONDAY_MS
    return ms // size * size


def period_end(interval: str, start: int) -> int:
    """Return where a bar that begins at `start` ends; `start` need not be on the UTC grid."""
    size = FIXED_MS.get(interval)
    if size is not None:
        return start + size
    import numpy as np

    return int(ends(interval, np.array([start]))[0])


def shortest(interval: str) -> int:
    """Return the length of the interval's shortest period, in ms."""
    return FIXED_MS.get(interval, 28 * DAY_MS)


def floors(interval: str, ms: Stamps) -> Stamps:
    """Return the start of the period of each time."""
    import numpy as np

    size = FIXED_MS.get(interval)
    if size is None:
        months: Stamps = ms.view("M8[ms]").astype("M8[M]").astype("M8[ms]").view(np.int64)
        return months
    shift = _MONDAY_MS if size == _WEEK_MS else 0
    floored: Stamps = (ms + shift) // size * size - shift
    return floored


def ends(interval: str, starts: Stamps) -> Stamps:
    """Return where bars that begin at `starts` end."""
    import numpy as np

    size = FIXED_MS.get(interval)
    if size is not None:
        return starts + size
    stamps = starts.astype("M8[ms]")
    months = stamps.astype("M8[M]")
    following: Stamps = (
        (months + np.timedelta64(1, "M")).astype("M8[ms]") + (stamps - months)
    ).view(np.int64)
    return following


def count_between(interval: str, first: Stamps, second: Stamps) -> Stamps:
    """Return how many periods lie between pairs of bar starts; 1 for neighbours.

    Days and weeks to the nearest, since by the clock of their market they can be an hour longer
    or shorter.
    """
    import numpy as np

    size = FIXED_MS.get(interval)
    if size is not None:
        return (second - first + (size // 2 if size >= DAY_MS else 0)) // size
    months: Stamps = (
        second.view("M8[ms]").astype("M8[M]") - first.view("M8[ms]").astype("M8[M]")
    ).astype(np.int64)
    return months


def infer_interval(starts: Stamps) -> str:
    """Return the interval of sorted bar starts: that of their most frequent distance.

    Raises `SettingsError` when there are fewer than two, or when it is none of `INTERVALS`.
    """
    import numpy as np

    if len(starts) < 2:
        raise SettingsError("The interval of fewer than two bars cannot be told: pass interval=.")
    steps, counts = np.unique(np.diff(starts), return_counts=True)
    step = int(steps[counts.argmax()])
    for name, size in FIXED_MS.items():
        if size == step:
            return name
    if 28 * DAY_MS <= step <= 31 * DAY_MS:
        return "1M"
    raise SettingsError(
        f"The bars are mostly {step / MINUTE_MS:g} minutes apart, which is none of "
        f"{', '.join(INTERVALS)}: pass interval=."
    )


__all__ = [
    "DAY_MS",
    "FIXED_MS",
    "INTERVALS",
    "KLINE_INTERVALS",
    "MINUTE_MS",
    "check_interval",
    "count_between",
    "ends",
    "floors",
    "infer_interval",
    "period_end",
    "period_start",
    "shortest",
]
