"""Messages in mdkit's own form: what is queued of venues whose frames are not whole messages.

messages.py  the messages: books, trades, tickers, bars
router.py    where they belong, told from their first bytes
codec.py     `NORMALIZED`, the `Codec`
"""
