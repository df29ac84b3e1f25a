"""Bars and events as the engines take them.

panel.py       plain columns on one time axis
bar_frames.py  DataFrames of bars, checked
recorded.py    the bars of recordings
volume.py      bars without a volume
"""
