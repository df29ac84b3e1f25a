"""Recordings as `backtest` and `verify` take them: as the strategies of their session saw them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd

from mdkit.backtesting.account.calendar import DAY
from mdkit.backtesting.account.terms import BacktestWarning
from mdkit.backtesting.data.panel import Panel, bar_columns
from mdkit.errors import SettingsError
from mdkit.events import Bar, Gap, MarketEvent
from mdkit.history.intervals import FIXED_MS
from mdkit.recording.reading.reader import Recording
from mdkit.recording.replay.events import steps

_MS = 1_000_000


@dataclass(frozen=True)
class BarTape:
    """A recording's whole bars.

    Attributes:
        panel: the bars of all symbols; one that is missing is not there.
        steps: the bars, and the gaps between them, in the order in which a session shows them.
    """

    panel: Panel
    steps: tuple[Bar | Gap, ...]


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


def bar_tape(recording: Recording, interval: str, *, allow_nonpositive: bool = False) -> BarTape:
    """Return the whole bars that a session with `bars=interval` makes of what it sees.

    One with a price of zero or below is left out with a `BacktestWarning` unless
    `allow_nonpositive`.

    Raises `SettingsError` when there is none.
    """
    found = tuple(
        step
        for step in steps_of(recording, interval)
        if isinstance(step, Bar) or (isinstance(step, Gap) and step.channel == "bar")
    )
    below = [step for step in found if isinstance(step, Bar) and not step.low > 0.0]
    if below and not allow_nonpositive:
        warnings.warn(
            f"{len(below):,} bars left out, since low is {below[0].low:g} in that of "
            f"{below[0].symbol} at {pd.Timestamp(below[0].start_ns, tz='UTC')}; where prices of "
            "zero and below are true, use allow_nonpositive=True",
            BacktestWarning,
            stacklevel=3,
        )
        found = tuple(step for step in found if not isinstance(step, Bar) or step.low > 0.0)
    by_symbol: dict[str, list[Bar]] = {}
    for step in found:
        if isinstance(step, Bar):
            by_symbol.setdefault(step.symbol, []).append(step)
    if not by_symbol:
        raise SettingsError(
            f"no whole bar of {interval} is in {recording!r}: bars are made of trades, or of "
            "tickers; take a shorter interval, or a longer recording that holds either"
        )
    bars = tuple(bar_columns(own) for own in by_symbol.values())
    starts = np.unique(np.concatenate([columns.start_ns for columns in bars]))
    places = tuple(
        None if len(columns.start_ns) == len(starts) else starts.searchsorted(columns.start_ns)
        for columns in bars
    )
    index = pd.DatetimeIndex(starts).tz_localize("UTC")
    positive = not below or not allow_nonpositive
    panel = Panel(
        tuple(by_symbol),
        index,
        bars,
        places,
        positive=positive,
        single=FIXED_MS.get(interval, DAY // _MS) * _MS,
    )
    return BarTape(panel, found)
