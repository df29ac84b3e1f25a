"""Coinbase's REST service (Exchange): https://docs.cdp.coinbase.com/exchange/reference

Bars come newest first, at most 300 of a stretch that must not be longer; intervals without a
trade have none. A row is [time in s, low, high, open, close, volume].
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from mdkit.errors import RateLimitError, RequestError, ServiceError
from mdkit.venues.public import Columns, PublicRest
from mdkit.venues.rest import KlineRules, Request, UnknownSymbol

_MOST = 300


class CoinbaseRest(PublicRest):
    """What is asked of Coinbase, and how; see `PublicRest`."""

    venue = "coinbase"
    base_url = "https://api.exchange.coinbase.com"
    intervals: ClassVar = {"1m": "60", "5m": "300", "15m": "900", "1h": "3600", "1d": "86400"}
    columns = Columns(time=0, low=1, high=2, open=3, close=4, volume=5, unit=1000)
    calls_per_minute = 300
    clock = Request("/time", {})
    max_klines = _MOST
    max_trades = 1000
    rules = KlineRules(
        bounded=True, since_ms=1_417_392_000_000, utc=True, dated=True
    )  # December 2014

    def klines(
        self, symbol: str, interval: str, start_ms: int | None, end_ms: int | None, limit: int
    ) -> Request:
        """Return what asks for bars; both times are needed, since one alone is ignored.

        The second is that of the last bar, not of its end: 300 bars are not 301.
        """
        params = {"granularity": self.interval(interval)}
        if end_ms is not None:
            # Never more than an answer holds, which would be refused.
            least = end_ms - min(limit, _MOST) * int(params["granularity"]) * 1000
            since = max(least, self.since(start_ms, end_ms))
            params["start"] = _iso(-(-since // 1000))
            params["end"] = _iso((end_ms - 1) // 1000)
        return Request(f"/products/{self.names.native(symbol)}/candles", params)

    def depth(self, symbol: str, levels: int) -> Request:
        """Return what asks for the current book: all of it."""
        return Request(f"/products/{self.names.native(symbol)}/book", {"level": "2"})

    def trades(self, symbol: str, limit: int) -> Request:
        """Return what asks for the latest trades."""
        return Request(f"/products/{self.names.native(symbol)}/trades", {"limit": str(limit)})

    def instruments(self, symbol: str = "") -> Request:
        """Return what asks for all products."""
        return Request("/products", {})

    def instrument(self, row: Any) -> str | None:
        """Return a product that trades."""
        if row.get("status", "online") != "online" or row.get("trading_disabled"):
            return None
        return self.names.common(row["id"])

    def time_of(self, data: Any) -> float | None:
        """Return `epoch`."""
        return float(data["epoch"])

    def refused(self, body: Any) -> tuple[None, str] | None:
        """Return the message, which is all that an error has."""
        if isinstance(body, dict) and "message" in body:
            return None, str(body["message"])
        return None

    def means(self, code: Any, said: str) -> type[ServiceError]:
        """Return which error the words stand for."""
        if "NotFound" in said or "not found" in said.lower():
            return UnknownSymbol
        return RateLimitError if "rate limit" in said.lower() else RequestError


def _iso(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
