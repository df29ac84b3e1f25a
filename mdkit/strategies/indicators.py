"""Indicators: small objects that take one value at a time.

    average = SMA(10)
    average.update(bar.close)          # returns the new value, nan until ready
    if average.ready: average.value

Every one has `update`, `ready` (whether its whole period has been seen) and `value`, and takes
constant time per update, some on average over a period. Their state is plain numbers and
fixed-length lists of floats, and they compute with scalar arithmetic in a fixed order, so that
the same object gives the same bits live, in the Python engine and compiled by numba.

How the moving windows stay exact. A running total that adds what enters and subtracts what
leaves drifts, and never recovers from one huge value. Here nothing is ever subtracted: a window
is split into values that arrived since the last turn and older ones, for which the totals of
every suffix were made at that turn, once per period, as a queue is made of two stacks. What has
left a window has left no trace, and the error is that of adding up the window afresh. The same
split serves sums, extremes and, merged by Chan's formula, variances.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any

from mdkit.errors import SettingsError

NAN = math.nan


class SMA:
    """Simple moving average: the mean of the last `period` values.

    `value` is nan until `period` values have been seen. Raises `SettingsError` when the period
    is below 1, as all indicators do.
    """

    __slots__ = ("_count", "_new", "_sums", "period", "ready", "value")

    def __init__(self, period: int) -> None:
        self.period = whole(period, "SMA")
        self.ready = False
        self.value = NAN
        # Up to _count: raw values since the turn; from there on: sums of the older suffixes.
        self._sums = [0.0] * self.period
        self._count = 0
        self._new = 0.0

    def update(self, x: float) -> float:
        """Take the next value; return the mean, nan until ready."""
        sums = self._sums
        count = self._count
        sums[count] = x
        count += 1
        if count < self.period:
            self._count = count
            self._new += x
            if self.ready:
                self.value = (sums[count] + self._new) / self.period
            return self.value
        total = 0.0
        for i in range(self.period - 1, -1, -1):
            total += sums[i]
            sums[i] = total
        self._count = 0
        self._new = 0.0
        self.ready = True
        self.value = total / self.period
        return self.value


class EMA:
    """Exponential moving average: value += 2 / (period + 1) * (x - value).

    Starts at the first value, as pandas' `ewm(span=period, adjust=False)`; ready after `period`
    values, though `value` is defined from the first one on. Errors fade with their age.
    """

    __slots__ = ("_seen", "_share", "period", "ready", "value")

    def __init__(self, period: int) -> None:
        self.period = whole(period, "EMA")
        self.ready = False
        self.value = NAN
        self._share = 2.0 / (self.period + 1)
        self._seen = 0

    def update(self, x: float) -> float:
        """Take the next value; return the average, defined from the first value on."""
        if self._seen == 0:
            self.value = x
        else:
            self.value += self._share * (x - self.value)
        if not self.ready:
            self._seen += 1
            self.ready = self._seen >= self.period
        return self.value


class WMA:
    """Linearly weighted moving average: the newest of `period` values weighs `period`.

    value = (1 x_oldest + 2 x_next + ... + period x_newest) / (period (period + 1) / 2)
    """

    __slots__ = (
        "_count",
        "_new",
        "_new_weighted",
        "_sums",
        "_weighted",
        "period",
        "ready",
        "value",
    )

    def __init__(self, period: int) -> None:
        self.period = whole(period, "WMA")
        self.ready = False
        self.value = NAN
        self._sums = [0.0] * self.period
        self._weighted = [0.0] * self.period
        self._count = 0
        self._new = 0.0
        self._new_weighted = 0.0

    def update(self, x: float) -> float:
        """Take the next value; return the weighted mean, nan until ready."""
        period = self.period
        count = self._count
        self._sums[count] = x
        count += 1
        weights = 0.5 * period * (period + 1)
        if count < period:
            self._count = count
            self._new += x
            self._new_weighted += count * x
            if self.ready:
                # The older part keeps weights 1, 2, ...; the newer ones come on top of those.
                lifted = self._new_weighted + (period - count) * self._new
                self.value = (self._weighted[count] + lifted) / weights
            return self.value
        total = 0.0
        weighted = 0.0
        for i in range(period - 1, -1, -1):
            total += self._sums[i]
            weighted += total
            self._sums[i] = total
            self._weighted[i] = weighted
        self._count = 0
        self._new = 0.0
        self._new_weighted = 0.0
        self.ready = True
        self.value = weighted / weights
        return self.value


class StandardDeviation:
    """Standard deviation of the last `period` values; `mean` is theirs.

    sqrt(sum((x - mean)^2) / (period - ddof)): ddof=1 (the default) estimates a population's
    from a sample, ddof=0 describes the window itself. The two parts of the window hold count,
    mean and sum of squared deviations each, updated by Welford's and merged by Chan's formula
    (Chan, Golub, LeVeque 1983), which add non-negative terms only.
    """

    __slots__ = (
        "_count",
        "_means",
        "_new_mean",
        "_new_squares",
        "_squares",
        "_values",
        "ddof",
        "mean",
        "period",
        "ready",
        "value",
    )

    def __init__(self, period: int, ddof: int = 1) -> None:
        self.ddof = int(ddof)
        self.period = whole(period, "StandardDeviation", 1 + max(0, self.ddof))
        self.ready = False
        self.value = NAN
        self.mean = NAN
        self._values = [0.0] * self.period
        self._means = [0.0] * self.period
        self._squares = [0.0] * self.period
        self._count = 0
        self._new_mean = 0.0
        self._new_squares = 0.0

    def update(self, x: float) -> float:
        """Take the next value; return the deviation, nan until ready."""
        period = self.period
        self._values[self._count] = x
        self._count += 1
        count = self._count
        if count < period:
            change = x - self._new_mean
            self._new_mean += change / count
            self._new_squares += change * (x - self._new_mean)
            if self.ready:
                old = period - count
                apart = self._new_mean - self._means[count]
                self.mean = self._means[count] + apart * count / period
                merged = apart * apart * (old * count / period)
                squares = self._squares[count] + self._new_squares + merged
                self.value = math.sqrt(squares / (period - self.ddof))
            return self.value
        mean = 0.0
        squares = 0.0
        for i in range(period - 1, -1, -1):
            change = self._values[i] - mean
            mean += change / (period - i)
            squares += change * (self._values[i] - mean)
            self._means[i] = mean
            self._squares[i] = squares
        self._count = 0
        self._new_mean = 0.0
        self._new_squares = 0.0
        self.ready = True
        self.mean = mean
        self.value = math.sqrt(squares / (period - self.ddof))
        return self.value


class ZScore:
    """How many standard deviations the newest value lies from the mean of the last `period`.

    The newest value belongs to the window. 0.0 while all values of the window are equal.
    """

    __slots__ = ("deviation", "period", "ready", "value")

    def __init__(self, period: int, ddof: int = 1) -> None:
        self.deviation = StandardDeviation(period, ddof)
        self.period = self.deviation.period
        self.ready = False
        self.value = NAN

    def update(self, x: float) -> float:
        """Take the next value; return its score, nan until ready."""
        width = self.deviation.update(x)
        if self.deviation.ready:
            self.ready = True
            self.value = (x - self.deviation.mean) / width if width > 0.0 else 0.0
        return self.value


class Bollinger:
    """Bollinger bands: the mean of `period` values, and `width` deviations above and below.

    `middle`, `upper` and `lower` are the bands; `value` tells where the newest value lies
    between them ("%b"): 0.0 on the lower, 1.0 on the upper band, 0.5 while they coincide.
    Deviations are of the window itself (ddof=0), as Bollinger defines them.
    """

    __slots__ = ("deviation", "lower", "middle", "period", "ready", "upper", "value", "width")

    def __init__(self, period: int = 20, width: float = 2.0) -> None:
        self.deviation = StandardDeviation(period, 0)
        self.period = self.deviation.period
        self.width = float(width)
        if not 0.0 < self.width < math.inf:
            raise SettingsError(f"Bollinger: width is {width!r}; give a positive number")
        self.ready = False
        self.value = NAN
        self.middle = NAN
        self.upper = NAN
        self.lower = NAN

    def update(self, x: float) -> float:
        """Take the next value; return its place between the bands, nan until ready."""
        reach = self.width * self.deviation.update(x)
        if self.deviation.ready:
            self.ready = True
            self.middle = self.deviation.mean
            self.upper = self.middle + reach
            self.lower = self.middle - reach
            span = self.upper - self.lower
            self.value = (x - self.lower) / span if span > 0.0 else 0.5
        return self.value


class RSI:
    """Relative strength index of Wilder, in [0, 100].

    100 - 100 / (1 + gain / loss), with gain and loss the averages of upward and downward
    changes: the mean of the first `period` changes, then smoothed by Wilder's
    average += (change - average) / period. 100 when there was no loss, 50 when there was no
    change at all. Ready after `period` + 1 values. (Wilder, New Concepts in Technical Trading
    Systems, 1978.)
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


