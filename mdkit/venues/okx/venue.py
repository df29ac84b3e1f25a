"""OKX as a `Venue`."""

from __future__ import annotations

from mdkit.venues.assembly.rules import ChainWithChecksums
from mdkit.venues.okx.parser import OkxParser
from mdkit.venues.okx.rest import OkxRest
from mdkit.venues.okx.wire import OkxWire
from mdkit.venues.venue import Venue

OKX = Venue(
    rest=OkxRest(),
    ws_url="wss://ws.okx.com:8443/ws/v5/public",
    wire=lambda venue, natives, depth: OkxWire(natives),
    parser=OkxParser,
    rule=ChainWithChecksums,
    proof="chain of sequence numbers",
    manners=OkxWire.manners,
    depths=(400,),
)
