"""Bars traded with orders, stops that follow, sizes, margin and what holding costs.

account.py  the account: instants of a bar, one after the other
orders.py   orders that stand: when a bar reaches them, and fills
columns.py  answers and rates as columns, in which both engines read them
sizes.py    exposures out of signals, and ranges for stops
engines.py  the account run by Python or by compiled code
bar_run.py  what the account did: its orders, and what holding cost

It runs where any of these is asked for; targets alone, with a stop-loss or take-profit that is a
fraction, are traded by `mdkit.backtesting.account.fills`, whose rules of targets hold here too.

The rules of orders on bars
---------------------------
*When.* An order said on a bar stands from the open of the symbol's next one on, never on the bar
itself. It takes the place of all earlier orders of the symbol, as does a new target, which cancels
them at once. Sizes are filled whole.

*A limit* fills when the bar trades through its price (`fills="through"`, the default: below it for
a buyer), or with `fills="touch"` at it too. Where the open is beyond already it takes: at the open,
with the taker's fee and slippage, though never at a worse price than its own. Otherwise it fills at
its own price, at the maker's fee, without slippage. "IOC" is for the open alone, and "GTX" is
given up where it would take there.

*A stop* is set off by a bar that touches its price, and takes: at its price, or at the open where
that is beyond, with the taker's fee and slippage.

*An exposure* in place of a size is traded as a target is, valued at the price at which the order
fills; whether it buys or sells is settled by the open of the bar on which it comes due.

*Stops of a position*, `stop_loss` and `trailing_stop`, close it at their price, or at the open
where that is beyond; so does `take_profit`. A trailing stop of a bar is that of the best price up
to the bar before; if the close is beyond the one that the bar's own best price makes, that one was
met. They cancel the symbol's orders, and the symbol stays flat until the strategy says
something new.

*Within a bar* the path is not known. At the open: targets due, the stops of positions that were
held, orders that the open reaches. Then prices are taken to go first against the position, to the
bar's worst price, which meets what lies on the way in its order, stops and orders alike; then to
its best. Where nothing is held they go down first. So of a stop and a take-profit in one bar the
stop is met. A position that was entered or enlarged within the bar is taken to have met its stop if
any of the bar's prices did, and does not take profit on it. Of an OCO pair that a bar reaches on
both sides while nothing is held, the one fills that is worth less at its close.

*Margin.* At the open, after its orders, and between the way to the worst prices and that to the
best. There, prices of all symbols are taken to move together in straight lines, so that positions
are closed where the line crosses the maintenance margin. With a stop nearer than that the stop has
closed the position; where the stop is farther, its worse price counts.

*Live*, strategies say numbers; one that answers with orders can be backtested, and does not run
live, since mdkit places none. Sizes, stops and rates are the account's, and touch no signal.
"""

from __future__ import annotations
