"""`Session`: what `md.live` returns, from start to stop, and its tables.

session.py      the session
lifecycle.py    start and stop, in this process and on a cluster alike
options.py      what it is asked to be: one frozen object that checks itself
arguments.py    the checks of single arguments
opening.py      a session made of options; sessions by name
feeds.py        the source that `source=` means; venues.py where it is a public venue
subscribing.py  symbols that come and go
stopping.py     what a stop returns
monitoring.py   metrics and alerts
tables/         its tables besides its frames
"""
