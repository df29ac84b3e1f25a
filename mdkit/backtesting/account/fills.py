"""Signals become orders, orders become fills, fills become equity: the account's arithmetic.

`Account.run` and, for the common case of one symbol without stops, `run_single` take plain
scalar steps over flat columns. The Python engine runs them as they stand, over lists; the native
engine has numba compile the very same source. That is why both give the same equity to the last
bit.

The rules
---------
*What a signal means.* A target exposure e in [-1, 1]: hold a position worth e times the
account's equity (times the symbol's weight, where several symbols share the account). An order
is made when a signal differs from that symbol's last one; repeating a target makes none, so
between orders the exposure drifts with the price.

*When it fills.* Decided on bar t: at the open of the symbol's next bar (`next_open`), or at t's
own close (`close`). A signal on the last bar never fills at an open.

*At what price.* Buying pays price x (1 + slippage), selling gets price x (1 - slippage), and
`fee` is charged on the value traded. The size is such that the target holds after these costs:
a target of 1 from flat spends exactly the account's cash. Orders of several symbols that fill at
the same instant are sized together, so that all their targets hold after the costs of all: with
weights that add up to 1 they spend exactly the cash, too (`costs_together`). Fractions of a unit
can be held. What has risen since its last order holds more than its share; an order of another
symbol later on can then take the exposures above 1, with cash that is borrowed without interest.

*Prices of zero and below.* A target cannot be a position worth so much at such a price: orders
but those that close a position wait for the symbol's next open (or close) above zero. Positions
are held through, marked and closed at such prices; costs are of the absolute value.

*Stops.* `stop_loss` and `take_profit` are fractions of the position's average entry price. Each
bar is checked in this order: a due order fills at the open; a stop that the open is already
beyond fills at the open; the stop-loss, when the bar's low (short: high) touches it, at its own
price; then the take-profit likewise. A bar that touches both is taken to have met the stop-loss
first, since its path is not known. A position opened at a close is checked from the next bar
on. After a stop the symbol stays flat until the strategy says a target other than the one that
was stopped.

*Ruin.* When equity at a close (or at an open where an order is due) is not positive, every
position is closed at that bar's close, and nothing is traded afterwards.
"""

from __future__ import annotations

import math
from typing import Any

REASONS = ("signal", "stop_loss", "take_profit", "ruin", "trailing_stop", "liquidation")
"""Why a fill happened; a fill's `reason` is the position in this tuple."""
FILL_FIELDS = ("bar", "symbol", "units", "price", "fee", "reason")
"""What is recorded of a fill, in this order: the price after slippage, the fee in money."""

_WIDTH = len(FILL_FIELDS)


def run_single(
    signals: Any,
    opens: Any,
    closes: Any,
    at_close: bool,
    terms: Any,
    equities: Any,
    fills: Any,
) -> int:
    """Do what `Account.run` does for one symbol without stops, several times as fast.

    All prices must be above zero. `terms` are weight, cash, fee and slippage. Returns the number
    of fills, or -1 when the place for them was too small.
    """
    weight, cash, fee, slippage = terms[0], terms[1], terms[2], terms[3]
    bars = len(closes)
    room = len(fills) // _WIDTH
    units = 0.0
    said = 0.0
    ruined = False
    count = 0
    for i in range(bars):
        signal = signals[i]
        equity = cash + units * closes[i]
        equities[i] = equity
        ruined = ruined or equity <= 0.0
        if ruined:
            if units == 0.0:
                continue
            at, price, size, reason = i, closes[i], -units, 3.0
        elif signal != signal or signal == said:
            continue
        else:
            said = signal
            at = i if at_close else i + 1
            if at == bars:
                break
            price = closes[i] if at_close else opens[at]
            worth = cash + units * price
            if worth <= 0.0:
                ruined = True
                continue
            reason = 0.0
            target = signal * weight
            missing = target * worth - units * price
            if missing > 0.0:
                cost = slippage + fee * (1.0 + slippage)
            else:
                cost = -(slippage + fee * (1.0 - slippage))
            share = 1.0 + target * cost
            if target == 0.0 or cost * missing >= worth * share:
                size = -units
            else:
                size = (missing - target * (cost * missing / share)) / price
        if size == 0.0:
            continue
        if count == room:
            return -1
        paid = price * (1.0 + slippage) if size > 0.0 else price * (1.0 - slippage)
        charge = fee * abs(size * paid)
        cash -= size * paid + charge
        units += size
        if at == i:
            equities[i] = cash + units * closes[i]
        row = count * _WIDTH
        fills[row] = at
        fills[row + 1] = 0.0
        fills[row + 2] = size
        fills[row + 3] = paid
        fills[row + 4] = charge
        fills[row + 5] = reason
        count += 1
    return count


