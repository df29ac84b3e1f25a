"""What is traded: decimals, tick, market and a plausible price for every symbol."""

from __future__ import annotations

import re
from hashlib import blake2b

import msgspec

TYPES = ("stock", "indices", "crypto", "forex", "futures")
MARKETS = ("GLOBAL", "US", "HK", "CN")


class Instrument(msgspec.Struct, frozen=True):
    """A symbol's fixed properties. Prices are whole ticks, sizes whole units.

    A price in the quote currency is `ticks * step / 10**decimals`, a size is
    `units / 10**size_decimals`. `base` is the price, in ticks, that the symbol's history
    wanders around, `size` a typical size of a level in units, `volatility` the standard
    deviation of a day's log return.
    """

    symbol: str
    name: str
    market: str
    type: str
    currency: str
    base: int
    decimals: int = 2
    step: int = 1
    size: int = 300
    size_decimals: int = 0
    volatility: float = 0.015

    @property
    def _scale(self) -> int:
        scale: int = 10**self.decimals
        return scale

    @property
    def _parts(self) -> int:
        parts: int = 10**self.size_decimals
        return parts

    def price(self, ticks: int) -> float:
        """Return the price in the quote currency of a number of ticks."""
        # Dividing integers gives the float nearest to the decimal, whose repr is short.
        return ticks * self.step / self._scale

    def amount(self, units: int) -> float:
        """Return the size of a number of units."""
        return units / self._parts

    def price_text(self, ticks: int) -> str:
        """Return the price as the decimal string that the REST answers carry."""
        return _decimal(ticks * self.step, self.decimals)

    def amount_text(self, units: int) -> str:
        """Return the size as a decimal string."""
        return _decimal(units, self.size_decimals)

    def quote_text(self, product: int) -> str:
        """Return ticks times units, a turnover, as a decimal string."""
        return _decimal(product * self.step, self.decimals + self.size_decimals)

    def ticks(self, price: float) -> int:
        """Return the number of ticks nearest to a price, at least 1."""
        return max(1, round(price * self._scale / self.step))

    def units(self, amount: float) -> int:
        """Return the number of units nearest to a size."""
        return round(amount * self._parts)


def _decimal(value: int, decimals: int) -> str:
    if not decimals:
        return str(value)
    digits = f"{abs(value):0{decimals + 1}d}"
    return f"{'-' if value < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"


# symbol: (name, price in the quote currency)
_STOCKS = {
    "AAPL.US": ("Apple", 228.5),
    "MSFT.US": ("Microsoft", 421.0),
    "GOOGL.US": ("Alphabet A", 176.4),
    "AMZN.US": ("Amazon", 203.2),
    "NVDA.US": ("NVIDIA", 138.7),
    "TSLA.US": ("Tesla", 248.0),
    "META.US": ("Meta Platforms", 563.0),
    "700.HK": ("Tencent", 553.0),
    "600519.SH": ("Kweichow Moutai", 1480.0),
    "000001.SZ": ("Ping An Bank", 11.4),
}
# Their prices come from their names.
_MORE_US = (
    "ABBV ABNB ABT ACN ADBE AMAT AMD AMGN AVGO AXP BA BABA BAC BKNG BLK C CAT COIN COP COST CRM "
    "CSCO CVX DE DIS F GE GILD GM GOOG GS HD HON IBM INTC INTU ISRG JNJ JPM KO LIN LLY LMT LOW MA "
    "MCD MDT MMM MRK MS MU NEE NFLX NKE NOW ORCL PEP PFE PG PLTR PM PYPL QCOM QQQ RTX SBUX SCHW "
    "SHOP SNOW SPGI SPY T TGT TMO TXN UBER UNH UNP UPS USB V VZ WFC WMT XOM"
)
# name, price, decimals, size units of a level, size decimals, volatility
_OTHERS: dict[str, tuple[str, float, int, int, int, float]] = {
    "BTCUSDT": ("Bitcoin / Tether", 61_800.0, 2, 800, 3, 0.03),
    "ETHUSDT": ("Ether / Tether", 2_680.0, 2, 6_000, 3, 0.035),
    "EURUSD": ("Euro / US dollar", 1.0925, 5, 1_000_000, 0, 0.005),
    "XAUUSD": ("Gold / US dollar", 2_430.0, 2, 150, 0, 0.01),
    "SPX": ("S&P 500", 5_600.0, 2, 100, 0, 0.011),
}
LISTED = (
    *_STOCKS,
    *(f"{name}.US" for name in _MORE_US.split()),
    *("9988.HK", "3690.HK", "1299.HK", "5.HK", "601318.SH", "600036.SH", "300750.SZ", "000858.SZ"),
    *_OTHERS,
    *("SOLUSDT", "BNBUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT", "AVAXUSDT", "LINKUSDT", "LTCUSDT"),
)
"""What the demo's exchange trades when asked for it. An exchange of your own trades anything."""
_SUFFIXES = {
    "US": ("US", "USD"),
    "HK": ("HK", "HKD"),
    "SH": ("CN", "CNY"),
    "SZ": ("CN", "CNY"),
}
_CRYPTO = re.compile(r"[A-Z0-9]+(USDT|USDC)|[A-Z0-9]+USD_PERP")
_FUTURES = re.compile(r"[A-Za-z]{1,3}\d{3,4}")


def instrument(symbol: str) -> Instrument:
    """Return the instrument of a well-formed symbol; one not known gets a price by its name."""
    stem, _, suffix = symbol.rpartition(".")
    kind = _type_of(symbol, suffix if stem else "")
    if symbol in _OTHERS:
        name, price, decimals, size, size_decimals, volatility = _OTHERS[symbol]
        return Instrument(
            symbol,
            name,
            "GLOBAL",
            kind,
            "USD",
            round(price * 10**decimals),
            decimals,
            1,
            size,
            size_decimals,
            volatility,
        )
    market, currency = _SUFFIXES.get(suffix, ("CN", "CNY") if kind == "futures" else ("GLOBAL", ""))
    name, price = _STOCKS.get(symbol, (symbol, 0.0))
    if not price:
        digest = int.from_bytes(blake2b(symbol.encode(), digest_size=4).digest(), "big")
        price = 20 + digest % 48_000 / 100
    return Instrument(symbol, name, market, kind, currency or "USD", round(price * 100))


def observed_instrument(
    symbol: str, price: float, prices: list[str], sizes: list[str]
) -> Instrument:
    """Return the instrument that a recording shows: decimals from its strings, base its price."""
    known = instrument(symbol)
    decimals, size_decimals = _places(prices), _places(sizes)
    return Instrument(
        symbol,
        known.name,
        known.market,
        known.type,
        known.currency,
        max(1, round(price * 10**decimals)),
        decimals,
        1,
        100 * 10**size_decimals,
        size_decimals,
        known.volatility,
    )


def _places(texts: list[str]) -> int:
    return min(8, max((len(text.partition(".")[2]) for text in texts), default=2))


def _type_of(symbol: str, suffix: str) -> str:
    if suffix in _SUFFIXES:
        return "stock"
    if symbol == "SPX" or symbol.startswith("^"):
        return "indices"
    if _CRYPTO.fullmatch(symbol):
        return "crypto"
    if _FUTURES.fullmatch(symbol):
        return "futures"
    if re.fullmatch(r"[A-Z]{6}", symbol):
        return "forex"
    return "stock"