class VWAP:
    """Volume-weighted average price of the last `period` bars; takes price and volume.

    sum(price x volume) / sum(volume). The price is whatever one chooses, usually the close or
    the typical price (high + low + close) / 3. While no volume was traded the value stays at
    what it was (nan at first).
    """

    __slots__ = ("_value_mean", "_volume_mean", "period", "ready", "value")

    def __init__(self, period: int = 20) -> None:
        self._value_mean = SMA(period)
        self._volume_mean = SMA(period)
        self.period = self._value_mean.period
        self.ready = False
        self.value = NAN

    def update(self, price: float, volume: float) -> float:
        """Take the next price and volume; return the average price, nan until ready."""
        paid = self._value_mean.update(price * volume)
        traded = self._volume_mean.update(volume)
        if self._volume_mean.ready:
            self.ready = True
            if traded > 0.0:
                self.value = paid / traded
        return self.value


class RollingMin:
    """The smallest of the last `period` values."""

    __slots__ = ("_count", "_least", "_new", "period", "ready", "value")

    def __init__(self, period: int) -> None:
        self.period = whole(period, "RollingMin")
        self.ready = False
        self.value = NAN
        self._least = [0.0] * self.period
        self._count = 0
        self._new = math.inf

    def update(self, x: float) -> float:
        """Take the next value; return the minimum, nan until ready."""
        least = self._least
        least[self._count] = x
        self._count += 1
        if self._count < self.period:
            if x < self._new:
                self._new = x
            if self.ready:
                old = least[self._count]
                self.value = old if old < self._new else self._new
            return self.value
        smallest = math.inf
        for i in range(self.period - 1, -1, -1):
            if least[i] < smallest:
                smallest = least[i]
            least[i] = smallest
        self._count = 0
        self._new = math.inf
        self.ready = True
        self.value = smallest
        return self.value


