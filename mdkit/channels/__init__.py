"""One symbol's channel: how its bytes become events, bars and gaps, and who sees them.

reader.py        `ChannelReader`: bytes in; events and gaps out; the heart of live and replay
deduplicator.py  trades that REST and the socket both gave
live_bars.py     bars made of live events, and history in the same place
handlers.py      strategies as they are called, and what became of the calls
channel.py       `Channel`: the queue's place, the reader, the handlers and the table in one
channels.py      the channels of a session, made as their first messages arrive
"""
