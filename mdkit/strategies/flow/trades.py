"""What trades say: their imbalance, its toxicity, and what they do to the price."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from mdkit.errors import SettingsError
from mdkit.events import Trade
from mdkit.strategies.flow.flow import (
    NAN,
    Bools,
    Floats,
    Flow,
    Ints,
    column,
    nanoseconds,
    sides,
    time_of,
)
from mdkit.strategies.flow.window import TimeWindow, window_sums
from mdkit.strategies.indicators.period import whole

if TYPE_CHECKING:
    import pandas as pd


_ROUNDING = 1e-12
"""Less of a sum of squares than this share is what rounding leaves of equal sizes."""


class TradeImbalance(Flow):
    """(bought - sold) / (bought + sold), of sizes traded within a window of time, in [-1, 1].

    By the aggressor's side; trades of no known side count in neither. nan where nothing did.

    Example:
        >>> trades = md.read_recording(md.sample()).frame("trade", "AAPL.US")
        >>> round(float(md.TradeImbalance("5s").over(trades).iloc[-1]), 3)
        -0.186
    """

    channel = "trade"

    def __init__(self, window: str = "1s") -> None:
        self.window = window
        self._sums = TimeWindow(nanoseconds(window, "TradeImbalance: window"), 2)

    def __repr__(self) -> str:
        return f"TradeImbalance({self.window})"

    def reset(self) -> None:
        """Begin anew, as after a gap."""
        self._sums.reset()
        self.ready, self.value = False, NAN

    def update(self, event: Trade) -> float:
        """Take the next trade; return the imbalance, nan until ready."""
        bought = event.size if event.side == "buy" else 0.0
        sold = event.size if event.side == "sell" else 0.0
        self._sums.add(time_of(event), bought, sold)
        self.ready = self._sums.is_full
        bought, sold = self._sums.sums
        total = bought + sold
        self.value = (bought - sold) / total if self.ready and total else NAN
        return self.value

    def _over(self, table: pd.DataFrame, times: Ints, breaks: Bools) -> Floats:
        size, side = column(table, "size", "TradeImbalance"), sides(table, "TradeImbalance")
        columns = np.stack([np.where(side == name, size, 0.0) for name in ("buy", "sell")])
        (bought, sold), full = window_sums(times, breaks, columns, self._sums.length)
        total = bought + sold
        return np.where(full & (total != 0.0), (bought - sold) / total, np.nan)


class VPIN(Flow):
    """The volume-synchronised probability of informed trading, in [0, 1].

    Trades fill buckets of `bucket` units of size, a large one several; VPIN is the mean over the
    last `count` full buckets of |bought - sold| / bucket. Sides are the aggressors', where the
    paper guesses them from prices; a trade of no known side is half of each.

    Source: Easley, Lopez de Prado and O'Hara, "Flow toxicity and liquidity in a high-frequency
    world", Review of Financial Studies 25 (2012). Raises `SettingsError` for a bucket that is
    not above 0 or a count below 1.

    Example:
        >>> trades = md.read_recording(md.sample()).frame("trade", "AAPL.US")
        >>> round(float(md.VPIN(bucket=500.0, count=5).over(trades).iloc[-1]), 3)
        0.229
    """

    channel = "trade"

    def __init__(self, bucket: float, count: int = 50) -> None:
        if isinstance(bucket, bool) or not isinstance(bucket, int | float) or not bucket > 0.0:
            raise SettingsError(f"VPIN: bucket is {bucket!r}; give a size above 0")
        self.bucket = float(bucket)
        self.count = whole(count, "VPIN")
        self.reset()

    def __repr__(self) -> str:
        return f"VPIN({self.bucket:g}, {self.count})"

    def reset(self) -> None:
        """Begin anew, as after a gap."""
        self._full: deque[float] = deque(maxlen=self.count)
        self._filled = self._net = 0.0
        self._last = 0
        self.ready, self.value = False, NAN

    def update(self, event: Trade) -> float:
        """Take the next trade; return VPIN, nan until `count` buckets are full."""
        sign = {"buy": 1.0, "sell": -1.0}.get(event.side, 0.0)
        return self._step(time_of(event), event.size, sign)

    def _step(self, time: int, size: float, sign: float) -> float:
        if time < self._last:
            self.reset()
        self._last = time
        left = size
        turned = False
        # Of a trade of many times what all buckets hold, only its end is of any account.
        most = self.bucket * (self.count + 2)
        if left > most:
            left = most + (left - most) % self.bucket
        while self._filled + left >= self.bucket:
            part = self.bucket - self._filled
            self._full.append(abs(self._net + sign * part))
            self._filled = self._net = 0.0
            left -= part
            turned = True
        self._filled += left
        self._net += sign * left
        if turned:
            self.ready = len(self._full) == self.count
            total = 0.0
            for net in self._full:
                total += net
            self.value = total / (self.count * self.bucket) if self.ready else NAN
        return self.value

    def _over(self, table: pd.DataFrame, times: Ints, breaks: Bools) -> Floats:
        side = sides(table, "VPIN")
        signs = np.where(side == "buy", 1.0, np.where(side == "sell", -1.0, 0.0))
        fresh = VPIN(self.bucket, self.count)
        sizes = column(table, "size", "VPIN").tolist()
        values = []
        # How a bucket is filled depends on all before it, so this goes trade by trade.
        for time, size, sign, broken in zip(
            times.tolist(), sizes, signs.tolist(), breaks.tolist(), strict=True
        ):
            if broken:
                fresh.reset()
            values.append(fresh._step(time, size, sign))
        return np.array(values)


class KyleLambda(Flow):
    """Kyle's lambda: by how much the price moves for a unit bought, over a window of time.

    The slope of the least-squares line of the change of price from trade to trade on the signed
    size of the trade (bought positive), in price units per unit of size. nan where all sizes are
    the same.

    Source: Kyle, "Continuous auctions and insider trading", Econometrica 53 (1985); estimated as
    in Hasbrouck, "Measuring the information content of stock trades", Journal of Finance 46 (1991),
    without lags.

    Example:
        >>> trades = md.read_recording(md.sample()).frame("trade", "AAPL.US")
        >>> round(float(md.KyleLambda("5s").over(trades).iloc[-1]), 6)
        4.7e-05
    """

    channel = "trade"

    def __init__(self, window: str = "1min") -> None:
        self.window = window
        self._sums = TimeWindow(nanoseconds(window, "KyleLambda: window"), 5)
        self._price = NAN
        self._last = 0

    def __repr__(self) -> str:
        return f"KyleLambda({self.window})"

    def reset(self) -> None:
        """Begin anew, as after a gap."""
        self._sums.reset()
        self._price, self._last = NAN, 0
        self.ready, self.value = False, NAN

    def update(self, event: Trade) -> float:
        """Take the next trade; return the slope, nan until ready."""
        time = time_of(event)
        if time < self._last:
            self.reset()
        self._last = time
        x = {"buy": event.size, "sell": -event.size}.get(event.side, 0.0)
        y = event.price - self._price if self._price == self._price else 0.0
        one = 1.0 if self._price == self._price else 0.0
        x = x * one
        self._price = event.price
        self._sums.add(time, one, x, y, x * x, x * y)
        self.ready = self._sums.is_full
        n, sx, sy, xx, xy = self._sums.sums
        below = n * xx - sx * sx
        varies = below > _ROUNDING * n * xx
        self.value = (n * xy - sx * sy) / below if self.ready and varies else NAN
        return self.value

    def _over(self, table: pd.DataFrame, times: Ints, breaks: Bools) -> Floats:
        size, price = column(table, "size", "KyleLambda"), column(table, "price", "KyleLambda")
        side = sides(table, "KyleLambda")
        x = np.where(side == "buy", size, np.where(side == "sell", -size, 0.0))
        y = np.append(0.0, price[1:] - price[:-1])
        first = breaks.copy()
        first[:1] = True
        one = np.where(first, 0.0, 1.0)
        x, y = x * one, np.where(first, 0.0, y)
        columns = np.stack([one, x, y, x * x, x * y])
        (n, sx, sy, xx, xy), full = window_sums(times, breaks, columns, self._sums.length)
        below = n * xx - sx * sx
        varies = below > _ROUNDING * n * xx
        return np.where(full & varies, (n * xy - sx * sy) / below, np.nan)
