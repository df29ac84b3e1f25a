"""What an account over bars did besides its fills: its orders, and what holding cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.backtesting.account.book_run import TIMES_IN_FORCE
from mdkit.backtesting.bars.columns import ORDER_KINDS, BarAnswers

Floats = npt.NDArray[np.float64]
STATES = ("never due", "standing", "filled", "cancelled", "given up", "cut to the margin")


@dataclass(frozen=True)
class BarRun:
    """What an account over bars did besides its fills.

    Attributes:
        answers: the orders that were said.
        wanted, filled: units of each, below 0 to sell; 0 wanted of one that never came due.
        states: what became of each, as in `STATES`.
        charged: what financing cost when each bar began, and at its close, (2 bars,).
    """

    answers: BarAnswers
    wanted: Floats
    filled: Floats
    states: npt.NDArray[np.int64]
    charged: Floats

    def since(self, begin: int) -> BarRun:
        """Return the same with bars counted from bar `begin` on, before which nothing was done."""
        asked = self.answers
        due = np.where(asked.due < 0, asked.due, asked.due - begin)
        moved = asked._replace(due=due, sent=asked.sent - begin)
        return replace(self, answers=moved, charged=self.charged[2 * begin :])

    def orders_frame(self, symbols: Sequence[str], index: pd.DatetimeIndex) -> pd.DataFrame:
        """Return every order, a row each, in the order in which they came due.

        `sent` and `due`, the starts of the bars on which it was said and from which on it stood
        (NaT for one that never did); `symbol`; `kind` ("limit", "stop", "quote"); `price`;
        `time_in_force`; `exposure`, nan for an order with a size; `wanted` and `filled`, units,
        below 0 to sell; and `state`, what became of it.
        """
        asked = self.answers
        rows = np.flatnonzero(asked.kind != 0)
        due = asked.due[rows]
        known = np.where(due >= 0, due, 0)
        frame = pd.DataFrame(
            {
                "sent": index[asked.sent[rows]],
                "due": index[known].where(due >= 0) if len(rows) else index[:0],
                "symbol": [symbols[s] for s in asked.symbol[rows].tolist()],
                "kind": [ORDER_KINDS[k] for k in asked.name[rows].tolist()],
                "price": asked.price[rows],
                "time_in_force": [TIMES_IN_FORCE[k] for k in asked.life[rows].tolist()],
                "exposure": asked.asked[rows],
                "wanted": self.wanted[rows],
                "filled": self.filled[rows],
                "state": [STATES[k] for k in self.states[rows].tolist()],
            }
        )
        # Those that never came due are sorted to the beginning among the columns.
        return pd.concat([frame[due >= 0], frame[due < 0]], ignore_index=True)
