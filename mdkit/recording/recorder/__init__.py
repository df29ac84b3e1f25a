"""Recordings in the making.

recorder.py            `Recorder`: a recording as users ask for it
session_recording.py   what a pipeline writes into one
session_recordings.py  those that a pipeline makes, one after the other
"""
