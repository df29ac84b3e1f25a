"""Hyperliquid as a `Venue`."""

from __future__ import annotations

from mdkit.venues.assembly.rules import WholeBooks
from mdkit.venues.hyperliquid.parser import HyperliquidParser
from mdkit.venues.hyperliquid.rest import HyperliquidRest
from mdkit.venues.hyperliquid.wire import HyperliquidWire
from mdkit.venues.venue import Venue

HYPERLIQUID = Venue(
    rest=HyperliquidRest(),
    ws_url="wss://api.hyperliquid.xyz/ws",
    wire=lambda venue, natives, depth: HyperliquidWire(natives),
    parser=HyperliquidParser,
    rule=WholeBooks,
    proof="whole books in every message",
    manners=HyperliquidWire.manners,
    channels=("depth", "trade"),
    depths=(20,),
)
