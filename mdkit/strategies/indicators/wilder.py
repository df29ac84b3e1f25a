"""Indicators of Wilder, who smooths by average += (new - average) / period."""

from __future__ import annotations

from mdkit.strategies.indicators.period import NAN, whole


class RSI:
    """Relative strength index of Wilder, in [0, 100].

    100 - 100 / (1 + gain / loss), with gain and loss the averages of upward and downward
    changes: the mean of the first `period` changes, then smoothed by Wilder's
    average += (change - average) / period. 100 when there was no loss, 50 when there was no
    change at all. Ready after `period` + 1 values. (Wilder, New Concepts in Technical Trading
    Systems, 1978.)

    Example:
        >>> rsi = md.RSI(2)
        >>> for value in (1.0, 2.0, 4.0, 3.0):
        ...     latest = rsi.update(value)
        >>> round(rsi.value, 4)
        60.0
    """

    __slots__ = ("_gain", "_last", "_loss", "_seen", "period", "ready", "value")

    def __init__(self, period: int = 14) -> None:
        self.period = whole(period, "RSI")
        self.ready = False
        self.value = NAN
        self._last = NAN
        self._gain = 0.0
        self._loss = 0.0
        self._seen = 0

    def update(self, x: float) -> float:
        """Take the next value; return the index, nan until ready."""
        change = x - self._last
        self._last = x
        self._seen += 1
        if self._seen == 1:
            return self.value
        gain = change if change > 0.0 else 0.0
        loss = -change if change < 0.0 else 0.0
        if not self.ready:
            self._gain += gain
            self._loss += loss
            if self._seen <= self.period:
                return self.value
            self._gain /= self.period
            self._loss /= self.period
            self.ready = True
        else:
            self._gain += (gain - self._gain) / self.period
            self._loss += (loss - self._loss) / self.period
        moved = self._gain + self._loss
        # The same as 100 - 100 / (1 + gain / loss), without dividing by a loss of 0.
        self.value = 100.0 * self._gain / moved if moved > 0.0 else 50.0
        return self.value


class ATR:
    """Average true range of Wilder, in price units; takes high, low and close.

    The true range is the larger of high and the previous close minus the smaller of low and the
    previous close (high - low for the first bar). The mean of the first `period` ranges, then
    average += (range - average) / period. (Wilder 1978, as `RSI`.)

    Example:
        >>> atr = md.ATR(2)
        >>> for high, low, close in ((10.0, 8.0, 9.0), (12.0, 9.0, 11.0)):
        ...     atr.update(high, low, close)
        nan
        2.5
    """

    __slots__ = ("_close", "_seen", "_total", "period", "ready", "value")

    def __init__(self, period: int = 14) -> None:
        self.period = whole(period, "ATR")
        self.ready = False
        self.value = NAN
        self._close = NAN
        self._total = 0.0
        self._seen = 0

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar's figures; return the average range, nan until ready."""
        # Comparisons with the nan of the first bar are False, which leaves high and low.
        top = self._close if self._close > high else high
        bottom = self._close if self._close < low else low
        self._close = close
        if self.ready:
            self.value += (top - bottom - self.value) / self.period
            return self.value
        self._total += top - bottom
        self._seen += 1
        if self._seen == self.period:
            self.ready = True
            self.value = self._total / self.period
        return self.value
