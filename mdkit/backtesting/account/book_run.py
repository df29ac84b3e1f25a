"""What an account over books did: its fills and orders as tables of numbers, and as frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.backtesting.account.terms import Terms

Floats = npt.NDArray[np.float64]

FILL_WIDTH = 11
"""Bar, symbol, units, price, fee, reason, as `fills.FILL_FIELDS`; shown, contracts, order,
whether as maker, time less that of the first event (ns)."""
ORDER_WIDTH = 10
"""Symbol, kind, wanted, filled, price, shown, queue, time in force; when sent and when due, less
the time of the first event (ns)."""
GTC, IOC, GTX = 0, 1, 2
TIMES_IN_FORCE = ("GTC", "IOC", "GTX")
TARGET, QUOTE, LIMIT, STOP, RUIN = 0, 1, 2, 3, 4
ORDER_KINDS = ("target", "quote", "limit", "stop", "ruin")


@dataclass(frozen=True)
class BookRun:
    """What an account over books did.

    Attributes:
        equity: by row of the result.
        fills: (fills, `FILL_WIDTH`).
        orders: (orders, `ORDER_WIDTH`).
        origin: the time that theirs count from, ns UTC.
        market_trades: how many trades moved the queues.
        latency_note: what a reader should know of the latency, if anything.
        again: runs the same orders on other terms; not pickled.
    """

    equity: Floats
    fills: Floats
    orders: Floats
    origin: int
    market_trades: int = 0
    latency_note: str = ""
    again: Callable[[Terms], BookRun] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return all but what runs it again, which holds every book."""
        return {each.name: getattr(self, each.name) for each in fields(self)} | {"again": None}

    def orders_frame(self, symbols: Sequence[str]) -> pd.DataFrame:
        """Return every order, a row each, in the order in which they came due.

        `sent` and `due` (UTC), `symbol`, `kind` ("target", "quote", "limit", "stop", "ruin"),
        `price` (a limit's, nan for others), `time_in_force`; in contracts, below 0 to sell,
        `wanted` (nan for one that was never sized: due after the last event, or while there was
        nothing to size it at) and `filled`; `shown`, the contracts that it could have taken from
        the book when it came due, to its price and as deep as the fill model looks; and `queue`,
        the contracts ahead of it when it was put, or put last, into the book: inf where that was
        not known, nan where it was not, or has no place there.
        """
        symbol, kind, wanted, filled, price, shown, queue, life, sent, due = self.orders.T
        return pd.DataFrame(
            {
                "sent": self._times(sent),
                "due": self._times(due),
                "symbol": [symbols[int(s)] for s in symbol],
                "kind": [ORDER_KINDS[int(k)] for k in kind],
                "price": price,
                "time_in_force": [TIMES_IN_FORCE[int(each)] for each in life],
                "wanted": wanted,
                "filled": filled,
                "shown": shown,
                "queue": queue,
            }
        )

    def _times(self, since: Floats) -> pd.DatetimeIndex:
        return pd.DatetimeIndex(since.astype(np.int64) + self.origin).tz_localize("UTC")
