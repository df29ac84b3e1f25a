"""The REST endpoints: a request's path and query to a payload or a refusal. No sockets here."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from mdkit.events import Trade
from mdkit.exchange.market.instruments import MARKETS, TYPES, Instrument
from mdkit.exchange.market.periods import INTERVALS, LATEST_INTERVALS
from mdkit.exchange.server.delivery import Feed
from mdkit.venues.reading.numbers import MAX_MILLIS

Params = dict[str, str]
_STATUS = {
    1001: 401,
    1002: 401,
    1003: 403,
    1004: 403,
    2002: 404,
    3001: 429,
    3002: 403,
    3003: 403,
    3004: 403,
    4003: 403,
    4004: 403,
    5000: 500,
    5001: 503,
    5002: 503,
}


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """An answer with an error code. `status` is the HTTP status that goes with it."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        status: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or _STATUS.get(code, 500 if code >= 5000 else 400)
        self.headers = headers or {}


def query(path: str) -> tuple[str, Params]:
    """Return a request target's path, without a trailing slash, and its parameters."""
    bare, _, text = path.partition("?")
    return bare.rstrip("/") or "/", dict(parse_qsl(text, keep_blank_values=True))


class Budget:
    """Counts REST calls against the plan: so many in any 60 seconds, so many in all."""

    def __init__(self, per_minute: int | None, quota: int | None) -> None:
        self._per_minute = per_minute
        self._quota = quota
        self._calls: deque[float] = deque()
        self.total = 0

    def spend(self, now: float) -> None:
        """Count a call at `now` seconds; raise `Refusal` 3001 or 3002 if it is one too many."""
        if self._quota is not None and self.total >= self._quota:
            raise Refusal(3002, f"quota of {self._quota} calls exhausted")
        while self._calls and self._calls[0] <= now - 60:
            self._calls.popleft()
        if self._per_minute is not None and len(self._calls) >= self._per_minute:
            wait = self._calls[0] + 60 - now if self._calls else 60.0
            raise Refusal(
                3001,
                f"rate limit of {self._per_minute} calls a minute exceeded",
                headers={"Retry-After": str(max(1, math.ceil(wait)))},
            )
        self._calls.append(now)
        self.total += 1


