"""Gaps as a table: what sessions, recordings and archives show of what was not seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mdkit.events import Gap

if TYPE_CHECKING:
    import pandas as pd


def gap_table(found: Iterable[Gap]) -> pd.DataFrame:
    """Return one row a gap: symbol, channel, reason, from, to (UTC), its seconds, lost."""
    import pandas as pd

    from mdkit.frames.display import Table

    rows = list(found)
    return Table(
        {
            "symbol": [gap.symbol for gap in rows],
            "channel": [gap.channel for gap in rows],
            "reason": [gap.reason for gap in rows],
            "from": pd.to_datetime([gap.from_ns for gap in rows], unit="ns", utc=True),
            "to": pd.to_datetime([gap.to_ns for gap in rows], unit="ns", utc=True),
            "seconds": [(gap.to_ns - gap.from_ns) / 1e9 for gap in rows],
            "lost": pd.array([gap.lost for gap in rows], dtype="Int64"),
        }
    )
