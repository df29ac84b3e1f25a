"""Venues: everything that is particular to one market's wire, behind one protocol.

codec.py     `Codec`: routing, decoding, encoding, subscribing, answers and errors of one venue
rest.py      `RestApi`: how a venue's REST service is asked, and what its answers mean
public.py    `PublicRest`: what the REST services of keyless venues have in common
services.py  these services by name
names.py     symbols: each venue's own, and the common form BTC/USD
registry.py  the codecs by name
routes.py    `Route` and `Router`: where a raw message belongs
klines.py    completed bars as REST gives them, and which of them cannot be true
messages.py  JSON into types, and messages that are too large
numbers.py   which numbers are prices, sizes and times
retry_after.py  what Retry-After says
tickdb/      TickDB
binance/, coinbase/, hyperliquid/, kraken/, okx/  public venues

To add a venue: a folder with a `Codec`, and a line in registry.py. Nothing outside this package
imports a venue's folder.
"""
