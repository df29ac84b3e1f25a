"""Recordings: the format, files of it, what is recorded of a session, and what reads it.

format.py              what stands beside the messages: markers, a line each
compression.py         gzip and zstd, written and read as they grow
file.py, writer.py     one file
files.py               files that belong together: parts, recordings, patterns
recorder.py            a recording as users ask for it
session_recording.py   what a pipeline writes into one; session_recordings.py: those it makes
reader.py              `read_recording`: events and DataFrames
moments.py             times of a recording, as users write them and as they are shown
info.py                what a recording holds
unseen.py              what strategies did not see of it
between.py             what lies between recordings that are played as one
parquet.py             to Parquet
sample.py              the recording that comes with mdkit
replay/                a recording as a source
"""
