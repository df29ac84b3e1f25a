"""Coinbase's REST service (Advanced Trade, the part without a key):
https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public

Bars come newest first, of a stretch that must not be longer than an answer; intervals without a
trade have none. Documented are 350 in an answer, seen were 300.
"""

from __future__ import annotations

from typing import Any, ClassVar

from mdkit.errors import RateLimitError, RequestError, ServiceError
from mdkit.venues.rest.api import KlineRules, Request, UnknownSymbol
from mdkit.venues.rest.public import Columns, PublicRest

_ROOT = "/api/v3/brokerage"
_MOST = 300
_BEGAN_MS = 1_417_392_000_000  # December 2014
_MINUTES = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "1d": 1440}


class CoinbaseRest(PublicRest):
    """What is asked of Coinbase, and how; see `PublicRest`."""

    venue = "coinbase"
    base_url = "https://api.coinbase.com"
    intervals: ClassVar = {
        "1m": "ONE_MINUTE",
        "5m": "FIVE_MINUTE",
        "15m": "FIFTEEN_MINUTE",
        "30m": "THIRTY_MINUTE",
        "1h": "ONE_HOUR",
        "2h": "TWO_HOUR",
        "4h": "FOUR_HOUR",
        "1d": "ONE_DAY",
    }
    columns = Columns("start", "open", "high", "low", "close", "volume", unit=1000)
    calls_per_minute = 300
    clock = Request(f"{_ROOT}/time", {})
    max_klines = _MOST
    max_trades = 1000
    rules = KlineRules(bounded=True, since_ms=_BEGAN_MS, utc=True, dated=True)

    def klines(
        self, symbol: str, interval: str, start_ms: int | None, end_ms: int | None, limit: int
    ) -> Request:
        """Return what asks for bars; times are in seconds.

        The second is that of the last bar, not of its end: 300 bars are not 301.
        """
        params = {"granularity": self.interval(interval), "limit": str(min(limit, _MOST))}
        since = self.since(start_ms, end_ms)
        if end_ms is not None:
            # Never more than an answer holds, which would be refused.
            since = max(since, end_ms - int(params["limit"]) * _MINUTES[interval] * 60_000)
            params["start"] = str(-(-since // 1000))
            params["end"] = str((end_ms - 1) // 1000)
        return Request(f"{self._product(symbol)}/candles", params)

    def depth(self, symbol: str, levels: int) -> Request:
        """Return what asks for the current book."""
        params = {"product_id": self.names.native(symbol), "limit": str(levels)}
        return Request(f"{_ROOT}/market/product_book", params)

    def trades(self, symbol: str, limit: int) -> Request:
        """Return what asks for the latest trades."""
        return Request(f"{self._product(symbol)}/ticker", {"limit": str(limit)})

    def instruments(self, symbol: str = "") -> Request:
        """Return what asks for all products."""
        return Request(f"{_ROOT}/market/products", {})

    def listing(self, data: Any) -> Any:
        """Return the products."""
        return data["products"]

    def instrument(self, row: Any) -> str | None:
        """Return a product that trades."""
        if row.get("is_disabled") or row.get("trading_disabled"):
            return None
        return self.names.common(row["product_id"])

    def rows(self, data: Any) -> Any:
        """Return the candles."""
        return data["candles"]

    def time_of(self, data: Any) -> float | None:
        """Return `epochMillis`."""
        return float(data["epochMillis"]) / 1000

    def refused(self, body: Any) -> tuple[str | None, str] | None:
        """Return the error's name and words."""
        if not isinstance(body, dict) or not ("error" in body or "message" in body):
            return None
        said = body.get("message") or body.get("error_details") or ""
        return str(body.get("error") or "") or None, str(said)

    def means(self, code: Any, said: str) -> type[ServiceError]:
        """Return which error the words stand for."""
        words = f"{code} {said}".lower()
        if "not_found" in words or "notfound" in words or "valid product_id" in words:
            return UnknownSymbol
        return RateLimitError if "rate limit" in words else RequestError

    def _product(self, symbol: str) -> str:
        return f"{_ROOT}/market/products/{self.names.native(symbol)}"
