"""What each venue lists: its own names, decimals and ticks, for the pairs that are well known."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import NamedTuple

from mdkit.errors import SettingsError
from mdkit.exchange.market.instruments import Instrument

# Asset: name, price in dollars, a typical size of a level in dollars, daily volatility.
_ASSETS: dict[str, tuple[str, float, float, float]] = {
    "BTC": ("Bitcoin", 61_800.0, 30_000.0, 0.03),
    "ETH": ("Ether", 2_680.0, 20_000.0, 0.035),
    "SOL": ("Solana", 155.0, 9_000.0, 0.045),
    "XRP": ("XRP", 0.58, 6_000.0, 0.04),
    "DOGE": ("Dogecoin", 0.125, 4_000.0, 0.05),
    "ADA": ("Cardano", 0.36, 3_000.0, 0.045),
    "LTC": ("Litecoin", 68.0, 3_000.0, 0.04),
    "LINK": ("Chainlink", 11.2, 3_000.0, 0.045),
}
_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "USD", "EUR", "GBP", "TRY", "BTC", "ETH", "BNB")
_PART = re.compile(r"[A-Z0-9]{1,16}")
_DEFAULT = ("BTC", "ETH", "SOL", "XRP", "DOGE")


class Decimals(NamedTuple):
    """How a venue counts a pair: digits of the price, its tick in the last of them, of the size."""

    price: int
    step: int
    size: int


class Rules(NamedTuple):
    """How a venue names and counts what it lists. `join` makes its name of base and quote."""

    join: str
    quote: str
    """What a dollar is called there; "" where a name has no quote."""
    decimals: dict[str, Decimals]
    other: Decimals
    listed_ms: int
    """When the first of them was listed: no bar is older."""


_BINANCE = {
    "BTC": Decimals(2, 1, 5),
    "ETH": Decimals(2, 1, 4),
    "SOL": Decimals(2, 1, 3),
    "XRP": Decimals(4, 1, 1),
    "DOGE": Decimals(5, 1, 0),
    "ADA": Decimals(4, 1, 1),
    "LTC": Decimals(2, 1, 3),
    "LINK": Decimals(2, 1, 2),
}
RULES: dict[str, Rules] = {
    "kraken": Rules(
        "/",
        "USD",
        {
            "BTC": Decimals(1, 1, 8),
            "ETH": Decimals(2, 1, 8),
            "SOL": Decimals(2, 1, 8),
            "XRP": Decimals(5, 1, 8),
            "DOGE": Decimals(7, 1, 8),
            "ADA": Decimals(6, 1, 8),
            "LTC": Decimals(2, 1, 8),
            "LINK": Decimals(5, 1, 8),
        },
        Decimals(4, 1, 8),
        1_380_240_000_000,
    ),
    "binance": Rules("", "USDT", _BINANCE, Decimals(4, 1, 2), 1_502_928_000_000),
    "binance.us": Rules("", "USDT", _BINANCE, Decimals(4, 1, 2), 1_569_196_800_000),
    "binance.futures": Rules(
        "",
        "USDT",
        {
            "BTC": Decimals(2, 10, 3),
            "ETH": Decimals(2, 1, 3),
            "SOL": Decimals(4, 100, 0),
            "XRP": Decimals(4, 1, 1),
            "DOGE": Decimals(6, 10, 0),
            "ADA": Decimals(5, 10, 0),
            "LTC": Decimals(2, 1, 3),
            "LINK": Decimals(3, 1, 2),
        },
        Decimals(4, 10, 0),
        1_567_900_800_000,
    ),
    "coinbase": Rules(
        "-",
        "USD",
        {
            "BTC": Decimals(2, 1, 8),
            "ETH": Decimals(2, 1, 8),
            "SOL": Decimals(2, 1, 8),
            "XRP": Decimals(4, 1, 6),
            "DOGE": Decimals(5, 1, 1),
            "ADA": Decimals(4, 1, 8),
            "LTC": Decimals(2, 1, 8),
            "LINK": Decimals(3, 1, 2),
        },
        Decimals(4, 1, 2),
        1_437_350_400_000,
    ),
    "hyperliquid": Rules(
        "",
        "",
        {
            "BTC": Decimals(0, 1, 5),
            "ETH": Decimals(1, 1, 4),
            "SOL": Decimals(2, 1, 2),
            "XRP": Decimals(4, 1, 0),
            "DOGE": Decimals(5, 1, 0),
            "ADA": Decimals(5, 1, 0),
            "LTC": Decimals(2, 1, 2),
            "LINK": Decimals(3, 1, 1),
        },
        Decimals(4, 1, 1),
        1_672_531_200_000,
    ),
    "okx": Rules(
        "-",
        "USDT",
        {
            "BTC": Decimals(1, 1, 8),
            "ETH": Decimals(2, 1, 6),
            "SOL": Decimals(2, 1, 6),
            "XRP": Decimals(4, 1, 6),
            "DOGE": Decimals(5, 1, 6),
            "ADA": Decimals(4, 1, 6),
            "LTC": Decimals(2, 1, 6),
            "LINK": Decimals(3, 1, 6),
        },
        Decimals(4, 1, 6),
        1_515_110_400_000,
    ),
}


def pair(symbol: str, venue: str) -> tuple[str, str]:
    """Return base and quote of a symbol in the common form, or in the venue's own.

    `BTC/USD`, `BTC-USD`, `BTCUSDT` are read, and `BTC` alone. A quote in dollars becomes what
    the venue quotes in where it knows no dollars. Raises `SettingsError` for what is no symbol.
    """
    rules = RULES[venue]
    text = symbol.strip().upper() if isinstance(symbol, str) else ""
    base, mark, quote = text.partition("/" if "/" in text else "-")
    if not mark:
        quote = next((q for q in _QUOTES if base.endswith(q) and base != q), "")
        base = base.removesuffix(quote) if quote else base
        quote = quote or rules.quote or "USD"
    base = {"XBT": "BTC", "XDG": "DOGE"}.get(base, base) if venue == "kraken" else base
    if not _PART.fullmatch(base) or not _PART.fullmatch(quote):
        raise SettingsError(
            f"{symbol!r} is not a symbol of {venue}; write it as BTC/USD, or in the venue's own "
            f"form, such as {native('BTC', rules.quote or 'USD', venue)}."
        )
    if quote == "USD" and rules.quote not in ("", "USD"):
        quote = rules.quote
    return base, quote


def native(base: str, quote: str, venue: str) -> str:
    """Return the venue's own name of a pair: BTC/USD, BTCUSDT, BTC-USD, BTC."""
    rules = RULES[venue]
    return base if not rules.quote else f"{base}{rules.join}{quote}"


