"""History through the strategies that also run live, and what came of it.

engine.py      backtest(): a strategy over bars, on the Python engine or the native one
native.py      a strategy's own code compiled by numba; with layout, mirror and kernels
terms.py       on what terms an account trades, checked
bar_frames.py  DataFrames of bars, checked; panel.py puts them on one time axis
fills.py       orders, costs, stops: the account's rules, shared by the engines
recorded.py    recordings as their session's strategies saw them, and their bars
quotes.py      recorded events, gone through by a strategy; depth_account.py fills at the touch
calendar.py    which bars end a return, and how many returns a year has
metrics.py     every figure, with formula and source
result.py      Result and compare(); trades.py, notes.py and plots.py make its parts
sweep.py       many parameters at once; walk.py chooses and judges on different stretches
parity.py      verify(): every engine and the live path (traces.py, side_by_side.py), bit by
               bit; verification.py compares and tells; lint.py warns before
"""

from __future__ import annotations
