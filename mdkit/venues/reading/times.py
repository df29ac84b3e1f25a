"""Times as venues write them, as ns since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime

from mdkit.venues.reading.numbers import MAX_MILLIS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_DAYS = MAX_MILLIS // 86_400_000


def nanoseconds(moment: datetime | None) -> int:
    """Return a time with a zone as ns since the epoch, to the microsecond; 0 for none.

    A time before 1970, or too late for 64 bits, is none.
    """
    if moment is None or moment.tzinfo is None:
        return 0
    since = moment - _EPOCH
    if not 0 <= since.days < _MOST_DAYS:
        return 0
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
