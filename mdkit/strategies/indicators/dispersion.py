"""How far values lie apart: deviation, and what is measured in deviations."""

from __future__ import annotations

import math

from mdkit.errors import SettingsError
from mdkit.strategies.indicators.period import NAN, whole


class StandardDeviation:
    """Standard deviation of the last `period` values; `mean` is theirs.

    sqrt(sum((x - mean)^2) / (period - ddof)): ddof=1 (the default) estimates a population's
    from a sample, ddof=0 describes the window itself. The two parts of the window hold count,
    mean and sum of squared deviations each, updated by Welford's and merged by Chan's formula
    (Chan, Golub, LeVeque 1983), which add non-negative terms only.

    Example:
        >>> deviation = md.StandardDeviation(3)
        >>> for value in (1.0, 2.0, 3.0):
        ...     latest = deviation.update(value)
        >>> deviation.mean, deviation.value
        (2.0, 1.0)
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

    Example:
        >>> score = md.ZScore(3)
        >>> for value in (1.0, 2.0, 3.0):
        ...     score.update(value)
        nan
        nan
        1.0
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

    Example:
        >>> bands = md.Bollinger(3)
        >>> for value in (1.0, 2.0, 3.0):
        ...     latest = bands.update(value)
        >>> round(bands.lower, 3), bands.middle, round(bands.upper, 3), round(bands.value, 3)
        (0.367, 2.0, 3.633, 0.806)
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
