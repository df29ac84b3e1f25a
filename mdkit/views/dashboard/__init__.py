"""A session on the live canvas.

dashboard.py  what a cell shows: the widget while it lives, its last picture afterwards
sender.py     pictures to the page, and what the page asks for, in the session's loop
ticker.py     the clock that they are sent on
collector.py  what the canvas shows of one symbol, and what of that is new
series.py     books, trades, signals and the queue over time
gaps.py       what was not seen
state.py      how the session is, in a word, a sentence and a line
still.py      the last picture, drawn by matplotlib
plain.py      the same once a second, where the widget does not answer
player.py     a recording: play, pause, speed, jumps
"""
