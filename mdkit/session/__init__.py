"""`Session`: what `md.live` returns, from start to stop, and its tables.

session.py      the session
lifecycle.py    start and stop, in this process and on a cluster alike
options.py      what it is asked to be: one frozen object that checks itself
arguments.py    the checks of single arguments
opening.py      a session made of options; sessions by name
feeds.py        the source that `source=` means
subscribing.py  symbols that come and go
stopping.py     what a stop returns
lookups.py      errors for tables that it cannot have
tables.py       its tables
orderflow.py    its tables over prices and time
"""
