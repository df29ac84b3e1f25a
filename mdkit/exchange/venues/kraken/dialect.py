"""Kraken spot, WebSocket v2 and REST: books in band with a checksum, numbers as JSON numbers."""

from __future__ import annotations

import asyncio
import time
from typing import Any, ClassVar

import msgspec

from mdkit.exchange.messages import Key
from mdkit.exchange.venues.dialect import Dialect
from mdkit.exchange.venues.kraken.rest import asset_pairs, ohlc, server_time
from mdkit.exchange.venues.kraken.streams import BookStream, TickerStream, TradeStream
from mdkit.exchange.venues.numbers import rfc3339
from mdkit.exchange.venues.wire import Stream, Subscriber

DEPTHS = (10, 25, 100, 500, 1000)
_CHANNELS = ("book", "trade", "ticker", "instrument")
_COALESCED = 0.05
"""Seconds from the acknowledgement to the snapshot; a subscription renewed meanwhile gets one."""


class KrakenDialect(Dialect):
    """`wss://ws.kraken.com/v2` and `https://api.kraken.com`."""

    venue: ClassVar[str] = "kraken"
    book_levels: ClassVar[int] = 1100

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.endpoints = {
            "/0/public/OHLC": lambda params: ohlc(self, params),
            "/0/public/AssetPairs": lambda params: asset_pairs(self, params),
            "/0/public/Time": lambda params: server_time(),
        }

    def opened(self, client: Subscriber) -> None:
        """Send the system's status."""
        client.reply(self._status("online", id(client)))

    def notice(self, client: Subscriber) -> None:
        """Send a status of maintenance."""
        client.reply(self._status("maintenance", id(client)))

    def sample(self) -> bytes:
        """Return a snapshot of a book."""
        stream = self.make_stream(("book:10", self.feed.symbols[0]))
        return stream.first()[0](stream.book.ns)

    def beat(self, client: Subscriber, now: float) -> None:
        """Send a heartbeat, once there is a subscription."""
        if client.keys or client.expected or client.state.get("acknowledged"):
            client.reply(b'{"channel":"heartbeat"}')

    def too_fast(self, client: Subscriber) -> None:
        """Say so; the connection lives on."""
        client.reply(b'{"Error":"Exceeded msg rate"}')

    def command(self, client: Subscriber, text: str | bytes) -> None:
        """Subscribe, unsubscribe or answer a ping."""
        time_in = time.time_ns()
        try:
            body = msgspec.json.decode(text)
            method = body["method"]
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            client.reply(_refusal("Malformed request", None, None, time_in))
            return
        req_id = body.get("req_id")
        if method == "ping":
            client.reply(_reply({"method": "pong", **_with_id(req_id)}, time_in))
        elif method in ("subscribe", "unsubscribe"):
            self._subscriptions(client, method, body.get("params"), req_id, time_in)
        else:
            client.reply(_refusal(f"Unsupported method {method}", None, req_id, time_in))

    def make_stream(self, key: Key) -> Stream:
        """Return a book, a channel of trades, or one of tickers."""
        channel, _, rest = key[0].partition(":")
        spec, book = self.feed.instruments[key[1]], self.feed.book(key[1])
        if channel == "book":
            return BookStream(key, spec, book, int(rest))
        if channel == "trade":
            return TradeStream(key, spec, book, recent=self.feed.recent(key[1]))
        return TickerStream(key, spec, book, self.feed.day(key[1]), rest == "bbo")

    def _status(self, system: str, connection: int) -> bytes:
        number = 2_950_167_385_101_900_187 + connection % 1_000_003
        state = {
            "version": "2.0.10",
            "system": system,
            "api_version": "v2",
            "connection_id": number,
        }
        return msgspec.json.encode({"channel": "status", "type": "update", "data": [state]})

    def _subscriptions(
        self, client: Subscriber, method: str, params: Any, req_id: Any, time_in: int
    ) -> None:
        params = params if isinstance(params, dict) else {}
        channel = params.get("channel")
        if channel not in _CHANNELS:
            client.reply(_refusal(f"Unsupported channel {channel}", None, req_id, time_in, method))
            return
        if channel == "instrument":
            result = {"channel": channel, "snapshot": True}
            client.reply(
                _reply(
                    {"method": method, **_with_id(req_id), "result": result, "success": True},
                    time_in,
                )
            )
            if method == "subscribe":
                client.reply(_instruments(self))
            return
        symbols = params.get("symbol")
        if not isinstance(symbols, list) or not symbols:
            client.reply(_refusal("Symbol(s) not found", None, req_id, time_in, method))
            return
        for symbol in symbols:
            act = self._subscribe if method == "subscribe" else self._unsubscribe
            act(client, channel, str(symbol), params, req_id, time_in)

    def _subscribe(
        self,
        client: Subscriber,
        channel: str,
        symbol: str,
        params: dict[str, Any],
        req_id: Any,
        time_in: int,
    ) -> None:
        """Acknowledge or refuse one symbol, and let its snapshot come."""
        depth = params.get("depth", 10)
        is_wanted = params.get("snapshot", channel != "trade") is True
        refused = self.claims("refused_subscription", symbol)
        if channel == "book" and depth not in DEPTHS:
            error: str | None = "Subscription depth not supported"
        elif not self.feed.admit(symbol):
            error = f"Currency pair not supported {symbol}"
        elif refused is not None:
            error = str(refused["reason"])
        else:
            error = None
        if error is not None:
            client.reply(_refusal(error, symbol, req_id, time_in))
            return
        key = self._key(channel, symbol, params)
        held_now = [*client.keys, *client.expected, *client.state.get("starting", {})]
        if any(held[1] == symbol and _channel(held) == channel for held in held_now):
            client.reply(_refusal("Already subscribed", symbol, req_id, time_in))
            return
        result: dict[str, Any] = {"channel": channel}
        if channel == "book":
            result["depth"] = depth
        if channel == "ticker":
            result["event_trigger"] = params.get("event_trigger", "trades")
        result |= {"snapshot": is_wanted, "symbol": symbol}
        client.reply(
            _reply(
                {"method": "subscribe", **_with_id(req_id), "result": result, "success": True},
                time_in,
            )
        )
        client.state["acknowledged"] = True
        if self.claims("silent_subscription", symbol) is None:
            self._start(client, key, is_wanted)

    def _start(self, client: Subscriber, key: Key, is_wanted: bool) -> None:
        """Let the data begin a moment later, once for several requests within that moment."""
        starting: dict[Key, bool] = client.state.setdefault("starting", {})
        is_waiting = key in starting
        starting[key] = is_wanted
        if is_waiting:
            return

        def begin() -> None:
            wanted = starting.pop(key, None)
            if wanted is not None:
                self.subscribe(client, key, snapshot=wanted)

        asyncio.get_running_loop().call_later(_COALESCED, begin)

    def _unsubscribe(
        self,
        client: Subscriber,
        channel: str,
        symbol: str,
        params: dict[str, Any],
        req_id: Any,
        time_in: int,
    ) -> None:
        starting: dict[Key, bool] = client.state.setdefault("starting", {})
        for held in [*client.keys, *client.expected, *starting]:
            if held[1] == symbol and _channel(held) == channel:
                self.unsubscribe(client, held)
                starting.pop(held, None)
        result: dict[str, Any] = {"channel": channel}
        if channel == "book":
            result["depth"] = params.get("depth", 10)
        result["symbol"] = symbol
        client.reply(
            _reply(
                {"method": "unsubscribe", **_with_id(req_id), "result": result, "success": True},
                time_in,
            )
        )

    def _key(self, channel: str, symbol: str, params: dict[str, Any]) -> Key:
        if channel == "book":
            return f"book:{params.get('depth', 10)}", symbol
        if channel == "ticker":
            return f"ticker:{params.get('event_trigger', 'trades')}", symbol
        return channel, symbol


