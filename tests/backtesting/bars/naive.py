"""An account over bars with orders once more, from the rules of `mdkit.backtesting.bars`.

Slow and plain: dicts by symbol, orders as small objects, a bar as a path of prices, and sizes found
by bisection.
"""

from types import SimpleNamespace

from mdkit.backtesting.account.answers import OCO, Limit, Quote, Stop

REASONS = ("signal", "stop_loss", "take_profit", "ruin", "trailing_stop", "liquidation")


def bisect(low, high, is_low):
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if is_low(middle) else (low, middle)
    return (low + high) / 2


class Naive:
    """`bars[s][t]` is (open, high, low, close) or None; `said[s][t]` a number, an order or None."""

    def __init__(
        self, bars, said, *, weights, cash=1000.0, maker=0.0, taker=0.0, slippage=0.0,
        when="next_open", through=True, stop_loss=None, take_profit=None, trailing_stop=None,
        margin=None, borrow=0.0, loan=0.0, funding=(), years=(),
    ):  # fmt: skip
        vars(self).update({name: value for name, value in locals().items() if name != "self"})
        count = len(bars)
        self.units, self.mark = [0.0] * count, [0.0] * count
        self.entry, self.peak, self.fresh = [0.0] * count, [0.0] * count, [False] * count
        self.orders = [[] for _ in bars]
        self.waiting, self.last = {}, [0.0] * count
        self.fills, self.equities = [], []
        self.ruined = False

    def worth(self, **at):
        marks = [at.get(f"s{s}", mark) for s, mark in enumerate(self.mark)]
        return self.cash + sum(u * mark for u, mark in zip(self.units, marks, strict=True))

    def others(self, mine):
        """The value of all positions but these."""
        return sum(abs(u * self.mark[s]) for s, u in enumerate(self.units) if s not in mine)

    def pay(self, units, price, takes):
        """The price after slippage and the fee."""
        slip = self.slippage if takes else 0.0
        paid = price + slip * abs(price) * (1 if units > 0 else -1)
        return paid, (self.taker if takes else self.maker)

    def trade(self, t, s, units, price, why, takes=True, limit=None):
        if units == 0.0:
            return
        paid, fee = self.pay(units, price, takes)
        if limit is not None:
            paid = min(paid, limit) if units > 0 else max(paid, limit)
        self.cash -= units * paid + fee * abs(units * paid)
        before, after = self.units[s], self.units[s] + units
        if before == 0 or before * after < 0:
            self.entry[s] = self.peak[s] = paid
        elif abs(after) > abs(before):
            self.entry[s] = (self.entry[s] * abs(before) + paid * abs(units)) / abs(after)
        self.units[s] = after
        self.fills.append((t, s, units, paid, why))

    def leave(self, t, s, price, why):
        self.orders[s] = []
        self.trade(t, s, -self.units[s], price, why)

    # What stops a position

    def stop(self, s):
        """The nearest stop's price and reason."""
        long = self.units[s] > 0
        side = 1 if long else -1
        found = []
        if self.stop_loss is not None:
            found.append((self.entry[s] * (1 - side * self.stop_loss), "stop_loss"))
        if self.trailing_stop is not None:
            found.append((self.peak[s] * (1 - side * self.trailing_stop), "trailing_stop"))
        if not found:
            return None, None
        return max(found, key=lambda each: side * each[0])

    def target(self, s):
        side = 1 if self.units[s] > 0 else -1
        return None if self.take_profit is None else self.entry[s] * (1 + side * self.take_profit)

    # Orders

    def reached(self, order, price):
        away = (price - order.price) * (1 if order.buys else -1)
        if order.stop:
            return away >= 0
        return away < 0 or (away == 0 and not self.through)

    def wants(self, s, exposure, price, takes):
        """The units that bring a symbol to an exposure after costs, by bisection."""
        if exposure == 0:
            return -self.units[s]
        worth = self.worth(**{f"s{s}": price})

        def left(units):
            paid, fee = self.pay(units, price, takes)
            return worth - abs(units) * abs(paid - price) - fee * abs(units * paid)

        goal = exposure * self.weights[s]
        if worth <= 0:
            return -self.units[s]

        def too_few(units):
            return (self.units[s] + units) * price < goal * left(units)

        most = 100 * (abs(worth) / price + abs(self.units[s]) + 1)
        return bisect(-most, most, too_few)

    def fill(self, t, s, order, price, takes):
        units = order.size
        if order.exposure is not None:
            units = self.wants(s, order.exposure, price, takes)
            if units * (1 if order.buys else -1) < 0:
                units = 0.0
        units = self.cut(s, units, price)
        pair = order.pair
        self.orders[s] = [] if pair else [each for each in self.orders[s] if each is not order]
        self.trade(t, s, units, price, "signal", takes, None if order.stop else order.price)

    def cut(self, s, units, price):
        if self.margin is None:
            return units
        held, after = self.units[s], self.units[s] + units
        others = self.others([s])
        most = max(0.0, (self.worth(**{f"s{s}": price}) / self.margin[0] - others) / price)
        if held * units > 0:
            most = max(most, abs(held))
        elif abs(after) <= abs(held) and held * after >= 0:
            return units
        return max(-most, min(most, after)) - held

    def place(self, t, s, answer):
        self.orders[s] = []
        self.waiting.pop(s, None)
        self.last[s] = None
        if isinstance(answer, Quote):
            sides = [(answer.bid, 1), (answer.ask, -1)]
            for price, sign in sides:
                if price is None:
                    continue
                most = float("inf") if answer.max_position is None else answer.max_position
                size = min(answer.size, max(0.0, most - sign * self.units[s]))
                if size:
                    self.orders[s].append(SimpleNamespace(
                        price=price, size=sign * size, exposure=None, buys=sign > 0, stop=False,
                        life=answer.time_in_force, pair=False))  # fmt: skip
            return
        both = (answer.first, answer.second) if isinstance(answer, OCO) else (answer,)
        for each in both:
            size = each.size
            if each.exposure is not None:
                goal = each.exposure * self.weights[s] * self.worth(**{f"s{s}": each.price})
                size = goal - self.units[s] * each.price
                if each.exposure == 0:
                    size = -self.units[s]
            if abs(size) > 1e-12:
                self.orders[s].append(SimpleNamespace(
                    price=each.price, size=size, exposure=each.exposure, buys=size > 0,
                    stop=isinstance(each, Stop), life=getattr(each, "time_in_force", "GTC"),
                    pair=len(both) == 2))  # fmt: skip

    # Targets

    def to_targets(self, t, orders):
        worth = self.worth()
        if self.margin is not None and worth > 0:
            others = self.others(orders)
            total = sum(map(abs, orders.values()))
            room = max(0.0, 1 / self.margin[0] - others / worth)
            if total > room:
                orders = {s: goal * room / total for s, goal in orders.items()}

        def sizes(left):
            return {s: -self.units[s] if goal == 0 else goal * left / self.mark[s] - self.units[s]
                    for s, goal in orders.items()}  # fmt: skip

        def costs(left):
            total = 0.0
            for s, size in sizes(left).items():
                paid, fee = self.pay(size, self.mark[s], True)
                total += size * (paid - self.mark[s]) + fee * abs(size * paid)
            return total

        if costs(0.0) >= worth:
            orders = dict.fromkeys(orders, 0.0)
        left = bisect(0.0, worth, lambda left: left + costs(left) < worth)
        for s, size in sizes(left).items():
            if abs(size) > 1e-9 * (abs(self.units[s]) + 1):
                self.trade(t, s, size, self.mark[s], "signal")

    def due(self, here):
        return {s: self.waiting.pop(s) * self.weights[s] for s in here if s in self.waiting}

    # A bar

    def travel(self, t, s, end, up, back):
        while True:
            met = []
            held = self.units[s]
            if held and (held < 0) == up:
                price, why = self.stop(s)
                if price is not None and (price <= end if up else price >= end):
                    met.append((price, 0, lambda p, why=why: self.leave(t, s, p, why)))
            elif held and back and not self.fresh[s]:
                price = self.target(s)
                if price is not None and (price <= end if up else price >= end):
                    met.append((price, 0, lambda p: self.leave(t, s, p, "take_profit")))
            for number, order in enumerate(self.orders[s]):
                if (order.buys == order.stop) == up and self.reached(order, end):

                    def act(p, order=order):
                        before = self.units[s]
                        self.fill(t, s, order, p, order.stop)
                        if abs(self.units[s]) > abs(before) or before * self.units[s] < 0:
                            self.fresh[s] = True

                    met.append((order.price, 1 + number, act))
            if not met:
                return
            price, _, act = min(met, key=lambda each: (each[0] if up else -each[0], each[1]))
            act(price)

    def liquidate(self, t, at_open):
        if self.margin is None or not any(self.units):
            return

        def at(s, share):
            bar = self.bars[s][t]
            if bar is None:
                return self.mark[s]
            end = bar[2] if self.units[s] > 0 else bar[1]
            return bar[0] + share * (end - bar[0])

        def beyond(share):
            values = [u * at(s, share) for s, u in enumerate(self.units) if u]
            return self.cash + sum(values) - self.margin[1] * sum(map(abs, values))

        if beyond(0.0) <= 0:
            share = 0.0
        elif not at_open and beyond(1.0) < 0:
            share = bisect(0.0, 1.0, lambda share: beyond(share) > 0)
        else:
            return
        for s, held in enumerate(list(self.units)):
            if held and self.bars[s][t] is not None:
                self.leave(t, s, at(s, share), "liquidation")

    def gain(self, s, order, close):
        size = order.size
        if order.exposure is not None:
            size = order.exposure * self.weights[s] * self.worth() / order.price
        return size * (close - order.price)

    def pass_bar(self, t, here):
        self.fresh = [False] * len(self.bars)
        for s in here:
            self.mark[s] = self.bars[s][t][0]
        for s in here:
            open_ = self.mark[s]
            held = self.units[s]
            if held:
                price, why = self.stop(s)
                goal = self.target(s)
                if price is not None and (open_ <= price if held > 0 else open_ >= price):
                    self.leave(t, s, open_, why)
                elif goal is not None and (open_ >= goal if held > 0 else open_ <= goal):
                    self.leave(t, s, open_, "take_profit")
            for order in list(self.orders[s]):
                if order not in self.orders[s]:
                    continue
                hit = self.reached(order, open_)
                if (hit and order.life == "GTX") or (not hit and order.life == "IOC"):
                    self.orders[s].remove(order)
                elif hit:
                    self.fill(t, s, order, open_, True)
                order.life = "GTC"
        self.liquidate(t, True)
        down = {}
        for s in here:
            if not self.units[s] and not self.orders[s]:
                continue
            _, high, low, close = self.bars[s][t]
            down[s] = self.units[s] >= 0
            pair = self.orders[s]
            if not self.units[s] and len(pair) == 2 and pair[0].pair:
                ups = [order.buys == order.stop for order in pair]
                if ups[0] != ups[1] and all(
                    self.reached(order, high if up else low)
                    for order, up in zip(pair, ups, strict=True)
                ):
                    gains = [self.gain(s, order, close) for order in pair]
                    self.orders[s] = [pair[gains.index(min(gains))]]
            self.travel(t, s, low if down[s] else high, not down[s], False)
        self.liquidate(t, False)
        for s, falls in down.items():
            _, high, low, close = self.bars[s][t]
            self.travel(t, s, high if falls else low, falls, True)
            if not self.units[s]:
                continue
            long = self.units[s] > 0
            if self.fresh[s]:
                price, why = self.stop(s)
                if price is not None and (low <= price if long else high >= price):
                    self.leave(t, s, price, why)
                    continue
            best = close if self.fresh[s] else high if long else low
            self.peak[s] = max(self.peak[s], best) if long else min(self.peak[s], best)
            if self.trailing_stop is not None:
                price = self.peak[s] * (1 - (1 if long else -1) * self.trailing_stop)
                if close <= price if long else close >= price:
                    why = self.stop(s)[1] if self.stop(s)[0] == price else "stop_loss"
                    self.leave(t, s, price, why)

    def charge(self, t):
        owed = max(0.0, -self.cash) * self.loan * self.years[t] if self.years else 0.0
        for s, held in enumerate(self.units):
            value = held * self.mark[s]
            rate = self.funding[t] if self.funding else 0.0
            owed += value * rate
            if self.years:
                owed += max(0.0, -value) * self.borrow * self.years[t]
        self.cash -= owed

    def run(self):
        times = len(self.bars[0])
        standing = {}
        for t in range(times):
            here = [s for s in range(len(self.bars)) if self.bars[s][t] is not None]
            if self.fill_next:
                self.charge(t)
            for s in here:
                answer = standing.pop(s, None)
                if answer is not None and not self.ruined:
                    self.place(t, s, answer)
            if self.fill_next and self.waiting:
                for s in here:
                    self.mark[s] = self.bars[s][t][0]
                if self.worth() <= 0:
                    self.ruined = True
                    self.orders = [[] for _ in self.bars]
                else:
                    self.to_targets(t, self.due(here))
            self.pass_bar(t, here)
            for s in here:
                self.mark[s] = self.bars[s][t][3]
            if not self.fill_next or t + 1 == times:
                self.charge(t + 1)
            if self.ruined or self.worth() <= 0:
                self.ruined = True
                self.waiting.clear()
                for s in range(len(self.bars)):
                    self.leave(t, s, self.mark[s], "ruin")
            else:
                for s in here:
                    answer = self.said[s][t]
                    if answer is None:
                        continue
                    if isinstance(answer, Limit | Stop | OCO | Quote):
                        standing[s] = answer
                    elif answer != self.last[s]:
                        self.last[s] = self.waiting[s] = answer
                        self.orders[s] = []
                if not self.fill_next:
                    self.to_targets(t, self.due(here))
            self.equities.append(self.worth())
        return self

    @property
    def fill_next(self):
        return self.when == "next_open"
