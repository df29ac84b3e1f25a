"""Single values out of a window: the smallest, the largest, the oldest."""

from __future__ import annotations

import math

from mdkit.strategies.indicators.period import NAN, whole


class RollingMin:
    """The smallest of the last `period` values.

    Example:
        >>> lowest = md.RollingMin(2)
        >>> for value in (1.0, 3.0, 2.0):
        ...     lowest.update(value)
        nan
        1.0
        2.0
    """

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
    """The largest of the last `period` values.

    Example:
        >>> highest = md.RollingMax(2)
        >>> for value in (3.0, 1.0, 2.0):
        ...     highest.update(value)
        nan
        3.0
        2.0
    """

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
    """The value of `period` updates ago.

    Example:
        >>> lag = md.Lag(1)
        >>> for value in (1.0, 2.0, 3.0):
        ...     lag.update(value)
        nan
        1.0
        2.0
    """

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