class Endpoints:
    """Answers REST calls about a feed."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._table: dict[str, Callable[[Params], Any | Awaitable[Any]]] = {
            "/v1/market/kline": self._kline,
            "/v1/market/kline/latest": self._kline_latest,
            "/v1/market/depth": self._depth,
            "/v1/market/trades": self._trades,
            "/v1/market/ticker": self._ticker,
            "/v1/market/intervals/kline": self._intervals,
            "/v1/symbols/available": self._available,
        }

    def find(self, path: str) -> Callable[[Params], Any | Awaitable[Any]]:
        """Return the endpoint of a path; raise `Refusal` with status 404 if there is none."""
        endpoint = self._table.get(path)
        if endpoint is None:
            known = ", ".join(self._table)
            raise Refusal(2001, f"unknown endpoint {path[:100]}; known: {known}", status=404)
        return endpoint

    async def _kline(self, params: Params) -> dict[str, Any]:
        symbol = self._symbol(params)
        interval = _choice(params, "interval", INTERVALS)
        limit = _limit(params, 100, 1000)
        start, end = _time(params, "start_time"), _time(params, "end_time")
        if start is not None and end is not None and start > end:
            raise Refusal(2003, f"start_time {start} is after end_time {end}")
        feed = self._feed
        history, tape, now_ms = feed.histories[symbol], feed.tapes[symbol], feed.now_ms
        # Thousands of days take a second: in a thread, so that the pushed messages go on.
        bars = await asyncio.to_thread(history.bars, tape, interval, now_ms, start, end, limit)
        spec = feed.instruments[symbol]
        return {
            "symbol": symbol,
            "type": spec.type,
            "interval": interval,
            "klines": [_bar(spec, time, row) for time, row in bars],
        }

    async def _kline_latest(self, params: Params) -> list[dict[str, Any]]:
        symbols = self._symbols(params)
        interval = _choice(params, "interval", LATEST_INTERVALS)
        return [
            {
                "symbol": symbol,
                "interval": interval,
                "klines": [await self._forming(symbol, interval)],
            }
            for symbol in symbols
        ]

    async def _forming(self, symbol: str, interval: str) -> dict[str, Any]:
        feed = self._feed
        history, tape = feed.histories[symbol], feed.tapes[symbol]
        time, row = await asyncio.to_thread(history.forming, tape, interval, feed.now_ms)
        return _bar(feed.instruments[symbol], time, row)

    def _depth(self, params: Params) -> dict[str, Any]:
        symbol = self._symbol(params)
        limit = _limit(params, 10, 50)
        book, spec = self._feed.depth(symbol), self._feed.instruments[symbol]
        return {
            "symbol": symbol,
            "type": spec.type,
            "timestamp": book.exchange_ns // 1_000_000,
            "bids": [[repr(price), repr(size)] for price, size in book.bids[:limit]],
            "asks": [[repr(price), repr(size)] for price, size in book.asks[:limit]],
        }

    def _trades(self, params: Params) -> dict[str, Any]:
        symbol = self._symbol(params)
        limit = _limit(params, 100, 1000)
        trades = self._feed.trades(symbol)[-limit:]
        return {"symbol": symbol, "trades": [_execution(trade) for trade in trades]}

    def _ticker(self, params: Params) -> list[dict[str, Any]]:
        return [self._figures(symbol) for symbol in self._symbols(params)]

    def _figures(self, symbol: str) -> dict[str, Any]:
        body = self._feed.ticker(symbol).as_dict()
        body["type"] = self._feed.instruments[symbol].type
        return {k: repr(v) if isinstance(v, float) else v for k, v in body.items()}

    def _intervals(self, params: Params) -> dict[str, Any]:
        return {
            "count": len(LATEST_INTERVALS),
            "description": "3m is served by /v1/market/kline/latest only",
            "intervals": list(LATEST_INTERVALS),
        }

    def _available(self, params: Params) -> dict[str, Any]:
        limit, offset = _limit(params, 100, 1000), _whole(params, "offset", 0)
        kind = _choice(params, "type", TYPES, None)
        market = _choice(params, "market", MARKETS, None)
        specs = [
            spec
            for spec in self._feed.instruments.values()
            if kind in (None, spec.type) and market in (None, spec.market)
        ]
        page = specs[offset : offset + limit]
        by_type = {t: sum(spec.type == t for spec in specs) for t in TYPES}
        return {
            "products": [
                {
                    "symbol": spec.symbol,
                    "name": spec.name,
                    "market": spec.market,
                    "type": spec.type,
                    "currency": spec.currency,
                    "is_active": True,
                    "updated_at": _rfc3339(self._feed.opened_ms),
                }
                for spec in page
            ],
            "summary": {
                "total": len(specs),
                "by_type": {t: number for t, number in by_type.items() if number},
            },
            "pagination": {
                "limit": limit,
                "offset": offset,
                "total": len(specs),
                "count": len(page),
            },
        }

    def _symbol(self, params: Params) -> str:
        return self._known(_required(params, "symbol"), params)

    def _symbols(self, params: Params) -> list[str]:
        names = [part.strip() for part in _required(params, "symbols").split(",") if part.strip()]
        if not names:
            raise Refusal(2001, "symbols is empty")
        if len(names) > 50:
            raise Refusal(2004, f"{len(names)} symbols in one call; at most 50")
        return [self._known(name, params) for name in dict.fromkeys(names)]

    def _known(self, symbol: str, params: Params) -> str:
        spec = self._feed.instruments[symbol] if self._feed.admit(symbol) else None
        kind = _choice(params, "type", TYPES, None)
        if spec is None or kind not in (None, spec.type):
            raise Refusal(
                2002, f"unknown symbol {symbol[:40]}" + (f" of type {kind}" if kind else "")
            )
        return symbol


def _rfc3339(ms: int) -> str:
    """Return a time as the service writes it here: 2025-01-31T14:30:05Z."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _bar(spec: Instrument, time: int, row: tuple[int, ...]) -> dict[str, Any]:
    open_, high, low, close, volume, turnover = row
    bar: dict[str, Any] = {
        "time": time,
        "open": spec.price_text(open_),
        "high": spec.price_text(high),
        "low": spec.price_text(low),
        "close": spec.price_text(close),
        "volume": spec.amount_text(volume),
    }
    if spec.type == "futures":
        bar["open_interest"] = spec.amount_text(spec.size * 1000)
    else:
        bar["quote_volume"] = spec.quote_text(turnover)
    return bar


def _execution(trade: Trade) -> dict[str, Any]:
    body = trade.as_dict()
    del body["type"], body["symbol"]
    return {k: repr(v) if isinstance(v, float) else v for k, v in body.items()}


def _required(params: Params, name: str) -> str:
    value = params.get(name, "").strip()
    if not value:
        raise Refusal(2001, f"parameter {name} is missing")
    return value


def _choice(params: Params, name: str, known: tuple[str, ...], default: Any = ...) -> Any:
    if default is not ... and not params.get(name):
        return default
    value = _required(params, name)
    if value not in known:
        raise Refusal(2001, f"{name}={value[:40]} is not one of {', '.join(known)}")
    return value


def _whole(params: Params, name: str, default: int | None) -> Any:
    text = params.get(name, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Refusal(2001, f"{name}={text[:40]} is not a whole number of 0 or more")
    return int(text)


def _limit(params: Params, default: int, most: int) -> int:
    value: int = _whole(params, "limit", default)
    if value < 1:
        raise Refusal(2001, "limit must be at least 1")
    if value > most:
        raise Refusal(2004, f"limit {value} is too large; at most {most}")
    return value


def _time(params: Params, name: str) -> int | None:
    value: int | None = _whole(params, name, None)
    if value is not None and value > MAX_MILLIS:
        raise Refusal(2003, f"{name}={value} is not a time in milliseconds")
    return value
