"""Tables of quotes as they stood at the end of each stretch of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mdkit.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

SAMPLED = ("depth", "ticker")
"""The kinds of event that stay true until the next one comes."""


def checked_step(kind: str, every: Any) -> int:
    """Return `every` in nanoseconds; raise `SettingsError` if it is no time or does not fit."""
    import pandas as pd

    if kind not in SAMPLED:
        raise SettingsError(
            f"every={every!r} is for {' and '.join(SAMPLED)}, which hold until the next one; for "
            f'{kind!r} use bars: md.live(..., bars="1m") makes them, md.resample makes longer ones'
        )
    try:
        step = int(pd.Timedelta(every).value)
    except (TypeError, ValueError):
        step = 0
    if step <= 0:
        raise SettingsError(f'every is {every!r}; give a time above 0, such as "1s" or "500ms"')
    return step


def at_each_end(table: pd.DataFrame, step: int) -> pd.DataFrame:
    """Return the last row received up to each whole multiple of `step` nanoseconds.

    The index `time` holds those multiples, UTC; the last one is not after the last row, so that
    no row tells of a time that has not been seen to its end. A row holds until the next one, but
    not into a gap: ends of which nothing is known are left out. `gap` is True where something was
    missed since the row before. Several symbols, in a column `symbol`, are sampled one by one.
    """
    import pandas as pd

    if "symbol" in table:
        parts = [_sampled(part, step) for part in _by_symbol(table)]
        parts = [part for part in parts if len(part)] or [_sampled(table.iloc[:0], step)]
        whole = parts[0] if len(parts) == 1 else pd.concat(parts).sort_index(kind="stable")
        return whole.assign(symbol=whole["symbol"].cat.remove_unused_categories())
    return _sampled(table, step)


def _by_symbol(table: pd.DataFrame) -> list[pd.DataFrame]:
    return [part for _, part in table.groupby("symbol", observed=True, sort=False)]


def rows_at_ends(
    received: npt.NDArray[np.int64], gap: npt.NDArray[np.bool_], step: int
) -> tuple[npt.NDArray[Any], ...]:
    """Return the whole multiples of `step` up to the last row, and which row stood at each.

    Args:
        received: when each row was, ns since the epoch, ascending.
        gap: whether something was missed before each row.
        step: in ns.

    Four arrays of one length: the ends (ns), the number of the last row received up to each,
    whether that is known to have held until then, and whether something was missed since the end
    before.
    """
    ends = np.empty(0, np.int64)
    if received.size:
        ends = np.arange(-(-received[0] // step), received[-1] // step + 1) * step
    at = np.searchsorted(received, ends, "right") - 1
    before = np.append(-1, at[:-1])
    missed = np.append(0, np.cumsum(gap))
    # An end is known if a row came within its own stretch, or what follows is no gap.
    follows = np.append(gap[1:], False)
    known = (at > before) | ~follows[at]
    return ends, at, known, missed[at + 1] > missed[before + 1]


def _sampled(table: pd.DataFrame, step: int) -> pd.DataFrame:
    import pandas as pd

    table = table.sort_index(kind="stable")
    received = pd.DatetimeIndex(table.index).as_unit("ns").asi8
    ends, at, known, missed = rows_at_ends(received, table["gap"].to_numpy(), step)
    sampled = table.iloc[at].assign(gap=missed)
    sampled.index = pd.DatetimeIndex(ends.view("M8[ns]")).tz_localize("UTC").rename("time")
    kept: pd.DataFrame = sampled.loc[known]
    return kept
