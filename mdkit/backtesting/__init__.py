"""History through the strategies that also run live, and what came of it.

engine.py   backtest(): a strategy over bars, on the Python engine or the compiled one
runs.py     runs of a strategy: its signals, and its account
result.py   Result; notes.py and plots.py make its parts
account/    orders, fills, trades, and the figures made of them
bars/       bars traded with orders, stops that follow, sizes, margin and financing
books/      order books traded against
trials/     sweeps over parameters, and walking forward
chance/     what luck could have made of a result
report/     tear sheets, comparisons, results in files
data/       bars and events as the engines take them
compiled/   a strategy's own code compiled by numba
verify/     verify(): every engine and the live path, bit by bit
"""

from __future__ import annotations