def costs_together(equity: float, targets: Any, values: Any, buying: Any, selling: Any) -> float:
    """Return what the orders of one instant cost together, in money.

    `targets` are exposures, nan for a symbol without an order; `values` what is held of each
    symbol; `buying` and `selling` the costs per value traded. With K the costs of all, order s
    trades the value d_s = target_s (equity - K) - value_s, and K is the sum of cost_s |d_s|. That
    sum is convex in equity - K and made of straight pieces, so Newton's method reaches the answer
    after at most one step for each order whose side changes on the way. Returns `equity` when the
    costs would leave nothing.
    """
    costs = 0.0
    symbols = len(targets)
    # The side of a lone order cannot change.
    for _ in range(symbols + 2 if symbols > 1 else 1):
        over = 0.0
        share = 1.0
        for s in range(symbols):
            target = targets[s]
            if target == target:
                missing = target * equity - values[s]
                cost = buying[s] if missing > target * costs else -selling[s]
                over += cost * missing
                share += target * cost
        if over >= equity * share:
            return equity
        if over / share == costs:
            break
        costs = over / share
    return costs


class Account:
    """Cash and positions, and what happens to them over the bars.

    The orders that fill at one instant are traded together, see `costs_together`. Columns are flat:
    symbol s has the entries [s * bars, (s + 1) * bars). A nan open means that the symbol has no bar
    then; a nan signal that the strategy said nothing.

    Args:
        weights: each symbol's share of the equity.
        cash: what the account begins with.
        fee, slippage: fractions of the value traded.
        stop_loss, take_profit: fractions of the entry price; inf for none.
        fills: an empty place for fills, `FILL_FIELDS` numbers each.
    """

    __slots__ = (
        "buying",
        "cash",
        "count",
        "due",
        "entries",
        "fee",
        "fills",
        "marks",
        "open",
        "said",
        "selling",
        "slippage",
        "stop_loss",
        "take_profit",
        "targets",
        "units",
        "values",
        "waiting",
        "weights",
    )

    def __init__(
        self,
        weights: list[float],
        cash: float,
        fee: float,
        slippage: float,
        stop_loss: float,
        take_profit: float,
        fills: Any,
    ) -> None:
        none = [0.0] * len(weights)
        self.weights = list(weights)
        self.cash = cash
        self.fee = fee
        self.slippage = slippage
        self.stop_loss = stop_loss
        self.take_profit = take_profit
        self.units = none.copy()
        self.entries = none.copy()
        self.marks = none.copy()
        """The last price seen of each symbol."""
        self.said = none.copy()
        """The last target of each symbol."""
        self.due = [math.nan] * len(weights)
        """The target that waits to be filled, nan for none."""
        self.targets = none.copy()
        self.values = none.copy()
        """What `rebalance` trades to, and from."""
        self.buying = [slippage + fee * (1.0 + slippage)] * len(weights)
        self.selling = [slippage + fee * (1.0 - slippage)] * len(weights)
        """Costs per value traded."""
        self.waiting = 0
        self.open = 0
        self.fills = fills
        self.count = 0

    def run(
        self,
        signals: Any,
        opens: Any,
        highs: Any,
        lows: Any,
        closes: Any,
        bars: int,
        at_close: bool,
        equities: Any,
    ) -> bool:
        """Go through all bars; return False when the place for fills was too small.

        `equities` receives the equity at each close.
        """
        symbols = len(self.weights)
        room = len(self.fills) // _WIDTH - 2 * symbols
        guarded = self.stop_loss < math.inf or self.take_profit < math.inf
        ruined = False
        for i in range(bars):
            if self.count > room:
                return False
            if self.waiting > 0 and not at_close:
                ruined = self.fill_at_open(i, bars, opens) or ruined
            if guarded and self.open > 0:
                self.check_stops(i, bars, opens, highs, lows)
            equity = self.cash
            for s in range(symbols):
                close = closes[s * bars + i]
                if close == close:
                    self.marks[s] = close
                equity += self.units[s] * self.marks[s]
            before = self.count
            if ruined or equity <= 0.0:
                ruined = True
                self.close_all(i)
            else:
                for s in range(symbols):
                    signal = signals[s * bars + i]
                    if signal == signal and signal != self.said[s]:
                        self.said[s] = signal
                        if self.due[s] != self.due[s]:
                            self.waiting += 1
                        self.due[s] = signal
                if at_close and self.waiting > 0:
                    if symbols == 1:
                        self.rebalance_one(i, closes[i], equity)
                    else:
                        self.rebalance(i, bars, closes, equity)
            if self.count > before:
                equity = self.cash
                for s in range(symbols):
                    equity += self.units[s] * self.marks[s]
            equities[i] = equity
        return True

    def fill_at_open(self, i: int, bars: int, opens: Any) -> bool:
        """Fill the orders of all symbols that open now; return whether the account is ruined."""
        symbols = len(self.weights)
        equity = self.cash
        for s in range(symbols):
            price = opens[s * bars + i]
            if price == price:
                self.marks[s] = price
            equity += self.units[s] * self.marks[s]
        if equity <= 0.0:
            return True
        if symbols == 1:
            self.rebalance_one(i, opens[i], equity)
        else:
            self.rebalance(i, bars, opens, equity)
        return False

    def rebalance(self, i: int, bars: int, prices: Any, equity: float) -> None:
        """Trade every symbol that has an order and a price now, at its mark, to its target."""
        symbols = len(self.weights)
        for s in range(symbols):
            self.targets[s] = math.nan
            price = prices[s * bars + i]
            if self.due[s] == self.due[s] and price == price:
                target = self.due[s] * self.weights[s]
                if price > 0.0 or target == 0.0:
                    self.targets[s] = target
                    self.values[s] = self.units[s] * self.marks[s]
                    self.due[s] = math.nan
                    self.waiting -= 1
        costs = costs_together(equity, self.targets, self.values, self.buying, self.selling)
        for s in range(symbols):
            target = self.targets[s]
            if target == target:
                if target == 0.0 or costs == equity:
                    units = -self.units[s]
                else:
                    missing = target * equity - self.values[s]
                    units = (missing - target * costs) / self.marks[s]
                self.trade(i, s, units, self.marks[s], 0.0)

    def rebalance_one(self, i: int, price: float, equity: float) -> None:
        """Do what `rebalance` does for one symbol, several times as fast."""
        target = self.due[0] * self.weights[0]
        if target != target or price != price or (price <= 0.0 and target != 0.0):
            return
        self.due[0] = math.nan
        self.waiting = 0
        held = self.units[0]
        missing = target * equity - held * price
        cost = self.buying[0] if missing > 0.0 else -self.selling[0]
        share = 1.0 + target * cost
        if target == 0.0 or cost * missing >= equity * share:
            units = -held
        else:
            units = (missing - target * (cost * missing / share)) / price
        self.trade(i, 0, units, price, 0.0)

    def check_stops(self, i: int, bars: int, opens: Any, highs: Any, lows: Any) -> None:
        """Close the symbols whose bar meets their stop-loss or take-profit."""
        for s in range(len(self.weights)):
            held = self.units[s]
            open_ = opens[s * bars + i]
            if held == 0.0 or open_ != open_:
                continue
            # Turned so that prices rise to the profit of either side.
            side = 1.0 if held > 0.0 else -1.0
            stop = self.entries[s] * (1.0 - side * self.stop_loss)
            take = self.entries[s] * (1.0 + side * self.take_profit)
            low, high = lows[s * bars + i], highs[s * bars + i]
            worst, best = (low, high) if held > 0.0 else (high, low)
            price = 0.0
            reason = 0.0
            if side * open_ <= side * stop:
                price, reason = open_, 1.0
            elif side * open_ >= side * take:
                price, reason = open_, 2.0
            elif side * worst <= side * stop:
                price, reason = stop, 1.0
            elif side * best >= side * take:
                price, reason = take, 2.0
            if reason > 0.0:
                self.trade(i, s, -held, price, reason)

    def close_all(self, i: int) -> None:
        """Close every position at its last price, and forget every order."""
        for s in range(len(self.weights)):
            self.due[s] = math.nan
            self.trade(i, s, -self.units[s], self.marks[s], 3.0)
        self.waiting = 0

    def trade(self, i: int, s: int, units: float, price: float, reason: float) -> None:
        """Buy units of symbol s (negative: sell), pay the costs, record the fill."""
        if units == 0.0:
            return
        # Against whoever trades, whatever the signs of price and units.
        slip = self.slippage if units * price > 0.0 else -self.slippage
        self.settle(i, s, units, price * (1.0 + slip), self.fee, reason)

    def settle(self, i: int, s: int, units: float, paid: float, fee: float, reason: float) -> None:
        """Move cash and units at the price paid, charge the fee, record the fill."""
        held = self.units[s]
        after = held + units
        charge = fee * abs(units * paid)
        self.cash -= units * paid + charge
        self.units[s] = after
        if held == 0.0:
            self.open += 1
        elif after == 0.0:
            self.open -= 1
        if held == 0.0 or held * after < 0.0:
            self.entries[s] = paid
        elif abs(after) > abs(held):
            spent = self.entries[s] * abs(held) + paid * abs(units)
            self.entries[s] = spent / (abs(held) + abs(units))
        at = self.count * _WIDTH
        self.fills[at] = i
        self.fills[at + 1] = s
        self.fills[at + 2] = units
        self.fills[at + 3] = paid
        self.fills[at + 4] = charge
        self.fills[at + 5] = reason
        self.count += 1
