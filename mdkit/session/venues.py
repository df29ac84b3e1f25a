"""Public venues as sources of a session: by name, by object, or the exchange that speaks so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mdkit.errors import SettingsError
from mdkit.exchange import Exchange
from mdkit.exchange.config import DATA_SERVICE
from mdkit.sources.source import Sink
from mdkit.sources.venue import VenueSource
from mdkit.venues.registry import VENUES, venue_of
from mdkit.venues.rest.api import Request
from mdkit.venues.venue import Venue

if TYPE_CHECKING:
    from mdkit.history.http.client import RestClient


class ExchangeVenueSource(VenueSource):
    """A venue's dialect spoken by an exchange on this machine, which is started with the source."""

    def __init__(
        self,
        exchange: Exchange,
        venue: Venue,
        symbols: Sequence[str],
        channels: Sequence[str],
        levels: int,
        **options: Any,
    ) -> None:
        super().__init__({venue: named(venue, symbols)}, channels, levels, fetch, **options)
        self.name = f"embedded exchange, as {venue.title}"
        self.exchange = exchange

    async def run(self, sink: Sink) -> None:
        """Start the exchange unless it runs already, deliver, and stop what was started."""
        ours = not self.exchange.running
        if ours:
            await asyncio.to_thread(self.exchange.start)
        ws_url, rest_url = self.exchange.ws_url, self.exchange.rest_url
        self.move(replace(self.venues[0], ws_url=ws_url, rest_url=rest_url))
        try:
            await super().run(sink)
        finally:
            if ours:
                await asyncio.to_thread(self.exchange.stop)


def open_venue(
    source: Venue | str,
    symbols: Sequence[str],
    channels: Sequence[str],
    levels: int,
    options: dict[str, Any],
) -> VenueSource:
    """Return the source of a venue; of its example's symbol where none is named."""
    chosen = venue_of(source) if isinstance(source, str) else source
    wanted = {chosen: named(chosen, symbols or (chosen.names.example,))}
    return VenueSource(wanted, channels, levels, fetch, **options)


def open_prefixed(
    symbols: Sequence[str], channels: Sequence[str], levels: int, options: dict[str, Any]
) -> VenueSource:
    """Return the source of symbols that all name their venue, such as "kraken:BTC/USD"."""
    wanted: dict[Venue, dict[str, str]] = {}
    for symbol in symbols:
        prefix, _, name = symbol.partition(":")
        found = venue_of(prefix)
        common = f"{prefix}:{found.names.common(name)}"
        wanted.setdefault(found, {})[common] = found.names.native(name)
    return VenueSource(wanted, channels, levels, fetch, **options)


def open_exchange_venue(
    exchange: Exchange,
    symbols: Sequence[str],
    channels: Sequence[str],
    levels: int,
    options: dict[str, Any],
) -> ExchangeVenueSource:
    """Return the source of an exchange that speaks a venue's dialect."""
    carried = tuple(symbols) or exchange.config.symbols
    found = venue_of(exchange.config.venue)
    return ExchangeVenueSource(exchange, found, carried, channels, levels, **options)


def open_venue_history(source: VenueSource) -> Callable[[], RestClient] | None:
    """Return what makes a client for bars of a session's venue; None where it has several."""
    if len(source.venues) != 1:
        return None

    return lambda: _client(source.venues[0])


def _client(chosen: Venue) -> RestClient:
    from mdkit.history.http.budget import shared_budget
    from mdkit.history.http.client import RestClient, is_loopback

    api = chosen.rest
    limit = None if is_loopback(chosen.rest_url) else api.calls_per_minute
    budget = shared_budget(chosen.rest_url, None, limit)
    return RestClient(chosen.rest_url, None, budget=budget, api=api)


def speaks_venue(exchange: Exchange) -> bool:
    """Whether an exchange speaks the dialect of a public venue."""
    return exchange.config.venue != DATA_SERVICE


def are_prefixed(symbols: Sequence[str]) -> bool:
    """Whether symbols name their venues; raise `SettingsError` where some do and others do not."""
    prefixed = [symbol for symbol in symbols if symbol.partition(":")[0] in VENUES]
    if prefixed and len(prefixed) < len(symbols):
        other = next(symbol for symbol in symbols if symbol not in prefixed)
        raise SettingsError(
            f"{prefixed[0]!r} names its venue and {other!r} does not: write the venue before each "
            "symbol, or before none with source=."
        )
    return bool(prefixed)


def named(chosen: Venue, symbols: Sequence[str]) -> dict[str, str]:
    """Return symbols in the common form, with the venue's own names."""
    names = chosen.names
    found: dict[str, str] = {}
    for symbol in symbols:
        prefix, mark, name = symbol.partition(":")
        bare = name if mark and prefix == chosen.name else symbol
        found[names.common(bare)] = names.native(bare)
    return found


def fetch(chosen: Venue, request: Request) -> bytes:
    """Ask a venue's REST service; raise what it means where it refuses."""
    with _client(chosen) as client:
        return client.get(request, f"the book of {request.params.get('symbol', 'a symbol')}")
