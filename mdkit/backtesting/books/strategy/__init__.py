"""A strategy over books: what it is shown, and what it answers.

listener.py   one event after the other: the reference
tape.py       books in columns, read once; loading.py: `load_books`
answers.py    over a tape, compiled or in Python
decider.py    one answer: checked, and kept where it changes something
heard.py      what was shown and said, in columns, and what an account did of it
"""
