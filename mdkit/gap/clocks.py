"""How late messages are, by symbol, where the two clocks may be seconds apart."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_KEPT_DELAYS = 1000
_MOST_SYMBOLS = 10_000
"""Symbols of which delays are kept; a feed that invents symbols must not fill the memory."""


@dataclass
class Clocks:
    """Receive time minus exchange time, in ns, sampled once a batch, by symbol.

    The two clocks may be seconds apart, either way. The smallest difference is the clocks'
    offset plus the quickest way a message ever took, which nobody can tell apart without
    asking the other clock; what a message took longer than the quickest one is its delay.
    """

    recent: dict[str, deque[int]] = field(default_factory=dict)

    def add(self, symbol: str, difference_ns: int) -> None:
        """Keep one sample."""
        recent = self.recent.get(symbol)
        if recent is None:
            if len(self.recent) >= _MOST_SYMBOLS:
                return
            recent = self.recent[symbol] = deque(maxlen=_KEPT_DELAYS)
        recent.append(difference_ns)

    def begin_anew(self, symbol: str) -> None:
        """Forget a symbol's samples: one of the clocks was set."""
        self.recent.pop(symbol, None)

    def frame(self) -> pd.DataFrame:
        """Return a row a symbol: offset_ms, delay_ms, delay_p99_ms, and of how many `samples`.

        The newest 1,000 are looked at. `offset_ms` is how far the exchange's clock is behind this
        one, the quickest way included; negative when it runs ahead.
        """
        import pandas as pd

        rows = {}
        for symbol, recent in self.recent.items():
            # Of the newest ones: a clock may be set right meanwhile.
            smallest = min(recent)
            late = (np.array(recent) - smallest) / 1e6
            rows[symbol] = (
                smallest / 1e6,
                float(np.median(late)),
                float(np.quantile(late, 0.99)),
                len(recent),
            )
        columns = ["offset_ms", "delay_ms", "delay_p99_ms", "samples"]
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
        return frame.rename_axis("symbol")
