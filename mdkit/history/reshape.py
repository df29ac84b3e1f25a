"""What bars lack, and bars of longer periods made of shorter ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mdkit.errors import SettingsError
from mdkit.history.columns import FIGURES, join_frames
from mdkit.history.intervals import (
    DAY_MS,
    FIXED_MS,
    check_interval,
    count_between,
    ends,
    floors,
    infer_interval,
    shortest,
)

if TYPE_CHECKING:
    import pandas as pd

_PRICES = ("open", "high", "low", "close")


def gaps(bars: pd.DataFrame, interval: str | None = None) -> pd.DataFrame:
    """Return the periods that are missing between bars: a row for each run of them.

    Columns: `start` (of the first missing period), `end` (of the last: where bars go on) and
    `missing` (how many periods); with several symbols first `symbol`. A market that closes has
    such a run every night; nothing is said about the time before the first and after the last
    bar. `interval` is told from the bars unless given. Raises `SettingsError` for what are no
    bars.
    """
    import pandas as pd

    known = interval
    parts = []
    for symbol, frame in by_symbol(bars):
        starts = starts_of(frame)
        interval = known or _interval_of(bars, starts)
        check_interval(interval)
        steps = count_between(interval, starts[:-1], starts[1:])
        at = np.flatnonzero(steps > 1)
        part = pd.DataFrame(
            {
                "start": _stamps(ends(interval, starts[at])),
                "end": _stamps(starts[at + 1]),
                "missing": steps[at] - 1,
            }
        )
        if symbol is not None:
            part.insert(0, "symbol", pd.Series([symbol] * len(part), dtype=object))
        parts.append(part)
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


def resample(bars: pd.DataFrame, interval: str, *, partial: bool = True) -> pd.DataFrame:
    """Return bars of a longer interval: first open, highest high, lowest low, last close, sums.

    Periods without a bar stay out; nothing is filled in. `partial=False` leaves out a first and
    a last period that the bars do not reach the start and the end of. Weeks begin on Monday.
    Several symbols (an index level `symbol`) are kept apart; other columns than `open high low
    close volume quote_volume` are dropped.

    Raises `SettingsError` when the interval is unknown, shorter than that of the bars, or not
    made of whole ones ("1w" to "1M").
    """
    check_interval(interval)

    def reshaped(frame: pd.DataFrame) -> pd.DataFrame:
        starts = starts_of(frame)
        if not starts.size:
            return frame.copy()
        given = bars.attrs.get("interval") or (infer_interval(starts) if starts.size > 1 else None)
        if given is not None:
            _check_made_of(given, interval)
        periods = floors(interval, starts)
        at = np.flatnonzero(np.append(True, periods[1:] != periods[:-1]))
        new = periods[at]
        columns = {
            name: _REDUCE[name](frame[name].to_numpy(np.float64), at)
            for name in FIGURES
            if name in frame.columns
        }
        import pandas as pd

        result = pd.DataFrame(columns, _stamps(new).rename("time"))
        if not partial:
            reach = starts[-1] + (shortest(given) if given else 0)
            first = 0 if starts[0] <= new[0] else 1
            last = len(new) if reach >= ends(interval, new[-1:])[0] else len(new) - 1
            result = result.iloc[first:last]
        return result

    frames = {symbol: reshaped(frame) for symbol, frame in by_symbol(bars)}
    if None in frames:
        result = frames[None]
        result.attrs = {**bars.attrs, "interval": interval}
        return result
    return join_frames({str(symbol): frame for symbol, frame in frames.items()}, interval)


def by_symbol(bars: Any) -> list[tuple[str | None, pd.DataFrame]]:
    """Return the frames of the symbols in bars; the symbol is None where there is no level."""
    import pandas as pd

    if not isinstance(bars, pd.DataFrame):
        raise SettingsError(
            f"bars is a {type(bars).__name__}; give a DataFrame as md.klines returns it."
        )
    if isinstance(bars.index, pd.MultiIndex):
        level = "symbol" if "symbol" in bars.index.names else 0
        groups = bars.groupby(level=level, sort=False)
        return [(str(symbol), frame.droplevel(level)) for symbol, frame in groups]
    return [(None, bars)]


def starts_of(frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return when bars begin, in ms; raise `SettingsError` when that cannot be told."""
    import pandas as pd

    index = frame.index
    if not isinstance(index, pd.DatetimeIndex):
        raise SettingsError(
            f"The bars' index holds {index.dtype}; give bar starts as a DatetimeIndex in UTC."
        )
    if index.hasnans or not index.is_monotonic_increasing or not index.is_unique:
        raise SettingsError(
            "The bars' times are not in order or not unique: use bars.sort_index() and "
            "bars[~bars.index.duplicated(keep='last')]."
        )
    if index.tz is not None:
        index = index.tz_convert("UTC").tz_localize(None)
    starts: npt.NDArray[np.int64] = index.to_numpy("M8[ms]").view(np.int64)
    return starts


def _interval_of(bars: pd.DataFrame, starts: npt.NDArray[np.int64]) -> str:
    said = bars.attrs.get("interval")
    if isinstance(said, str):
        return said
    # No run can be missing between fewer than two bars, whatever their interval.
    return infer_interval(starts) if starts.size > 1 else "1d"


def _check_made_of(given: str, wanted: str) -> None:
    small, large = FIXED_MS.get(given), FIXED_MS.get(wanted)
    if given == wanted:
        return
    if small is None or (large is not None and (small > large or large % small)):
        raise SettingsError(f"Bars of {given} cannot be made into bars of {wanted}.")
    if large is None and DAY_MS % small:
        raise SettingsError(f"Months are not made of whole periods of {given}.")


def _stamps(ms: npt.NDArray[np.int64]) -> pd.DatetimeIndex:
    import pandas as pd

    return pd.DatetimeIndex((ms * 1_000_000).view("M8[ns]")).tz_localize("UTC")


def _last(values: npt.NDArray[np.float64], at: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    last: npt.NDArray[np.float64] = values[np.append(at[1:], values.size) - 1]
    return last


_REDUCE: dict[str, Callable[[Any, Any], Any]] = {
    "open": lambda values, at: values[at],
    "high": np.maximum.reduceat,
    "low": np.minimum.reduceat,
    "close": _last,
    "volume": np.add.reduceat,
    "quote_volume": np.add.reduceat,
}
