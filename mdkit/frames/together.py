"""Tables of many symbols made into columns together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from mdkit.events import Event
from mdkit.frames.events import EventFrame
from mdkit.frames.live import Block

_TOGETHER = 256
"""Rows of several tables that become columns at a time; more would not fit into the cache."""

_Event = TypeVar("_Event", bound=Event)


def convert_together(tables: Iterable[EventFrame[_Event]], like: EventFrame[_Event]) -> None:
    """Turn what tables hold into columns, many tables at a time.

    That takes some hundred microseconds a time, whether it is for one row or for a thousand, and
    of many symbols each has few rows. `like` is a table of their kind.
    """
    waiting: list[EventFrame[_Event]] = []
    rows: list[_Event] = []
    sizes: list[int] = []

    def put() -> None:
        block = Block.empty(like.columns, len(rows))
        like._write(rows, block)
        end = 0
        for table, size in zip(waiting, sizes, strict=True):
            table._adopt(block.rows(end, end + size))
            end += size
        for part in (waiting, rows, sizes):
            part.clear()

    for table in tables:
        table._read_kept()
        if table._pending:
            fresh = table._take_pending()
            waiting.append(table)
            rows += fresh
            sizes.append(len(fresh))
            if len(rows) >= _TOGETHER:
                put()
    if rows:
        put()


def symbols_column(symbols: Sequence[str], numbers: npt.NDArray[np.int64]) -> Any:
    """Return which of some symbols each row is of; categories are those that there are rows of."""
    import pandas as pd

    names = pd.Categorical.from_codes(numbers, pd.Index(list(symbols), dtype=object))
    return names.remove_unused_categories()
