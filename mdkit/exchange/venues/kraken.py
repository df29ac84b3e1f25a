"""Kraken spot, WebSocket v2 and REST: books in band with a checksum, numbers as JSON numbers."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import msgspec

from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.messages import Key
from mdkit.exchange.venues.book import Change, Level, VenueBook
from mdkit.exchange.venues.book_view import BookView
from mdkit.exchange.venues.dialect import Dialect
from mdkit.exchange.venues.kraken_rest import asset_pairs, ohlc, server_time
from mdkit.exchange.venues.numbers import fixed, rfc3339
from mdkit.exchange.venues.wire import Day, Encode, Execution, Stream, Subscriber

DEPTHS = (10, 25, 100, 500, 1000)
CHECKED = 10
"""Levels a side that the checksum is made of."""
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
            return TradeStream(key, spec, book, self.feed.recent(key[1]))
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


def checksum(asks: Sequence[Level], bids: Sequence[Level], step: int) -> int:
    """Return the CRC32 over the ten best asks, then bids: digits without point and leading zeros.

    A price of `ticks * step` in the last of its decimals is just these digits, and so is a size.
    """
    digits = [f"{ticks * step}{units}" for ticks, units in (*asks[:CHECKED], *bids[:CHECKED])]
    return zlib.crc32("".join(digits).encode())


class BookStream(Stream):
    """Channel `book`: the server's view of the best levels, and what changes in it.

    What falls out of the depth is not deleted: clients must truncate. What comes back is told.
    """

    is_book = True

    def __init__(self, key: Key, spec: Instrument, book: VenueBook, depth: int) -> None:
        super().__init__(key, spec, book)
        self._bids, self._asks = BookView(book.bids, depth), BookView(book.asks, depth)
        self._updates: list[tuple[list[Level], list[Level], int]] = []

    def on_change(self, change: Change) -> None:
        """Follow with both views."""
        told = self._bids.follow(change.bids), self._asks.follow(change.asks)
        if told[0] or told[1]:
            self._updates.append((*told, self._checksum()))

    def _checksum(self) -> int:
        book = self.book
        return checksum(book.asks.top(CHECKED), book.bids.top(CHECKED), self.spec.step)

    def take(self, now_ns: int) -> list[Encode]:
        """Return an update for each change of the view."""
        updates, self._updates = self._updates, []
        return [self._encode("update", *update) for update in updates]

    def first(self) -> list[Encode]:
        """Return the snapshot."""
        bids, asks = self._bids.levels(), self._asks.levels()
        return [self._encode("snapshot", bids, asks, self._checksum())]

    def _encode(self, kind: str, bids: list[Level], asks: list[Level], crc: int) -> Encode:
        def encode(ns: int) -> bytes:
            return (
                f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{self.spec.symbol}",'
                f'"bids":[{self._levels(bids)}],"asks":[{self._levels(asks)}],'
                f'"checksum":{crc},"timestamp":"{rfc3339(ns, 6)}"}}]}}'
            ).encode()

        return encode

    def _levels(self, levels: list[Level]) -> str:
        price, size = self.spec.decimals, self.spec.size_decimals
        step = self.spec.step
        return ",".join(
            f'{{"price":{fixed(ticks * step, price)},"qty":{fixed(units, size)}}}'
            for ticks, units in levels
        )


class TradeStream(Stream):
    """Channel `trade`: `side` is the taker's."""

    def __init__(
        self, key: Key, spec: Instrument, book: VenueBook, recent: Iterable[Execution]
    ) -> None:
        super().__init__(key, spec, book)
        self._new: list[Execution] = []
        self._recent = recent

    def on_trades(self, trades: Sequence[Execution]) -> None:
        """Keep them for the next push."""
        self._new += trades

    def take(self, now_ns: int) -> list[Encode]:
        """Return what traded since the last push, in one frame."""
        new, self._new = self._new, []
        return [self._encode("update", new)] if new else []

    def first(self) -> list[Encode]:
        """Return the last 50 trades."""
        return [self._encode("snapshot", list(self._recent))]

    def _encode(self, kind: str, trades: list[Execution]) -> Encode:
        spec = self.spec

        def encode(ns: int) -> bytes:
            rows = ",".join(
                f'{{"symbol":"{spec.symbol}","side":"{trade.side}",'
                f'"price":{fixed(trade.ticks * spec.step, spec.decimals)},'
                f'"qty":{fixed(trade.units, spec.size_decimals)},"ord_type":"market",'
                f'"trade_id":{trade.id},"timestamp":"{rfc3339(trade.ns, 6)}"}}'
                for trade in trades
            )
            return f'{{"channel":"trade","type":"{kind}","data":[{rows}]}}'.encode()

        return encode


class TickerStream(Stream):
    """Channel `ticker`, pushed on trades or, asked for `bbo`, on changes of the best prices."""

    def __init__(
        self, key: Key, spec: Instrument, book: VenueBook, day: Day, on_quotes: bool
    ) -> None:
        super().__init__(key, spec, book)
        self._day = day
        self._on_quotes = on_quotes
        self._is_due = False

    def on_change(self, change: Change) -> None:
        """Push with the best prices, if asked to."""
        self._is_due |= self._on_quotes and change.is_top

    def on_trades(self, trades: Sequence[Execution]) -> None:
        """Push with a trade."""
        last, day = trades[-1].ticks, self._day
        self._day = day._replace(last=last, high=max(day.high, last), low=min(day.low, last))
        self._is_due |= not self._on_quotes

    def on_day(self, day: Day) -> None:
        """Keep the day's figures."""
        self._day = day

    def take(self, now_ns: int) -> list[Encode]:
        """Return one frame if something that is pushed has happened."""
        due, self._is_due = self._is_due, False
        return [self._encode("update")] if due else []

    def first(self) -> list[Encode]:
        """Return the ticker as it stands."""
        return [self._encode("snapshot")]

    def _encode(self, kind: str) -> Encode:
        spec, day, top = self.spec, self._day, self.book.top(1)
        (bid, bid_size), (ask, ask_size) = top.bids[0], top.asks[0]

        def price(ticks: int) -> str:
            return fixed(ticks * spec.step, spec.decimals)

        def size(units: int) -> str:
            return fixed(units, spec.size_decimals)

        change = day.last - day.open
        row = (
            f'{{"symbol":"{spec.symbol}","bid":{price(bid)},"bid_qty":{size(bid_size)},'
            f'"ask":{price(ask)},"ask_qty":{size(ask_size)},"last":{price(day.last)},'
            f'"volume":{size(day.volume)},"vwap":{price(day.middle)},"low":{price(day.low)},'
            f'"high":{price(day.high)},"change":{"-" if change < 0 else ""}{price(abs(change))},'
            f'"change_pct":{100 * change / day.open:.2f}}}'
        )
        return lambda ns: f'{{"channel":"ticker","type":"{kind}","data":[{row}]}}'.encode()


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
