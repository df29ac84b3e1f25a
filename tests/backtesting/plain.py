"""The account of `mdkit.backtesting.fills` once more, written from its rules, not from its code.

Slow and plain: dicts by symbol, sizes found by bisection on "does the target hold after costs".
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
        paid = at * (1 + slippage) if size > 0 else at * (1 - slippage)
        money["cash"] -= size * paid + fee * abs(size * paid)
        before, units[s] = units[s], units[s] + size
        if before == 0 or (before > 0) != (units[s] > 0):
            entry[s] = paid
        elif abs(units[s]) > abs(before):
            entry[s] = (entry[s] * abs(before) + paid * abs(size)) / abs(units[s])
        fills.append((t, s, size, paid, why))

    def to_target(t, s, target, worth):
        target *= weights[s]
        if target == 0.0:
            return trade(t, s, -units[s], price[s], "signal")

        def missing(size):
            paid = price[s] * (1 + slippage if size > 0 else 1 - slippage)
            cost = abs(size) * abs(paid - price[s]) + fee * abs(size) * paid
            return (units[s] + size) * price[s] - target * (worth - cost)

        low = high = (target * worth - units[s] * price[s]) / price[s]
        low, high = low - abs(low) - 1e-9, high + abs(high) + 1e-9
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if missing(middle) < 0 else (low, middle)
        size = (low + high) / 2
        if abs(size) > 1e-12 * (abs(units[s]) + 1):
            trade(t, s, size, price[s], "signal")
        return None

    for t in times:
        here = [s for s in symbols if bars[s][t] is not None]
        due = [s for s in here if s in waiting]
        if waiting and fill == "next_open":
            for s in here:
                price[s] = bars[s][t][0]
            worth = equity()
            if worth <= 0:
                ruined = True
            else:
                for s in due:
                    to_target(t, s, waiting.pop(s), worth)
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
        if ruined or (worth <= 0 and any(units.values())):
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
                if fill == "close":
                    to_target(t, s, signal, worth)
                else:
                    waiting[s] = signal
        equities.append(equity())
    return equities, fills
