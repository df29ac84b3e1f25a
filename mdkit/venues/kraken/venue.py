"""Kraken as a `Venue`."""

from __future__ import annotations

from mdkit.venues.assembly.rules import Checksums, crc32_of_best
from mdkit.venues.kraken.parser import KrakenParser
from mdkit.venues.kraken.rest import KrakenRest
from mdkit.venues.kraken.wire import KrakenWire
from mdkit.venues.venue import Venue

KRAKEN = Venue(
    rest=KrakenRest(),
    ws_url="wss://ws.kraken.com/v2",
    wire=lambda venue, natives, depth: KrakenWire(natives, depth),
    parser=KrakenParser,
    rule=lambda: Checksums(crc32_of_best),
    proof="checksum of the best 10 levels",
    manners=KrakenWire.manners,
    depths=(10, 25, 100, 500, 1000),
    truncates=True,
)
