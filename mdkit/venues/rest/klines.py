"""Completed bars as REST services give them, and which of them cannot be true."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import inf

from msgspec import Struct

from mdkit.venues.reading.numbers import MAX_MILLIS

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


def impossible(
    time: int | None,
    open_: float | None,
    high: float | None,
    low: float | None,
    close: float | None,
    volume: float | None = None,
    quote_volume: float | None = None,
) -> str:
    """Return why a bar cannot be true, or an empty text. Prices of 0 and below may be."""
    if time is None or not 0 <= time <= MAX_MILLIS:
        return f"time {time} is not in milliseconds since the epoch"
    for name, price in (("open", open_), ("high", high), ("low", low), ("close", close)):
        if price is None or not -inf < price < inf:  # nan makes every comparison false
            return f"{name} is {'missing' if price is None else f'{price:g}'}, not a number"
    for name, figure in (("volume", volume), ("quote_volume", quote_volume)):
        if figure is not None and not 0 <= figure < inf:
            return f"{name} is {figure:g}, not a number of 0 or more"
    if min(open_, high, low, close) <= 0:  # type: ignore[type-var,operator]
        return ""
    if high < low:  # type: ignore[operator]
        return f"high {high:g} is below low {low:g}"
    if high < max(open_, close):  # type: ignore[operator,type-var]
        return f"high {high:g} is below open {open_:g} or close {close:g}"
    if low > min(open_, close):  # type: ignore[operator,type-var]
        return f"low {low:g} is above open {open_:g} or close {close:g}"
    return ""


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
