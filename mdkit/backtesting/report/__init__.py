"""A finished backtest on one page, and in one file.

tear_sheet.py  months, rolling Sharpe ratio, drawdowns, trades: tables and a page
sheet_plot.py  its picture
saved.py       results written down, and read again
checks.py      whether what was read can be a result
comparison.py  several side by side
cell.py        how a notebook's cell shows one
"""

from __future__ import annotations
