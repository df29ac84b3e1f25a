"""An account over books, in order of time: what comes due, what is shown, what it is worth.

Written in plain scalar steps, as `market` is; the rules stand in `mdkit.backtesting.books.door`.
"""

from __future__ import annotations

import math
from typing import Any

from mdkit.backtesting.account.book_run import (
    GTC,
    GTX,
    IOC,
    ORDER_WIDTH,
    QUOTE,
    RUIN,
    STOP,
    TARGET,
)
from mdkit.backtesting.books.targets import Targets

EVENT, BOOK, TRADE, LOST = 0, 1, 2, 3
"""What a row is of: any event, a book, a trade, a gap after which the book is not known."""
NEVER = 1 << 62
_SIGNAL, _STOP_LOSS, _TAKE_PROFIT, _RUIN, _TRAILING = 0.0, 1.0, 2.0, 3.0, 4.0


class BookAccount(Targets):
    """Cash, positions and orders, gone through columns of events and of answers to them.

    `run` may stop for want of room for fills and orders; a fresh one with more begins anew.
    """

    __slots__ = (
        "answer_ask",
        "answer_bid",
        "answer_due",
        "answer_kind",
        "answer_life",
        "answer_most",
        "answer_sent",
        "answer_size",
        "answer_symbol",
        "delays",
        "equities",
        "first_levels",
        "is_row",
        "kinds",
        "move_due",
        "moves",
        "owners",
        "ranged",
        "ranges",
        "row_asks",
        "row_bids",
        "row_marks",
        "stop_due",
        "stop_loss",
        "stop_loss_ranges",
        "stop_reason",
        "stops",
        "take_profit",
        "take_profit_ranges",
        "times",
        "trailing_stop",
        "trailing_stop_ranges",
        "woken",
    )
    answer_ask: Any
    answer_bid: Any
    answer_due: Any
    answer_kind: Any
    answer_life: Any
    answer_most: Any
    answer_sent: Any
    answer_size: Any
    answer_symbol: Any
    delays: Any
    equities: Any
    first_levels: Any
    is_row: Any
    kinds: Any
    move_due: Any
    """When a pegged order that is on its way comes due."""
    moves: int
    owners: Any
    ranged: bool
    """Whether stops are so many average true ranges away."""
    ranges: Any
    """The range that is known at each event, nan where none is."""
    row_asks: Any
    row_bids: Any
    row_marks: Any
    stop_due: Any
    stop_loss: float
    stop_loss_ranges: float
    stop_reason: Any
    stops: bool
    take_profit: float
    take_profit_ranges: float
    times: Any
    trailing_stop: float
    trailing_stop_ranges: float
    woken: bool
    """Whether a book came for which an order waits."""

    def run(self) -> bool:
        """Go through all events; return False when the place for fills and orders was too small."""
        events, answers = len(self.times), len(self.answer_due)
        i = j = row = 0
        while i < events:
            now = self.times[i]
            due = self.next_due(j)
            while due < now:
                j = self.act(due, j)
                due = self.next_due(j)
            begun = row
            while i < events and self.times[i] == now:
                self.see(i)
                row += self.is_row[i]
                i += 1
            if self.moves > 0:
                due = self.next_due(j)
            while due == now:
                j = self.act(now, j)
                due = self.next_due(j)
            equity = self.settle(now)
            for k in range(begun, row):
                self.equities[k] = equity
            self.row = row
            if self.full:
                return False
        if not self.ruined:
            for k in range(j, answers):
                self.new_order(
                    self.answer_symbol[k], self.answer_kind[k], math.nan, self.answer_life[k],
                    self.answer_sent[k], self.answer_due[k],
                )  # fmt: skip
        return not self.full

    def next_due(self, j: int) -> int:
        """Return when the next order comes due, of the answers from j on and of the account's."""
        due = NEVER
        if self.ruined:
            return due
        if j < len(self.answer_due):
            due = self.answer_due[j]
        if self.moves > 0:
            for s in range(len(self.shares)):
                due = min(due, self.move_due[s], self.stop_due[s])
        return due

    def act(self, now: int, j: int) -> int:
        """Do all that comes due at an instant; return the number of the next answer."""
        for s in range(len(self.shares)):
            if self.stop_due[s] == now:
                self.stop_due[s] = NEVER
                self.moves -= 1
                self.stop(now, s)
            if self.move_due[s] == now:
                self.move_due[s] = NEVER
                self.moves -= 1
                self.move(s)
        while j < len(self.answer_due) and self.answer_due[j] == now:
            s, kind = self.answer_symbol[j], self.answer_kind[j]
            self.clear_target(s)
            if kind == TARGET:
                self.cancel(s, 0)
                self.cancel(s, 1)
                self.pending[s] = self.answer_bid[j]
                self.reasons[s] = _SIGNAL
                self.urgent[s] = 0
                self.target_order[s] = self.new_order(
                    s, TARGET, math.nan, self.life, self.answer_sent[j], now
                )
            elif kind == QUOTE:
                self.quote(now, s, 0, self.answer_bid[j], j)
                self.quote(now, s, 1, self.answer_ask[j], j)
            else:
                self.cancel(s, 0)
                self.cancel(s, 1)
                size = self.answer_size[j]
                self.place(now, s, 0 if size > 0.0 else 1, abs(size), self.answer_bid[j], j)
            j += 1
        self.trade_targets(now)
        return j

    def quote(self, now: int, s: int, side: int, price: float, j: int) -> None:
        """Bring one side of a quote into the book; leave an order at the same price as it is."""
        r = 2 * s + side
        if price != price:
            self.cancel(s, side)
            return
        rounded = self.round_price(s, side, price)
        size = self.answer_size[j]
        held = self.lots[s] if side == 0 else -self.lots[s]
        size = min(size, max(0.0, self.answer_most[j] - held))
        stands = self.rest_left[r] > 0.0 and self.rest_price[r] == rounded
        if stands and self.rest_left[r] <= size:
            return
        if stands:
            self.rest_left[r] = self.round_lots(s, size)  # smaller, and keeps its place
            order = self.rest_order[r] * ORDER_WIDTH
            direction = 1.0 if side == 0 else -1.0
            self.orders[order + 2] = self.orders[order + 3] + direction * self.rest_left[r]
            return
        self.cancel(s, side)
        if size > 0.0:
            self.place(now, s, side, size, price, j)

    def place(self, now: int, s: int, side: int, size: float, price: float, j: int) -> None:
        """Take what a limit order can take, and let the rest wait in the book."""
        limit = self.round_price(s, side, price)
        life = self.answer_life[j]
        order = self.new_order(s, self.answer_kind[j], limit, life, self.answer_sent[j], now)
        direction = 1.0 if side == 0 else -1.0
        lots = self.round_lots(s, size)
        at = order * ORDER_WIDTH
        self.orders[at + 2] = direction * lots
        shown = self.shown_within(s, side, limit)
        self.orders[at + 5] = shown
        if shown > 0.0:
            if life == GTX:
                return
            lots = abs(self.take(now, s, direction * lots, limit, 0.0, order, _SIGNAL))
        if lots > 0.0 and life != IOC:
            self.rest(s, side, lots, limit, order, 0)

    def see(self, i: int) -> None:
        """Put a book in force, or let a trade or a gap change what is known."""
        s, kind = self.owners[i], self.kinds[i]
        if s < 0 or kind == EVENT:
            return
        now = self.times[i]
        if kind == TRADE:
            if self.queued and not self.ruined:
                k = self.first_levels[i]
                # `row_bids` tells who traded: above 0 a buyer, below a seller, 0 unknown.
                if self.row_bids[i] <= 0 and self.rest_left[2 * s] > 0.0:
                    self.meet_trade(now, s, 0, self.prices[k], self.sizes[k])
                if self.row_bids[i] >= 0 and self.rest_left[2 * s + 1] > 0.0:
                    self.meet_trade(now, s, 1, self.prices[k], self.sizes[k])
            return
        if kind == LOST:
            self.bids[s] = self.asks[s] = 0
            self.taken_count[2 * s] = self.taken_count[2 * s + 1] = 0
            self.rest_ahead[2 * s] = self.rest_ahead[2 * s + 1] = math.inf
            return
        self.begins[s] = self.first_levels[i]
        self.bids[s], self.asks[s] = self.row_bids[i], self.row_asks[i]
        self.marks[s] = self.row_marks[i]
        bid = 2 * s
        if self.taken_count[bid] + self.taken_count[bid + 1] > 0:
            self.refresh_taken(s, 0)
            self.refresh_taken(s, 1)
        if self.rest_left[bid] + self.rest_left[bid + 1] > 0.0:
            for side in range(2):
                if self.rest_left[bid + side] > 0.0:
                    self.meet_book(now, s, side)
                    self.follow(s, side, now + self.delays[i])
        if self.pending[s] == self.pending[s] or self.left[s] != 0.0:
            self.woken = True
        if self.stops and self.units[s] != 0.0 and self.stop_due[s] == NEVER:
            self.check_stop(i, s, now + self.delays[i])

    def follow(self, s: int, side: int, due: int) -> None:
        """Send a pegged order after the touch, when that has gone away from it."""
        r = 2 * s + side
        if self.rest_peg[r] == 0 or self.rest_left[r] <= 0.0 or self.move_due[s] != NEVER:
            return
        best = self.near(s, side)
        if (side == 0 and best > self.rest_price[r]) or (side == 1 and best < self.rest_price[r]):
            self.move_due[s] = due
            self.moves += 1

    def move(self, s: int) -> None:
        """Move a pegged order to the end of the queue at the touch in force."""
        for side in range(2):
            r = 2 * s + side
            if self.rest_peg[r] == 1 and self.rest_left[r] > 0.0:
                best = self.near(s, side)
                if best == best and best != self.rest_price[r]:
                    self.rest(s, side, self.rest_left[r], best, self.rest_order[r], 1)

    def check_stop(self, i: int, s: int, due: int) -> None:
        """Send an order that closes a position whose stop the touch has reached."""
        long = self.units[s] > 0.0
        price = self.near(s, 0 if long else 1)
        if price != price:
            return
        side = 1.0 if long else -1.0
        if side * price > side * self.peaks[s]:
            self.peaks[s] = price
        if self.ranged and self.distances[s] < 0.0 and self.ranges[i] == self.ranges[i]:
            self.distances[s] = self.ranges[i]
        entry = self.entries[s]
        stop = self.stop_level(s, entry, -side, self.stop_loss, self.stop_loss_ranges)
        trail = self.stop_level(
            s, self.peaks[s], -side, self.trailing_stop, self.trailing_stop_ranges
        )
        take = self.stop_level(s, entry, side, self.take_profit, self.take_profit_ranges)
        reason = _SIGNAL
        if side * price <= side * stop:
            reason = _STOP_LOSS
        elif side * price <= side * trail:
            reason = _TRAILING
        elif side * price >= side * take:
            reason = _TAKE_PROFIT
        if reason != _SIGNAL:
            self.stop_due[s] = due
            self.stop_reason[s] = reason
            self.moves += 1

    def stop_level(self, s: int, price: float, way: float, share: float, ranges: float) -> float:
        """Return the price that is a share of this one, or so many ranges, away from it."""
        if ranges == 0.0:
            return float(price * (1.0 + way * share))
        away = self.distances[s]
        return float(price + way * ranges * away) if away >= 0.0 else way * math.inf

    def stop(self, now: int, s: int) -> None:
        """Close a position, if it is still there, whatever else was wanted of the symbol."""
        if self.units[s] != 0.0:
            self.close(now, s, STOP, self.stop_reason[s])

    def close(self, now: int, s: int, kind: int, reason: float) -> None:
        """Cancel a symbol's orders, and want nothing of it, taking what is shown."""
        self.clear_target(s)
        self.cancel(s, 0)
        self.cancel(s, 1)
        if self.units[s] == 0.0:
            return
        self.pending[s] = 0.0
        self.reasons[s] = reason
        self.urgent[s] = 1
        self.target_order[s] = self.new_order(s, kind, math.nan, GTC, now, now)

    def settle(self, now: int) -> float:
        """Fill what waited for the books of an instant, and return the equity at its end.

        Closes everything when it is gone.
        """
        if self.woken:
            self.woken = False
            self.trade_targets(now)
        equity = self.equity()
        if not self.ruined and equity <= 0.0:
            self.ruined = True
            for s in range(len(self.shares)):
                self.close(now, s, RUIN, _RUIN)
            self.trade_targets(now)
            equity = self.equity()
        return equity
