"""Many runs of one strategy: which parameters are tried, and what that is worth.

sweep.py         many parameters over bars; book_sweep.py: over books
arguments.py     what they are given, checked
grid.py          which combinations there are; bayes.py: those that a search asks for
walk_forward.py  choose on one stretch of history, judge on the next, over bars
book_walk.py     the same over books; walked.py: the outcome
"""
