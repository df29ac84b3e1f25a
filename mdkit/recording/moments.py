"""Moments of a recording, in ns since the epoch: as users write them, and as they are shown."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from mdkit.errors import SettingsError
from mdkit.history.times import check_text

_FIRST_NS = 100_000_000_000_000_000  # 1973
_CURE = (
    'write it as "2025-01-31 14:30:05.250", a datetime or a Timestamp (UTC unless it has a time '
    "zone), or nanoseconds since the epoch"
)


def nanoseconds(value: Any, name: str) -> int:
    """Return a time as ns since the epoch; raise `SettingsError` that says what is accepted."""
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 < value < _FIRST_NS:
            raise SettingsError(
                f"{name}={value!r} nanoseconds since the epoch is {moment(value)}, before all "
                "recordings: is it in seconds, ms or us?"
            )
        return value
    import numpy as np
    import pandas as pd

    if not isinstance(value, str | date | np.datetime64) or value is pd.NaT:
        raise _no_time(value, name)
    if isinstance(value, str):
        check_text(value, name, _CURE)
    try:
        stamp = pd.Timestamp(value)
        stamp = stamp.tz_localize(UTC) if stamp.tzinfo is None else stamp.tz_convert(UTC)
        return int(stamp.to_datetime64().astype("M8[ns]").astype(np.int64))
    except (ValueError, OverflowError, TypeError):
        raise _no_time(value, name) from None


def moment(ns: int) -> str:
    """Return a time in nanoseconds since the epoch as text, in milliseconds, UTC."""
    whole = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    return f"{whole:%Y-%m-%d %H:%M:%S}.{ns // 1_000_000 % 1000:03d} UTC"


def _no_time(value: Any, name: str) -> SettingsError:
    return SettingsError(f"{name}={value!r} is not a time: {_CURE}.")
