"""Bars and events as the engines take them.

panel.py       plain columns on one time axis
bar_frames.py  DataFrames of bars, checked
sessions.py    what a session holds in memory
recorded.py    recordings
volume.py      bars without a volume
"""
