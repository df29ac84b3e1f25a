"""Strategies that look at one completed bar at a time and say a target exposure.

1.0 is all equity long, 0.0 flat, -1.0 all equity short; None is nothing to say, so the
exposure stays. They are examples to start from: textbook rules, not advice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from mdkit.events import Bar
from mdkit.strategies.contract import strategy
from mdkit.strategies.indicators import RSI, SMA, Bollinger, RollingMax, RollingMin


@strategy("bar")
class SmaCross:
    """Long while the fast average of closes is above the slow one; else flat, or short.

    `fast` and `slow` are periods in bars. None until both averages are ready, and while they
    are equal.

    Example:
        >>> import pandas as pd
        >>> days = pd.date_range("2026-01-05", periods=5, tz="UTC")
        >>> closes = [100.0, 101.0, 102.0, 99.0, 98.0]
        >>> bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], closes), days)
        >>> mine = md.strategies.SmaCross(fast=1, slow=2)
        >>> md.backtest(mine, bars).signals["asset"].tolist()
        [nan, 1.0, 1.0, 0.0, 0.0]
    """

    fast: int = 10
    slow: int = 30
    short: bool = False

    def start(self) -> None:
        """Make the averages."""
        self.fast_average = SMA(self.fast)
        self.slow_average = SMA(self.slow)

    def __call__(self, bar: Bar) -> float | None:
        """Return 1.0, and below the slow average 0.0 or with `short` -1.0."""
        fast = self.fast_average.update(bar.close)
        slow = self.slow_average.update(bar.close)
        # A value is nan until ready, and every comparison with nan is False.
        if fast > slow:
            return 1.0
        if fast < slow:
            return -1.0 if self.short else 0.0
        return None


class SideRule(ABC):
    """What rules share that are long, flat or short and speak only when that changes.

    `side` is the exposure last said. A rule gives in `next_side` what it should be after a bar,
    and makes what it remembers in its own `start`.
    """

    def start(self) -> None:
        """Flat at first."""
        self.side = 0.0

    @abstractmethod
    def next_side(self, bar: Bar) -> float:
        """Return the exposure after this bar: 1.0, 0.0 or -1.0."""

    def __call__(self, bar: Bar) -> float | None:
        """Return the exposure when it changes, else None."""
        side = self.next_side(bar)
        if side == self.side:
            return None
        self.side = side
        return side


@strategy("bar")
class RsiReversion(SideRule):
    """Buy weakness: long when the RSI of closes falls below `low`, out when it is above `exit`.

    With `short`, also short above `high` and out below 100 - `exit`.

    Example:
        >>> import pandas as pd
        >>> days = pd.date_range("2026-01-05", periods=5, tz="UTC")
        >>> closes = [100.0, 98.0, 96.0, 97.0, 101.0]
        >>> bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], closes), days)
        >>> mine = md.strategies.RsiReversion(period=2)
        >>> md.backtest(mine, bars).signals["asset"].tolist()
        [nan, nan, 1.0, nan, 0.0]
    """

    period: int = 14
    low: float = 30.0
    high: float = 70.0
    exit: float = 50.0
    short: bool = False

    def start(self) -> None:
        """Make the indicator."""
        self.rsi = RSI(self.period)
        super().start()

    def next_side(self, bar: Bar) -> float:
        """Return the exposure after this bar."""
        rsi = self.rsi.update(bar.close)
        if not self.rsi.ready:
            return self.side
        side = self.side
        if (side > 0.0 and rsi > self.exit) or (side < 0.0 and rsi < 100.0 - self.exit):
            side = 0.0
        if rsi < self.low:
            side = 1.0
        elif self.short and rsi > self.high:
            side = -1.0
        return side


@strategy("bar")
class BollingerReversion(SideRule):
    """Long below the lower Bollinger band of closes, out at the middle.

    With `short`, also short above the upper band. `width` is in standard deviations.

    Example:
        >>> import pandas as pd
        >>> days = pd.date_range("2026-01-05", periods=5, tz="UTC")
        >>> closes = [100.0, 101.0, 100.0, 90.0, 100.0]
        >>> bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], closes), days)
        >>> mine = md.strategies.BollingerReversion(period=3, width=1.0)
        >>> md.backtest(mine, bars).signals["asset"].tolist()
        [nan, nan, nan, 1.0, 0.0]
    """

    period: int = 20
    width: float = 2.0
    short: bool = False

    def start(self) -> None:
        """Make the bands."""
        self.bands = Bollinger(self.period, self.width)
        super().start()

    def next_side(self, bar: Bar) -> float:
        """Return the exposure after this bar."""
        place = self.bands.update(bar.close)
        if not self.bands.ready:
            return self.side
        side = self.side
        if (side > 0.0 and place >= 0.5) or (side < 0.0 and place <= 0.5):
            side = 0.0
        if place < 0.0:
            side = 1.0
        elif self.short and place > 1.0:
            side = -1.0
        return side


@strategy("bar")
class Breakout(SideRule):
    """Long when a close exceeds all highs of the `entry` bars before it; the Donchian channel.

    Out when a close is below all lows of the `exit` bars before it. With `short`, also short on
    a close below all lows of the `entry` bars before, out above all highs of the `exit` bars.

    Example:
        >>> import pandas as pd
        >>> days = pd.date_range("2026-01-05", periods=5, tz="UTC")
        >>> closes = [100.0, 99.0, 101.0, 102.0, 98.0]
        >>> bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], closes), days)
        >>> mine = md.strategies.Breakout(entry=2, exit=2)
        >>> md.backtest(mine, bars).signals["asset"].tolist()
        [nan, nan, 1.0, nan, 0.0]
    """

    entry: int = 20
    exit: int = 10
    short: bool = False

    def start(self) -> None:
        """Make the channels, of the bars before."""
        self.entry_high = RollingMax(self.entry)
        self.entry_low = RollingMin(self.entry)
        self.exit_high = RollingMax(self.exit)
        self.exit_low = RollingMin(self.exit)
        super().start()

    def next_side(self, bar: Bar) -> float:
        """Return the exposure after this bar."""
        close = bar.close
        side = self.side
        # The channels hold the bars before this one; nan until ready, and then never crossed.
        if (side > 0.0 and close < self.exit_low.value) or (
            side < 0.0 and close > self.exit_high.value
        ):
            side = 0.0
        if close > self.entry_high.value:
            side = 1.0
        elif self.short and close < self.entry_low.value:
            side = -1.0
        self.entry_high.update(bar.high)
        self.entry_low.update(bar.low)
        self.exit_high.update(bar.high)
        self.exit_low.update(bar.low)
        return side


@strategy("bar")
class BuyAndHold:
    """Take an exposure on the first bar and keep it.

    Example:
        >>> import pandas as pd
        >>> days = pd.date_range("2026-01-05", periods=3, tz="UTC")
        >>> closes = [100.0, 101.0, 102.0]
        >>> bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], closes), days)
        >>> mine = md.strategies.BuyAndHold
        >>> md.backtest(mine, bars).signals["asset"].tolist()
        [1.0, nan, nan]
    """

    exposure: float = 1.0

    def start(self) -> None:
        """Nothing bought yet."""
        self.bought = False

    def __call__(self, bar: Bar) -> float | None:
        """Return the exposure once."""
        if self.bought:
            return None
        self.bought = True
        return self.exposure
