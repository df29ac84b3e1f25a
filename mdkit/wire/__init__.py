"""Bytes to events and back. Pure: no sockets, no clocks, no state that outlives a call.

tickdb.py      the names that the rest of mdkit uses for messages on a socket
router.py      where a raw message belongs, told from its first bytes
routes.py      a `Route` for each symbol and channel, which decodes its messages
bodies.py      what messages hold, field by field; numbers.py: what numbers may be
reading.py     JSON into those types, and why some of it cannot be read
encoding.py    events to messages
commands.py    subscriptions, URLs, answers
rest.py        the REST service's queries and answers
codes.py       what the service's error codes mean; waits.py: what Retry-After says
salvage.py     what can be used of messages that break a rule
"""
