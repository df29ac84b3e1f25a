"""OKX as a `Venue`."""

from __future__ import annotations

from mdkit.venues.assembly.rules import ChainWithChecksums
from mdkit.venues.names import NAMES
from mdkit.venues.okx.parser import OkxParser
from mdkit.venues.okx.rest import OkxRest
from mdkit.venues.okx.wire import OkxWire
from mdkit.venues.refusals import elsewhere
from mdkit.venues.venue import Venue

OKX = Venue(
    name="okx",
    title="OKX",
    ws_url="wss://ws.okx.com:8443/ws/v5/public",
    rest_url=OkxRest.base_url,
    names=NAMES["okx"],
    wire=lambda venue, natives, depth: OkxWire(natives, venue.elsewhere),
    parser=OkxParser,
    rule=ChainWithChecksums,
    proof="chain of sequence numbers",
    manners=OkxWire.manners,
    depths=(400,),
    elsewhere=elsewhere("okx"),
)
