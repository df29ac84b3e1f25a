"""What every indicator of flow is, and how it goes over a table."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mdkit.books.levels import books_of
from mdkit.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
NAN = math.nan


class Flow(ABC):
    """An indicator of one symbol's events of one channel.

    Attributes:
        channel: "depth" or "trade".
        ready: whether its whole window has been seen.
        value: the latest one, nan until ready and where it cannot be told.
    """

    channel: str
    ready: bool = False
    value: float = NAN

    @abstractmethod
    def update(self, event: Any) -> float:
        """Take the next event; return the value, nan until ready."""

    @abstractmethod
    def reset(self) -> None:
        """Begin anew, as after a gap."""

    @abstractmethod
    def _over(self, table: pd.DataFrame, times: Ints, breaks: Bools) -> Floats:
        """Return the values at each row; it begins anew at rows where `breaks` is set."""

    def over(self, frame: pd.DataFrame) -> pd.Series[float]:
        """Return the value after each row of a table of one symbol, with the bits of `update`.

        The table is `session.frame(channel, symbol)` or a recording's; it begins anew at rows
        marked `gap`, and where time runs backwards. This object itself is not changed. Raises
        `SettingsError` for a table of several symbols or of something else.
        """
        import pandas as pd

        if "symbol" in frame and frame["symbol"].nunique() > 1:
            raise SettingsError("the table holds several symbols: take one")
        if not isinstance(frame.index, pd.DatetimeIndex):
            raise SettingsError(f"{type(self).__name__} needs a table by time of receipt")
        table = books_of(frame) if self.channel == "depth" else frame
        times: Ints = frame.index.as_unit("ns").asi8
        breaks = (
            frame["gap"].to_numpy(bool).copy() if "gap" in frame else np.zeros(len(frame), bool)
        )
        breaks[1:] |= times[1:] < times[:-1]
        with np.errstate(all="ignore"):
            values = self._over(table, times, breaks) if len(frame) else np.empty(0)
        return pd.Series(values, frame.index, name=repr(self))


def column(table: pd.DataFrame, name: str, what: str) -> Floats:
    """Return a column of floats; raise `SettingsError` where the table has none such."""
    if name not in table:
        raise SettingsError(
            f"{what} needs the column {name!r}; the table has {', '.join(map(str, table.columns))}"
        )
    return table[name].to_numpy(np.float64)


def sides(table: pd.DataFrame, what: str) -> npt.NDArray[np.object_]:
    """Return the aggressors' sides; raise `SettingsError` where the table is not of trades."""
    if "side" not in table:
        raise SettingsError(
            f"{what} needs the column 'side'; the table has {', '.join(map(str, table.columns))}"
        )
    return table["side"].to_numpy(object)


def time_of(event: Any) -> int:
    """Return when an event was received, or by the exchange's clock where that is not known."""
    return int(event.received_ns or event.exchange_ns)


def nanoseconds(span: Any, name: str) -> int:
    """Return a span of time such as "1s" in nanoseconds; raise `SettingsError` if it is none."""
    import pandas as pd

    if isinstance(span, str | timedelta | np.timedelta64):
        try:
            found: Any = pd.Timedelta(span)
        except ValueError:
            found = None
        if found is not None and found is not pd.NaT and (value := found.as_unit("ns").value) > 0:
            return int(value)
    raise SettingsError(f'{name} is {span!r}; give a time above zero, such as "1s" or "100ms"')


def level_columns(levels: int) -> list[str]:
    """Return how columns of levels end: "", "_2", "_3", ..."""
    return [f"_{level}" if level > 1 else "" for level in range(1, levels + 1)]
