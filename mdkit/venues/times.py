"""Times as venues write them, as ns since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def nanoseconds(moment: datetime | None) -> int:
    """Return a time with a zone as ns since the epoch, to the microsecond; 0 for none."""
    if moment is None or moment.tzinfo is None:
        return 0
    since = moment - _EPOCH
    if since.days < 0:
        return 0
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
