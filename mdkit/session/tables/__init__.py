"""The tables of a session besides its frames.

lookups.py      errors for tables that it cannot have
books.py        how far its books are proven, and the whole of one
diagnostics.py  gaps, dead letters, invalid messages, memory, figures
orderflow.py    tables over prices and time
"""
