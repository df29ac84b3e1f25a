"""Books in force: their levels, what of them was taken already, and what an order would cost.

Written in plain scalar steps over flat lists, so that numba compiles the very same source, see
`mdkit.backtesting.account.fills`. Sides are 0 for buying, which takes asks, and 1 for selling.
"""

from __future__ import annotations

import math
from typing import Any


class Market:
    """The books of some symbols at one moment.

    Levels lie in `prices` and `sizes`, best first: a symbol's bids from `begins[s]` on, `bids[s]`
    of them, then `asks[s]` asks. Sizes are contracts; `units` are of what is traded.
    """

    __slots__ = (
        "asks",
        "begins",
        "bids",
        "contract",
        "cost",
        "inverse",
        "levels",
        "lot",
        "lots",
        "maker",
        "marks",
        "max_share",
        "passive",
        "prices",
        "rate",
        "room",
        "sizes",
        "slippage",
        "taken_count",
        "taken_left",
        "taken_price",
        "taken_shown",
        "taker",
        "tick",
        "units",
    )
    asks: Any
    begins: Any
    bids: Any
    contract: Any
    """Units, or for an inverse one money, of a contract."""
    cost: float
    """What `price_units` found: the cost in money over the value at the mark,"""
    rate: float
    """and the cost of one unit more."""
    inverse: Any
    levels: int
    """How many levels of a side can be taken from."""
    lot: Any
    lots: Any
    """Contracts held, below zero if sold short; `units` likewise."""
    maker: float
    marks: Any
    max_share: float
    passive: bool
    """Whether targets wait in the queue at the near touch in place of taking the far one."""
    prices: Any
    room: int
    """How many levels of a side can be remembered as taken: as many as any book shows."""
    sizes: Any
    slippage: float
    taken_count: Any
    taken_left: Any
    taken_price: Any
    taken_shown: Any
    taker: float
    tick: Any
    units: Any

    def first(self, s: int, side: int) -> int:
        """Return where the levels begin that an order of this side takes."""
        return int(self.begins[s] + (self.bids[s] if side == 0 else 0))

    def count(self, s: int, side: int) -> int:
        """Return how many levels there are to take from."""
        return int(min(self.levels, self.asks[s] if side == 0 else self.bids[s]))

    def shown_at(self, s: int, book_side: int, price: float) -> float:
        """Return the size that a side of the book (0: bids, 1: asks) shows at a price, or -1."""
        begin = self.begins[s] + (self.bids[s] if book_side == 1 else 0)
        for k in range(begin, begin + (self.bids[s] if book_side == 0 else self.asks[s])):
            if self.prices[k] == price:
                return float(self.sizes[k])
        return -1.0

    def available(self, s: int, side: int, k: int) -> float:
        """Return the contracts that are left to take at level k: its share, less what was taken."""
        at = 2 * s + side
        price = self.prices[k]
        for t in range(at * self.room, at * self.room + self.taken_count[at]):
            if self.taken_price[t] == price:
                return float(self.taken_left[t])
        return float(self.sizes[k] * self.max_share)

    def note_taken(self, s: int, side: int, k: int, lots: float) -> None:
        """Remember that contracts were taken at level k, which a recording does not show."""
        at = 2 * s + side
        price = self.prices[k]
        begin = at * self.room
        for t in range(begin, begin + self.taken_count[at]):
            if self.taken_price[t] == price:
                self.taken_left[t] -= lots
                return
        t = begin + self.taken_count[at]
        self.taken_price[t] = price
        self.taken_shown[t] = self.sizes[k]
        self.taken_left[t] = self.sizes[k] * self.max_share - lots
        self.taken_count[at] += 1

    def refresh_taken(self, s: int, side: int) -> None:
        """Go over to a new book: what grew is there to take, what is gone is forgotten."""
        at = 2 * s + side
        begin = at * self.room
        kept = begin
        for t in range(begin, begin + self.taken_count[at]):
            size = self.shown_at(s, 1 - side, self.taken_price[t])
            if size > 0.0:
                left = self.taken_left[t]
                grown = size - self.taken_shown[t]
                if grown > 0.0:
                    left += grown * self.max_share
                self.taken_left[kept] = min(left, size * self.max_share)
                self.taken_price[kept] = self.taken_price[t]
                self.taken_shown[kept] = size
                kept += 1
        self.taken_count[at] = kept - begin

    def shown_within(self, s: int, side: int, limit: float) -> float:
        """Return the contracts shown on the levels that an order may take, to its limit."""
        shown = 0.0
        begin = self.first(s, side)
        for k in range(begin, begin + self.count(s, side)):
            if (side == 0 and self.prices[k] > limit) or (side == 1 and self.prices[k] < limit):
                break
            shown += self.sizes[k]
        return shown

    def near(self, s: int, side: int) -> float:
        """Return the best price of the side on which an order rests, nan where it is empty."""
        if side == 0:
            return float(self.prices[self.begins[s]]) if self.bids[s] > 0 else math.nan
        at = self.begins[s] + self.bids[s]
        return float(self.prices[at]) if self.asks[s] > 0 else math.nan

    def round_lots(self, s: int, lots: float) -> float:
        """Return a number of contracts, 0 or more, rounded down to whole lots."""
        lot = self.lot[s]
        # What misses a whole lot by no more than rounding errors is one.
        return float(math.floor(lots / lot + 1e-9) * lot) if lot > 0.0 else lots

    def round_price(self, s: int, side: int, price: float) -> float:
        """Return a limit as a multiple of the tick, never better for the other side."""
        tick = self.tick[s]
        if tick <= 0.0:
            return price
        steps = price / tick
        near = math.floor(steps + 0.5)
        if abs(steps - near) > 1e-6:
            near = math.floor(steps) if side == 0 else math.ceil(steps)
        return float(near * tick)

    def units_of(self, s: int, lots: float, price: float) -> float:
        """Return the units that contracts are when bought or sold at a price."""
        worth = lots * self.contract[s]
        return float(worth / price if self.inverse[s] else worth)

    def lots_of(self, s: int, units: float) -> float:
        """Return an order for so many units, at the mark, as contracts in whole lots."""
        held, own = self.lots[s], self.units[s]
        if units == -own:
            return float(-held)
        lots = abs(units) / self.contract[s]
        if self.inverse[s]:
            mark = self.marks[s]
            if own * units < 0.0:
                # Closing counts contracts as they were bought, what goes beyond at the mark.
                if abs(units) <= abs(own):
                    lots = abs(held) * (abs(units) / abs(own))
                else:
                    lots = abs(held) + (abs(units) - abs(own)) * mark / self.contract[s]
            else:
                lots = abs(units) * mark / self.contract[s]
        lots = self.round_lots(s, lots)
        return lots if units > 0.0 else -lots

    def unit_cost(self, s: int, side: int, price: float, fee: float, slippage: float) -> float:
        """Return what trading one unit at a price costs, in money over its value at the mark."""
        direction = 1.0 if side == 0 else -1.0
        paid = price + direction * slippage * abs(price)
        return float(direction * (paid - self.marks[s]) + fee * abs(paid))

    def price_units(self, s: int, units: float) -> None:
        """Set `cost` and `rate` of an order for so many units, below zero to sell.

        What goes beyond the levels shown is counted at the last of them.
        """
        side = 0 if units > 0.0 else 1
        if self.passive:
            price = self.near(s, side)
            if price != price:
                price = self.marks[s]
            self.rate = self.unit_cost(s, side, price, self.maker, 0.0)
            self.cost = abs(units) * self.rate
            return
        left = abs(units)
        cost = 0.0
        rate = self.unit_cost(s, side, self.marks[s], self.taker, self.slippage)
        begin = self.first(s, side)
        for k in range(begin, begin + self.count(s, side)):
            rate = self.unit_cost(s, side, self.prices[k], self.taker, self.slippage)
            there = self.units_of(s, self.available(s, side, k), self.prices[k])
            if left <= there:
                break
            cost += there * rate
            left -= there
        self.cost = cost + left * rate
        self.rate = rate
