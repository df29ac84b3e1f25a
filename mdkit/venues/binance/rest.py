"""Binance's REST services: spot, Binance.US and USD-M futures, alike but for paths and limits.

https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints and
https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api
"""

from __future__ import annotations

from typing import Any, ClassVar

from mdkit.errors import RateLimitError, RequestError, ServerError, ServiceError
from mdkit.venues.rest.api import KlineRules, Request, UnknownSymbol
from mdkit.venues.rest.public import Columns, PublicRest, rounded_up

_UNKNOWN, _SLOWER, _TROUBLE = (-1100, -1121), (-1003, -1015), (-1000, -1001, -1007, -1008)
_SPOT_LEVELS = (5, 10, 20, 50, 100, 500, 1000, 5000)
_FUTURES_LEVELS = (5, 10, 20, 50, 100, 500, 1000)


class BinanceRest(PublicRest):
    """What is asked of one of Binance's services, and how; see `PublicRest`.

    Bars come oldest first from the start that is asked for; without one they are the newest.
    The last is the running bar where the stretch reaches it.
    """

    intervals: ClassVar = {
        name: name for name in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "1d", "1w", "1M")
    }
    columns = Columns(0, 1, 2, 3, 4, 5, 7)
    max_trades = 1000
    rules = KlineRules(serves="first", since_ms=1_483_228_800_000, utc=True, dated=True)

    def __init__(
        self,
        venue: str,
        base_url: str,
        path: str,
        max_klines: int,
        levels: tuple[int, ...],
        calls_per_minute: int,
    ) -> None:
        self.venue = venue
        self.base_url = base_url
        self.max_klines = max_klines
        self.calls_per_minute = calls_per_minute
        self._path = path
        self._levels = levels
        self.clock = Request(f"{path}/time", {})  # type: ignore[misc]
        super().__init__()

    def klines(
        self, symbol: str, interval: str, start_ms: int | None, end_ms: int | None, limit: int
    ) -> Request:
        """Return what asks for bars; times are in milliseconds, and seconds would be no error."""
        params = {
            "symbol": self.names.native(symbol),
            "interval": self.interval(interval),
            "limit": str(limit),
        }
        since = self.since(start_ms, end_ms)
        if start_ms is not None:
            params["startTime"] = str(since)
        if end_ms is not None:
            params["endTime"] = str(end_ms - 1)  # that of the last bar which may come
        return Request(f"{self._path}/klines", params)

    def depth(self, symbol: str, levels: int) -> Request:
        """Return what asks for the current book; levels are rounded up to what it allows."""
        limit = rounded_up(levels, self._levels, self.title)
        params = {"symbol": self.names.native(symbol), "limit": str(limit)}
        return Request(f"{self._path}/depth", params)

    def trades(self, symbol: str, limit: int) -> Request:
        """Return what asks for the latest trades."""
        params = {"symbol": self.names.native(symbol), "limit": str(limit)}
        return Request(f"{self._path}/trades", params)

    def instruments(self, symbol: str = "") -> Request:
        """Return what asks for all symbols."""
        return Request(f"{self._path}/exchangeInfo", {})

    def listing(self, data: Any) -> Any:
        """Return the symbols."""
        return data["symbols"]

    def instrument(self, row: Any) -> str | None:
        """Return a pair that trades; a contract that ends some day by its own name."""
        if row["status"] != "TRADING":
            return None
        if row.get("contractType", "PERPETUAL") != "PERPETUAL":
            return self.names.common(row["symbol"])
        return self.names.common(f"{row['baseAsset']}/{row['quoteAsset']}")

    def time_of(self, data: Any) -> float | None:
        """Return `serverTime`."""
        return float(data["serverTime"]) / 1000

    def refused(self, body: Any) -> tuple[int, str] | None:
        """Return code and message, which no other answer has."""
        if isinstance(body, dict) and "code" in body and "msg" in body:
            return int(body["code"]), str(body["msg"])
        return None

    def means(self, code: Any, said: str) -> type[ServiceError]:
        """Return which error a code stands for."""
        if code in _UNKNOWN:
            return UnknownSymbol
        if code in _SLOWER:
            return RateLimitError
        return ServerError if code in _TROUBLE else RequestError


# A request for bars weighs 2 of 6,000 a minute, at Binance.US of 1,200, and for 1,500 bars of
# futures 10 of 2,400: half of it is left to whatever else asks from this address.
SPOT = BinanceRest(
    "binance", "https://data-api.binance.vision", "/api/v3", 1000, _SPOT_LEVELS, 1500
)
US = BinanceRest("binance.us", "https://api.binance.us", "/api/v3", 1000, _SPOT_LEVELS, 300)
FUTURES = BinanceRest(
    "binance.futures", "https://fapi.binance.com", "/fapi/v1", 1500, _FUTURES_LEVELS, 120
)
