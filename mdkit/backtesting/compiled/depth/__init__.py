"""Strategies on order books in compiled code: what they call and answer, and their loop.

orders.py   answers: a target, `md.Limit` or `md.Quote`, as one row of numbers
twins.py    what is compiled in place of mdkit's measures and of the orders' constructors
loops.py    the compiled loop over a strategy's books
"""
