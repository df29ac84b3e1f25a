"""TickDB: bytes to events and back, subscriptions, errors, REST. Pure.

codec.py     the venue as the rest of mdkit sees it, in two dialects
api.py       its REST service as the rest of mdkit sees it
router.py    where a raw message belongs, told from its first bytes
decoders.py  a decoder for each channel, which checks what it reads
bodies.py    what messages hold, field by field
salvage.py   what can be used of messages that break a rule
encoding.py  events to messages
commands.py  subscriptions, URLs, answers
rest.py      the REST service's queries and answers
codes.py     what the service's error codes mean
"""

from mdkit.venues.tickdb.codec import FLAT, REALTIME, TickdbCodec
from mdkit.venues.tickdb.encoding import encode, via_rest
from mdkit.venues.tickdb.router import TickdbRouter, decode

__all__ = ["FLAT", "REALTIME", "TickdbCodec", "TickdbRouter", "decode", "encode", "via_rest"]
