"""Symbols of public venues: each venue's own names, and the one common form `BTC/USD`.

Frames, the ledger and signals use the common form throughout: BASE/QUOTE in upper case. What is
no pair of two assets, as a perpetual contract "BTC-USDT-SWAP", keeps the venue's own name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from mdkit.errors import SettingsError

_DOLLARS = ("USDT", "USDC", "USD")
_QUOTES = (*_DOLLARS, "EUR", "GBP", "JPY", "BTC", "ETH", "TRY", "BRL", "AUD", "CAD", "CHF", "DAI")
_ASSET = r"[^\W_]+"
_PAIR = re.compile(rf"({_ASSET})[/_-]({_ASSET})")
_NAME = re.compile(r"[^\W_]+([-_.:@/][^\W_]+)*|@\d+")
_LONGEST = 64


class Names(Protocol):
    """The symbols of one venue."""

    def common(self, symbol: str) -> str:
        """Return the form used in frames: `BTC/USD`; raise `SettingsError` for no symbol."""

    def native(self, symbol: str) -> str:
        """Return the form in which the venue is asked; raise `SettingsError` for no symbol."""


@dataclass(frozen=True)
class PairNames:
    """Names made of two assets and a separator; both methods take any of their forms.

    Attributes:
        title: the venue, in sentences.
        example: of the venue's own form.
        separator: between base and quote in that form.
        quotes: what a name without a separator may end with. The longest that fits counts.
        aliases: the venue's own names of assets, with the common ones.
        exact: assets that are not written in capitals, by their capitals.
    """

    title: str
    example: str
    separator: str
    quotes: tuple[str, ...] = _QUOTES
    aliases: Mapping[str, str] = field(default_factory=dict)
    exact: Mapping[str, str] = field(default_factory=dict)

    def common(self, symbol: str) -> str:
        """Return BASE/QUOTE, or the venue's own name in capitals where it is no pair."""
        checked = self._checked(symbol)
        pair = self._pair(checked)
        return f"{pair[0]}/{pair[1]}" if pair else self._unpaired(checked)

    def native(self, symbol: str) -> str:
        """Return the venue's own form."""
        checked = self._checked(symbol)
        pair = self._pair(checked)
        return self._joined(*pair) if pair else self._unpaired(checked)

    def _pair(self, symbol: str) -> tuple[str, str] | None:
        """Return base and quote by their common names; None for what is no pair."""
        parts = _PAIR.fullmatch(symbol)
        if parts is not None:
            return (self._asset(parts[1]), self._asset(parts[2])) if self._is_pair(parts) else None
        return self._split(symbol) if symbol.isalnum() else None

    def _is_pair(self, parts: re.Match[str]) -> bool:
        """Whether two parts are assets: what ends with a date, or PERP, is a contract."""
        return not (parts[2].isdigit() or parts[2].upper() in ("PERP", "SWAP", "INTX"))

    def _split(self, symbol: str) -> tuple[str, str] | None:
        whole = symbol.upper()
        for quote in sorted({*self.quotes, *self.aliases}, key=len, reverse=True):
            if whole.endswith(quote) and len(whole) > len(quote):
                common = self.aliases.get(quote, quote)
                if common in self.quotes:
                    return self._asset(symbol[: -len(quote)]), common
        return None

    def _asset(self, text: str) -> str:
        capitals = text.upper()
        return self.aliases.get(capitals, capitals)

    def _joined(self, base: str, quote: str) -> str:
        return f"{base}{self.separator}{quote}"

    def _unpaired(self, symbol: str) -> str:
        """Return the name of what is no pair; raise `SettingsError` for an asset alone."""
        if "/" in symbol or symbol.isalnum():
            raise SettingsError(
                f"{symbol!r} is not a symbol of {self.title}: it does not name two assets. "
                f"Write it as {symbol.partition('/')[0].upper()}/USD, or as {self.title} does, "
                f"such as {self.example}."
            )
        return symbol.upper()

    def _checked(self, symbol: object) -> str:
        if (
            isinstance(symbol, str)
            and 0 < len(symbol) <= _LONGEST
            and _NAME.fullmatch(symbol)
            and "." not in symbol
        ):
            return symbol
        shown = repr(symbol)[:_LONGEST]
        raise SettingsError(
            f"{shown} is not a symbol of {self.title}: write it as BTC/USD, BTC-USD or BTCUSD, or "
            f"as {self.title} does, such as {self.example}."
        )


