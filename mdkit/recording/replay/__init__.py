"""Replays: a recording as a source, and as what strategies see of it.

replay.py  `md.replay`: a recording at any speed
cursor.py  a position in it, that can be moved
events.py  what strategies see, read without queue or workers
seen.py    the same of a path, as backtests and studies take it
"""
