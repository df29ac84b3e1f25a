"""What a session holds in memory, and tables of it, as events and bars to run a strategy over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from mdkit.books.levels import books_of, level_of
from mdkit.errors import SettingsError
from mdkit.events import Depth, Event, Gap, Ticker, Trade

UNNAMED = "asset"
"""What a table's symbol is called unless `attrs["symbol"]` names it."""
_REASON = "not in the table"


@runtime_checkable
class HasFrames(Protocol):
    """A session: it gives the tables of what it holds, and knows how it is doing."""

    def frame(self, channel: str, symbol: str | None = None, last: int | None = None) -> Any:
        """Return the events of a channel."""

    def explain(self) -> str:
        """Return how it is doing."""


def held_events(data: Any, kinds: Sequence[str]) -> Any:
    """Return the events or bars in a session or in a table of books; else what was given.

    A session's bars come as a frame with a symbol level where bars are all that is wanted;
    partial ones, of which strategies see none, are left out. Events come in the order received,
    with a `Gap` where a row follows one. Raises `SettingsError` where nothing of these kinds is
    held.
    """
    if isinstance(data, HasFrames):
        if tuple(kinds) == ("bar",):
            return _bars(data.frame("bar"))
        if "bar" in kinds:
            raise SettingsError(
                "a strategy of bars and other events needs their order, which a session does not "
                "keep: record it, and give the recording"
            )
        tables = [(kind, data.frame(kind)) for kind in kinds]
        if not any(len(table) for _, table in tables):
            raise SettingsError(f"the session holds no {' or '.join(kinds)} events")
        return _in_order(tables)
    if isinstance(data, pd.DataFrame) and "depth" in kinds and {"bid", "ask"} <= set(data.columns):
        return _in_order([("depth", data)])
    return data


def _bars(table: pd.DataFrame) -> pd.DataFrame:
    whole = table[~table["partial"]].sort_index(kind="stable")
    if not len(whole):
        raise SettingsError(
            'the session holds no whole bar; md.live(..., bars="1m") makes bars of trades'
        )
    levels: list[Any] = [whole["symbol"].astype(object), whole.index]
    bars = pd.DataFrame(whole[["open", "high", "low", "close", "volume"]])
    bars.index = pd.MultiIndex.from_arrays(levels, names=["symbol", "time"])
    bars.attrs = {"interval": whole["interval"].iloc[0]}
    return bars


def _in_order(tables: Sequence[tuple[str, pd.DataFrame]]) -> list[Event]:
    found: list[tuple[int, Event]] = []
    for kind, table in tables:
        found += _events(kind, table)
    found.sort(key=lambda entry: entry[0])  # stable: a gap stays before what follows it
    return [event for _, event in found]


def _events(kind: str, table: pd.DataFrame) -> Iterator[tuple[int, Event]]:
    name = table.attrs.get("symbol", UNNAMED)
    if kind == "depth":
        table = books_of(table)
    received = pd.DatetimeIndex(table.index).as_unit("ns").asi8.tolist()
    symbols = table["symbol"] if "symbol" in table else [name] * len(table)
    gaps = table["gap"] if "gap" in table else [False] * len(table)
    last: dict[str, int] = {}
    for symbol, at, gap, event in zip(symbols, received, gaps, _MAKERS[kind](table), strict=True):
        symbol = str(symbol)
        if gap and symbol in last:
            yield at, Gap(symbol, kind, _REASON, last[symbol], at)
        last[symbol] = at
        yield at, _of(event, symbol, at)


def _of(event: Any, symbol: str, received_ns: int) -> Event:
    kind, *fields, exchange_ns = event
    made: Event = kind(symbol, *fields, exchange_ns=exchange_ns, received_ns=received_ns)
    return made


def _exchange_ns(table: pd.DataFrame) -> list[int]:
    if "exchange_time" not in table:
        return [0] * len(table)
    times = pd.DatetimeIndex(table["exchange_time"]).as_unit("ns")
    stamps: list[int] = np.where(times.isna(), 0, times.asi8).tolist()
    return stamps


def _depth(table: pd.DataFrame) -> Iterator[Any]:
    sides = []
    for side in ("bid", "ask"):
        named = [name for name in table.columns if name.startswith(f"{side}_size")]
        if f"{side}_size" not in named:
            raise SettingsError(f"the table has no column {side}_size, and a book needs sizes")
        deepest = max(map(level_of, named))
        levels = []
        for level in range(1, deepest + 1):
            at = f"_{level}" if level > 1 else ""
            prices, sizes = table[f"{side}{at}"], table[f"{side}_size{at}"]
            levels.append(zip(prices.tolist(), sizes.tolist(), strict=True))
        _check_depth(table, side, deepest)
        sides.append(
            [
                tuple(level for level in book if level[0] == level[0])
                for book in zip(*levels, strict=True)
            ]
        )
    for bids, asks, exchange_ns in zip(*sides, _exchange_ns(table), strict=True):
        yield Depth, bids, asks, exchange_ns


def _check_depth(table: pd.DataFrame, side: str, levels: int) -> None:
    """Raise `SettingsError` for a table that says itself that its books had more levels."""
    if levels >= 5 or f"{side}_depth" not in table:
        return
    sizes = [f"{side}_size", *(f"{side}_size_{level}" for level in range(2, levels + 1))]
    held = np.zeros(len(table))
    for name in sizes:
        held += table[name].fillna(0.0).to_numpy()
    if (held != table[f"{side}_depth"].to_numpy()).any():
        raise SettingsError(
            f"the table has {levels} level{'s' if levels > 1 else ''} a side, and its books had "
            "more, which the strategy may look at: give "
            'session.frame("depth", levels=10), or the session itself'
        )


def _trade(table: pd.DataFrame) -> Iterator[Any]:
    columns = (table[name].tolist() for name in ("price", "size", "side", "id"))
    return ((Trade, *row) for row in zip(*columns, _exchange_ns(table), strict=True))


def _ticker(table: pd.DataFrame) -> Iterator[Any]:
    names = [name for name in Ticker.__struct_fields__[1:-2] if name != "last"]
    columns = [
        [None if value != value else value for value in table[name].tolist()] for name in names
    ]
    rows = zip(table["last"].tolist(), *columns, _exchange_ns(table), strict=True)
    return ((Ticker, *row) for row in rows)


_MAKERS: Mapping[str, Any] = {"depth": _depth, "trade": _trade, "ticker": _ticker}