class KrakenNames(PairNames):
    """Kraken's: also `XBT/USD`, and the REST service's keys such as `XXBTZUSD`."""

    _KEY = re.compile(r"(?:[XZ]([A-Z]{3})|(USDT))[XZ]([A-Z]{3})")
    _SHARE = re.compile(r"[A-Z0-9]+x")

    def _split(self, symbol: str) -> tuple[str, str] | None:
        key = self._KEY.fullmatch(symbol.upper())
        if key is not None and self._asset(key[3]) in self.quotes:
            return self._asset(key[1] or key[2]), self._asset(key[3])
        return super()._split(symbol)

    def _asset(self, text: str) -> str:
        # A share on chain is "AAPLx", and has no other name.
        return text if self._SHARE.fullmatch(text) else super()._asset(text)

    def rest(self, symbol: str) -> str:
        """Return the form that the REST service has always taken: `XBTUSD`."""
        theirs = {common: own for own, common in self.aliases.items()}
        base, _, quote = self.common(symbol).partition("/")
        return f"{theirs.get(base, base)}{theirs.get(quote, quote)}"


class HyperliquidNames(PairNames):
    """Hyperliquid's: a coin alone is its perpetual contract in USD; a spot pair has both."""

    def common(self, symbol: str) -> str:
        """Return COIN/USD for a perpetual, BASE/QUOTE for a spot pair, and else its own name."""
        checked = self._checked(symbol)
        pair = self._pair(checked)
        if pair:
            return f"{pair[0]}/{pair[1]}"
        if "/" in checked:
            return self._unpaired(checked)
        return f"{checked.upper()}/USD" if checked.isalnum() else checked

    def native(self, symbol: str) -> str:
        """Return the coin for a perpetual, and BASE/QUOTE for a spot pair."""
        base, _, quote = self.common(symbol).partition("/")
        if not quote:
            return base
        return self.exact.get(base, base) if quote == "USD" else f"{base}/{quote}"

    def _split(self, symbol: str) -> tuple[str, str] | None:
        # Coins are written alone, so that only dollars are taken for a quote.
        return super()._split(symbol) if len(symbol) > 5 else None


_BINANCE_QUOTES = ("FDUSD", "TUSD", "BUSD", "BNB", "USD1", "MXN", "PLN", "ARS", "ZAR", "IDR", "UAH")
_THOUSANDS = ("PEPE", "SHIB", "BONK", "FLOKI", "LUNC", "DOGS", "NEIRO")
NAMES: dict[str, PairNames] = {
    "kraken": KrakenNames("Kraken", "BTC/USD", "/", aliases={"XBT": "BTC", "XDG": "DOGE"}),
    "binance": PairNames("Binance", "BTCUSDT", "", quotes=(*_QUOTES, *_BINANCE_QUOTES)),
    "binance.us": PairNames("Binance.US", "BTCUSDT", ""),
    "binance.futures": PairNames("Binance Futures", "BTCUSDT", ""),
    "coinbase": PairNames("Coinbase", "BTC-USD", "-"),
    "hyperliquid": HyperliquidNames(
        "Hyperliquid",
        "BTC",
        "/",
        quotes=_DOLLARS,
        exact={f"K{coin}": f"k{coin}" for coin in _THOUSANDS},
    ),
    "okx": PairNames("OKX", "BTC-USDT", "-"),
}
"""The names of each public venue, as `source=` calls it."""
