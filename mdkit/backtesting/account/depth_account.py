"""An account over books: orders fill at the opposite touch of the book in force when they come due.

What a target means, and how large an order is, stands in `fills`; here the costs per value traded
are those of the touch. The rules of books:

*When it fills.* An order comes due `latency` after the event that led to it, and fills then, at
the touch in force: that of its symbol's last book. Its time is when it came due. Orders that come
due at the same instant are sized together, after all events of that instant.

*No touch, no fill.* Where the side that it needs is empty, or a gap has begun since the last
book, an order waits for the first book that shows the side, whose time is then its own; or until
the symbol's next order comes due, which takes its place. Where only one side is there, that is
what positions are marked at in place of the mid price; where none is, the last mark stays.

*Sizes.* A fill is made at the touch whatever the size shown there; what was shown is kept.

*Ruin.* When equity is not positive, every position is closed at the first touch there is, and
nothing is traded afterwards.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mdkit.backtesting.account.fills import costs_together
from mdkit.backtesting.account.terms import Terms

Floats = npt.NDArray[np.float64]
_SIGNAL, _RUIN = 0.0, 3.0


class Touch(NamedTuple):
    """The best prices of a book and the sizes there; nan and 0 where a side is empty."""

    bid: float
    ask: float
    bid_size: float
    ask_size: float


NO_TOUCH = Touch(math.nan, math.nan, 0.0, 0.0)


class Position:
    """One symbol in the account."""

    __slots__ = ("mark", "number", "pending", "reason", "share", "touch", "units")

    def __init__(self, number: int, share: float) -> None:
        self.number = number
        self.share = share
        self.touch = NO_TOUCH
        self.mark = math.nan
        self.units = 0.0
        self.pending = math.nan
        """The target that came due and waits for a touch, nan for none."""
        self.reason = _SIGNAL

    @property
    def value(self) -> float:
        """What is held, at its mark."""
        return self.units * self.mark if self.units else 0.0


class DepthAccount:
    """Cash and positions over books, touch by touch, in order of time.

    Args:
        terms: of the account.
        shares: each symbol's share of the equity.
        latency_ns: from an event to when the order that it led to comes due.
    """

    def __init__(self, terms: Terms, shares: Sequence[float], latency_ns: int) -> None:
        self.cash = float(terms.cash)
        self.fee, self.slippage = float(terms.fee), float(terms.slippage)
        self.latency_ns = latency_ns
        self.positions = [Position(number, share) for number, share in enumerate(shares)]
        self.due: list[tuple[int, int, int, float]] = []
        self.orders = 0
        self.ruined = False
        self.woken = False
        """Whether a book came for which an order waits."""
        self.row = 0
        """The row of the result that the next fill shows in."""
        self.fills: list[tuple[float, ...]] = []
        self.times, self.shown = array("q"), array("d")

    @property
    def equity(self) -> float:
        """Cash and positions at their marks."""
        return self.cash + math.fsum(p.value for p in self.positions if p.units)

    def order(self, s: int, time: int, target: float) -> None:
        """Have symbol s hold a target, from when that comes due."""
        if not self.ruined:
            self.orders += 1
            heapq.heappush(self.due, (time + self.latency_ns, self.orders, s, target))

    def update(self, s: int, touch: Touch, mark: float) -> None:
        """Put a symbol's book in force."""
        position = self.positions[s]
        position.touch, position.mark = touch, mark
        self.woken = self.woken or position.pending == position.pending

    def lose(self, s: int) -> None:
        """Take a symbol's book out of force: what it shows now is not known."""
        self.positions[s].touch = NO_TOUCH

    def advance(self, before: int) -> None:
        """Fill the orders that come due before a time, those of one instant together."""
        while self.due and self.due[0][0] < before:
            now = self.due[0][0]
            while self.due and self.due[0][0] == now:
                _, _, s, target = heapq.heappop(self.due)
                self.positions[s].pending = target
            self._trade(now)

    def settle(self, time: int) -> float:
        """Fill what waited for the books of an instant, and return the equity at its end.

        Closes everything when it is gone.
        """
        if self.woken:
            self.woken = False
            self._trade(time)
        equity = self.equity
        if equity <= 0.0 and not self.ruined:
            self.ruined = True
            self.due.clear()
            for position in self.positions:
                position.pending, position.reason = 0.0, _RUIN
            self._trade(time)
            equity = self.equity
        return equity

    def fill_rows(self) -> tuple[Floats, npt.NDArray[np.int64], Floats]:
        """Return the fills as `fills.FILL_FIELDS`, their times, and the sizes shown."""
        rows = np.array(self.fills, float).reshape(-1, 6)
        return rows, np.array(self.times, np.int64), np.array(self.shown, float)

    def _trade(self, now: int) -> None:
        """Fill what waits, as far as there is a touch for it."""
        equity = self.equity
        if equity <= 0.0 and not self.ruined:
            return  # until `settle` closes everything
        ready = [p for p in self.positions if p.pending == p.pending and self._can_fill(p, equity)]
        targets = [p.pending * p.share for p in ready]
        values = [p.value for p in ready]
        buying = [self._cost(p, 1.0) for p in ready]
        selling = [self._cost(p, -1.0) for p in ready]
        costs = costs_together(equity, targets, values, buying, selling)
        for position, target, value in zip(ready, targets, values, strict=True):
            if target == 0.0 or costs == equity:
                units = -position.units
            else:
                units = (target * (equity - costs) - value) / position.mark
            self._fill(position, units, now)

    def _can_fill(self, position: Position, equity: float) -> bool:
        """Whether the side that an order needs is there; a target needs a mark above zero."""
        target = position.pending * position.share
        if target == 0.0:
            missing = -position.units
        elif not position.mark > 0.0:
            return False
        else:
            missing = target * equity - position.value
        if missing == 0.0:
            position.pending = math.nan
            return False
        side = position.touch.ask if missing > 0.0 else position.touch.bid
        return side == side

    def _paid(self, position: Position, side: float) -> float:
        """Return the touch after slippage, or the mark where that side is empty."""
        price = position.touch.ask if side > 0.0 else position.touch.bid
        if price != price:
            price = position.mark
        return price + side * self.slippage * abs(price)

    def _cost(self, position: Position, side: float) -> float:
        """Return what trading costs per value at the mark."""
        if not position.mark > 0.0:
            return 0.0
        return side * (self._paid(position, side) * (1.0 + side * self.fee) / position.mark - 1.0)

    def _fill(self, position: Position, units: float, now: int) -> None:
        touch = position.touch
        price, shown = (touch.ask, touch.ask_size) if units > 0.0 else (touch.bid, touch.bid_size)
        if price != price:  # the costs of other orders have turned this one to an empty side
            return
        position.pending = math.nan
        if units == 0.0:
            return
        paid = self._paid(position, math.copysign(1.0, units))
        charge = self.fee * abs(units * paid)
        self.cash -= units * paid + charge
        position.units += units
        row = (self.row, position.number, units, paid, charge, position.reason)
        self.fills.append(tuple(map(float, row)))
        self.times.append(now)
        self.shown.append(shown)
