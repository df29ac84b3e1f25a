"""The account: orders, fills, trades, and the figures made of them.

terms.py          on what terms it trades
fills.py          signals to orders, orders to fills, fills to equity
answers.py        orders that a strategy can answer with on books: Limit, Quote
contracts.py      Fees and Contract
book_run.py       what an account over books did
trades.py         fills grouped into trades
calendar.py       which returns there are, and how many in a year
metrics.py        every figure with its formula and source
"""
