"""Completed bars as REST services give them, and which of them cannot be true."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct

_NAMED = 3


class Kline(Struct, gc=False):
    """One completed bar as the service gives it. `time` is its start in ms since the epoch."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float = 0.0
    quote_volume: float | None = None


def invalid_bars(about: str, wrong: Sequence[str]) -> str:
    """Return the sentence that names bars which cannot be true; each entry says when and why."""
    more = f" and {len(wrong) - _NAMED:,} more" if len(wrong) > _NAMED else ""
    bars = "invalid bar" if len(wrong) == 1 else f"{len(wrong):,} invalid bars"
    return f"{about}: {bars}: {'; '.join(wrong[:_NAMED])}{more}"


def when(ms: int) -> str:
    """Return a time as text in UTC, to the minute where it is whole minutes."""
    try:
        moment = datetime.fromtimestamp(ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{ms} ms"
    return f"{moment:%Y-%m-%d %H:%M}" + (f":{moment:%S.%f}" if ms % 60_000 else "") + " UTC"
