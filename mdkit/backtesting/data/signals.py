"""A Series of target exposures as a strategy, since every researcher has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mdkit.errors import SettingsError
from mdkit.events import Bar
from mdkit.frames.held import HasFrames
from mdkit.strategies.contract import Runner, Strategy
from mdkit.suggestions import instead

_ANY = "*"


class GivenSignals(Strategy):
    """A strategy that says what was given, by time: by symbol, or the same of all symbols."""

    name = "signals"
    per = "symbol"
    is_async = False

    def __init__(self, by_symbol: Mapping[str, tuple[Any, Any]], kind: str) -> None:
        self.by_symbol = dict(by_symbol)
        self.kinds = (kind,)

    @property
    def params(self) -> dict[str, Any]:
        """Always empty."""
        return {}

    def with_params(self, **changes: Any) -> Strategy:
        """Return this; raise `SettingsError` when any parameter is given."""
        if changes:
            raise SettingsError(f"signals have no parameters; {', '.join(changes)} given")
        return self

    def instance(self) -> Runner:
        """Return a callable that answers one symbol's events, in order of time."""
        return _Answers(self.by_symbol)

    def check(self, symbols: Sequence[str], starts: pd.DatetimeIndex | None) -> None:
        """Raise `SettingsError` for a symbol that there is not, or a time of no bar.

        `starts` are those of bars, None on books.
        """
        for name in self.by_symbol:
            if name not in (_ANY, *symbols):
                raise SettingsError(f"signals: there is no {name!r}: {instead(name, symbols)}")
        if starts is not None:
            given = np.unique(np.concatenate([times for times, _ in self.by_symbol.values()]))
            _check_times(given, starts.as_unit("ns").asi8)

    def check_said(self, said: Any, end: pd.Timestamp) -> None:
        """Raise `SettingsError` where none of the signals came before the end."""
        if self._count and np.isnan(said).all():
            raise SettingsError(
                f"none of {self._count:,} signals is at or before the last book, {end}"
            )

    @property
    def _count(self) -> int:
        return sum(len(times) for times, _ in self.by_symbol.values())

    def __repr__(self) -> str:
        return f"signals({self._count:,} given)"


class _Answers:
    def __init__(self, by_symbol: Mapping[str, tuple[Any, Any]]) -> None:
        self.by_symbol = by_symbol
        self.times: list[int] | None = None
        self.values: list[float] = []
        self.next = 0

    def __call__(self, event: Any) -> float | None:
        if self.times is None:
            empty = (np.empty(0, np.int64), np.empty(0))
            times, values = self.by_symbol.get(event.symbol, self.by_symbol.get(_ANY, empty))
            self.times, self.values = times.tolist(), values.tolist()
        is_bar = isinstance(event, Bar)
        now = event.start_ns if is_bar else event.received_ns or event.exchange_ns
        said = None
        while self.next < len(self.times) and self.times[self.next] <= now:
            # Of several that are due by a book the last one counts; a bar has one of its own.
            if not is_bar or self.times[self.next] == now:
                said = self.values[self.next]
            self.next += 1
        return said


def given_signals(signals: Any, bars: Any, interval: str | None) -> GivenSignals:
    """Return signals as a strategy on bars, or on depth where `bars` are no bars.

    Raises `SettingsError` for what is no series by time in order, and for times of no bar.
    """
    if isinstance(signals, pd.Series):
        signals = signals.to_frame(_ANY)
    if not isinstance(signals, pd.DataFrame) or not isinstance(signals.index, pd.DatetimeIndex):
        raise SettingsError(
            f"signals is a {type(signals).__name__}; give a Series by time, or a DataFrame by time "
            "with a column per symbol"
        )
    index = signals.index
    if not index.is_monotonic_increasing or not index.is_unique:
        raise SettingsError("the times of signals are not in order, or twice there; sort them")
    if not signals.columns.is_unique:
        raise SettingsError("signals have two columns of one name; give one per symbol")
    index = _in_utc(index)
    stamps = index.as_unit("ns").asi8
    frames = bars.values() if isinstance(bars, Mapping) else [bars]
    tables = [frame for frame in frames if isinstance(frame, pd.DataFrame)]
    of_books = any({"bid", "ask"} <= set(table.columns) for table in tables)
    is_bars = (bool(tables) and not of_books) or interval is not None
    if tables and not of_books and not isinstance(bars, HasFrames):
        _check_times(index.as_unit("ns").asi8, _starts(tables))
    found = {}
    for name in signals.columns:
        column = signals[name].to_numpy(float)
        known = ~np.isnan(column)
        found[str(name)] = (stamps[known], column[known])
    return GivenSignals(found, "bar" if is_bars else "depth")


def _starts(tables: list[pd.DataFrame]) -> Any:
    """Return when bars of tables start, ns UTC."""
    found = [
        _in_utc(values).as_unit("ns").asi8
        for table in tables
        for level in range(table.index.nlevels)
        for values in (table.index.get_level_values(level),)
        if isinstance(values, pd.DatetimeIndex)
    ]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _check_times(given: Any, starts: Any) -> None:
    """Raise `SettingsError` for a time at which no bar starts: its signal would be passed over."""
    other = given[~np.isin(given, starts)]
    if len(starts) and len(other):
        raise SettingsError(
            f"{len(other):,} of {len(given):,} signals are at times at which no bar starts, "
            f"such as {pd.Timestamp(int(other[0]), tz='UTC')}; reindex them to the bars"
        )


def _in_utc(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
