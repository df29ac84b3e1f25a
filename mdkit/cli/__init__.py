"""The command line: `python -m mdkit`.

main.py        the commands
history.py     bars: `klines`, `backtest`
recordings.py  recordings: `record`, `replay`, `info`
research.py    signals: `study`
doctor.py      what a report of a problem needs
online.py      which public venues can be reached: `doctor --online`; online_feeds.py, their feeds
strategies.py  strategies by the names that a command line gives
terminal.py    a session watched in a terminal: `demo`
"""
