"""The REST services of public venues, by the names that `source=` takes."""

from __future__ import annotations

from mdkit.errors import SettingsError
from mdkit.suggestions import instead
from mdkit.venues.binance.rest import FUTURES, SPOT, US
from mdkit.venues.coinbase.rest import CoinbaseRest
from mdkit.venues.hyperliquid.rest import HyperliquidRest
from mdkit.venues.kraken.rest import KrakenRest
from mdkit.venues.okx.rest import OkxRest
from mdkit.venues.public import PublicRest

SERVICES: dict[str, PublicRest] = {
    api.venue: api
    for api in (KrakenRest(), SPOT, US, FUTURES, CoinbaseRest(), HyperliquidRest(), OkxRest())
}
"""What to ask of each public venue."""


def service_of(venue: str) -> PublicRest:
    """Return how a venue is asked; raise `SettingsError`, with near matches, for none."""
    try:
        return SERVICES[venue]
    except KeyError:
        raise SettingsError(f"there is no venue {venue!r}: {instead(venue, SERVICES)}") from None
