"""The venues whose dialects the exchange speaks."""

from __future__ import annotations

from importlib import import_module

from mdkit.exchange.venues.dialect import Dialect

_CLASSES = {
    "kraken": ("kraken.dialect", "KrakenDialect"),
    "binance": ("binance.spot", "BinanceDialect"),
    "binance.us": ("binance.spot", "BinanceUsDialect"),
    "binance.futures": ("binance.futures", "BinanceFuturesDialect"),
    "coinbase": ("coinbase.dialect", "CoinbaseDialect"),
    "hyperliquid": ("hyperliquid", "HyperliquidDialect"),
    "okx": ("okx.dialect", "OkxDialect"),
}


def dialect_of(venue: str) -> type[Dialect]:
    """Return the class of a venue's dialect."""
    module, name = _CLASSES[venue]
    found: type[Dialect] = getattr(import_module(f"mdkit.exchange.venues.{module}"), name)
    return found
