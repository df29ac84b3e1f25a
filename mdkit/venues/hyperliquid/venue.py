"""Hyperliquid as a `Venue`."""

from __future__ import annotations

from mdkit.venues.assembly.rules import WholeBooks
from mdkit.venues.hyperliquid.parser import HyperliquidParser
from mdkit.venues.hyperliquid.rest import HyperliquidRest
from mdkit.venues.hyperliquid.wire import HyperliquidWire
from mdkit.venues.names import NAMES
from mdkit.venues.refusals import elsewhere
from mdkit.venues.venue import Venue

HYPERLIQUID = Venue(
    name="hyperliquid",
    title="Hyperliquid",
    ws_url="wss://api.hyperliquid.xyz/ws",
    rest_url=HyperliquidRest.base_url,
    names=NAMES["hyperliquid"],
    wire=lambda venue, natives, depth: HyperliquidWire(natives, venue.elsewhere),
    parser=HyperliquidParser,
    rule=WholeBooks,
    proof="whole books in every message",
    manners=HyperliquidWire.manners,
    channels=("depth", "trade"),
    depths=(20,),
    elsewhere=elsewhere("hyperliquid"),
)
