"""The account: orders, fills, trades, and the figures made of them.

terms.py          on what terms it trades
fills.py          signals to orders, orders to fills, fills to equity
depth_account.py  the same over order books
trades.py         fills grouped into trades
calendar.py       which returns there are, and how many in a year
metrics.py        every figure with its formula and source
"""
