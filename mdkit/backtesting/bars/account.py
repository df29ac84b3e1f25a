"""An account over bars, instant by instant: what is owed, due, reached, and worth.

Written in plain scalar steps, as `orders` is; the rules stand in `mdkit.backtesting.bars`.
"""

from __future__ import annotations

import math
from typing import Any

from mdkit.backtesting.account.book_run import GTX, IOC
from mdkit.backtesting.account.fills import FILL_FIELDS
from mdkit.backtesting.bars.orders import CANCELLED, GIVEN_UP, LIMIT, NOTHING, Orders

FILLS_A_BAR = 12
"""No symbol has more of them in one bar."""
_TAKE_PROFIT, _LIQUIDATION = 2.0, 5.0


class BarAccount(Orders):
    """Cash, positions and orders, gone through columns of bars and of answers to them.

    `go` may stop for want of room for fills; a fresh one with more begins anew.
    """

    __slots__ = (
        "answer_asked",
        "answer_due",
        "answer_kind",
        "answer_life",
        "answer_most",
        "answer_pair",
        "answer_price",
        "answer_size",
        "answer_slot",
        "answer_symbol",
        "at_close",
        "equities",
        "first_answer",
        "is_charged",
        "loan",
        "long_rates",
        "maintenance",
        "renewed",
        "resizes",
        "short_rates",
        "signals",
        "stops",
        "worst",
    )
    answer_asked: Any
    answer_due: Any
    answer_kind: Any
    answer_life: Any
    answer_most: Any
    answer_pair: Any
    answer_price: Any
    answer_size: Any
    answer_slot: Any
    answer_symbol: Any
    at_close: bool
    equities: Any
    first_answer: int
    """The number of the first that comes due."""
    is_charged: bool
    loan: Any
    """What cash below zero costs when each bar begins, and at its close."""
    long_rates: Any
    """What a value held costs when each bar begins, and at its close; by symbol."""
    maintenance: float
    """0 for no liquidation."""
    renewed: Any
    """0 where a target only sizes anew what is held, which nothing is after a stop."""
    resizes: bool
    short_rates: Any
    signals: Any
    stops: bool
    worst: Any

    def go(self) -> bool:
        """Go through all bars; return False when the place for fills was too small."""
        symbols = len(self.weights)
        room = len(self.fills) // len(FILL_FIELDS) - FILLS_A_BAR * symbols
        ruined = False
        j = self.first_answer
        for i in range(self.span):
            if self.count > room:
                return False
            if self.is_charged:
                self.charge(2 * i)
            j = self.accept(i, j, ruined)
            if self.waiting > 0 and not self.at_close:
                if self.leverage < math.inf:
                    self.cut_targets(i, self.opens)
                if self.fill_at_open(i, self.span, self.opens):
                    ruined = True
                    for s in range(symbols):
                        self.cancel(s)
            if self.open > 0 or self.standing > 0:
                self.pass_bar(i)
            for s in range(symbols):
                close = self.closes[s * self.span + i]
                if close == close:
                    self.marks[s] = close
            if self.is_charged and (self.at_close or i + 1 == self.span):
                self.charge(2 * i + 1)
            equity = self.value()
            before = self.count
            if ruined or equity <= 0.0:
                ruined = True
                for s in range(symbols):
                    self.cancel(s)
                self.close_all(i)
            else:
                self.hear(i)
                if self.at_close and self.waiting > 0:
                    self.closing = 1
                    if self.leverage < math.inf:
                        self.cut_targets(i, self.closes)
                    if symbols == 1:
                        self.rebalance_one(i, self.closes[i], equity)
                    else:
                        self.rebalance(i, self.span, self.closes, equity)
                    self.closing = 0
            if self.count > before:
                equity = self.value()
            self.equities[i] = equity
        return True

    def value(self) -> float:
        """Return the equity at the last prices."""
        equity = self.cash
        for s in range(len(self.weights)):
            equity += self.units[s] * self.marks[s]
        return float(equity)

    def hear(self, i: int) -> None:
        """Take the targets that were said on a bar; each cancels its symbol's orders."""
        for s in range(len(self.weights)):
            signal = self.signals[s * self.span + i]
            if signal == signal and signal != self.said[s] and self.is_meant(i, s):
                self.said[s] = signal
                if self.due[s] != self.due[s]:
                    self.waiting += 1
                self.due[s] = signal
                self.cancel(s)

    def is_meant(self, i: int, s: int) -> bool:
        """Whether a target is to be traded: not one that sizes anew what is not there any more."""
        if not self.resizes or self.renewed[s * self.span + i] != 0.0:
            return True
        return bool(self.units[s] != 0.0 or self.due[s] == self.due[s])

    def charge(self, at: int) -> None:
        """Pay for what was held and borrowed until bar at // 2 begins; if odd, until its close."""
        owed = 0.0
        if self.cash < 0.0:
            owed -= self.cash * self.loan[at]
        for s in range(len(self.weights)):
            value = self.units[s] * self.marks[s]
            if value > 0.0:
                owed += value * self.long_rates[2 * s * self.span + at]
            elif value < 0.0:
                owed += value * self.short_rates[2 * s * self.span + at]
        self.cash -= owed
        self.charged[at] = owed

    def accept(self, i: int, j: int, ruined: bool) -> int:
        """Let the orders stand that come due with bar i; return the number of the next one."""
        while j < len(self.answer_due) and self.answer_due[j] == i:
            s = self.answer_symbol[j]
            if self.answer_slot[j] == 0:
                self.cancel(s)
                self.said[s] = math.nan
                if self.due[s] == self.due[s]:
                    self.due[s] = math.nan
                    self.waiting -= 1
                self.is_pair[s] = self.answer_pair[j]
            kind = self.answer_kind[j]
            self.states[j] = CANCELLED
            if kind != NOTHING and not ruined:
                price, size = self.answer_price[j], self.answer_size[j]
                asked = self.answer_asked[j]
                sign = 1.0 if size > 0.0 else -1.0
                if asked == asked:
                    size = self.units_to(s, asked * self.weights[s], price, 0.0, 0.0)
                    sign = 1.0 if size > 0.0 else -1.0
                else:
                    room = self.answer_most[j] - sign * self.units[s]
                    size = sign * min(abs(size), max(0.0, room))
                self.wanted[j] = size
                if size == 0.0:
                    self.states[j] = GIVEN_UP
                else:
                    r = 2 * s + self.answer_slot[j]
                    self.asked[r] = asked
                    self.lives[r] = self.answer_life[j]
                    self.put(r, kind, sign, price, size, j)
            j += 1
        return j

    def cut_targets(self, i: int, prices: Any) -> None:
        """Cut targets that fill now so that all positions together keep the initial margin."""
        equity = self.cash
        others = wanted = 0.0
        for s in range(len(self.weights)):
            price = prices[s * self.span + i]
            if price == price:
                self.marks[s] = price
            equity += self.units[s] * self.marks[s]
            if self.due[s] == self.due[s] and price == price:
                wanted += abs(self.due[s] * self.weights[s])
            else:
                others += abs(self.units[s] * self.marks[s])
        if equity <= 0.0:
            return
        room = max(0.0, self.leverage - others / equity)
        if wanted <= room:
            return
        for s in range(len(self.weights)):
            price = prices[s * self.span + i]
            if self.due[s] == self.due[s] and price == price:
                self.due[s] *= room / wanted

    def pass_bar(self, i: int) -> None:
        """Go from the open to the worst prices and to the best, filling what is met."""
        symbols = len(self.weights)
        for s in range(symbols):
            self.fresh[s] = 0
            price = self.opens[s * self.span + i]
            if price == price:
                self.marks[s] = price
        for s in range(symbols):
            price = self.opens[s * self.span + i]
            if price == price:
                if self.stops and self.units[s] != 0.0:
                    self.stop_at_open(i, s, price)
                self.fill_orders_at_open(i, s, price)
        if self.maintenance > 0.0:
            self.liquidate(i, True)
        for s in range(symbols):
            self.worst[s] = 0.0
            price = self.opens[s * self.span + i]
            if price == price and (self.units[s] != 0.0 or self.has_orders(s)):
                self.worst[s] = 1.0 if self.units[s] < 0.0 else -1.0
                if self.units[s] == 0.0 and self.is_pair[s] == 1:
                    self.choose(i, s)
                self.move(i, s, self.worst[s], False)
        if self.maintenance > 0.0:
            self.liquidate(i, False)
        for s in range(symbols):
            if self.worst[s] != 0.0:
                self.move(i, s, -self.worst[s], True)
                if self.units[s] != 0.0:
                    self.end_bar(i, s)

    def has_orders(self, s: int) -> bool:
        """Whether a symbol has orders."""
        return bool(self.kinds[2 * s] != NOTHING or self.kinds[2 * s + 1] != NOTHING)

    def stop_at_open(self, i: int, s: int, price: float) -> None:
        """Close a position whose stop or take-profit the open is beyond."""
        side = 1.0 if self.units[s] > 0.0 else -1.0
        if side * price <= side * self.stop_level(s):
            self.stop_out(i, s, price)
        elif side * price >= side * self.take_level(s):
            self.leave(i, s, price, _TAKE_PROFIT)

    def fill_orders_at_open(self, i: int, s: int, price: float) -> None:
        """Fill the orders that the open reaches; give up those that had to be, or must not."""
        for r in range(2 * s, 2 * s + 2):
            if self.reaches(r, price):
                if self.kinds[r] == LIMIT and self.lives[r] == GTX:
                    self.drop(r, GIVEN_UP)
                else:
                    self.fill_order(i, r, price, True)
            elif self.kinds[r] == LIMIT and self.lives[r] == IOC:
                self.drop(r, GIVEN_UP)
            if self.kinds[r] != NOTHING:
                self.lives[r] = 0  # what stands after its first open stays

    def choose(self, i: int, s: int) -> None:
        """Of an OCO pair that a bar reaches on both sides, cancel what is worth more at the close.

        Nothing is held, so that the path within the bar would tell which one fills.
        """
        one, two = 2 * s, 2 * s + 1
        at = s * self.span + i
        close = self.closes[at]
        if self.rises(one) == self.rises(two):
            return
        for r in range(one, two + 1):
            if not self.reaches(r, self.highs[at] if self.rises(r) else self.lows[at]):
                return
        first = self.gain(one, close)
        second = self.gain(two, close)
        self.drop(two if first <= second else one, CANCELLED)

    def gain(self, r: int, close: float) -> float:
        """Return what an order is worth at a close when filled at its price now, before costs."""
        s = r // 2
        units = self.sizes[r]
        if self.asked[r] == self.asked[r]:
            units = self.units_to(s, self.asked[r] * self.weights[s], self.limits[r], 0.0, 0.0)
        return float(units * (close - self.limits[r]))

    def move(self, i: int, s: int, way: float, back: bool) -> None:
        """Let the price go from the open up (way 1) or down (-1), meeting what lies there in order.

        `back` tells of the second half of the bar, in which positions take profit.
        """
        at = s * self.span + i
        end = self.highs[at] if way > 0.0 else self.lows[at]
        for _ in range(4):
            nearest, found = end, -1
            held = self.units[s]
            if self.stops and held * way < 0.0:
                level = self.stop_level(s)
                if way * level <= way * end:
                    nearest, found = level, 2
            elif self.stops and back and held * way > 0.0 and self.fresh[s] == 0:
                level = self.take_level(s)
                if way * level <= way * end:
                    nearest, found = level, 3
            for k in range(2):
                r = 2 * s + k
                if self.rises(r) == (way > 0.0) and self.reaches(r, end):
                    price = self.limits[r]
                    if found < 0 or way * price < way * nearest:
                        nearest, found = price, k
            if found < 0:
                return
            if found == 2:
                self.stop_out(i, s, nearest)
            elif found == 3:
                self.leave(i, s, nearest, _TAKE_PROFIT)
            else:
                r = 2 * s + found
                before = self.units[s]
                self.fill_order(i, r, nearest, self.kinds[r] != LIMIT)
                after = self.units[s]
                if abs(after) > abs(before) or before * after < 0.0:
                    self.fresh[s] = 1

    def end_bar(self, i: int, s: int) -> None:
        """Close what was entered within the bar and may have met its stop; follow the best price.

        What trails from the bar's own best price was met if the close is beyond it.
        """
        at = s * self.span + i
        side = 1.0 if self.units[s] > 0.0 else -1.0
        worst, best = self.lows[at], self.highs[at]
        if side < 0.0:
            worst, best = best, worst
        if self.stops and self.fresh[s] == 1:
            level = self.stop_level(s)
            if side * worst <= side * level:
                self.stop_out(i, s, level)
                return
            best = self.closes[at]
        if side * best > side * self.peaks[s]:
            self.peaks[s] = best
        if self.trailing_stop < math.inf:
            level = self.trailing(s, side)
            if side * self.closes[at] <= side * level:
                self.stop_out(i, s, level)

    def liquidate(self, i: int, at_open: bool) -> None:
        """Close positions at the open, or where the way to the worst prices crosses the margin.

        One whose symbol has no bar now is left to its next one.
        What there is beyond the margin, equity - maintenance x value, is linear on that way.
        """
        here = self.beyond_margin(i, 0.0)
        if here <= 0.0:
            share = 0.0
        elif at_open:
            return
        else:
            there = self.beyond_margin(i, 1.0)
            if there >= 0.0:
                return
            share = here / (here - there)
        for s in range(len(self.weights)):
            price = self.opens[s * self.span + i]
            if self.units[s] != 0.0 and price == price:
                self.leave(i, s, self.on_the_way(i, s, share), _LIQUIDATION)

    def on_the_way(self, i: int, s: int, share: float) -> float:
        """Return the price so far from the open to the worst one; the last without a bar."""
        at = s * self.span + i
        price = self.opens[at]
        if price != price:
            return float(self.marks[s])
        end = self.lows[at] if self.units[s] > 0.0 else self.highs[at]
        return float(price + share * (end - price))

    def beyond_margin(self, i: int, share: float) -> float:
        """Return the equity less what the positions need, so far on the way to the worst prices."""
        left = self.cash
        for s in range(len(self.weights)):
            if self.units[s] != 0.0:
                value = self.units[s] * self.on_the_way(i, s, share)
                left += value - self.maintenance * abs(value)
        return float(left)
