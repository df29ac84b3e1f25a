"""Hyperliquid's REST service: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api

Everything is a POST to /info. Of each interval only the newest 5,000 bars can be had, oldest
first; the first is that in which the start lies. Weeks begin on Thursday there, and are not
served here.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from mdkit.errors import RequestError, ServiceError
from mdkit.venues.rest.api import KlineRules, Request, UnknownSymbol
from mdkit.venues.rest.public import Columns, PublicRest

_MOST = 5000


class HyperliquidRest(PublicRest):
    """What is asked of Hyperliquid, and how; see `PublicRest`."""

    venue = "hyperliquid"
    base_url = "https://api.hyperliquid.xyz"
    intervals: ClassVar = {
        name: name for name in ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "1d", "1M")
    }
    columns = Columns("t", "o", "h", "l", "c", "v")
    calls_per_minute = 11  # 5,000 bars weigh 104 of 1,200 a minute
    clock = Request("/info", {}, b'{"type":"l2Book","coin":"BTC"}')
    max_klines = _MOST
    rules = KlineRules(serves="all", most=_MOST, since_ms=1_640_995_200_000, utc=True, dated=True)

    def klines(
        self, symbol: str, interval: str, start_ms: int | None, end_ms: int | None, limit: int
    ) -> Request:
        """Return what asks for bars; the start is needed."""
        asked = {
            "coin": self.names.native(symbol),
            "interval": self.interval(interval),
            "startTime": self.since(start_ms, end_ms),
        }
        if end_ms is not None:
            asked["endTime"] = end_ms
        return _asking("candleSnapshot", req=asked)

    def depth(self, symbol: str, levels: int) -> Request:
        """Return what asks for the current book, of 20 levels."""
        return _asking("l2Book", coin=self.names.native(symbol))

    def trades(self, symbol: str, limit: int) -> Request:
        """Return what asks for the latest trades."""
        return _asking("recentTrades", coin=self.names.native(symbol))

    def instruments(self, symbol: str = "") -> Request:
        """Return what asks for all perpetuals, or for a spot pair for all of these."""
        perpetual = not symbol or self.names.common(symbol).endswith("/USD")
        return _asking("meta" if perpetual else "spotMeta")

    def listing(self, data: Any) -> Any:
        """Return the universe."""
        return data["universe"]

    def instrument(self, row: Any) -> str | None:
        """Return a coin or a pair that trades."""
        return None if row.get("isDelisted") else self.names.common(row["name"])

    def time_of(self, data: Any) -> float | None:
        """Return the time of the book."""
        return float(data["time"]) / 1000

    def refused(self, body: Any) -> tuple[None, str] | None:
        """Return an error: a text, or for an unknown coin nothing at all."""
        if body is None:
            return None, ""
        return (None, body) if isinstance(body, str) else None

    def means(self, code: Any, said: str) -> type[ServiceError]:
        """Return which error the words stand for."""
        return UnknownSymbol if not said or "coin" in said.lower() else RequestError


def _asking(kind: str, **fields: Any) -> Request:
    return Request("/info", {}, msgspec.json.encode({"type": kind, **fields}))
