"""The columns of a table of trades that everything here reads, checked once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mdkit.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

BUY, SELL, NEUTRAL = 1, -1, 0
"""Who traded aggressively; neutral where the feed does not say."""

_SIDES = {"buy": BUY, "sell": SELL}
_DAY_NS = 86_400_000_000_000


class Trades(NamedTuple):
    """Trades in the order received; every array has shape (trades,)."""

    received: npt.NDArray[np.int64]
    """Nanoseconds since the epoch."""
    price: npt.NDArray[np.float64]
    size: npt.NDArray[np.float64]
    side: npt.NDArray[np.int8]
    """`BUY`, `SELL` or `NEUTRAL`."""
    gap: npt.NDArray[np.bool_]
    """Whether something was missed before the trade."""


def sides(names: Any) -> npt.NDArray[np.int8]:
    """Return "buy", "sell" and whatever else as `BUY`, `SELL` and `NEUTRAL`."""
    find = _SIDES.get
    return np.fromiter((find(name, NEUTRAL) for name in names), np.int8, len(names))


def trades_of(table: pd.DataFrame) -> Trades:
    """Return the columns of a table of one symbol's trades, as `session.frame("trade", symbol)`.

    Raises `SettingsError` for a table of something else, of several symbols, or without times.
    """
    stamps = checked(table, ("price", "size"), "trade")
    gap = np.asarray(table["gap"], bool) if "gap" in table else np.zeros(len(table), bool)
    side = sides(list(table["side"])) if "side" in table else np.zeros(len(table), np.int8)
    price, size = (np.asarray(table[name], float) for name in ("price", "size"))
    return Trades(stamps, price, size, side, gap)


def checked(table: pd.DataFrame, needed: tuple[str, ...], channel: str) -> npt.NDArray[np.int64]:
    """Return a table's times in nanoseconds since the epoch, after looking at its columns."""
    import pandas as pd

    missing = [name for name in needed if name not in getattr(table, "columns", ())]
    if missing:
        raise SettingsError(
            f"the table has no column {', '.join(missing)}: give one as "
            f'session.frame("{channel}", symbol) returns.'
        )
    if "symbol" in table and table["symbol"].nunique() > 1:
        raise SettingsError(
            f'the table holds several symbols: take one, as in frame("{channel}", symbol).'
        )
    if not isinstance(table.index, pd.DatetimeIndex):
        raise SettingsError(
            f"the table's index holds no times ({table.index.dtype}): give one as "
            f'session.frame("{channel}", symbol) returns.'
        )
    stamps: npt.NDArray[np.int64] = table.index.as_unit("ns").asi8
    return stamps


def checked_time(name: str, value: Any) -> int:
    """Return a time such as "1m" in nanoseconds.

    Raises `SettingsError` unless it is above 0 and at most a day, so that all begin at midnight.
    """
    import pandas as pd

    given = value
    if isinstance(value, str):
        value = value.replace("w", "W")  # of which pandas warns
    try:
        step = 0 if isinstance(value, (int, float)) else int(pd.Timedelta(value).value)
    except (TypeError, ValueError):
        step = 0
    if not 0 < step <= _DAY_NS:
        raise SettingsError(
            f'{name} is {given!r}; give a time above 0 and up to a day, such as "1m" or "500ms"'
        )
    return step


def utc(stamps: npt.NDArray[np.int64], name: str) -> pd.DatetimeIndex:
    """Return nanoseconds since the epoch as an index of times in UTC."""
    import pandas as pd

    return pd.DatetimeIndex(stamps.view("M8[ns]")).tz_localize("UTC").rename(name)
