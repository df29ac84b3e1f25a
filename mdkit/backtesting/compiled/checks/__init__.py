"""What of Python compiled code may use, so that it never differs from Python.

subset.py     the check as a whole
names.py      what is read and called by name
flow.py       where a float may be a whole number in Python
arithmetic.py, functions.py   operations that give what Python gives, or raise
kinds.py      types in a user's words
stores.py     what is put where
words.py      text
sides.py      order books and their sides
reads.py      what code reads, by value
free_variables.py  what a strategy takes from outside of its event and state
"""
