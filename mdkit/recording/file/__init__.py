"""One file of a recording: its bytes and lines, read and written.

compression.py     gzip and zstd, written and read as they grow
lines.py           where they stand
recording_file.py  lines read: messages, markers, damage, and where each stands
writer.py          lines written, part by part
"""