class RollingMax:
    """The largest of the last `period` values."""

    __slots__ = ("_count", "_most", "_new", "period", "ready", "value")

    def __init__(self, period: int) -> None:
        self.period = whole(period, "RollingMax")
        self.ready = False
        self.value = NAN
        self._most = [0.0] * self.period
        self._count = 0
        self._new = -math.inf

    def update(self, x: float) -> float:
        """Take the next value; return the maximum, nan until ready."""
        most = self._most
        most[self._count] = x
        self._count += 1
        if self._count < self.period:
            if x > self._new:
                self._new = x
            if self.ready:
                old = most[self._count]
                self.value = old if old > self._new else self._new
            return self.value
        largest = -math.inf
        for i in range(self.period - 1, -1, -1):
            if most[i] > largest:
                largest = most[i]
            most[i] = largest
        self._count = 0
        self._new = -math.inf
        self.ready = True
        self.value = largest
        return self.value


class Lag:
    """The value of `period` updates ago."""

    __slots__ = ("_at", "_values", "period", "ready", "value")

    def __init__(self, period: int = 1) -> None:
        self.period = whole(period, "Lag")
        self.ready = False
        self.value = NAN
        # nan until first written, which is what `value` should be until then.
        self._values = [NAN] * self.period
        self._at = 0

    def update(self, x: float) -> float:
        """Take the next value; return the one `period` updates before, nan until ready."""
        self.value = self._values[self._at]
        self.ready = self.ready or self.value == self.value
        self._values[self._at] = x
        self._at += 1
        if self._at == self.period:
            self._at = 0
        return self.value


class Crossover:
    """+1.0 on the update where the first value rises above the second, -1.0 where it falls below.

    0.0 otherwise. Equal values are on neither side: touching and turning back is no crossing,
    and a crossing that pauses at equality counts when it is completed. Ready once the two have
    differed.
    """

    __slots__ = ("_side", "ready", "value")

    def __init__(self) -> None:
        self.ready = False
        self.value = 0.0
        self._side = 0.0

    def update(self, first: float, second: float) -> float:
        """Take the next pair; return +1.0, -1.0 or 0.0."""
        side = 1.0 if first > second else (-1.0 if first < second else 0.0)
        self.value = 0.0
        if side != 0.0:
            if self.ready and side != self._side:
                self.value = side
            self._side = side
            self.ready = True
        return self.value


INDICATORS: Mapping[str, Any] = {
    indicator.__name__: indicator
    for indicator in (
        SMA,
        EMA,
        WMA,
        StandardDeviation,
        ZScore,
        Bollinger,
        RSI,
        ATR,
        VWAP,
        RollingMin,
        RollingMax,
        Lag,
        Crossover,
    )
}
"""Every indicator, by name; one suite of tests runs over them."""


def whole(period: Any, name: str, least: int = 1) -> int:
    """Return a period as an int; raise `SettingsError` unless it is whole and large enough."""
    try:
        count = operator.index(period)
    except TypeError:
        count = least - 1
    if count < least or isinstance(period, bool):
        raise SettingsError(
            f"{name}: period is {period!r}; give a whole number of at least {least}"
        ) from None
    return count
