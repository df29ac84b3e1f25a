"""Coinbase as a `Venue`."""

from __future__ import annotations

from mdkit.venues.assembly.rules import ConnectionCounter
from mdkit.venues.coinbase.parser import CoinbaseParser
from mdkit.venues.coinbase.rest import CoinbaseRest
from mdkit.venues.coinbase.wire import CoinbaseWire
from mdkit.venues.venue import Venue

COINBASE = Venue(
    rest=CoinbaseRest(),
    ws_url="wss://advanced-trade-ws.coinbase.com",
    wire=lambda venue, natives, depth: CoinbaseWire(natives),
    parser=CoinbaseParser,
    rule=ConnectionCounter,
    proof="numbers of all frames of the connection",
    manners=CoinbaseWire.manners,
    # What is asked for in USDC is answered as USD, whose book it shares.
    aliases=lambda native: (native[:-1],) if native.endswith("-USDC") else (),
)
