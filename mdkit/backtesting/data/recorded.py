"""The whole bars of a recording, as its session made them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mdkit.backtesting.account.calendar import DAY
from mdkit.backtesting.account.terms import BacktestWarning
from mdkit.backtesting.data.panel import Panel, bar_columns
from mdkit.errors import SettingsError
from mdkit.events import Bar, Gap
from mdkit.history.intervals import FIXED_MS
from mdkit.recording.reading.reader import Recording
from mdkit.recording.replay.seen import steps_of

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
