"""Recordings: what arrived, as it arrived, and what strategies saw of it.

format.py   what stands beside the messages: markers, a line each
moments.py  times of a recording, as users write them and as they are shown
file/       one file of a recording
recorder/   a recording in the making
reading/    recordings read: messages, events, DataFrames, columns
replay/     a recording as a source, and what strategies see of it
tables/     Parquet and what hftbacktest reads
archives/   files that others publish
sample.py   the recording that comes with mdkit
"""
