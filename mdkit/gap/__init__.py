"""Gaps: what was not seen, where it lies among the messages, and what is amiss with those seen.

pending.py      gaps between queued messages, until a worker comes to them
quality.py      frozen and empty books, times that run backwards, unusable messages
clock_shift.py  an exchange's clock that is hours ahead, as far as bars are concerned
clocks.py       how late messages are, by symbol
"""
