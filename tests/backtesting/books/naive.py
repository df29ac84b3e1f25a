"""The account over books once more, from its rules, not from its code: slow, plain, one symbol.

Books are dicts from price to size, an order is an object of its own, sizes are found by bisection.
"""

import heapq
import itertools
import math

from mdkit.backtesting.account.answers import Limit, Quote
from mdkit.events import Depth, Trade


class Order:
    def __init__(self, side, left, price, *, pegged):
        self.side, self.left, self.price, self.pegged = side, left, price, pegged
        self.ahead = None  # not known


class Naive:
    """`side` is +1 to buy and -1 to sell throughout."""

    def __init__(self, *, fills, share, latency, maker, taker, cash, ioc):
        self.model, self.share, self.latency = fills, share, latency
        self.maker, self.taker, self.cash, self.ioc = maker, taker, cash, ioc
        self.units = 0.0
        self.book = {1: {}, -1: {}}  # by the side of those who rest in it
        self.mark = math.nan
        self.taken = {1: {}, -1: {}}  # by the side of those who take: price -> (left, shown)
        self.target = None
        self.left = 0.0
        self.resting = {}
        self.moving = False
        self.ruined = False
        self.fills = []
        self.equities = []
        self.queues = []  # every place in a queue there ever was

    # What can be taken.

    def levels(self, side):
        """The levels of the other side, best first, as (price, left to take)."""
        prices = sorted(self.book[-side], reverse=side < 0)
        if self.model == "touch":
            prices = prices[:1]
        for price in prices:
            yield price, self.taken[side].get(price, (self.book[-side][price] * self.share, 0))[0]

    def note(self, side, price, size):
        shown = self.book[-side][price]
        left, _ = self.taken[side].get(price, (shown * self.share, shown))
        self.taken[side][price] = (left - size, shown)

    def trade(self, now, side, size, price, fee, shown, maker):
        self.cash -= side * size * price + fee * abs(size * price)
        self.units += side * size
        self.fills.append((now, side * size, price, maker, shown))

    def take(self, now, side, size, limit=None):
        for price, there in list(self.levels(side)):
            if size <= 0 or (limit is not None and side * price > side * limit):
                break
            part = min(size, there)
            if part > 0:
                shown = self.book[-side][price]
                self.note(side, price, part)
                self.trade(now, side, part, price, self.taker, shown, False)
                size -= part
        return size

    # What a target is.

    def equity(self):
        return self.cash + (self.units * self.mark if self.units else 0.0)

    def cost(self, units):
        """Money lost against the mark, what goes beyond the levels at the last of them."""
        side = 1 if units > 0 else -1
        size, lost, rate = abs(units), 0.0, 0.0
        if self.model == "queue":
            best = self.best(side)
            return size * (side * (best - self.mark) + self.maker * best)
        for price, there in self.levels(side):
            rate = side * (price - self.mark) + self.taker * price
            lost += min(size, there) * rate
            size -= min(size, there)
        return lost + size * rate

    def best(self, side):
        """The near touch: where an order of this side rests."""
        return (max if side > 0 else min)(self.book[side], default=None)

    def size_target(self):
        """Return the units to trade, 0.0 for none, or None while the side is not there."""
        equity = self.equity()
        held = self.units * self.mark if self.units else 0.0
        missing = -self.units if self.target == 0 else self.target * equity - held
        if missing == 0:
            return 0.0
        side = 1 if missing > 0 else -1
        near = self.best(side) if self.model == "queue" else self.best(-side)
        if near is None:
            return None
        if self.target == 0:
            return -self.units

        def over(units):
            """How far so many units lie above the target, after what they cost."""
            return (self.units + units) * self.mark - self.target * (equity - self.cost(units))

        low, high = (0.0, missing / self.mark * 3) if side > 0 else (missing / self.mark * 3, 0.0)
        for _ in range(300):
            middle = (low + high) / 2
            low, high = (middle, high) if over(middle) < 0 else (low, middle)
        return (low + high) / 2

    def work(self, now):
        if self.target is not None:
            if self.equity() <= 0:
                return
            units = self.size_target()
            if units is not None:
                self.target, self.left = None, units
        if self.left == 0:
            return
        side = 1 if self.left > 0 else -1
        if self.model == "queue":
            if self.best(side) is not None:
                self.rest(Order(side, abs(self.left), self.best(side), pegged=True))
                self.left = 0.0
            return
        left = self.take(now, side, abs(self.left))
        self.left = 0.0 if self.ioc else side * left

    # What rests.

    def rest(self, order):
        self.resting[order.side] = order
        order.ahead = None
        self.place(order)

    def place(self, order):
        own = self.book[order.side]
        if order.price in own:
            order.ahead, order.queue = own[order.price], own[order.price]
        elif own and order.side * order.price >= min(order.side * price for price in own):
            order.ahead, order.queue = 0.0, 0.0
        self.queues.append(order.ahead)

    def fill_resting(self, now, order, size, shown):
        order.left -= size
        self.trade(now, order.side, size, order.price, self.maker, shown, True)
        if order.left <= 0:
            del self.resting[order.side]

    # What happens.

    def on_book(self, now, event):
        self.book = {1: dict(event.bids), -1: dict(event.asks)}
        if event.bids and event.asks:
            self.mark = (event.bids[0][0] + event.asks[0][0]) / 2
        elif event.bids or event.asks:
            self.mark = (event.bids or event.asks)[0][0]
        for side in (1, -1):
            kept = {}
            for price, (left, shown) in self.taken[side].items():
                size = self.book[-side].get(price)
                if size is not None:
                    more = max(0.0, size - shown) * self.share
                    kept[price] = (min(left + more, size * self.share), size)
            self.taken[side] = kept
            order = self.resting.get(side)
            if order is None:
                continue
            for price, there in list(self.levels(side)):
                if side * price > side * order.price or side not in self.resting:
                    break
                part = min(there, order.left)
                if part > 0:
                    shown = self.book[-side][price]
                    self.note(side, price, part)
                    self.fill_resting(now, order, part, shown)
            if side not in self.resting or self.model != "queue":
                continue
            size = self.book[side].get(order.price)
            if size is None or order.ahead is None:
                self.place(order)
            else:
                if size < order.queue:
                    order.ahead *= size / order.queue
                order.ahead, order.queue = min(order.ahead, size), size
                self.queues.append(order.ahead)
            best = self.best(side)
            gone = best is not None and side * best > side * order.price
            if order.pegged and gone and not self.moving:
                self.moving = True
                heapq.heappush(self.due, (now + self.latency, -1, "move"))

    def on_trade(self, now, event):
        if self.model != "queue":
            return
        for side in (1, -1):
            order = self.resting.get(side)
            hits = event.side == "neutral" or event.side == ("sell" if side > 0 else "buy")
            if order is None or not hits or side * event.price > side * order.price:
                continue
            reached = event.size
            if event.price == order.price:
                if order.ahead is None:
                    continue
                order.queue = max(0.0, order.queue - event.size)
                reached -= order.ahead
                order.ahead = max(0.0, order.ahead - event.size)
            else:
                order.ahead = 0.0
                order.queue = getattr(order, "queue", 0.0)
            self.queues.append(order.ahead)
            if reached > 0:
                self.fill_resting(now, order, min(reached, order.left), event.size)

    def on_answer(self, now, answer):
        if self.ruined:
            return
        if answer == "move":
            self.moving = False
            for side, order in list(self.resting.items()):
                if order.pegged and self.best(side) not in (None, order.price):
                    order.price = self.best(side)
                    self.rest(order)
            return
        self.target, self.left = None, 0.0
        for side in [s for s, order in self.resting.items() if order.pegged]:
            del self.resting[side]
        if isinstance(answer, Quote):
            for side, price in ((1, answer.bid), (-1, answer.ask)):
                stands = self.resting.get(side)
                room = math.inf if answer.max_position is None else answer.max_position
                size = min(answer.size, max(0.0, room - side * self.units))
                if stands is not None and stands.price == price:
                    stands.left = min(stands.left, size)
                    if stands.left <= 0:
                        del self.resting[side]
                    continue
                self.resting.pop(side, None)
                if price is not None and size > 0:
                    self.limit(now, side, size, price, answer.time_in_force)
        elif isinstance(answer, Limit):
            self.resting.clear()
            side = 1 if answer.size > 0 else -1
            self.limit(now, side, abs(answer.size), answer.price, answer.time_in_force)
        else:
            self.resting.clear()
            self.target = answer

    def limit(self, now, side, size, price, life):
        best = self.best(-side)
        if life == "GTX" and best is not None and side * best <= side * price:
            return
        size = self.take(now, side, size, price)
        if size > 0 and life != "IOC":
            self.rest(Order(side, size, price, pegged=False))

    def run(self, events, answers):
        """`answers` are by the number of the event. Returns self."""
        self.due, said, number = [], 0.0, itertools.count()
        for i, answer in sorted(answers.items()):
            if isinstance(answer, Quote) or answer != said:
                said = answer
                at = events[i].received_ns + self.latency
                heapq.heappush(self.due, (at, next(number), answer))
        while not isinstance(events[-1], Depth) and len(events) - 1 not in answers:
            events = events[:-1]  # what comes after the last row of the result fills nothing
        times = sorted({event.received_ns for event in events})
        for now in times:
            while self.due and self.due[0][0] < now:
                self.come_due(self.due[0][0])
            woken = False
            for event in events:
                if event.received_ns != now:
                    continue
                if isinstance(event, Depth):
                    self.on_book(now, event)
                    woken = True
                elif isinstance(event, Trade):
                    self.on_trade(now, event)
            if self.due and self.due[0][0] == now:
                self.come_due(now)
            if woken:
                self.work(now)
            if not self.ruined and self.equity() <= 0:
                raise AssertionError("not meant to be ruined")
            self.equities += [
                self.equity() for e in events if e.received_ns == now and isinstance(e, Depth)
            ]
        return self

    def come_due(self, now):
        while self.due and self.due[0][0] == now:
            self.on_answer(now, heapq.heappop(self.due)[2])
        self.work(now)
