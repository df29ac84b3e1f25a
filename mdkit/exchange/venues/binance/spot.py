"""Binance spot and Binance.US: diffs with ranges of ids, snapshots by REST, ids on quotes."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import msgspec

from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.messages import Key
from mdkit.exchange.venues.binance.rest import BinanceRest
from mdkit.exchange.venues.binance.streams import (
    BookTickerStream,
    DepthStream,
    MiniTickerStream,
    PartialStream,
    TickerStream,
    TradeStream,
    Writer,
)
from mdkit.exchange.venues.dialect import Answer, Dialect, NotServed
from mdkit.exchange.venues.wire import Stream, Subscriber, WireMessage

_DEPTH = "depth"


class BinanceDialect(Dialect):
    """`wss://data-stream.binance.vision` and `https://data-api.binance.vision`.

    `ping_every` is how often the server pings, with the time in ms as payload, and `most_streams`
    how many streams a connection may have.
    """

    venue: ClassVar[str] = "binance"
    messages: ClassVar[tuple[int, float]] = (5, 1.0)
    lifetime: ClassVar[float | None] = 86_400.0
    beat_every: ClassVar[float] = 0.25
    ping_every: ClassVar[float] = 20.0
    most_streams: ClassVar[int] = 1024
    rest_prefix: ClassVar[str] = "/api/v3"
    routes: ClassVar[dict[str, tuple[str, ...] | None]] = {"": None}
    """Path prefixes, and which streams are delivered there (None: all)."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.writer = self.make_writer()
        self.rest = self.make_rest()
        self.endpoints = self.rest.endpoints()

    def make_writer(self) -> Writer:
        """Return what writes the venue's frames."""
        return Writer()

    def make_rest(self) -> BinanceRest:
        """Return what answers REST calls."""
        return BinanceRest(self, self.rest_prefix)

    def check(self, path: str, params: dict[str, str]) -> None:
        """Serve `/ws`, `/ws/<stream>` and `/stream?streams=`, below each of the routes."""
        prefix, kind, _ = _parts(path)
        if prefix not in self.routes or kind not in ("ws", "stream"):
            raise NotServed(Answer(404, b"Not Found"))

    def opened(self, client: Subscriber) -> None:
        """Subscribe to the streams that the URL names, without an acknowledgement."""
        prefix, kind, rest = _parts(client.path)
        client.state["route"] = prefix
        client.state["is_combined"] = kind == "stream"
        client.state["names"] = []
        client.state["pinged"] = client.opened
        named = client.params.get("streams", "") if kind == "stream" else rest
        for name in filter(None, named.split("/")):
            self._add(client, name)

    def beat(self, client: Subscriber, now: float) -> None:
        """Send a ping with the time as its payload, which the pong must repeat."""
        every = self.config.keepalive or self.ping_every
        if now - client.state["pinged"] >= every:
            client.state["pinged"] = now
            client.ping(str(time.time_ns() // 1_000_000).encode())

    def command(self, client: Subscriber, text: str | bytes) -> None:
        """Subscribe, unsubscribe or list; streams that there are not are acknowledged, too."""
        try:
            body = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._refuse(client, 3, "Invalid JSON: expected value at line 1 column 1", None)
            return
        if not isinstance(body, dict):
            self._refuse(client, 2, "Invalid request: request must be an object", None)
            return
        number, method, params = body.get("id"), body.get("method"), body.get("params")
        if method == "LIST_SUBSCRIPTIONS":
            self._reply(client, list(client.state["names"]), number)
            return
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            self._refuse(
                client,
                2,
                f"Invalid request: unknown variant `{method}`, expected one of `SUBSCRIBE`, "
                "`UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`",
                number,
            )
            return
        if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
            self._refuse(client, 2, "Invalid request: params must be an array of strings", number)
            return
        if method == "UNSUBSCRIBE":
            for name in params:
                self._remove(client, name)
        elif not self._subscribe(client, params, number):
            return
        self._reply(client, None, number)

    def notice(self, client: Subscriber) -> None:
        """Send the event `serverShutdown`."""
        event = b'{"e":"serverShutdown","E":%d}' % (time.time_ns() // 1_000_000)
        if client.state["is_combined"]:
            event = b'{"stream":"!serverShutdown","data":%b}' % event
        client.reply(event)

    def render(self, client: Subscriber, message: WireMessage) -> bytes:
        """Return the raw event, or wrapped with its stream's name."""
        if not client.state["is_combined"]:
            return message.text
        wrapped = message.rendered.get("combined")
        if wrapped is None:
            assert message.key is not None
            name = f"{message.key[1].lower()}@{message.key[0]}"
            wrapped = b'{"stream":"%b","data":%b}' % (name.encode(), message.text)
            message.rendered["combined"] = wrapped
        return wrapped

    def sample(self) -> bytes:
        """Return an event of the best prices."""
        stream = self.make_stream(("bookTicker", self.feed.symbols[0]))
        assert isinstance(stream, BookTickerStream)
        return stream.event()(self.feed.now_ns())

    def texts(self, spec: Instrument, ticks: int, units: int) -> tuple[str, str]:
        """Return price and size as they stand in frames."""
        return self.writer.price(spec, ticks), self.writer.size(spec, units)

    def make_stream(self, key: Key) -> Stream:
        """Return the stream of a name such as `depth@100ms`."""
        spec, book = self.feed.instruments[key[1]], self.feed.book(key[1])
        kind = key[0].partition("@")[0]
        if kind == "bookTicker":
            return BookTickerStream(key, spec, book, self.writer)
        if kind in ("trade", "aggTrade"):
            return TradeStream(key, spec, book, self.writer, kind)
        if kind == "ticker":
            return TickerStream(key, spec, book, self.writer, self.feed.day(key[1]))
        if kind == "miniTicker":
            return MiniTickerStream(key, spec, book, self.writer, self.feed.day(key[1]))
        if kind == _DEPTH:
            return DepthStream(key, spec, book, self.writer)
        return PartialStream(key, spec, book, self.writer, int(kind.removeprefix(_DEPTH)))

    def is_stream(self, kind: str) -> bool:
        """Whether there is a stream of that name for each symbol."""
        name, _, speed = kind.partition("@")
        if name == _DEPTH or name in ("depth5", "depth10", "depth20"):
            return speed in self.writer.speeds
        return not speed and name in self.writer.others

    def _subscribe(self, client: Subscriber, names: list[str], number: Any) -> bool:
        """Add streams; return whether they are to be acknowledged."""
        refused = None
        for name in names:
            refused = refused or self.claims("refused_subscription", name.partition("@")[0].upper())
        if refused is not None:
            self._refuse(client, 2, f"Invalid request: {refused['reason']}", number)
            return False
        if len(client.state["names"]) + len(names) > self.most_streams:
            client.close(1008, f"Too many streams, at most {self.most_streams}")
            return False
        for name in names:
            self._add(client, name)
        return True

    def _add(self, client: Subscriber, name: str) -> None:
        if name not in client.state["names"]:
            client.state["names"].append(name)
        key = self._key(client, name)
        if key is None or self.claims("silent_subscription", key[1]) is not None:
            return
        self.subscribe(client, key)

    def _remove(self, client: Subscriber, name: str) -> None:
        if name in client.state["names"]:
            client.state["names"].remove(name)
        key = self._key(client, name)
        if key is not None:
            self.unsubscribe(client, key)

    def _key(self, client: Subscriber, name: str) -> Key | None:
        """Return the key of a stream's name; None where nothing will ever come of it."""
        symbol, _, kind = name.partition("@")
        only = self.routes[client.state["route"]]
        if symbol != symbol.lower() or not self.is_stream(kind):
            return None
        if only is not None and kind.partition("@")[0].rstrip("0125") not in only:
            return None
        return (kind, symbol.upper()) if self.feed.admit(symbol.upper()) else None

    def _reply(self, client: Subscriber, result: Any, number: Any) -> None:
        client.reply(msgspec.json.encode({"result": result, "id": number}))

    def _refuse(self, client: Subscriber, code: int, message: str, number: Any) -> None:
        client.reply(msgspec.json.encode({"code": code, "msg": message, "id": number}))


class BinanceUsDialect(BinanceDialect):
    """`wss://stream.binance.us:9443` and `https://api.binance.us`: the same wire."""

    venue: ClassVar[str] = "binance.us"
    ping_every: ClassVar[float] = 180.0


def _parts(path: str) -> tuple[str, str, str]:
    """Return prefix, `ws` or `stream`, and what follows of a socket's path."""
    parts = path.strip("/").split("/")
    for i, part in enumerate(parts[:2]):
        if part in ("ws", "stream"):
            return "/".join(parts[:i]), part, "/".join(parts[i + 1 :])
    return "", "", ""
