"""Fills over books, and the orders that wait in a book with their places in the queue.

Written in plain scalar steps, as `market` is. A symbol has at most one resting order a side, in
slot 2 s + side. The rules stand in `mdkit.backtesting.books.door`.
"""

from __future__ import annotations

import math
from typing import Any

from mdkit.backtesting.account.book_run import FILL_WIDTH, ORDER_WIDTH
from mdkit.backtesting.books.market import Market


class Resting(Market):
    """Books with orders in them, and the cash and positions that their fills leave."""

    __slots__ = (
        "cash",
        "distances",
        "entries",
        "fill_count",
        "fills",
        "full",
        "order_count",
        "orders",
        "origin",
        "peaks",
        "queued",
        "rest_ahead",
        "rest_left",
        "rest_order",
        "rest_peg",
        "rest_price",
        "rest_queue",
        "row",
    )
    cash: float
    distances: Any
    """The average true range that a position's stops are of; below 0 where none was known yet."""
    entries: Any
    """Average price paid for what is held."""
    fill_count: int
    fills: Any
    full: bool
    """Whether there were more fills or orders than there is place for."""
    order_count: int
    orders: Any
    origin: int
    """The time of the first event, ns."""
    peaks: Any
    """The best price for getting out since a position was entered."""
    queued: bool
    """Whether resting orders have places in a queue, which trades and cancels move up."""
    rest_ahead: Any
    """Contracts ahead in the queue; inf where it is not known or does not count."""
    rest_left: Any
    """Contracts that are still to be filled, 0 for no order."""
    rest_order: Any
    rest_peg: Any
    """1 where the order follows the touch."""
    rest_price: Any
    rest_queue: Any
    """Contracts shown at the price, trades since the last book taken off."""
    row: int
    """The row of the result that the next fill shows in."""

    def new_order(self, s: int, kind: int, price: float, life: int, sent: int, due: int) -> int:
        """Record an order, of a size that is not known yet, and return its number."""
        if (self.order_count + 1) * ORDER_WIDTH > len(self.orders):
            self.full = True
            return 0
        at = self.order_count * ORDER_WIDTH
        self.orders[at] = float(s)
        self.orders[at + 1] = float(kind)
        self.orders[at + 2] = math.nan
        self.orders[at + 3] = 0.0
        self.orders[at + 4] = price
        self.orders[at + 5] = math.nan
        self.orders[at + 6] = math.nan
        self.orders[at + 7] = float(life)
        self.orders[at + 8] = float(sent - self.origin)
        self.orders[at + 9] = float(due - self.origin)
        self.order_count += 1
        return self.order_count - 1

    def fill(
        self, now: int, s: int, lots: float, price: float, slippage: float, fee: float, order: int,
        reason: float, shown: float, maker: float,
    ) -> None:  # fmt: skip
        """Trade contracts (below zero: sell) at a price, pay for them, and record it."""
        slip = slippage if lots > 0.0 else -slippage
        paid = price + slip * abs(price)
        rest = lots
        while rest != 0.0:
            if (self.fill_count + 1) * FILL_WIDTH > len(self.fills):
                self.full = True
                return
            held, own = self.lots[s], self.units[s]
            part = rest
            if self.inverse[s] and held * rest < 0.0 and abs(rest) > abs(held):
                part = -held  # closed first, as they were bought
            if part == -held:
                units = -own
            elif self.inverse[s] and held * part < 0.0:
                units = own * (part / held)
            else:
                units = self.units_of(s, part, paid)
            value = part * self.contract[s] if self.inverse[s] else units * paid
            charge = fee * abs(value)
            self.cash -= units * paid + charge
            after = own + units
            if own == 0.0 or own * after < 0.0:
                self.entries[s] = paid
                self.peaks[s] = paid
                self.distances[s] = -1.0
            elif abs(after) > abs(own):
                spent = self.entries[s] * abs(own) + paid * abs(units)
                self.entries[s] = spent / (abs(own) + abs(units))
            self.units[s] = after
            self.lots[s] = held + part
            at = self.fill_count * FILL_WIDTH
            self.fills[at] = float(self.row)
            self.fills[at + 1] = float(s)
            self.fills[at + 2] = units
            self.fills[at + 3] = paid
            self.fills[at + 4] = charge
            self.fills[at + 5] = reason
            self.fills[at + 6] = shown
            self.fills[at + 7] = part
            self.fills[at + 8] = float(order)
            self.fills[at + 9] = maker
            self.fills[at + 10] = float(now - self.origin)
            self.fill_count += 1
            rest -= part
        self.orders[order * ORDER_WIDTH + 3] += lots

    def take(
        self, now: int, s: int, lots: float, limit: float, slippage: float, order: int,
        reason: float,
    ) -> float:  # fmt: skip
        """Take contracts (below zero: sell) up to a limit; return what was not to be had."""
        side = 0 if lots > 0.0 else 1
        direction = 1.0 if side == 0 else -1.0
        left = abs(lots)
        begin = self.first(s, side)
        for k in range(begin, begin + self.count(s, side)):
            price = self.prices[k]
            if left <= 0.0 or direction * price > direction * limit:
                break
            size = left
            there = self.available(s, side, k)
            if there < size:
                size = self.round_lots(s, there)
            if size > 0.0:
                self.note_taken(s, side, k, size)
                self.fill(
                    now, s, direction * size, price, slippage, self.taker, order, reason,
                    self.sizes[k], 0.0,
                )  # fmt: skip
                left -= size
        return direction * left

    def cancel(self, s: int, side: int) -> None:
        """Take a resting order out of the book."""
        self.rest_left[2 * s + side] = 0.0

    def rest(self, s: int, side: int, lots: float, price: float, order: int, peg: int) -> None:
        """Put an order into the book, at the end of the queue at its price."""
        r = 2 * s + side
        self.rest_left[r] = lots
        self.rest_price[r] = price
        self.rest_order[r] = order
        self.rest_peg[r] = peg
        self.rest_ahead[r] = math.inf
        self.rest_queue[r] = 0.0
        if self.queued:
            self.find_place(s, side)
            self.orders[order * ORDER_WIDTH + 6] = self.rest_ahead[r]

    def find_place(self, s: int, side: int) -> None:
        """Set an order behind all that the book shows at its price; inf where it shows too little.

        A price at which nothing is shown, though deeper levels are, has no queue; whether one
        beyond the last level has, nobody knows.
        """
        r = 2 * s + side
        price = self.rest_price[r]
        size = self.shown_at(s, side, price)
        if size >= 0.0:
            self.rest_ahead[r] = size
            self.rest_queue[r] = size
        elif self.is_within(s, side, price):
            self.rest_ahead[r] = 0.0
            self.rest_queue[r] = 0.0

    def is_within(self, s: int, side: int, price: float) -> bool:
        """Whether a price is no deeper than the last level that is shown on its side."""
        levels = self.bids[s] if side == 0 else self.asks[s]
        if levels == 0:
            return False
        last = self.begins[s] + levels - 1 + (self.bids[s] if side == 1 else 0)
        deepest = self.prices[last]
        return bool(price >= deepest if side == 0 else price <= deepest)

    def meet_book(self, now: int, s: int, side: int) -> None:
        """Go over to a new book: fill what the other side has come to, then move in the queue.

        Of what the level lost beyond the trades, cancelled orders, each place in the queue has had
        the same chance: so what is ahead falls in proportion. What was added is behind.
        """
        r = 2 * s + side
        limit = self.rest_price[r]
        direction = 1.0 if side == 0 else -1.0
        begin = self.first(s, side)
        for k in range(begin, begin + self.count(s, side)):
            if self.rest_left[r] <= 0.0 or direction * self.prices[k] > direction * limit:
                break
            size = self.rest_left[r]
            there = self.available(s, side, k)
            if there < size:
                size = self.round_lots(s, there)
            if size > 0.0:
                self.note_taken(s, side, k, size)
                self.fill_resting(now, s, side, size, self.sizes[k])
        if self.rest_left[r] <= 0.0 or not self.queued:
            return
        size = self.shown_at(s, side, limit)
        if size >= 0.0:
            if self.rest_ahead[r] == math.inf:
                self.rest_ahead[r] = size
            elif size < self.rest_queue[r]:
                self.rest_ahead[r] *= size / self.rest_queue[r]
            self.rest_ahead[r] = min(self.rest_ahead[r], size)
            self.rest_queue[r] = size
        elif self.is_within(s, side, limit):
            self.rest_ahead[r] = 0.0
            self.rest_queue[r] = 0.0

    def meet_trade(self, now: int, s: int, side: int, price: float, size: float) -> None:
        """Let a trade reach an order: at a worse price past the queue, at its own from the front.

        Within the queue what is ahead is filled first.
        """
        r = 2 * s + side
        direction = 1.0 if side == 0 else -1.0
        limit = self.rest_price[r]
        if self.rest_left[r] <= 0.0 or direction * price > direction * limit:
            return
        reached = size
        if price == limit:
            ahead = self.rest_ahead[r]
            self.rest_queue[r] = max(0.0, self.rest_queue[r] - size)
            if ahead >= size:
                self.rest_ahead[r] = ahead - size
                return
            reached = size - ahead
        self.rest_ahead[r] = 0.0
        lots = self.rest_left[r]
        if reached < lots:
            lots = self.round_lots(s, reached)
        if lots > 0.0:
            self.fill_resting(now, s, side, lots, size)

    def fill_resting(self, now: int, s: int, side: int, lots: float, shown: float) -> None:
        """Fill a resting order at its own price, as maker."""
        r = 2 * s + side
        self.rest_left[r] -= lots
        direction = 1.0 if side == 0 else -1.0
        self.fill(
            now, s, direction * lots, self.rest_price[r], 0.0, self.maker, self.rest_order[r],
            0.0, shown, 1.0,
        )  # fmt: skip
