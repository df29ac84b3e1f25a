"""What a study is made of: a recording, tables or a session, as tables of one symbol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any

import pandas as pd

from mdkit.books.levels import books_of
from mdkit.errors import SettingsError
from mdkit.frames.held import HasFrames, held_events
from mdkit.recording.reading.reader import Recording
from mdkit.recording.replay.seen import recording_of, steps_of
from mdkit.recording.tables.event_tables import EventTables
from mdkit.recording.tables.listed import listed
from mdkit.suggestions import instead

_LEVELS = 10
_CURE = (
    "give a recording (its path, a pattern, a list of them, or what md.read_recording, "
    "md.read_parquet and md.read_archive return), a list of events, a session, "
    'a table as session.frame("depth", symbol) gives it, or a dict of those by channel, such as '
    '{"depth": books, "trade": trades}'
)


class Market:
    """The tables of one symbol, each made when first asked for.

    `data` is anything that research takes; `symbol` may be left out where there is only one.
    Raises `SettingsError` for what is no data, or where the symbol is not there or not clear.
    """

    def __init__(self, data: Any, symbol: str | None = None) -> None:
        self._tables: dict[str, pd.DataFrame] = {}
        data = listed(data)
        self._recording = _recording(data)
        self._session = data if isinstance(data, HasFrames) else None
        self._events = data if isinstance(data, EventTables) else None
        self._data = data
        if isinstance(data, pd.DataFrame):
            self._tables = {_channel(data): data}
        elif isinstance(data, Mapping):
            for name, table in data.items():
                if name not in ("depth", "trade") or not isinstance(table, pd.DataFrame):
                    raise SettingsError(f"{name!r} is no table of depth or trade: {_CURE}")
            self._tables = dict(data)
        elif self._recording is None and self._session is None and self._events is None:
            raise SettingsError(f"{type(data).__name__} is no data: {_CURE}")
        self.symbol = self._only(symbol)

    @property
    def depth(self) -> pd.DataFrame:
        """The books, with all their levels; raises `SettingsError` where there are none."""
        return self._table("depth")

    @property
    def trades(self) -> pd.DataFrame:
        """The trades; raises `SettingsError` where there are none."""
        return self._table("trade")

    def table(self, channel: str) -> pd.DataFrame:
        """Return the table of a channel; raises `SettingsError` where it has no rows."""
        return self._table(channel)

    def events(self, kinds: tuple[str, ...]) -> Iterator[Any]:
        """Yield what a strategy of these kinds sees of the symbol, gaps among them."""
        if self._recording is not None:
            found: Any = steps_of(self._recording, None)
        elif self._session is not None:
            found = held_events(self._session, kinds)
        elif self._events is not None:
            found = iter(self._events)
        elif kinds == ("depth",):
            yield from held_events(self.depth, kinds)  # events without a name of their own
            return
        else:
            raise SettingsError(
                f"a strategy of {' and '.join(kinds)} runs over a recording or a session, not "
                "over tables"
            )
        for event in found:
            if event.symbol == self.symbol:
                yield event

    def _table(self, channel: str) -> pd.DataFrame:
        if channel not in self._tables:
            self._tables[channel] = self._read(channel)
        table = self._tables[channel]
        if "symbol" in table:
            own = table[table["symbol"] == self.symbol]
            table = books_of(own) if channel == "depth" else own
            table = table.drop(columns="symbol")
        elif channel == "depth":
            table = books_of(table)
        if not len(table):
            raise SettingsError(f"there is no {channel} of {self.symbol or 'this'} in the data")
        return table

    def _read(self, channel: str) -> pd.DataFrame:
        if self._recording is not None:
            more: dict[str, Any] = {"levels": _LEVELS} if channel == "depth" else {}
            return self._recording.frame(channel, self.symbol, **more)
        if self._session is not None:
            table: pd.DataFrame = self._session.frame(channel, self.symbol)
            return table
        if self._events is not None:
            levels = _LEVELS if channel == "depth" else None
            return self._events.frame(channel, self.symbol, levels=levels)
        have = " and ".join(self._tables)
        raise SettingsError(f"{channel} is needed here, and the data are tables of {have}: {_CURE}")

    def _only(self, symbol: str | None) -> str:
        known = symbols_of(self._data)
        if symbol is not None:
            if known and symbol not in known:
                raise SettingsError(f"there is no {symbol!r} in the data: {instead(symbol, known)}")
            return symbol
        if len(known) > 1:
            raise SettingsError(
                f"the data hold several symbols: say which, as in symbol={known[0]!r}; there are "
                f"{', '.join(known[:8])}"
            )
        return known[0] if known else ""


def symbols_of(data: Any) -> tuple[str, ...]:
    """Return the symbols that data hold; none where they are tables that do not say."""
    recording = _recording(data)
    if recording is not None:
        return recording.symbols or _met(recording)
    if isinstance(data, EventTables):
        return data.symbols
    if isinstance(data, HasFrames):
        frames: Any = data
        return tuple(str(name) for name in frames.frame("depth")["symbol"].unique()) or tuple(
            str(name) for name in frames.frame("trade")["symbol"].unique()
        )
    names: dict[str, None] = {}
    for table in data.values() if isinstance(data, Mapping) else (data,):
        if "symbol" in table:
            names |= dict.fromkeys(map(str, table["symbol"].unique()))
        elif table.attrs.get("symbol"):
            names[str(table.attrs["symbol"])] = None
    return tuple(names)


def _recording(data: Any) -> Recording | None:
    several = isinstance(data, list | tuple) and len(data) > 0
    paths = data if several else (data,)
    if isinstance(data, Recording) or all(isinstance(one, str | PathLike) for one in paths):
        return recording_of(data)
    return None


def _met(recording: Recording) -> tuple[str, ...]:
    """Return the symbols of a recording whose markers name none, by looking at all of it."""
    router = recording.router()
    return tuple(
        dict.fromkeys(
            route.symbol
            for _, _, route in recording.items(router)
            if route is not None and route.symbol and route.channel in ("depth", "trade")
        )
    )


def _channel(table: pd.DataFrame) -> str:
    if {"bid", "ask"} <= set(table.columns):
        return "depth"
    if {"price", "size", "side"} <= set(table.columns):
        return "trade"
    raise SettingsError(f"a table of {', '.join(map(str, table.columns))} is none: {_CURE}")
