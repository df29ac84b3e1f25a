"""Binance's markets as `Venue`s."""

from __future__ import annotations

from collections.abc import Mapping

from mdkit.venues.assembly.rules import PreviousRanges, SequenceRanges
from mdkit.venues.binance.parser import BinanceParser
from mdkit.venues.binance.rest import FUTURES, SPOT, US
from mdkit.venues.binance.wire import BinanceWire
from mdkit.venues.codec import Wire
from mdkit.venues.names import NAMES
from mdkit.venues.venue import Venue

_BOOK = ("depth@100ms", "bookTicker")
_SPOT = {"depth": _BOOK, "trade": ("trade",), "ticker": ("ticker",)}
_FUTURES = {"depth": _BOOK, "trade": ("aggTrade",), "ticker": ("ticker",)}
_PROOF = "sequence numbers and the venue's own best prices"


def _wire(venue: Venue, natives: Mapping[str, str], depth: int) -> Wire:
    streams = (
        _FUTURES if venue.paths is not None and "/public/stream" in venue.paths.values() else _SPOT
    )
    return BinanceWire(venue.name, natives, streams, venue.elsewhere)


BINANCE = Venue(
    name="binance",
    title="Binance",
    # The hosts that serve market data alone answer in more places than the others.
    ws_url="wss://data-stream.binance.vision",
    rest_url="https://data-api.binance.vision",
    names=NAMES["binance"],
    wire=_wire,
    parser=BinanceParser,
    rule=SequenceRanges,
    proof=_PROOF,
    manners=BinanceWire.manners,
    depths=(100, 500, 1000),
    snapshot=SPOT.depth,
    paths=dict.fromkeys(("depth", "trade", "ticker"), "/stream"),
    elsewhere=("binance.us", "kraken", "coinbase"),
)

BINANCE_US = Venue(
    name="binance.us",
    title="Binance.US",
    ws_url="wss://stream.binance.us:9443",
    rest_url="https://api.binance.us",
    names=NAMES["binance.us"],
    wire=_wire,
    parser=BinanceParser,
    rule=SequenceRanges,
    proof=_PROOF,
    manners=BinanceWire.manners,
    depths=(100, 500, 1000),
    snapshot=US.depth,
    paths=dict.fromkeys(("depth", "trade", "ticker"), "/stream"),
    elsewhere=("kraken", "coinbase"),
)

BINANCE_FUTURES = Venue(
    name="binance.futures",
    title="Binance Futures",
    ws_url="wss://fstream.binance.com",
    rest_url="https://fapi.binance.com",
    names=NAMES["binance.futures"],
    wire=_wire,
    parser=BinanceParser,
    rule=PreviousRanges,
    proof=_PROOF,
    manners=BinanceWire.manners._replace(command_seconds=0.2),
    depths=(100, 500, 1000),
    snapshot=FUTURES.depth,
    # Since April 2026 the old paths answer, and deliver only a part of what is asked for.
    paths={"depth": "/public/stream", "trade": "/market/stream", "ticker": "/market/stream"},
    elsewhere=("hyperliquid", "kraken", "okx"),
)
