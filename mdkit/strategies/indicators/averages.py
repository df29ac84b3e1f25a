"""Moving averages: of values, and of prices weighted by volume."""

from __future__ import annotations

from mdkit.strategies.indicators.period import NAN, whole


class SMA:
    """Simple moving average: the mean of the last `period` values.

    `value` is nan until `period` values have been seen. Raises `SettingsError` when the period
    is below 1, as all indicators do.

    Example:
        >>> sma = md.SMA(3)
        >>> for value in (1.0, 2.0, 3.0, 4.0):
        ...     sma.update(value)
        nan
        nan
        2.0
        3.0
        >>> sma.ready, sma.value
        (True, 3.0)
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

    Example:
        >>> ema = md.EMA(3)
        >>> for value in (1.0, 2.0, 3.0):
        ...     ema.update(value)
        1.0
        1.5
        2.25
        >>> ema.ready
        True
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

    Example:
        >>> wma = md.WMA(3)
        >>> for value in (1.0, 2.0, 3.5):
        ...     latest = wma.update(value)
        >>> wma.value
        2.5833333333333335
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


class VWAP:
    """Volume-weighted average price of the last `period` bars; takes price and volume.

    sum(price x volume) / sum(volume). The price is whatever one chooses, usually the close or
    the typical price (high + low + close) / 3. While no volume was traded the value stays at
    what it was (nan at first).

    Example:
        >>> vwap = md.VWAP(2)
        >>> for price, volume in ((100.0, 1.0), (102.0, 3.0)):
        ...     vwap.update(price, volume)
        nan
        101.5
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