def default_symbols(venue: str) -> tuple[str, ...]:
    """Return what an exchange of that venue trades unless it is told otherwise."""
    quote = RULES[venue].quote or "USD"
    return tuple(native(base, quote, venue) for base in _DEFAULT)


def listing(symbol: str, venue: str) -> Instrument:
    """Return the instrument of a symbol in the venue's own form; its price may come of its name."""
    base, quote = pair(symbol, venue)
    rules = RULES[venue]
    name, price, value, volatility = _ASSETS.get(base, (base, 0.0, 3_000.0, 0.04))
    if not price:
        digest = int.from_bytes(blake2b(base.encode(), digest_size=4).digest(), "big")
        price = 1 + digest % 4_000 / 100
    per_quote = _ASSETS[quote][1] if quote in _ASSETS else 1.0
    decimals = rules.decimals.get(base, rules.other)
    if per_quote > 1:
        decimals = Decimals(8, 1, decimals.size)
    scale = 10**decimals.price
    return Instrument(
        native(base, quote, venue),
        f"{name} / {quote}",
        "GLOBAL",
        "crypto",
        quote,
        max(20, round(price / per_quote * scale / decimals.step)),
        decimals.price,
        decimals.step,
        max(1, round(value / price * 10**decimals.size)),
        decimals.size,
        volatility,
    )
