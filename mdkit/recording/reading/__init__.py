"""Recordings read: files that belong together, as messages and gaps, events, tables.

files.py    which files make up which recordings, and what they hold, merged by time
feeds.py    frames of venues made into messages again
unseen.py   what strategies did not see, and what the recording lacks
counted.py  the same as format 1 told it
between.py  what lies between recordings that are played as one
reader.py   `read_recording`: events and DataFrames
columns.py  NumPy arrays, and their copy beside the recording
info.py     `recording_info`: what a recording holds
"""
