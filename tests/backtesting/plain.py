"""The account of `mdkit.backtesting.account.fills` once more, from its rules, not from its code.

Slow and plain: dicts by symbol, sizes found by bisection on the equity that is left after the costs
of all orders of an instant.
"""


def plain_account(bars, signals, *, cash, fee, slippage, fill, stop_loss, take_profit, weights):
    """`bars[s][t]` is (open, high, low, close) or None; returns (equities, fills)."""
    symbols = range(len(bars))
    times = range(len(bars[0]))
    units = dict.fromkeys(symbols, 0.0)
    entry = dict.fromkeys(symbols, 0.0)
    price = dict.fromkeys(symbols, 0.0)
    said = dict.fromkeys(symbols, 0.0)
    waiting = {}
    money = {"cash": cash}
    equities, fills = [], []
    ruined = False

    def equity():
        return money["cash"] + sum(units[s] * price[s] for s in symbols)

    def trade(t, s, size, at, why):
        if size == 0.0:
            return
        paid = worse(at, size)
        money["cash"] -= size * paid + fee * abs(size * paid)
        before, units[s] = units[s], units[s] + size
        if before == 0 or (before > 0) != (units[s] > 0):
            entry[s] = paid
        elif abs(units[s]) > abs(before):
            entry[s] = (entry[s] * abs(before) + paid * abs(size)) / abs(units[s])
        fills.append((t, s, size, paid, why))

    def worse(at, size):
        """The price after slippage, which is never to one's advantage."""
        return at + slippage * abs(at) if size > 0 else at - slippage * abs(at)

    def to_targets(t, orders, worth):
        """Trade at once to what each order wants of the equity that all of them leave."""

        def sizes(left):
            return {
                s: -units[s] if target == 0 else target * left / price[s] - units[s]
                for s, target in orders.items()
            }

        def costs(left):
            return sum(
                size * (worse(price[s], size) - price[s])
                + fee * abs(size) * abs(worse(price[s], size))
                for s, size in sizes(left).items()
            )

        low, high = 0.0, worth
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if middle + costs(middle) < worth else (low, middle)
        if costs(0.0) >= worth:
            orders = dict.fromkeys(orders, 0.0)
        for s, size in sizes((low + high) / 2).items():
            if abs(size) > 1e-12 * (abs(units[s]) + 1):
                trade(t, s, size, price[s], "signal")

    def take_due(here):
        """Return the orders that can fill now, with weights: all but entries at a price of 0."""
        found = [s for s in here if s in waiting and (price[s] > 0 or waiting[s] * weights[s] == 0)]
        return {s: waiting.pop(s) * weights[s] for s in found}

    for t in times:
        here = [s for s in symbols if bars[s][t] is not None]
        if waiting and fill == "next_open":
            for s in here:
                price[s] = bars[s][t][0]
            worth = equity()
            if worth <= 0:
                ruined = True
            else:
                to_targets(t, take_due(here), worth)
        for s in here:
            if units[s] == 0.0 or (stop_loss is None and take_profit is None):
                continue
            open_, high, low, _ = bars[s][t]
            long = units[s] > 0
            side = 1 if long else -1
            stop = None if stop_loss is None else entry[s] * (1 - side * stop_loss)
            take = None if take_profit is None else entry[s] * (1 + side * take_profit)

            def hit(level, at, *, below):
                return level is not None and (at <= level if below else at >= level)

            if hit(stop, open_, below=long):
                trade(t, s, -units[s], open_, "stop_loss")
            elif hit(take, open_, below=not long):
                trade(t, s, -units[s], open_, "take_profit")
            elif hit(stop, low if long else high, below=long):
                trade(t, s, -units[s], stop, "stop_loss")
            elif hit(take, high if long else low, below=not long):
                trade(t, s, -units[s], take, "take_profit")
        for s in here:
            price[s] = bars[s][t][3]
        worth = equity()
        if ruined or worth <= 0:
            ruined = True
            waiting.clear()
            for s in symbols:
                trade(t, s, -units[s], price[s], "ruin")
        else:
            for s in here:
                signal = signals[s][t]
                if signal is None or signal == said[s]:
                    continue
                said[s] = signal
                waiting[s] = signal
            if fill == "close":
                to_targets(t, take_due(here), worth)
        equities.append(equity())
    return equities, fills
