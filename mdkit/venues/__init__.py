"""Venues: everything that is particular to one market's wire, behind one protocol.

What a venue is made of:
venue.py     `Venue`: a public market without a key, and how its books are proven
codec.py     `Codec` and `Wire`: routing, decoding, subscribing, answers and errors of a venue
wire.py      `VenueWire`: what the wires of public venues have in common
names.py     symbols: each venue's own, and the common form BTC/USD
rest/        `RestApi` and `PublicRest`: how REST is asked, what its answers mean, its bars
assembly/    books that are proven: frames in, whole books out; one connection after another
tickdb/      TickDB
kraken/ binance/ coinbase/ hyperliquid/ okx/  public venues

Where they are found:
registry.py  the codecs and the public venues by name
services.py  the REST services by name
catalogue.py `md.venue` and `md.venues`

What all share:
routes.py    `Route` and `Router`: where a raw message belongs
normalized/  messages in mdkit's own form, which is what venues' frames are made into
reading/     JSON into types: messages, numbers, times
refusals.py  what a refusal says to the user, and which venues to try instead

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
