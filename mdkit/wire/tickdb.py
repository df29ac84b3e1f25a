"""TickDB's messages: bytes to events and back, both dialects.

Nothing outside `mdkit.wire` knows the service's field names. Decoding goes in two steps so
that a message can be queued by symbol and channel without being parsed: `Router.route` reads
only the head of a message, `Route.decode` reads all of it, later, in the lane.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from msgspec import Meta, Raw, Struct

from mdkit.errors import InvalidMessage
from mdkit.events import Bar, Depth, Event, MarketEvent, Ticker, Trade

Dialect = Literal["realtime", "article"]
CHANNELS = ("depth", "trade", "ticker")
"""What can be subscribed to. Bars ("kline") are understood as well: they go on channel "bar"."""
ANSWER = "answer"
"""The channel of answers to commands, which are not market data."""
UNREADABLE = "unreadable"
"""The channel of messages so broken that not even their channel can be told."""

_MS = 1_000_000
_INF = float("inf")
_MAX = sys.float_info.max
# msgspec checks these while it parses, which costs a tenth of checking afterwards; a finite
# upper bound is what keeps "inf" out, and any bound keeps "nan" out.
_Price = Annotated[float, Meta(gt=0, le=_MAX)]
_Size = Annotated[float, Meta(ge=0, le=_MAX)]
_Figure = Annotated[float, Meta(ge=-_MAX, le=_MAX)]
_Millis = Annotated[int, Meta(ge=0, le=9_223_372_036_854)]


class _Book(Struct, gc=False):
    bids: tuple[tuple[_Price, _Size], ...]
    asks: tuple[tuple[_Price, _Size], ...]
    timestamp: _Millis = 0


class _Execution(Struct, gc=False):
    price: _Price
    quantity: _Size
    side: str = "neutral"
    id: str | int = ""
    timestamp: _Millis = 0


class _Executions(Struct, gc=False):
    """Several trades in `trades`, or one spelled out flat, as China futures push it."""

    trades: tuple[_Execution, ...] = ()
    price: _Price | None = None
    quantity: _Size | None = None
    side: str = "neutral"
    id: str | int = ""
    timestamp: _Millis = 0


class _Figures(Struct, gc=False):
    last_price: _Price
    bid_price: _Figure | None = None
    ask_price: _Figure | None = None
    volume_24h: _Figure | None = None
    high_24h: _Figure | None = None
    low_24h: _Figure | None = None
    price_change_24h: _Figure | None = None
    price_change_percent_24h: _Figure | None = None
    trade_session: str | None = None
    timestamp: _Millis = 0


class _Candle(Struct, gc=False):
    time: _Millis
    open: _Price
    high: _Price
    low: _Price
    close: _Price
    volume: _Size = 0.0
    interval: str = "1m"


class _Head(Struct, gc=False):
    """Enough of any message to tell what it is."""

    cmd: str = ""
    type: str = ""
    via: str = ""
    code: int | None = None
    symbol: str | int = ""
    data: Raw = Raw(b"")


class _Symbol(Struct, gc=False):
    symbol: str | int = ""


class _BookMessage(Struct, gc=False):
    data: _Book


class _ExecutionsMessage(Struct, gc=False):
    data: _Executions


class _FiguresMessage(Struct, gc=False):
    data: _Figures | list[_Figures]


class _CandleMessage(Struct, gc=False):
    data: _Candle


class Answer(Struct, gc=False):
    """The service's answer to a command. `code` 0 means done."""

    cmd: str = ""
    code: int = 0
    message: str = ""
    data: Any = None


Decode = Callable[[bytes, int], tuple[MarketEvent, ...]]

LIVE, REST = "live", "rest"
"""Where a message came from: the socket, or the REST service after a gap."""


class Route(Struct, frozen=True, eq=False, gc=False):
    """Where a message belongs, and how to read it.

    `decode(raw, received_ns)` returns its events or raises `InvalidMessage` with the reason.
    Routes are compared by identity, so that they are cheap keys.
    """

    channel: str
    symbol: str
    decode: Decode
    origin: str = LIVE

    @property
    def account(self) -> str:
        """The name under which such messages are counted: what REST filled in, by itself."""
        return self.channel if self.origin == LIVE else f"{self.channel}:{self.origin}"


MAX_MESSAGE_BYTES = 1 << 20
"""Larger messages are not decoded: no market message comes near."""
_TOO_LARGE = f"message is larger than {MAX_MESSAGE_BYTES:,} bytes"
_STUB = b"\x00too large\x00"