def _channel(key: Key) -> str:
    return key[0].partition(":")[0]


def _with_id(req_id: Any) -> dict[str, Any]:
    return {} if req_id is None else {"req_id": req_id}


def _reply(body: dict[str, Any], time_in: int) -> bytes:
    times = {"time_in": rfc3339(time_in, 6), "time_out": rfc3339(time.time_ns(), 6)}
    return msgspec.json.encode({**body, **times})


def _refusal(
    error: str, symbol: str | None, req_id: Any, time_in: int, method: str = "subscribe"
) -> bytes:
    body: dict[str, Any] = {"error": error, "method": method, **_with_id(req_id), "success": False}
    if symbol is not None:
        body["symbol"] = symbol
    return _reply(body, time_in)


def _instruments(dialect: Dialect) -> bytes:
    """Return a snapshot of channel `instrument`; increments are written with exponents."""
    pairs = []
    for spec in dialect.feed.instruments.values():
        base, _, quote = spec.symbol.partition("/")
        tick = float(spec.step / 10**spec.decimals)
        pairs.append(
            {
                "symbol": spec.symbol,
                "base": base,
                "quote": quote,
                "status": "online",
                "qty_precision": spec.size_decimals,
                "qty_increment": 10.0**-spec.size_decimals,
                "price_precision": spec.decimals,
                "cost_precision": 5,
                "marginable": False,
                "has_index": True,
                "cost_min": 0.5,
                "price_increment": tick,
                "qty_min": 10.0**-spec.size_decimals,
            }
        )
    body = {"channel": "instrument", "type": "snapshot", "data": {"assets": [], "pairs": pairs}}
    return msgspec.json.encode(body)
