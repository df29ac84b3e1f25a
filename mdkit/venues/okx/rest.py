"""OKX's REST service, v5: https://www.okx.com/docs-v5/en/#order-book-trading-market-data

Bars come newest first, 100 at most; the ninth field of a row says whether its bar is complete.
Days begin in Hong Kong unless `...utc` is asked for.
"""

from __future__ import annotations

from typing import Any, ClassVar

from mdkit.errors import RateLimitError, RequestError, ServerError, ServiceError
from mdkit.venues.rest.api import KlineRules, Request, UnknownSymbol
from mdkit.venues.rest.public import Columns, PublicRest

_UNKNOWN, _SLOWER = ("51001", "51014"), ("50011", "50061")
_TROUBLE = ("50001", "50004", "50013", "50026")
_CONFIRM = 8


class OkxRest(PublicRest):
    """What is asked of OKX, and how; see `PublicRest`."""

    venue = "okx"
    base_url = "https://www.okx.com"
    intervals: ClassVar = {
        "1m": "1m",
        "3m": "3m",
        "5m": "5m",
        "15m": "15m",
        "30m": "30m",
        "1h": "1H",
        "2h": "2H",
        "4h": "4H",
        "1d": "1Dutc",
        "1w": "1Wutc",
        "1M": "1Mutc",
    }
    columns = Columns(0, 1, 2, 3, 4, 5, 7)
    calls_per_minute = 480
    clock = Request("/api/v5/public/time", {})
    envelope = "data"
    max_klines = 100
    max_trades = 500
    rules = KlineRules(bounded=True, since_ms=1_483_228_800_000, utc=True, dated=True)  # 2017

    def klines(
        self, symbol: str, interval: str, start_ms: int | None, end_ms: int | None, limit: int
    ) -> Request:
        """Return what asks for bars: those `after` are older than it, those `before` newer."""
        params = {
            "instId": self.names.native(symbol),
            "bar": self.interval(interval),
            "limit": str(min(limit, self.max_klines)),
        }
        if end_ms is not None:
            params["after"] = str(end_ms)
        since = self.since(start_ms, end_ms)
        if start_ms is not None:
            params["before"] = str(since - 1)
        return Request("/api/v5/market/history-candles", params)

    def depth(self, symbol: str, levels: int) -> Request:
        """Return what asks for the current book, of at most 400 levels."""
        params = {"instId": self.names.native(symbol), "sz": str(min(levels, 400))}
        return Request("/api/v5/market/books", params)

    def trades(self, symbol: str, limit: int) -> Request:
        """Return what asks for the latest trades."""
        params = {"instId": self.names.native(symbol), "limit": str(limit)}
        return Request("/api/v5/market/trades", params)

    def instruments(self, symbol: str = "") -> Request:
        """Return what asks for all instruments of a kind: spot, swaps, or futures."""
        parts = self.names.native(symbol).split("-") if symbol else []
        kind = "SPOT" if len(parts) < 3 else "SWAP" if parts[-1] == "SWAP" else "FUTURES"
        return Request("/api/v5/public/instruments", {"instType": kind})

    def instrument(self, row: Any) -> str | None:
        """Return an instrument that trades."""
        return self.names.common(row["instId"]) if row.get("state", "live") == "live" else None

    def rows(self, data: Any) -> Any:
        """Return the rows that are confirmed."""
        return [row for row in data if str(row[_CONFIRM]) == "1"]

    def time_of(self, data: Any) -> float | None:
        """Return `ts`."""
        return float(data[0]["ts"]) / 1000

    def refused(self, body: Any) -> tuple[str, str] | None:
        """Return code and message, unless the code is 0."""
        code = str(body.get("code", "0")) if isinstance(body, dict) else "0"
        return None if code == "0" else (code, str(body.get("msg", "")))

    def means(self, code: Any, said: str) -> type[ServiceError]:
        """Return which error a code stands for."""
        if code in _UNKNOWN:
            return UnknownSymbol
        if code in _SLOWER:
            return RateLimitError
        return ServerError if code in _TROUBLE else RequestError
