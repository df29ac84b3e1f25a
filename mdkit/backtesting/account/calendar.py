"""When bars begin, which of them end a return, and how many returns there are in a year."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.history.files.zones import at_wall_clock, is_utc, wall_clock

Stamps = npt.NDArray[np.int64]
DAY = 86_400_000_000_000
_YEAR = 365.25 * DAY


@dataclass(frozen=True)
class Calendar:
    """When bars begin.

    Attributes:
        starts: of the bars, ns UTC, (bars,).
        zone: the time zone whose midnights part the days; None for UTC.
        single: the time from a bar's start to its end where there is only one, ns.
    """

    starts: Stamps
    zone: Any = None
    single: int = DAY

    @cached_property
    def step(self) -> int:
        """The usual time between bars, ns; `single` where there is only one."""
        if len(self.starts) < 2:
            return self.single
        return int(np.median(np.diff(self.starts)))

    @cached_property
    def months(self) -> int:
        """How many months a bar covers; 0 where bars are no months.

        Bars of months begin on the same day of theirs (or on the last ones, or on the first
        that is a business day), and so are not equally far apart.
        """
        if len(self.starts) < 2 or self.step < 27 * DAY:
            return 0
        index = self._local(self.starts)
        passed = np.diff(np.asarray(index.year) * 12 + np.asarray(index.month))
        days = np.asarray(index.day)
        apart = np.diff(index.as_unit("s").asi8)
        at_ends = bool((np.asarray(index.days_in_month) - days <= 3).all())
        # Periods of 28 or 30 days drift through the month, by equal steps.
        drifts = np.ptp(days) > 0 and np.ptp(apart) == 0 and not at_ends
        if passed.min() < 1 or drifts or (np.ptp(days) > 4 and not at_ends):
            return 0
        return int(np.median(passed))

    @cached_property
    def interval(self) -> str:
        """The usual length of a bar as the service writes it: "1m", "4h", "1d", "1M"."""
        return f"{self.months}M" if self.months else interval_name(self.step)

    def end_of(self, bar: int) -> int:
        """Return when a bar of usual length ends, ns UTC."""
        start = int(self.starts[bar])
        local = self._local(np.array([start]))
        if self.months:
            whole = local[0].is_month_end
            ended = local + pd.DateOffset(months=self.months)
            return int((ended + pd.offsets.MonthEnd(0) if whole else ended)[0].value)
        if self.step % DAY == 0 and not is_utc(self.zone):
            # By the clock: the day of a clock change has 23 or 25 hours.
            days = wall_clock(local) + self.step // 1_000_000
            return int(at_wall_clock(days, self.zone)[0].value)
        return start + self.step

    @cached_property
    def _days(self) -> Stamps:
        """The day on which each bar begins, by the clock of the zone, since 1970-01-01."""
        if is_utc(self.zone):
            return self.starts // DAY
        return wall_clock(self._local(self.starts)) // 86_400_000

    @property
    def is_daily(self) -> bool:
        """Whether returns are of days; those of longer bars are of a bar each."""
        # The day of a clock change is longer than others.
        return not self.months and self.step <= DAY * 25 // 24

    @property
    def frequency(self) -> str:
        """What a return covers: "daily (UTC)", or "per bar" for bars longer than a day."""
        return (
            f"daily ({'UTC' if is_utc(self.zone) else self.zone})" if self.is_daily else "per bar"
        )

    @cached_property
    def ends(self) -> Stamps:
        """The bars at which a return ends."""
        if not self.is_daily:
            return np.arange(len(self.starts))
        days = self._days
        return np.append(np.flatnonzero(days[1:] != days[:-1]), len(days) - 1)

    @cached_property
    def returns_per_year(self) -> float:
        """How many returns a year has, counted: see `week_of` for days; 12 of months.

        Of other bars longer than a day, those that a year has at their mean distance, holes of
        more than three times the usual one left out.
        """
        if self.months:
            return 12.0 / self.months
        if not self.is_daily:
            if len(self.starts) < 2:
                return _YEAR / self.step
            apart = np.diff(self.starts)
            return _YEAR / float(apart[apart <= 3 * self.step].mean())
        week = week_of(self._days[self.ends])
        if 4.5 <= week <= 5.2:
            return 252.0
        return 365.0 if week > 6.7 else week * 365.25 / 7.0

    @cached_property
    def years(self) -> float:
        """From the start of the first bar to the end of the last, in years of 365.25 days."""
        return (self.end_of(-1) - int(self.starts[0])) / _YEAR

    def _local(self, starts: Stamps) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(starts).tz_localize("UTC").tz_convert(self.zone or "UTC")


def week_of(days: Stamps) -> float:
    """Return on how many days a usual week is traded; `days` since 1970-01-01, in order.

    The sum over Monday to Sunday of the share of weeks in which that day was traded, of the
    weeks with any trading. So neither one special Saturday in years nor a hole of months changes
    much, and a stock exchange's holidays leave about 4.8. A day that the stretch is too short
    to have seen is taken to be traded unless it is at a weekend.
    """
    # 1970-01-01 was a Thursday.
    weekdays, weeks = (days + 3) % 7, (days + 3) // 7
    seen = np.bincount(weekdays, minlength=7)
    there = np.full(7, 1 + np.count_nonzero(np.diff(weeks)))
    there[: weekdays[0]] -= 1
    there[weekdays[-1] + 1 :] -= 1
    usual = np.array([1.0] * 5 + [0.0] * 2)
    return float(np.where(there > 0, seen / np.maximum(there, 1), usual).sum())


def interval_name(nanoseconds: int) -> str:
    """Return a bar's length as the service writes it: "1m", "4h", "1d"."""
    seconds = nanoseconds // 1_000_000_000
    for size, unit in ((604_800, "w"), (86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
