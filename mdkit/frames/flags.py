"""What is to know about a row of a live table: bits while it is kept, columns when it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

AFTER_GAP, FROM_REST, PARTIAL, REVISED = 1, 2, 4, 8


def with_flags(
    frame: pd.DataFrame, flags: npt.NDArray[np.uint8], *, partial: bool = False
) -> pd.DataFrame:
    """Add the columns that flags stand for, and which rows the exchange dates before the last."""
    import pandas as pd

    if partial:
        frame["partial"] = (flags & PARTIAL) > 0
    frame["gap"] = (flags & AFTER_GAP) > 0
    if "exchange_time" in frame:
        times = frame["exchange_time"]
        # Across symbols that is normal.
        before = (
            times.groupby(frame["symbol"], observed=True).shift()
            if "symbol" in frame
            else times.shift()
        )
        frame["backwards"] = (times < before) & ~frame["gap"]
    codes = ((flags & FROM_REST) > 0).astype(np.int8)
    frame["source"] = pd.Categorical.from_codes(codes, pd.Index(["live", "rest"]))
    return frame


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
