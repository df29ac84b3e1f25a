"""What bars lack, and bars of longer periods made of shorter ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mdkit.errors import SettingsError
from mdkit.history.columns import FIGURES, join_frames
from mdkit.history.files.zones import at_wall_clock, is_utc, wall_clock, warn_of_evenings
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

_HOUR_MS = 3_600_000
_PRICES = ("open", "high", "low", "close")


def gaps(bars: pd.DataFrame, interval: str | None = None) -> pd.DataFrame:
    """Return the periods that are missing between bars: a row for each run of them.

    Columns: `start` (of the first missing period), `end` (of the last: where bars go on) and
    `missing` (how many periods); with several symbols first `symbol`. Days, weeks and months are
    those of the index's own time zone, so that the 23 or 25 hours of a clock change are one day.
    A market that closes has such a run every night; nothing is said about the time before the
    first and after the last bar. `interval` is told from the bars unless given. Raises
    `SettingsError` for what are no bars.

    Example:
        >>> import pandas as pd
        >>> hours = pd.date_range("2025-01-06", periods=9, freq="h", tz="UTC")
        >>> bars = pd.DataFrame({"open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5}, hours)
        >>> md.gaps(bars.drop(hours[3:5]))["missing"].tolist()
        [2]
    """
    import pandas as pd

    known = interval
    parts = []
    for symbol, frame in by_symbol(bars):
        starts = starts_of(frame)
        wall, zone = _clock_of(frame, starts)
        interval = known or _interval_of(bars, wall)
        check_interval(interval)
        by_clock = _counts_by_clock(interval, starts, wall)
        clock = wall if by_clock else starts
        steps = count_between(interval, clock[:-1], clock[1:])
        at = np.flatnonzero(steps > 1)
        begin = ends(interval, clock[at])
        part = pd.DataFrame(
            {
                "start": at_wall_clock(begin, zone) if by_clock else _stamps(begin, zone),
                "end": _stamps(starts[at + 1], zone),
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
    Periods begin by the clock of the index's own time zone, in which the result comes too: days
    dated at midnight in Tokyo make Tokyo's weeks. Several symbols (an index level `symbol`) are
    kept apart; other columns than `open high low close volume quote_volume` are dropped.

    Raises `SettingsError` when the interval is unknown, shorter than that of the bars, or not
    made of whole ones ("1w" to "1M").

    Example:
        >>> import pandas as pd
        >>> hours = pd.date_range("2025-01-06", periods=48, freq="h", tz="UTC")
        >>> prices = {"open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5}
        >>> bars = pd.DataFrame({**prices, "volume": 10.0}, hours)
        >>> md.resample(bars, "1d")["volume"].tolist()
        [240.0, 240.0]
    """
    check_interval(interval)

    def reshaped(frame: pd.DataFrame) -> pd.DataFrame:
        _check_bars(frame, interval)
        starts = starts_of(frame)
        if not starts.size:
            return frame.copy()
        wall, zone = _clock_of(frame, starts)
        given = bars.attrs.get("interval") or (infer_interval(wall) if wall.size > 1 else None)
        if given is not None:
            _check_made_of(given, interval)
        if shortest(interval) > DAY_MS:
            warn_of_evenings(wall, stacklevel=3)
        whole = floors(interval, wall)
        if shortest(interval) > _HOUR_MS:
            periods, begins = whole, functools.partial(at_wall_clock, zone=zone)
        else:
            # The hour that a clock change repeats is two hours.
            periods, begins = whole - wall + starts, functools.partial(_stamps, zone=zone)
        at = np.flatnonzero(np.append(True, periods[1:] != periods[:-1]))
        columns = {
            name: _REDUCE[name](frame[name].to_numpy(np.float64), at)
            for name in FIGURES
            if name in frame.columns
        }
        import pandas as pd

        result = pd.DataFrame(columns, begins(periods[at]).rename("time"))
        if not partial:
            reach = wall[-1] + (shortest(given) if given else 0)
            first = 0 if wall[0] <= whole[0] else 1
            last = len(at) if reach >= ends(interval, whole[-1:])[0] else len(at) - 1
            result = result.iloc[first:last]
        return result

    frames = {}
    for symbol, frame in by_symbol(bars):
        frames[symbol] = reshaped(frame)
    if None in frames:
        result = frames[None]
        result.attrs = {**bars.attrs, "interval": interval}
        return result
    return join_frames({str(symbol): frame for symbol, frame in frames.items()}, interval)


def _check_bars(frame: pd.DataFrame, interval: str) -> None:
    """Raise `SettingsError` for a table of books, quotes or trades, and say what resamples it."""
    if any(name in frame.columns for name in FIGURES):
        return
    if "bid" in frame.columns:
        cure = f'the book at the end of each stretch is session.frame("depth", every="{interval}")'
    elif "price" in frame.columns:
        cure = f'a session makes bars of trades: md.live(..., bars="{interval}"), frame("bar")'
    else:
        cure = "md.klines returns them"
    raise SettingsError(
        f"resample takes bars, with columns such as open, high, low, close, volume; {cure}. The "
        f"columns here are {', '.join(map(str, frame.columns)) or 'none'}."
    )


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


def _clock_of(
    frame: pd.DataFrame, starts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], Any]:
    """Return bar starts by the clock of the index's zone, in ms, and that zone (None for UTC)."""
    index = frame.index
    zone = getattr(index, "tz", None)
    return (starts, None) if is_utc(zone) else (wall_clock(index), zone)  # type: ignore[arg-type]


def _counts_by_clock(
    interval: str, starts: npt.NDArray[np.int64], wall: npt.NDArray[np.int64]
) -> bool:
    """Whether periods are to be counted by the clock: days and longer, and hours that follow it.

    Bars of four hours that begin at 0:00, 4:00, ... by the clock are three or five hours apart
    where it changes.
    """
    size = shortest(interval)
    if wall is starts or size <= _HOUR_MS:
        return False
    return size >= DAY_MS or (bool((wall % size == 0).all()) and bool((starts % size != 0).any()))


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


def _stamps(ms: npt.NDArray[np.int64], zone: Any = None) -> pd.DatetimeIndex:
    import pandas as pd

    index = pd.DatetimeIndex((ms * 1_000_000).view("M8[ns]")).tz_localize("UTC")
    return index if zone is None else index.tz_convert(zone)


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
