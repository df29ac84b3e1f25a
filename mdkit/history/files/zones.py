"""Wall-clock times: bars of days, weeks and months begin by the clock of their market.

Times are ms since the epoch; a wall-clock time is written as if its zone were UTC. Bars carry
their market's zone as the zone of their index, and UTC is one of these.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Stamps = npt.NDArray[np.int64]
_DAY_MS = 86_400_000


class ZoneWarning(UserWarning):
    """The days of bars seem to be those of another time zone than that of their index."""


def is_utc(zone: Any) -> bool:
    """Whether a time zone, or None for none, is UTC."""
    return zone is None or str(zone) in ("UTC", "utc", "UTC+00:00", "Etc/UTC", "tzutc()")


def wall_clock(index: pd.DatetimeIndex) -> Stamps:
    """Return what the clocks of an index's zone show at its times, ms."""
    if index.tz is not None:
        index = index.tz_localize(None)
    wall: Stamps = index.to_numpy("M8[ms]").view(np.int64)
    return wall


def at_wall_clock(wall: Stamps, zone: Any) -> pd.DatetimeIndex:
    """Return the moments at which clocks of a zone show these times, as an index in that zone.

    A time that a clock change skips is taken for the moment of the change, one that it repeats
    for the first of the two.
    """
    import pandas as pd

    index = pd.DatetimeIndex((wall * 1_000_000).view("M8[ns]"))
    if is_utc(zone):
        return index.tz_localize("UTC")
    return index.tz_localize(zone, nonexistent="shift_forward", ambiguous=np.ones(len(index), bool))


def warn_of_evenings(wall: Stamps, stacklevel: int) -> None:
    """Warn when bars of a day or more begin on the evenings before their days, by this clock.

    So do the days of a market east of an index's zone: those of Monday to Friday in Tokyo begin
    on Sunday to Thursday in UTC, and would be put into other weeks and months.
    """
    weekdays = (wall // _DAY_MS + 3) % 7  # 1970-01-01 was a Thursday
    sundays, fridays = int((weekdays == 6).sum()), int((weekdays == 4).sum())
    if sundays > fridays and bool((wall % _DAY_MS >= _DAY_MS // 2).all()):
        warnings.warn(
            "the bars begin on Sundays to Thursdays, late in the day: they seem to be the Mondays "
            "to Fridays of a market further east, whose weeks and months these are not; use "
            "bars.tz_convert(its zone), such as 'Asia/Tokyo', first",
            ZoneWarning,
            stacklevel=stacklevel + 1,
        )
