"""Binance's markets as `Venue`s."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mdkit.venues.assembly.rules import PreviousRanges, SequenceRanges
from mdkit.venues.binance.parser import BinanceParser
from mdkit.venues.binance.rest import FUTURES, SPOT, US
from mdkit.venues.binance.wire import BinanceWire
from mdkit.venues.codec import Wire
from mdkit.venues.routes import CHANNELS
from mdkit.venues.venue import Venue


def _wire(trades: str) -> Callable[[Venue, Mapping[str, str], int], Wire]:
    """Return what makes the wire of a market whose trades come by a stream of this name."""
    streams: dict[str, Sequence[str]] = {
        "depth": ("depth@100ms", "bookTicker"),
        "trade": (trades,),
        "ticker": ("ticker",),
    }
    return lambda venue, natives, depth: BinanceWire(venue.name, natives, streams)


BINANCE = Venue(
    rest=SPOT,
    # The hosts that serve market data alone answer in more places than the others.
    ws_url="wss://data-stream.binance.vision",
    wire=_wire("trade"),
    parser=BinanceParser,
    rule=SequenceRanges,
    proof="sequence numbers and the venue's own best prices",
    manners=BinanceWire.manners,
    depths=(100, 500, 1000),
    asks_for_books=True,
    paths=dict.fromkeys(CHANNELS, "/stream"),
)

BINANCE_US = replace(
    BINANCE,
    rest=US,
    rest_url=US.base_url,
    ws_url="wss://stream.binance.us:9443",
)

BINANCE_FUTURES = replace(
    BINANCE,
    rest=FUTURES,
    rest_url=FUTURES.base_url,
    ws_url="wss://fstream.binance.com",
    wire=_wire("aggTrade"),
    rule=PreviousRanges,
    manners=BinanceWire.manners._replace(command_seconds=0.2),
    # Since April 2026 the old paths answer, and deliver only a part of what is asked for.
    paths={"depth": "/public/stream", "trade": "/market/stream", "ticker": "/market/stream"},
)
