"""Orders that stand over bars: when a bar reaches them, and what filling them does.

Written in plain scalar steps over flat lists, so that numba compiles the very same source, see
`mdkit.backtesting.account.fills`. A symbol has two slots for orders, 2 s and 2 s + 1. The rules
stand in `mdkit.backtesting.bars`.
"""

from __future__ import annotations

import math
from typing import Any

from mdkit.backtesting.account.fills import Account

NOTHING, LIMIT, STOP = 0, 1, 2
"""What stands in a slot."""
NEVER_DUE, STANDING, FILLED, CANCELLED, GIVEN_UP, NO_MARGIN = 0, 1, 2, 3, 4, 5
"""What became of an order."""
_SIGNAL, _STOP_LOSS, _TAKE_PROFIT, _TRAILING = 0.0, 1.0, 2.0, 4.0


class Orders(Account):
    """Cash and positions, with orders that stand and stops that are set when one is entered."""

    __slots__ = (
        "asked",
        "charged",
        "closes",
        "closing",
        "distances",
        "filled",
        "fresh",
        "highs",
        "is_pair",
        "is_through",
        "kinds",
        "leverage",
        "limits",
        "lives",
        "lows",
        "maker",
        "opens",
        "peaks",
        "ranges",
        "rows",
        "signs",
        "sizes",
        "span",
        "standing",
        "states",
        "stop_ranges",
        "take_ranges",
        "trailing_ranges",
        "trailing_stop",
        "wanted",
    )
    asked: Any
    """By slot: the exposure wanted, nan for an order with a size."""
    charged: Any
    """What financing cost when each bar began, and at its close."""
    closes: Any
    closing: int
    """1 while orders fill at a close, when that bar's range is known."""
    distances: Any
    """By symbol: the average true range when its position was entered."""
    filled: Any
    """By order: units bought, below 0 sold."""
    fresh: Any
    """1 where a position was entered or enlarged within the bar."""
    highs: Any
    is_pair: Any
    """1 where one of the symbol's orders cancels the other."""
    is_through: bool
    kinds: Any
    leverage: float
    """The most value of all positions over the equity; inf for any."""
    limits: Any
    """By slot: the price of the order."""
    lives: Any
    lows: Any
    maker: float
    opens: Any
    peaks: Any
    """The best price since the position was entered, up to the bar before."""
    ranges: Any
    """Average true ranges known before each bar, and one more after the last; by symbol."""
    rows: Any
    """By slot: the number of the order."""
    signs: Any
    """By slot: 1.0 to buy, -1.0 to sell."""
    sizes: Any
    span: int
    """How many bars there are."""
    standing: int
    states: Any
    """By order, what became of it."""
    stop_ranges: float
    take_ranges: float
    trailing_ranges: float
    trailing_stop: float
    wanted: Any

    def trade(self, i: int, s: int, units: float, price: float, reason: float) -> None:
        """Buy units of symbol s (negative: sell), taking."""
        self.execute(i, s, units, price, reason, self.slippage, self.fee, math.nan)

    def execute(
        self, i: int, s: int, units: float, price: float, reason: float, slippage: float,
        fee: float, limit: float,
    ) -> None:  # fmt: skip
        """Do what `Account.trade` does, at these costs and no worse than a limit."""
        if units == 0.0:
            return
        slip = slippage if units * price > 0.0 else -slippage
        paid = price * (1.0 + slip)
        if (units > 0.0 and paid > limit) or (units < 0.0 and paid < limit):
            paid = limit
        held = self.units[s]
        if held == 0.0 or held * (held + units) < 0.0:
            self.peaks[s] = paid
            self.distances[s] = self.ranges[s * (self.span + 1) + i + self.closing]
        self.settle(i, s, units, paid, fee, reason)

    def put(self, r: int, kind: int, sign: float, price: float, size: float, row: int) -> None:
        """Let an order stand in a free slot."""
        self.kinds[r] = kind
        self.signs[r] = sign
        self.limits[r] = price
        self.sizes[r] = size
        self.rows[r] = row
        self.states[row] = STANDING
        self.standing += 1

    def drop(self, r: int, state: int) -> None:
        """Take the order out of a slot."""
        if self.kinds[r] != NOTHING:
            self.kinds[r] = NOTHING
            self.states[self.rows[r]] = state
            self.standing -= 1

    def cancel(self, s: int) -> None:
        """Cancel both orders of a symbol."""
        self.drop(2 * s, CANCELLED)
        self.drop(2 * s + 1, CANCELLED)

    def reaches(self, r: int, price: float) -> bool:
        """Whether an order fills when this is traded: a limit beyond its own, a stop at its own."""
        away = self.signs[r] * (price - self.limits[r])
        if self.kinds[r] == STOP:
            return bool(away >= 0.0)
        if self.kinds[r] == LIMIT:
            return bool(away < 0.0 or (away == 0.0 and not self.is_through))
        return False

    def rises(self, r: int) -> bool:
        """Whether the price must rise for an order to fill."""
        buys = self.signs[r] > 0.0
        return bool(buys if self.kinds[r] == STOP else not buys)

    def fill_order(self, i: int, r: int, price: float, takes: bool) -> None:
        """Fill the order in a slot at a price, as far as the margin allows, and free the slot."""
        s = r // 2
        row = self.rows[r]
        fee = self.fee if takes else self.maker
        slippage = self.slippage if takes else 0.0
        units = self.sizes[r]
        if self.asked[r] == self.asked[r]:
            units = self.units_to(s, self.asked[r] * self.weights[s], price, slippage, fee)
            if units * self.signs[r] < 0.0:
                units = 0.0
            self.wanted[row] = units
        state = FILLED
        if self.leverage < math.inf:
            allowed = self.within_margin(s, units, price)
            if allowed != units:
                units, state = allowed, NO_MARGIN
        limit = self.limits[r] if self.kinds[r] == LIMIT else math.nan
        self.drop(r, state)
        self.filled[row] = units
        self.execute(i, s, units, price, _SIGNAL, slippage, fee, limit)
        if self.is_pair[s] == 1:
            self.cancel(s)

    def units_to(self, s: int, target: float, price: float, slippage: float, fee: float) -> float:
        """Return the units that bring a symbol to a target after their own costs."""
        held = self.units[s]
        if target == 0.0:
            return float(-held)
        if price <= 0.0:
            return 0.0
        equity = self.worth(s, price)
        missing = target * equity - held * price
        if missing > 0.0:
            cost = slippage + fee * (1.0 + slippage)
        else:
            cost = -(slippage + fee * (1.0 - slippage))
        share = 1.0 + target * cost
        if equity <= 0.0 or cost * missing >= equity * share:
            return float(-held)
        return float((missing - target * (cost * missing / share)) / price)

    def worth(self, s: int, price: float) -> float:
        """Return the equity with symbol s at a price, and others at their marks."""
        equity = self.cash
        for k in range(len(self.weights)):
            equity += self.units[k] * (price if k == s else self.marks[k])
        return float(equity)

    def within_margin(self, s: int, units: float, price: float) -> float:
        """Return so many of the units as the initial margin allows; all that reduces is."""
        held = self.units[s]
        after = held + units
        if abs(after) <= abs(held) and held * after >= 0.0:
            return units
        room = self.worth(s, price) * self.leverage
        for k in range(len(self.weights)):
            if k != s:
                room -= abs(self.units[k] * self.marks[k])
        most = max(0.0, room / abs(price)) if price != 0.0 else 0.0
        if held * units > 0.0:
            most = max(most, abs(held))
        if abs(after) <= most:
            return units
        return float(most - held if units > 0.0 else -most - held)

    def stop_level(self, s: int) -> float:
        """Return the price at which a position's stops close it: the nearest of them."""
        side = 1.0 if self.units[s] > 0.0 else -1.0
        fixed, trailing = self.fixed_stop(s, side), self.trailing(s, side)
        return trailing if side * trailing > side * fixed else fixed

    def fixed_stop(self, s: int, side: float) -> float:
        """Return the price of the stop-loss."""
        if self.stop_loss == math.inf:
            return -side * math.inf
        away = self.stop_ranges * self.distances[s]
        return float(self.entries[s] * (1.0 - side * self.stop_loss) - side * away)

    def trailing(self, s: int, side: float) -> float:
        """Return the price of the trailing stop."""
        if self.trailing_stop == math.inf:
            return -side * math.inf
        away = self.trailing_ranges * self.distances[s]
        return float(self.peaks[s] * (1.0 - side * self.trailing_stop) - side * away)

    def take_level(self, s: int) -> float:
        """Return the price at which a position takes profit."""
        side = 1.0 if self.units[s] > 0.0 else -1.0
        if self.take_profit == math.inf:
            return side * math.inf
        away = self.take_ranges * self.distances[s]
        return float(self.entries[s] * (1.0 + side * self.take_profit) + side * away)

    def stop_out(self, i: int, s: int, price: float) -> None:
        """Close a position at its stop, by the reason of the one that is nearer."""
        side = 1.0 if self.units[s] > 0.0 else -1.0
        nearer = side * self.trailing(s, side) > side * self.fixed_stop(s, side)
        self.leave(i, s, price, _TRAILING if nearer else _STOP_LOSS)

    def leave(self, i: int, s: int, price: float, reason: float) -> None:
        """Close a position and cancel the symbol's orders."""
        self.cancel(s)
        self.trade(i, s, -self.units[s], price, reason)
