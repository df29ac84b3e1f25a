"""OKX v5: books of 400 levels, each frame chained to the one before, and text pings."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.messages import Key
from mdkit.exchange.venues.dialect import Answer, Dialect, NotServed
from mdkit.exchange.venues.numbers import trimmed
from mdkit.exchange.venues.okx.rest import candles, instruments, server_time
from mdkit.exchange.venues.okx.streams import BookStream, TickerStream, TopStream, TradeStream
from mdkit.exchange.venues.wire import Stream, Subscriber

_CHANNELS = ("books", "books5", "bbo-tbt", "trades", "tickers")
_GATED = ("books-l2-tbt", "books50-l2-tbt")
_SILENT_FOR = 30.0
_CONNECTION = "a4d3ae55"
_PATHS = ("/ws/v5/public", "/ws/v5/business")


class OkxDialect(Dialect):
    """`wss://ws.okx.com:8443/ws/v5/public` and `https://www.okx.com`."""

    venue: ClassVar[str] = "okx"
    book_levels: ClassVar[int] = 400
    id_gap: ClassVar[int] = 8
    messages: ClassVar[tuple[int, float]] = (480, 3600.0)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.endpoints = {
            "/api/v5/market/candles": lambda params: candles(self, params, 1440),
            "/api/v5/market/history-candles": lambda params: candles(self, params, None),
            "/api/v5/public/instruments": lambda params: instruments(self, params),
            "/api/v5/public/time": lambda params: server_time(),
        }

    def check(self, path: str, params: dict[str, str]) -> None:
        """Serve the public and the business socket."""
        if path not in _PATHS:
            raise NotServed(Answer(404, b"Not Found"))

    def beat(self, client: Subscriber, now: float) -> None:
        """Close a connection to which nothing was sent for half a minute."""
        if now - client.last_sent >= _SILENT_FOR:
            client.close(4004, "No data received in 30s.")

    def received(self, client: Subscriber, text: str | bytes) -> None:
        """Answer a ping at once: only commands count against the limit."""
        if text in ("ping", b"ping"):
            client.reply(b"pong")
        else:
            super().received(client, text)

    def too_fast(self, client: Subscriber) -> None:
        """Refuse the command."""
        self._fail(client, "60014", "Requests too frequent", None)

    def command(self, client: Subscriber, text: str | bytes) -> None:
        """Subscribe or unsubscribe, each argument answered by itself."""
        try:
            body = msgspec.json.decode(text)
            op, args = body["op"], body["args"]
            wanted = [(str(arg["channel"]), str(arg.get("instId", ""))) for arg in args]
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            shown = text if isinstance(text, str) else text.decode(errors="replace")
            self._fail(client, "60012", f"Invalid request: {shown[:300]}", None)
            return
        number = body.get("id")
        if op not in ("subscribe", "unsubscribe"):
            self._fail(client, "60012", f"Invalid request: {op}", number)
            return
        for arg, (channel, name) in zip(args, wanted, strict=True):
            self._apply(client, op, arg, channel, name, number)

    def notice(self, client: Subscriber) -> None:
        """Send the notice of a service upgrade."""
        client.reply(
            msgspec.json.encode(
                {
                    "event": "notice",
                    "code": "64008",
                    "msg": "The connection will soon be closed for a service upgrade. Please "
                    "reconnect.",
                    "connId": _CONNECTION,
                }
            )
        )

    def sample(self) -> bytes:
        """Return a snapshot of a book."""
        stream = self.make_stream(("books", self.feed.symbols[0]))
        return stream.first()[0](stream.book.ns)

    def texts(self, spec: Instrument, ticks: int, units: int) -> tuple[str, str]:
        """Return price and size as they stand in frames."""
        return trimmed(ticks * spec.step, spec.decimals), trimmed(units, spec.size_decimals)

    def make_stream(self, key: Key) -> Stream:
        """Return the stream of a channel and instrument."""
        spec, book = self.feed.instruments[key[1]], self.feed.book(key[1])
        if key[0] == "books":
            return BookStream(key, spec, book, self)
        if key[0] == "books5":
            return TopStream(key, spec, book, self, 5, 0.1)
        if key[0] == "bbo-tbt":
            return TopStream(key, spec, book, self, 1, 0.01)
        if key[0] == "trades":
            return TradeStream(key, spec, book, self)
        return TickerStream(key, spec, book, self, self.feed.day(key[1]))

    def _apply(
        self, client: Subscriber, op: str, arg: Any, channel: str, name: str, number: Any
    ) -> None:
        refused = self.claims("refused_subscription", name) if op == "subscribe" else None
        if channel in _GATED:
            self._fail(
                client,
                "64003",
                f"Your current VIP level does not allow you to subscribe to the {channel} channel.",
                number,
            )
        elif channel not in _CHANNELS or not self.feed.admit(name):
            self._fail(
                client,
                "60018",
                f"Wrong URL or channel:{channel},instId:{name} doesn't exist. Please use the "
                "correct URL, channel and parameters referring to API document.",
                number,
            )
        elif refused is not None:
            self._fail(client, "60012", str(refused["reason"]), number)
        else:
            head = {} if number is None else {"id": number}
            told = {**head, "event": op, "arg": arg, "connId": _CONNECTION}
            client.reply(msgspec.json.encode(told))
            key = (channel, name)
            if op == "unsubscribe":
                self.unsubscribe(client, key)
            elif key in client.keys or key in client.expected:
                return
            elif self.claims("silent_subscription", name) is None:
                self.subscribe(client, key)

    def _fail(self, client: Subscriber, code: str, message: str, number: Any) -> None:
        head = {} if number is None else {"id": number}
        told = {**head, "event": "error", "code": code, "msg": message, "connId": _CONNECTION}
        client.reply(msgspec.json.encode(told))
