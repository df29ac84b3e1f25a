"""Wall-clock times: bars of days, weeks and months begin by the clock of their market.

Times are ms since the epoch; a wall-clock time is written as if its zone were UTC. Bars carry
their market's zone as the zone of their index, and UTC is one of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Stamps = npt.NDArray[np.int64]


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
    return index.tz_localize(
        zone, nonexistent="shift_forward", ambiguous=np.ones(len(index), bool)
    )
