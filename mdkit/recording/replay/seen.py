"""Recordings as backtests and studies take them: as the strategies of their session saw them."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import Any

from mdkit.events import Gap, MarketEvent
from mdkit.recording.reading.reader import Recording
from mdkit.recording.replay.events import steps


def recording_of(data: Any) -> Recording | None:
    """Return a recording, given as such, by its path or by several, or None if it is none.

    It is taken as seen, however it was opened: without what the session dropped and conflated.
    Raises `RecordingError` when there is no such file.
    """
    if isinstance(data, Recording):
        return Recording(data.paths, as_seen=True)
    several = isinstance(data, list | tuple) and len(data) > 0
    if all(isinstance(path, str | PathLike) for path in (data if several else (data,))):
        return Recording(data, as_seen=True)
    return None


def made_of(recording: Recording) -> str:
    """Return what its bars are made of: "trade", or "ticker" where it holds no trade but those.

    A session without trades, but with tickers, makes its bars of them.
    """
    channel = "trade"
    for _, _, route in recording.items(recording.router()):
        if route is not None and route.channel == "trade":
            return "trade"
        if route is not None and route.channel == "ticker":
            channel = "ticker"
    return channel


def steps_of(recording: Recording, interval: str | None) -> Iterator[MarketEvent | Gap]:
    """Yield what strategies meet in it, one after the other; with an interval also whole bars."""
    if interval is None:
        return steps(recording)
    return steps(recording, interval, made_of(recording))
