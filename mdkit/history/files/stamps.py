"""The times of bars in a file: whatever is written there, as ms since the epoch, or an error.

Each value is read by itself, since files are joined of parts that count differently. Nothing
that can be read in two ways is guessed at: 05/11/2023 needs another row, or `dayfirst=`, that
says which number is the day.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mdkit.errors import RecordingError
from mdkit.history.intervals import DAY_MS
from mdkit.venues.rest.klines import when

if TYPE_CHECKING:
    import pandas as pd

    Texts = pd.Series[str]

TIMES = (
    "time",
    "timestamp",
    "datetime",
    "date_time",
    "date",
    "open_time",
    "gmt_time",
    "start",
)
"""Columns that may hold the starts of bars, by preference; a date may have its time in another."""

Stamps = npt.NDArray[np.int64]

_FIRST_S, _LAST_S = 315_532_800, 4_102_444_800  # 1980 and 2100: in this range no two units meet
_UNITS = {1: 1000, 10**3: 1, 10**6: 1, 10**9: 1}
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_SERIAL_OF_1970, _SERIALS = 25_569, (29_221, 73_050)
_MONTH_MS = 31 * DAY_MS
_YEAR_MS = 365 * DAY_MS
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_YEAR_LAST = re.compile(r"(?<!\d)(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?!\d)")
_YEAR_FIRST = r"(?<!\d)(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?!\d)"
_HAS_YEAR = r"(?<!\d)\d{4}(?!\d)|^\d{8}(?!\d)"
_CLOCK = re.compile(
    r"(?P<h>\d{1,2}):(?P<m>\d\d)(?::(?P<s>\d\d(?:\.\d+)?))?\s*(?P<half>[AaPp][Mm])?"
    r"\s*(?:Z|UTC|GMT|(?P<sign>[+-])(?P<oh>\d\d):?(?P<om>\d\d))?"
)
_ACCEPTED = (
    "seconds, ms, us or ns since the epoch from 1980 to 2100, YYYYMMDD, YYYYMMDDHHMM, "
    "YYYYMMDDHHMMSS, or a spreadsheet's count of days"
)


def bar_starts(
    columns: Mapping[str, pd.Series[Any]], name: str, dayfirst: bool | None = None
) -> Stamps:
    """Return when the bars of a table begin, from whichever of `TIMES` its `columns` hold.

    `name` is the file's. Raises `RecordingError` for what is no time, or could be two.
    """
    found = [label for label in TIMES if label in columns]
    by_clock = {label: _clock_times(columns[label], "date" in columns) for label in found}
    whole = [label for label in found if by_clock[label] is None]
    clocks = [ms for ms in by_clock.values() if ms is not None]
    if not whole:
        raise RecordingError(
            f"{name}: the column {found[0]} holds times of day and no column says which day; "
            "add a column date."
        )
    starts = _starts(columns[whole[0]], f"{name}: column {whole[0]}", dayfirst)
    if clocks and whole[0] == "date" and not (starts % DAY_MS).any():
        starts = starts + clocks[0]
    check_starts(starts, name)
    return starts


def check_starts(starts: Stamps, name: str) -> None:
    """Refuse times that some program has made of numbers whose unit it took for a smaller one.

    These all lie in January 1970, and far from everything else; prices that are as old as
    that go on in the year around it.
    """
    in_january = (starts >= 0) & (starts < _MONTH_MS)
    around = (starts >= -_YEAR_MS) & (starts < _YEAR_MS) & ~in_january
    if in_january.any() and not around.any():
        first = int(starts[in_january][0])
        raise RecordingError(
            f"{name}: {int(in_january.sum()):,} of {starts.size:,} bars are of January 1970 (such "
            f"as {when(first)}): whatever wrote the file took seconds, ms or us for a smaller "
            "unit. Write the times anew."
        )


def _clock_times(column: pd.Series[Any], has_date: bool) -> Stamps | None:
    """Return times of day in ms, less their zone's offset; None if some are more than that.

    Numbers are times of day (93000, 0930, or a spreadsheet's part of a day) only beside a date.
    """
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column):
        return None
    texts = column.astype(str).str.strip()
    if texts.empty:
        return None
    numbers = texts.str.fullmatch(_NUMBER)
    if numbers.all() and has_date:
        return _clock_numbers(texts)
    parts = texts.str.extract(_CLOCK)
    if not texts.str.fullmatch(_CLOCK).all():
        return None
    hours, minutes = parts["h"].astype(int), parts["m"].astype(int)
    seconds = parts["s"].fillna("0").astype(float)
    half = parts["half"].str.lower()
    hours = hours.where(half.isna(), hours % 12 + 12 * (half == "pm"))
    if (hours > 23).any() or (minutes > 59).any() or (seconds >= 60).any():
        return None
    offset = 60 * parts["oh"].fillna("0").astype(int) + parts["om"].fillna("0").astype(int)
    offset = offset.where(parts["sign"] != "-", -offset)
    into = (seconds * 1000).round().astype("int64")
    return np.asarray((hours * 60 + minutes - offset) * 60_000 + into, np.int64)


def _clock_numbers(texts: Texts) -> Stamps | None:
    values = texts.astype(float).to_numpy()
    if ((values >= 0) & (values < 1)).all() and (values % 1 > 0).any():
        return np.rint(values * 86_400).astype(np.int64) * 1000
    if (values % 1 > 0).any() or (values < 0).any() or (values >= 240_000).any():
        return None
    whole = values.astype(np.int64)
    if texts.str.len().max() <= 4:  # HHMM, of which leading zeros may have been lost
        whole = whole * 100
    hours, minutes, seconds = whole // 10_000, whole // 100 % 100, whole % 100
    if (hours > 23).any() or (minutes > 59).any() or (seconds > 59).any():
        return None
    ms: Stamps = ((hours * 60 + minutes) * 60 + seconds) * 1000
    return ms


def _starts(column: pd.Series[Any], what: str, dayfirst: bool | None) -> Stamps:
    import pandas as pd

    if pd.api.types.is_datetime64_any_dtype(column):
        return _milliseconds(column, what)
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        if column.isna().any():
            raise RecordingError(f"{what}: some bars have no time.")
        return _numbers(column.to_numpy(), what)
    texts = column.fillna("").astype(str).str.strip().reset_index(drop=True)
    if (texts == "").any():
        raise RecordingError(f"{what}: some bars have no time.")
    is_number = texts.str.fullmatch(_NUMBER).to_numpy(bool)
    starts = np.zeros(len(texts), np.int64)
    if is_number.any():
        values = pd.to_numeric(texts[is_number]).to_numpy()
        starts[is_number] = _numbers(values, what)
    if not is_number.all():
        starts[~is_number] = _texts(texts[~is_number], what, dayfirst)
    return starts


def _numbers(values: npt.NDArray[Any], what: str) -> Stamps:
    """Return numbers as times, each in the unit in which alone it is one of 1980 to 2100."""
    import pandas as pd

    starts = np.zeros(values.size, np.int64)
    known = np.zeros(values.size, bool)
    for per_second, factor in _UNITS.items():
        of_unit = (values >= _FIRST_S * per_second) & (values < _LAST_S * per_second)
        divisor = max(1, per_second // 1000)
        chosen = values[of_unit]
        if chosen.dtype.kind == "f":
            starts[of_unit] = np.rint(chosen * factor / divisor).astype(np.int64)
        else:
            starts[of_unit] = chosen.astype(np.int64) * factor // divisor
        known |= of_unit
    days = (values >= _SERIALS[0]) & (values <= _SERIALS[1])
    if days.any():
        # Spreadsheets count days; a day's parts are rounded, and were whole seconds.
        seconds = np.rint((values[days].astype(float) - _SERIAL_OF_1970) * 86_400)
        starts[days] = seconds.astype(np.int64) * 1000
        known |= days
    for digits, form in _COMPACT.items():
        low, high = 1900 * 10 ** (digits - 4), 2100 * 10 ** (digits - 4)
        compact = ~known & (values >= low) & (values < high) & (values % 1 == 0)
        if not compact.any():
            continue
        texts = pd.Series(values[compact].astype(np.int64)).astype(str)
        stamps = pd.to_datetime(texts, format=form, utc=True, errors="coerce")
        valid = stamps.notna().to_numpy()
        at = np.flatnonzero(compact)[valid]
        starts[at] = _milliseconds(stamps[valid], what)
        known[at] = True
    if not known.all():
        value = values[~known][0]
        raise RecordingError(f"{what}: {value!s} is no time: numbers may be {_ACCEPTED}.")
    return starts


def _texts(texts: Texts, what: str, dayfirst: bool | None) -> Stamps:
    import pandas as pd

    parts = texts.str.extract(_YEAR_LAST)
    year_last = parts[0].notna()
    if year_last.any():
        first, second = parts[0][year_last].astype(int), parts[2][year_last].astype(int)
        order = _day_first(first, second, texts[year_last], what, dayfirst)
        plain = r"\4-\3-\1" if order else r"\4-\1-\3"
        texts = texts.str.replace(_YEAR_LAST, plain, regex=True)
    texts = texts.str.replace(_YEAR_FIRST, r"\1-\2-\3", regex=True)
    texts = texts.str.replace(r"(?<!\d)(\d{4})-(\d)-", r"\1-0\2-", regex=True)
    texts = texts.str.replace(r"(?<!\d)(\d{4}-\d\d)-(\d)(?!\d)", r"\1-0\2", regex=True)
    undated = ~texts.str.contains(_HAS_YEAR)
    if undated.any():
        raise RecordingError(
            f"{what}: the times are not readable: {texts[undated].iloc[0][:40]!r} has no year of "
            "four digits. Write them as 2025-01-31 or 2025-01-31 14:30."
        )
    try:
        stamps = pd.to_datetime(texts, utc=True, format="ISO8601")
    except ValueError:
        try:
            stamps = pd.to_datetime(texts, utc=True, format="mixed")
        except (ValueError, TypeError, OverflowError) as error:
            reason = str(error).partition("\n")[0]
            raise RecordingError(f"{what}: the times are not readable: {reason}.") from None
    return _milliseconds(stamps, what)


def _day_first(
    first: pd.Series[int],
    second: pd.Series[int],
    texts: Texts,
    what: str,
    dayfirst: bool | None,
) -> bool:
    """Return whether the first number of such dates is the day, as the file or the caller says."""
    as_day, as_month = first > 12, second > 12
    if as_day.any() and as_month.any():
        raise RecordingError(
            f"{what}: the day comes first in {texts[as_day].iloc[0]!r} and second in "
            f"{texts[as_month].iloc[0]!r}: write the dates as 2025-01-31."
        )
    if not (as_day.any() or as_month.any() or (first == second).all()):
        if dayfirst is None:
            raise RecordingError(
                f"{what}: is {texts[first != second].iloc[0]!r} day, month, year or month, day, "
                "year? Say dayfirst=True or dayfirst=False, or write it as 2025-01-31."
            )
        return dayfirst
    shown = bool(as_day.any())
    if dayfirst is not None and dayfirst != shown and not (first == second).all():
        example = texts[as_day if shown else as_month].iloc[0]
        raise RecordingError(f"{what}: dayfirst={dayfirst}, but there is {example!r}.")
    return shown


def _milliseconds(stamps: pd.Series[Any], what: str) -> Stamps:
    import pandas as pd

    index = pd.DatetimeIndex(stamps)
    if index.hasnans:
        raise RecordingError(f"{what}: some bars have no time.")
    if index.tz is not None:
        index = index.tz_convert("UTC").tz_localize(None)
    ms: Stamps = index.to_numpy("M8[ms]").view(np.int64)
    return ms