def stub(raw: bytes) -> bytes:
    """Return what stands for a message that is too large: it goes the same way, and no decoder
    takes it or fails to say why."""
    return raw[:512] + _STUB


def _json_decoder(kind: Any) -> Callable[[bytes], Any]:
    decode = msgspec.json.Decoder(kind, strict=False).decode

    def checked(raw: bytes) -> Any:
        try:
            return decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            said = _TOO_LARGE if raw.endswith(_STUB) else _reason(error)
            raise InvalidMessage(said) from None

    return checked


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "text is not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error).replace("`", "")


# Shared by all symbols: a decoder for each would not fit into the processor's cache.
_read_book, _read_book_message = _json_decoder(_Book), _json_decoder(_BookMessage)
_read_executions = _json_decoder(_Executions)
_read_executions_message = _json_decoder(_ExecutionsMessage)
_read_figures, _read_figures_message = _json_decoder(_Figures), _json_decoder(_FiguresMessage)
_read_candle, _read_candle_message = _json_decoder(_Candle), _json_decoder(_CandleMessage)
_read_head = _json_decoder(_Head)
_read_symbol = _json_decoder(_Symbol)
_read_raw_list = _json_decoder(list[Raw])
_read_answer = _json_decoder(Answer)


def _depth_route(symbol: str, enveloped: bool) -> Route:
    read = _read_book_message if enveloped else _read_book

    def decode(raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        book = read(raw).data if enveloped else read(raw)
        bids, asks = book.bids, book.asks
        previous = _INF
        for price, _ in bids:
            if price >= previous:
                raise InvalidMessage(f"bids are not sorted: {price:g} follows {previous:g}")
            previous = price
        previous = 0.0
        for price, _ in asks:
            if price <= previous:
                raise InvalidMessage(f"asks are not sorted: {price:g} follows {previous:g}")
            previous = price
        if bids and asks and bids[0][0] > asks[0][0]:
            raise InvalidMessage(f"book is crossed: bid {bids[0][0]:g} above ask {asks[0][0]:g}")
        return (Depth(symbol, bids, asks, book.timestamp * _MS, received_ns),)

    return Route("depth", symbol, decode)


def _trade_route(symbol: str, enveloped: bool) -> Route:
    read = _read_executions_message if enveloped else _read_executions

    def decode(raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        body = read(raw).data if enveloped else read(raw)
        executions = body.trades
        if not executions:
            if body.price is None or body.quantity is None:
                raise InvalidMessage("message holds no trades")
            executions = (body,)
        return tuple(
            [
                Trade(
                    symbol, x.price, x.quantity, x.side, str(x.id), x.timestamp * _MS, received_ns
                )
                for x in executions
            ]
        )

    return Route("trade", symbol, decode)


def _ticker_route(symbol: str, enveloped: bool) -> Route:
    read = _read_figures_message if enveloped else _read_figures

    def decode(raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        body = read(raw).data if enveloped else read(raw)
        return tuple(
            [
                Ticker(
                    symbol,
                    x.last_price,
                    x.bid_price,
                    x.ask_price,
                    x.volume_24h,
                    x.high_24h,
                    x.low_24h,
                    x.price_change_24h,
                    x.price_change_percent_24h,
                    x.trade_session,
                    x.timestamp * _MS,
                    received_ns,
                )
                for x in (body if isinstance(body, list) else (body,))
            ]
        )

    return Route("ticker", symbol, decode)


def _bar_route(symbol: str, enveloped: bool) -> Route:
    read = _read_candle_message if enveloped else _read_candle

    def decode(raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        x = read(raw).data if enveloped else read(raw)
        if x.low > min(x.open, x.close) or x.high < max(x.open, x.close):
            raise InvalidMessage(f"bar is impossible: high {x.high:g}, low {x.low:g}")
        start_ns = x.time * _MS
        return (Bar(symbol, x.open, x.high, x.low, x.close, x.volume, start_ns, x.interval),)

    return Route("bar", symbol, decode)


def invalid_route(channel: str, symbol: str, reason: str) -> Route:
    """Return a route whose messages are all invalid, for one reason."""

    def decode(raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        raise InvalidMessage(reason)

    return Route(channel, symbol, decode)


_COMMANDS = ("pong", "ping", "subscribe", "unsubscribe", "error")
_ANSWER_ROUTE = invalid_route(ANSWER, "", "an answer to a command is not market data")
SEVERAL = invalid_route("ticker", "", "a list about several symbols must be split first")
"""The route of a message about several symbols, which `Router.split` takes apart."""

# The heads whose bytes alone settle channel and symbol; anything else is parsed.
_HEAD = re.compile(
    rb'\{\s*"(?:cmd"\s*:\s*"(?P<enveloped>depth|trade|ticker|kline)"\s*,\s*"data"\s*:\s*\{'
    rb'|type"\s*:\s*"(?P<flat>depth|trade|ticker|kline)"\s*,)'
    rb'\s*"symbol"\s*:\s*"(?P<symbol>[^"\\]{1,64})"\s*'
)
_MAX_LEARNT = 100_000


class Router:
    """Tells the channel and symbol of raw messages, cheaply.

    `symbols` are those subscribed to: the service sometimes drops the market suffix it was
    asked with ("700" for "700.HK"), and the router puts it back when that is unambiguous.
    """

    def __init__(self, symbols: Iterable[str] = ()) -> None:
        self._learnt: dict[bytes, Route] = {}
        self._made: dict[tuple[str, str, bool, str], Route] = {}
        self.expect(symbols)

    def expect(self, symbols: Iterable[str]) -> None:
        """Set the symbols that messages may be about; used to restore market suffixes."""
        full = tuple(symbols)
        self._expected = frozenset(full)
        stems: dict[str, set[str]] = {}
        for symbol in full:
            stems.setdefault(symbol.rpartition(".")[0], set()).add(symbol)
        self._full_name = {
            stem: names.pop() for stem, names in stems.items() if stem and len(names) == 1
        }
        for symbol in full:
            self._full_name.pop(symbol, None)
        self._learnt.clear()

    def expects(self, symbol: str) -> bool:
        """Whether messages about this symbol were asked for."""
        return symbol in self._expected

    def route(self, raw: bytes) -> Route:
        """Return where `raw` belongs. Never raises: unreadable bytes have a route as well.

        A message about several symbols at once has the route `SEVERAL`; `split` it first.
        """
        # All messages of one feed share their bytes up to the comma behind the symbol, so one
        # dict look-up replaces parsing. The first comma ends before byte 24 in both dialects.
        head = raw[: raw.find(b",", 24)]
        route = self._learnt.get(head)
        return route if route is not None else self._learn(head, raw)

    def split(self, raw: bytes) -> Iterator[tuple[Route, bytes]]:
        """Yield a `(route, raw)` for each entry of a list about several symbols."""
        for item in _read_raw_list(bytes(_read_head(raw).data)):
            part = b'{"cmd":"ticker","data":%b}' % bytes(item)
            yield self.route(part), part

    def _learn(self, head: bytes, raw: bytes) -> Route:
        match = _HEAD.fullmatch(head)
        if match is None:
            return self._inspect(raw)
        try:
            symbol = match["symbol"].decode()
        except UnicodeDecodeError:
            return invalid_route(UNREADABLE, "", "text is not UTF-8")
        enveloped = match["enveloped"] is not None
        route = self._make((match["enveloped"] or match["flat"]).decode(), symbol, enveloped)
        if len(self._learnt) >= _MAX_LEARNT:
            self._learnt.clear()
        self._learnt[head] = route
        return route

    def _inspect(self, raw: bytes) -> Route:
        try:
            head = _read_head(raw)
            channel = head.cmd or head.type
            refused = head.code is not None and (head.code != 0 or channel not in CHANNELS)
            if refused or head.cmd in _COMMANDS:
                return _ANSWER_ROUTE
            if channel not in _MAKERS:
                named = repr(channel[:40]) if channel else "none"
                return invalid_route(UNREADABLE, "", f"unknown command: {named}")
            if not head.cmd:
                return self._make(channel, str(head.symbol), False)
            body = bytes(head.data)
            if channel == "ticker" and body.startswith(b"["):
                symbols = {str(_read_symbol(bytes(item)).symbol) for item in _read_raw_list(body)}
                if len(symbols) > 1:
                    return SEVERAL
                return self._make(channel, "".join(symbols), True)
            symbol = str(_read_symbol(body).symbol)
            return self._make(channel, symbol, True, REST if head.via == REST else LIVE)
        except InvalidMessage as error:
            return invalid_route(UNREADABLE, "", str(error))

    def _make(self, channel: str, symbol: str, enveloped: bool, origin: str = LIVE) -> Route:
        symbol = self._full_name.get(symbol, symbol)
        if not symbol:
            return invalid_route(channel, "", "message names no symbol")
        key = (channel, symbol, enveloped, origin)
        route = self._made.get(key)
        if route is None:
            route = _MAKERS[channel](symbol, enveloped)
            if origin != LIVE:
                route = msgspec.structs.replace(route, origin=origin)
            if len(self._made) >= _MAX_LEARNT:
                self._made.clear()
            self._made[key] = route
        return route


_MAKERS = {
    "depth": _depth_route,
    "trade": _trade_route,
    "ticker": _ticker_route,
    "kline": _bar_route,
}


def decode(raw: bytes, received_ns: int = 0) -> tuple[MarketEvent, ...]:
    """Return the events of one message of either dialect; raise `InvalidMessage` if unusable.

    For single messages; a stream should keep a `Router`, which remembers what it has seen.
    """
    router = Router()
    route = router.route(raw)
    if route is SEVERAL:
        return tuple(
            event for part, item in router.split(raw) for event in part.decode(item, received_ns)
        )
    return route.decode(raw, received_ns)


def read_answer(raw: bytes) -> Answer:
    """Return the service's answer to a command; raise `InvalidMessage` if it is none."""
    answer: Answer = _read_answer(raw)
    return answer


def encode(event: Event | Sequence[Trade], dialect: Dialect = "realtime") -> bytes:
    """Return the message that pushes an event; several trades of one symbol share a message.

    `decode(encode(event))` gives the event back, times cut to milliseconds; only `received_ns`
    is not on the wire. The `article` dialect has one trade a message.
    """
    if isinstance(event, Event):
        body = event.as_dict()
        if dialect == "article":
            return msgspec.json.encode(body)
        channel = body.pop("type")
        if channel == "depth":
            body["bids"] = [[repr(price), repr(size)] for price, size in body["bids"]]
            body["asks"] = [[repr(price), repr(size)] for price, size in body["asks"]]
        elif channel == "trade":
            body = {"symbol": body.pop("symbol"), "trades": [_decimal_strings(body)]}
        elif channel in ("ticker", "kline"):
            body = _decimal_strings(body)
        else:
            raise InvalidMessage(f"a {type(event).__name__} is not pushed on any channel")
        return msgspec.json.encode({"cmd": channel, "data": body})
    if dialect == "article" or not event:
        raise InvalidMessage(f"{len(event)} trades do not fit one message of this dialect")
    bodies = [trade.as_dict() for trade in event]
    for body in bodies:
        del body["type"], body["symbol"]
    data = {"symbol": event[0].symbol, "trades": [_decimal_strings(body) for body in bodies]}
    return msgspec.json.encode({"cmd": "trade", "data": data})


def via_rest(message: bytes) -> bytes:
    """Return a message of the `realtime` dialect marked as filled in by the REST service."""
    return b'{"via":"rest",' + message[1:]


def rest_message(channel: str, data: bytes) -> bytes:
    """Return the data of a REST answer as the message that would have pushed it, marked."""
    return b'{"via":"rest","cmd":"%b","data":%b}' % (channel.encode(), data)


def _decimal_strings(body: dict[str, Any]) -> dict[str, Any]:
    return {k: repr(v) if isinstance(v, float) else v for k, v in body.items()}


def subscribe_command(
    channel: str, symbols: Sequence[str], *, market: str | None = None, cancel: bool = False
) -> str:
    """Return the `realtime` command that subscribes to `symbols`, or with `cancel` ends that.

    `market` ("stock", "crypto", ...) is needed only after an ambiguous-symbol error.
    """
    data: dict[str, Any] = {"channel": channel, "symbols": list(symbols)}
    if market is not None:
        data["type"] = market
    command = {"cmd": "unsubscribe" if cancel else "subscribe", "data": data}
    return msgspec.json.encode(command).decode()


PING_COMMAND = '{"cmd":"ping"}'


def dialect_of(url: str) -> Dialect:
    """Return the dialect a WebSocket URL stands for: `article` for .../market/ws."""
    return "article" if urlsplit(url).path.rstrip("/").endswith("/market/ws") else "realtime"


def connection_url(
    url: str, dialect: Dialect, api_key: str | None, subscriptions: Iterable[tuple[str, str]]
) -> str:
    """Return the URL to open: with the key and, in the `article` dialect, what to subscribe to.

    The result holds the key in clear: never log it or put it into an error.
    """
    query: list[tuple[str, str]] = []
    if api_key is not None:
        query.append(("api_key", api_key))
    if dialect == "article":
        pairs = list(subscriptions)
        query += [("channel", channel) for channel in dict.fromkeys(c for c, _ in pairs)]
        query += [("symbol", symbol) for symbol in dict.fromkeys(s for _, s in pairs)]
    if not query:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, urlencode(query)]))))
