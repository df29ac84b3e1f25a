"""What is to know about a row of a live table: bits while it is kept, columns when it is shown."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

AFTER_GAP, FROM_REST, PARTIAL, REVISED = 1, 2, 4, 8


def flag_columns(
    flags: npt.NDArray[np.uint8],
    times: npt.NDArray[np.int64] | None,
    symbols: npt.NDArray[np.integer] | None = None,
    *,
    partial: bool = False,
) -> dict[str, Any]:
    """Return the columns that flags stand for, and which rows the exchange dates before the last.

    `times` are the exchange's, 0 where it gave none; None where there is no such column.
    `symbols` are numbers that tell which rows are of the same symbol, None where all are.
    """
    import pandas as pd

    columns: dict[str, Any] = {"partial": (flags & PARTIAL) > 0} if partial else {}
    gap = columns["gap"] = (flags & AFTER_GAP) > 0
    if times is not None:
        columns["backwards"] = _backwards(times, symbols) & ~gap
    rest = ((flags & FROM_REST) > 0).astype(np.int8)
    columns["source"] = pd.Categorical.from_codes(rest, dtype=_sources(), validate=False)
    return columns


def _backwards(
    times: npt.NDArray[np.int64], symbols: npt.NDArray[np.integer] | None
) -> npt.NDArray[np.bool_]:
    """Return which times lie before the one above; across symbols that is normal."""
    found = np.zeros(times.size, bool)
    if symbols is None:
        found[1:] = (times[1:] < times[:-1]) & (times[1:] != 0)
        return found
    order = np.argsort(symbols, kind="stable")
    ordered = symbols[order]
    found[order] = _backwards(times[order], None)
    found[order[1:][ordered[1:] != ordered[:-1]]] = False
    return found


@functools.cache
def _sources() -> pd.CategoricalDtype:
    import pandas as pd

    return pd.CategoricalDtype(["live", "rest"])


def made_whole(bars: pd.DataFrame, flags: npt.NDArray[np.uint8]) -> pd.DataFrame:
    """Put bars in the places of earlier ones that began at the same time.

    A whole bar takes that of a partial one; one that was revised takes that of any.
    """
    partial = bars["partial"].to_numpy()
    if not partial.any() or bars.index.is_unique:
        return bars
    places = np.arange(len(bars))
    waiting: dict[object, int] = {}  # the row that may be replaced
    replaced = np.zeros(len(bars), bool)
    seen: dict[object, int] = {}
    symbols = bars["symbol"] if "symbol" in bars else np.zeros(len(bars))
    revised = (flags & REVISED) > 0
    for row, (*names, is_partial) in enumerate(
        zip(symbols, bars.index.array, partial, strict=True)
    ):
        key = tuple(names)
        before = seen.get(key) if revised[row] else None if is_partial else waiting.get(key)
        if before is not None:
            places[row] = places[before]
            replaced[before] = True
        seen[key] = row
        if is_partial:
            waiting[key] = row
        else:
            waiting.pop(key, None)
    kept = np.flatnonzero(~replaced)
    return bars.iloc[kept[np.argsort(places[kept], kind="stable")]]
