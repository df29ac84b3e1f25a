"""Books that are proven: a venue's frames in, whole books and all else in one form out.

parsed.py     what a frame says, whatever the venue
parser.py     `Parser`: from frames to that; one for each venue
rules.py      how a book is proven to be in step: sequences, chains, checksums
builder.py    one symbol's book: snapshot, updates, faults; told.py: what it tells
assembler.py  one connection's frames: books, trades, tickers, answers, gaps
handover.py   two connections of the same feed, for a while: nothing missed, nothing twice

Everything here is pure: no sockets and no clocks. The same frames give the same books, live and
replayed.
"""
