"""Order books that can be traded against: what they show, who waits in them, and an account.

door.py       backtest of a strategy over books; the rules of fills, orders and instants
strategy/     a strategy over books: what it is shown, and what it answers
columns.py    books, trades and answers as columns, in which both engines read them
market.py     books in force: levels, what of them was taken, what an order costs
resting.py    orders that wait in the book, and their places in the queue
targets.py    targets: how large an order is, with all costs of an instant
account.py    cash and positions over books, order by order, in order of time
engines.py    the account run by Python or by compiled code
latency.py    how long an order is under way
"""

from __future__ import annotations
