"""Times as venues write them, as ns since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def nanoseconds(moment: datetime | None) -> int:
    """Return a time with a zone as ns since the epoch, to the microsecond; 0 for none."""
    if moment is None or moment.tzinfo is None:
        return 0
    return max(0, (moment - _EPOCH) // _MICROSECOND * 1000)
