"""Binance's REST: books, bars, symbols and the time, with request weights and error codes."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.venues.book import Snapshot
from mdkit.exchange.venues.dialect import Answer, Dialect, Endpoint, NotServed, answer
from mdkit.exchange.venues.klines import Bar, bars
from mdkit.exchange.venues.numbers import fixed, trimmed

_INTERVALS = (
    *("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"),
)
"""Without "1s", of which the exchange keeps no history."""


class BinanceRest:
    """What spot answers below `prefix`."""

    klines_default: ClassVar[int] = 500
    klines_most: ClassVar[int] = 1000
    weight_a_minute: ClassVar[int] = 6000
    depth_weights: ClassVar[tuple[tuple[int, int], ...]] = (
        (100, 5),
        (500, 25),
        (1000, 50),
        (5000, 250),
    )
    """(limit up to, weight)."""

    def __init__(self, dialect: Dialect, prefix: str) -> None:
        self.dialect = dialect
        self.feed = dialect.feed
        self.prefix = prefix
        self._minute = 0
        self._used = 0

    def endpoints(self) -> dict[str, Endpoint]:
        """Return the endpoints by path."""
        named: dict[str, Endpoint] = {
            "ping": lambda params: answer({}),
            "time": lambda params: answer({"serverTime": _now_ms()}),
            "depth": self.depth,
            "klines": self.klines,
            "uiKlines": self.klines,
            "exchangeInfo": self.exchange_info,
            "ticker/bookTicker": self.book_ticker,
        }
        return {f"{self.prefix}/{name}": endpoint for name, endpoint in named.items()}

    async def depth(self, params: dict[str, str]) -> Answer:
        """Return the book with the id of its last update."""
        spec = self.symbol(params)
        limit = self.whole(params, "limit", self.default_depth)
        limit = self.depth_limit(limit)
        weight = next((w for most, w in self.depth_weights if limit <= most), 250)
        headers = self.spend(weight)

        def compose(found: Snapshot) -> Answer:
            top = Snapshot(found.last_id, found.ns, found.bids[:limit], found.asks[:limit])
            return Answer(200, self.book(spec, top).encode(), headers)

        return await self.dialect.snapshot(spec.symbol, compose)

    @property
    def default_depth(self) -> int:
        """Levels where no limit is given."""
        return 100

    def depth_limit(self, limit: int) -> int:
        """Return how many levels a limit gives; spot takes any, and gives 5,000 at most."""
        return min(limit, 5000)

    def book(self, spec: Instrument, top: Snapshot) -> str:
        """Return a snapshot's text."""
        writer = self.writer
        return (
            f'{{"lastUpdateId":{top.last_id},"bids":{writer.levels(spec, top.bids)},'
            f'"asks":{writer.levels(spec, top.asks)}}}'
        )

    @property
    def writer(self) -> Any:
        """What writes numbers."""
        return self.dialect.writer  # type: ignore[attr-defined]

    async def klines(self, params: dict[str, str]) -> Answer:
        """Return bars, oldest first, the running one included where the range reaches it."""
        spec = self.symbol(params)
        interval = params.get("interval", "")
        if not interval:
            raise _missing("interval")
        if interval not in _INTERVALS:
            raise NotServed(binance_error(-1120, "Invalid interval."))
        start, end = self.whole(params, "startTime", None), self.whole(params, "endTime", None)
        limit = min(self.whole(params, "limit", self.klines_default), self.klines_most)
        headers = self.spend(self.klines_weight(limit))
        rows: list[Bar] = []
        if start is None or end is None or start <= end:
            rows = await bars(
                self.feed,
                spec.symbol,
                self.dialect.venue,
                interval,
                start=start,
                end=end,
                limit=limit,
            )
        return answer([self.row(spec, bar) for bar in rows], headers=headers)

    def klines_weight(self, limit: int) -> int:
        """Return the request weight of a call for bars."""
        return 2

    def row(self, spec: Instrument, bar: Bar) -> list[Any]:
        """Return a bar's row."""
        writer = self.writer
        half = bar.volume // 2
        return [
            bar.open_ms,
            writer.price(spec, bar.open),
            writer.price(spec, bar.high),
            writer.price(spec, bar.low),
            writer.price(spec, bar.close),
            writer.size(spec, bar.volume),
            bar.close_ms,
            writer.quote(spec, bar.turnover),
            bar.trades,
            writer.size(spec, half),
            writer.quote(spec, bar.turnover // 2),
            "0",
        ]

    def exchange_info(self, params: dict[str, str]) -> Answer:
        """Return the symbols that are traded, and the budget of request weight."""
        specs = [self.symbol(params)] if "symbol" in params else [*self.feed.instruments.values()]
        return answer(
            {
                "timezone": "UTC",
                "serverTime": _now_ms(),
                "rateLimits": [
                    {
                        "rateLimitType": "REQUEST_WEIGHT",
                        "interval": "MINUTE",
                        "intervalNum": 1,
                        "limit": self.weight_a_minute,
                    }
                ],
                "exchangeFilters": [],
                "symbols": [self.symbol_info(spec) for spec in specs],
            },
            headers=self.spend(20),
        )

    def symbol_info(self, spec: Instrument) -> dict[str, Any]:
        """Return what is said of a symbol."""
        base = spec.symbol.removesuffix(spec.currency)
        price = trimmed(spec.step, spec.decimals)
        return {
            "symbol": spec.symbol,
            "status": "TRADING",
            "baseAsset": base,
            "baseAssetPrecision": 8,
            "quoteAsset": spec.currency,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "orderTypes": ["LIMIT", "MARKET"],
            "isSpotTradingAllowed": True,
            "permissions": [],
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": fixed_text(price),
                    "maxPrice": "1000000.00000000",
                    "tickSize": fixed_text(price),
                },
                {
                    "filterType": "LOT_SIZE",
                    "minQty": fixed(1, spec.size_decimals, 8),
                    "maxQty": "9000.00000000",
                    "stepSize": fixed(1, spec.size_decimals, 8),
                },
            ],
        }

    def book_ticker(self, params: dict[str, str]) -> Answer:
        """Return a symbol's best prices."""
        spec = self.symbol(params)
        top, writer = self.feed.book(spec.symbol).top(1), self.writer
        return answer(
            {
                "symbol": spec.symbol,
                "bidPrice": writer.price(spec, top.bids[0][0]),
                "bidQty": writer.size(spec, top.bids[0][1]),
                "askPrice": writer.price(spec, top.asks[0][0]),
                "askQty": writer.size(spec, top.asks[0][1]),
            },
            headers=self.spend(2),
        )

    def symbol(self, params: dict[str, str]) -> Instrument:
        """Return the instrument that a call names; raise `NotServed` for an unknown one."""
        name = params.get("symbol", "")
        if not name:
            raise _missing("symbol")
        if not self.feed.admit(name):
            raise NotServed(binance_error(-1121, "Invalid symbol."))
        return self.feed.instruments[name]

    def whole(self, params: dict[str, str], name: str, default: Any) -> Any:
        """Return a whole number of the query."""
        text = params.get(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 16:
            raise NotServed(
                binance_error(
                    -1100,
                    f"Illegal characters found in parameter '{name}'; legal range is "
                    "'^[0-9]{1,20}$'.",
                )
            )
        return int(text)

    def spend(self, weight: int) -> dict[str, str]:
        """Count a call's weight; return the headers that tell what is used, or raise 429."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += weight
        headers = {"X-MBX-USED-WEIGHT-1M": str(self._used)}
        if self._used > self.weight_a_minute:
            body = binance_error(
                -1003, "Too much request weight used; please use WebSocket Streams.", 429
            )
            left = str(60 - int(time.monotonic() % 60))
            raise NotServed(Answer(429, body.body, {**headers, "Retry-After": left}))
        return headers


def fixed_text(text: str) -> str:
    """Return a decimal text with eight digits behind the point."""
    whole, _, rest = text.partition(".")
    return f"{whole}.{rest.ljust(8, '0')}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def binance_error(code: int, message: str, status: int = 400) -> Answer:
    """Return an error as Binance writes it."""
    return answer({"code": code, "msg": message}, status)


def _missing(name: str) -> NotServed:
    return NotServed(
        binance_error(
            -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        )
    )
