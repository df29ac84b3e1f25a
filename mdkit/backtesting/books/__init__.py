"""Order books that can be traded against: what they show, who waits in them, and an account.

door.py       backtest of a strategy over books; the rules of fills, orders and instants
listener.py   a strategy over events, one after the other: the reference
tape.py       books in columns, read once; loading.py: `load_books`
answers.py    a strategy over a tape, compiled or in Python
decider.py    one answer: checked, and kept where it changes something
heard.py      what was shown and said, in columns, and what an account did of it
columns.py    books, trades and answers as columns, in which both engines read them
market.py     books in force: levels, what of them was taken, what an order costs
resting.py    orders that wait in the book, and their places in the queue
targets.py    targets: how large an order is, with all costs of an instant
account.py    cash and positions over books, order by order, in order of time
engines.py    the account run by Python or by compiled code
latency.py    how long an order is under way
"""

from __future__ import annotations
