"""The venues whose dialects the exchange speaks."""

from __future__ import annotations

from importlib import import_module

from mdkit.exchange.venues.dialect import Dialect

_CLASSES = {
    "kraken": ("kraken", "KrakenDialect"),
    "binance": ("binance", "BinanceDialect"),
    "binance.us": ("binance", "BinanceUsDialect"),
    "binance.futures": ("binance_futures", "BinanceFuturesDialect"),
    "coinbase": ("coinbase", "CoinbaseDialect"),
    "hyperliquid": ("hyperliquid", "HyperliquidDialect"),
    "okx": ("okx", "OkxDialect"),
}


def dialect_of(venue: str) -> type[Dialect]:
    """Return the class of a venue's dialect."""
    module, name = _CLASSES[venue]
    found: type[Dialect] = getattr(import_module(f"mdkit.exchange.venues.{module}"), name)
    return found
