"""What every reader of a venue's JSON uses.

messages.py  decoders, the largest message, and why one is broken
numbers.py   types of numbers that can be: prices, sizes, counters
times.py     times as ns since the epoch
"""
