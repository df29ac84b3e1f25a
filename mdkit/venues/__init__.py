"""Venues: everything that is particular to one market's wire, behind one protocol.

codec.py     `Codec` and `Wire`: routing, decoding, subscribing, answers and errors of a venue
rest.py      `RestApi`: how a venue's REST service is asked, and what its answers mean
venue.py     `Venue`: a public market without a key, and how its books are proven
registry.py  the codecs and the public venues by name
catalogue.py  `md.venue` and `md.venues`
public.py    `PublicRest`: what the REST services of keyless venues have in common
services.py  these services by name
names.py     symbols: each venue's own, and the common form BTC/USD
routes.py    `Route` and `Router`: where a raw message belongs
klines.py    completed bars as REST gives them, and which of them cannot be true
messages.py  JSON into types, and messages that are too large
numbers.py   which numbers are prices, sizes and times
retry_after.py  what Retry-After says
assembly/    books that are proven: frames in, whole books out
normalized/  messages in mdkit's own form, which is what venues' frames are made into
tickdb/      TickDB
kraken/ binance/ coinbase/ hyperliquid/ okx/  public venues

To add a venue: a folder with a `Venue` (or a `Codec`, where messages are whole by themselves)
and a line in registry.py. Nothing outside this package
imports a venue's folder.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Venues(ModuleType):
    """This package under the name of a public function: `md.venues()` is the table of them.

    Importing a package sets its name in the one above, so that the function would be hidden.
    """

    def __call__(self) -> Any:
        from mdkit.venues.catalogue import venues

        return venues()


sys.modules[__name__].__class__ = _Venues
