"""Kraken's REST service, spot: https://docs.kraken.com/api/docs/rest-api/get-ohlc-data

Errors come under HTTP status 200. Of each interval only the newest 720 bars can be had, and the
last row is always the bar that still forms.
"""

from __future__ import annotations

from typing import Any, ClassVar

from mdkit.errors import RateLimitError, RequestError, ServerError, ServiceError
from mdkit.venues.names import KrakenNames
from mdkit.venues.rest.api import KlineRules, Request, UnknownSymbol
from mdkit.venues.rest.public import Columns, PublicRest

_MOST = 720


class KrakenRest(PublicRest):
    """What is asked of Kraken, and how; see `PublicRest`."""

    venue = "kraken"
    base_url = "https://api.kraken.com"
    intervals: ClassVar = {
        "1m": "1",
        "5m": "5",
        "15m": "15",
        "30m": "30",
        "1h": "60",
        "4h": "240",
        "1d": "1440",
        "1w": "10080",
    }
    columns = Columns(0, 1, 2, 3, 4, 6, unit=1000)
    calls_per_minute = 60
    clock = Request("/0/public/Time", {})
    envelope = "result"
    max_klines = _MOST
    max_trades = 1000
    rules = KlineRules(serves="all", most=_MOST, since_ms=1_356_998_400_000, utc=True, dated=True)
    names: KrakenNames

    def klines(
        self, symbol: str, interval: str, start_ms: int | None, end_ms: int | None, limit: int
    ) -> Request:
        """Return what asks for the bars since a time; there is no end and no limit to ask for."""
        params = {"pair": self.names.rest(symbol), "interval": self.interval(interval)}
        since = self.since(start_ms, end_ms)
        if start_ms is not None:
            # Whether the bar of that second comes is not documented: one second more asks for it.
            params["since"] = str(since // 1000 - 1)
        return Request("/0/public/OHLC", params)

    def depth(self, symbol: str, levels: int) -> Request:
        """Return what asks for the current book, of at most 500 levels."""
        params = {"pair": self.names.rest(symbol), "count": str(min(levels, 500))}
        return Request("/0/public/Depth", params)

    def trades(self, symbol: str, limit: int) -> Request:
        """Return what asks for the latest trades."""
        return Request("/0/public/Trades", {"pair": self.names.rest(symbol), "count": str(limit)})

    def instruments(self, symbol: str = "") -> Request:
        """Return what asks for all pairs."""
        return Request("/0/public/AssetPairs", {})

    def listing(self, data: Any) -> Any:
        """Return the pairs, which stand under their keys."""
        return data.values()

    def instrument(self, row: Any) -> str | None:
        """Return a pair that trades."""
        if row.get("status", "online") != "online" or "wsname" not in row:
            return None
        return self.names.common(row["wsname"])

    def rows(self, data: Any) -> Any:
        """Return all rows but the last, which is the running bar."""
        (rows,) = [rows for key, rows in data.items() if key != "last"]
        return rows[:-1]

    def time_of(self, data: Any) -> float | None:
        """Return `unixtime`."""
        return float(data["unixtime"])

    def refused(self, body: Any) -> tuple[None, str] | None:
        """Return the errors, without mere warnings (`WGeneral:...`)."""
        errors = body.get("error") if isinstance(body, dict) else None
        serious = [str(text) for text in errors or () if not str(text).startswith("W")]
        return (None, ", ".join(serious)) if serious else None

    def means(self, code: Any, said: str) -> type[ServiceError]:
        """Return which error the words stand for."""
        if "Unknown asset pair" in said:
            return UnknownSymbol
        if "Rate limit" in said or "Too many requests" in said or "Throttled" in said:
            return RateLimitError
        return ServerError if said.startswith(("EService", "EGeneral:Internal")) else RequestError
