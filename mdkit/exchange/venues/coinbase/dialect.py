"""Coinbase Advanced Trade: whole books in band, and one counter over all frames of a connection."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.messages import Key
from mdkit.exchange.venues.book import Change, Level, VenueBook
from mdkit.exchange.venues.coinbase.rest import candles, product, products, server_time
from mdkit.exchange.venues.dialect import Answer, Dialect, NotServed
from mdkit.exchange.venues.numbers import rfc3339, trimmed
from mdkit.exchange.venues.wire import (
    Day,
    Encode,
    Execution,
    NewTrades,
    Stream,
    Subscriber,
    WireMessage,
)

_CHANNELS = ("level2", "market_trades", "ticker", "ticker_batch", "heartbeats", "status")
_NUMBER = b'"sequence_num":0'
_SUBSCRIBE_WITHIN = 5.0
_MOST_BOOKS = 16
"""Products with a book on a connection; the venue's own limit is between 16 and 31."""
_EMPTY_EVERY = 16
"""Pushes of a book after which one without changes is sent, as happens there."""
_PATH = re.compile(r"/api/v3/brokerage/market/products/([^/]+)(/candles)?")


class CoinbaseDialect(Dialect):
    """`wss://advanced-trade-ws.coinbase.com` and `https://api.coinbase.com`."""

    venue: ClassVar[str] = "coinbase"
    book_levels: ClassVar[int] = 2000
    level_bytes: ClassVar[int] = 112
    messages: ClassVar[tuple[int, float]] = (8, 1.0)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.endpoints = {
            "/api/v3/brokerage/market/products": lambda params: products(self),
            "/api/v3/brokerage/time": lambda params: server_time(),
        }

    async def respond(self, path: str, params: dict[str, str], body: bytes | None) -> Answer:
        """Answer a REST call; a product's id is a part of the path."""
        found = _PATH.fullmatch(path)
        if found is None or body is not None:
            return await super().respond(path, params, body)
        try:
            if found[2]:
                return await candles(self, found[1], params)
            return product(self, found[1])
        except NotServed as refusal:
            return refusal.answer

    def opened(self, client: Subscriber) -> None:
        """Say nothing: the venue waits for a subscription."""
        client.state["subscribed"] = {}
        client.state["number"] = 0

    def beat(self, client: Subscriber, now: float) -> None:
        """Send a heartbeat to whom it was promised; end connections that ask for nothing."""
        subscribed = client.state["subscribed"]
        if not subscribed and now - client.opened >= _SUBSCRIBE_WITHIN:
            client.close(1008, "no subscription within 5 seconds")
        if "heartbeats" in subscribed:
            count = client.state["beats"] = client.state.get("beats", 3_000) + 1
            now_ns = time.time_ns()
            at = rfc3339(now_ns, 9).replace("T", " ").replace("Z", " +0000 UTC")
            event = {"current_time": f"{at} m=+{now:.9f}", "heartbeat_counter": str(count)}
            self._say(client, "heartbeats", [event])

    def command(self, client: Subscriber, text: str | bytes) -> None:
        """Subscribe or unsubscribe; the data may come before the acknowledgement."""
        try:
            body = msgspec.json.decode(text)
            kind, channel = body["type"], body["channel"]
            names = body.get("product_ids", [])
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            self._fail(client, "failure to parse message")
            return
        if kind not in ("subscribe", "unsubscribe") or not isinstance(names, list):
            self._fail(client, f"invalid type {kind}")
        elif channel not in _CHANNELS:
            self._fail(client, f"{channel} is not a valid channel")
        elif channel not in ("heartbeats", "status") and not names:
            self._fail(client, "product_ids is required")
        elif kind == "subscribe":
            self._subscribe(client, channel, [_routed(str(name)) for name in names])
        else:
            self._unsubscribe(client, channel, [_routed(str(name)) for name in names])

    def render(self, client: Subscriber, message: WireMessage) -> bytes:
        """Number a frame on this connection."""
        number = client.state["number"]
        client.state["number"] = number + 1
        return message.text.replace(_NUMBER, b'"sequence_num":%d' % number, 1)

    def sample(self) -> bytes:
        """Return a snapshot of a book."""
        stream = self.make_stream(("level2", self.feed.symbols[0]))
        return stream.first()[0](stream.book.ns)

    def texts(self, spec: Instrument, ticks: int, units: int) -> tuple[str, str]:
        """Return price and size as they stand in frames."""
        return trimmed(ticks * spec.step, spec.decimals), trimmed(units, spec.size_decimals)

    def make_stream(self, key: Key) -> Stream:
        """Return the stream of a channel and product."""
        spec, book = self.feed.instruments[key[1]], self.feed.book(key[1])
        if key[0] == "level2":
            return BookStream(key, spec, book, self)
        if key[0] == "market_trades":
            return TradeStream(key, spec, book, self, recent=self.feed.recent(key[1]))
        return TickerStream(key, spec, book, self, self.feed.day(key[1]))

    def _subscribe(self, client: Subscriber, channel: str, names: list[str]) -> None:
        unknown = [name for name in names if not self.feed.admit(name)]
        if unknown:
            self._fail(client, f"{unknown[0]} is not a valid product")
            return
        for name in names:
            refused = self.claims("refused_subscription", name)
            if refused is not None:
                self._fail(client, str(refused["reason"]))
                return
        subscribed: dict[str, list[str]] = client.state["subscribed"]
        held = subscribed.get(channel, [])
        if channel == "level2" and len({*held, *names}) > _MOST_BOOKS:
            self._fail(client, "too many L2 streams requested in a single session")
            return
        subscribed[channel] = held + [name for name in names if name not in held]
        if channel not in ("heartbeats", "status"):
            for name in names:
                key = (channel, name)
                is_new = key not in client.keys and key not in client.expected
                if is_new and self.claims("silent_subscription", name) is None:
                    self.subscribe(client, key)
        self._acknowledge(client)

    def _unsubscribe(self, client: Subscriber, channel: str, names: list[str]) -> None:
        subscribed: dict[str, list[str]] = client.state["subscribed"]
        for name in names:
            self.unsubscribe(client, (channel, name))
        left = [name for name in subscribed.get(channel, []) if name not in names]
        if left and names:
            subscribed[channel] = left
        else:
            subscribed.pop(channel, None)
        self._acknowledge(client)

    def _acknowledge(self, client: Subscriber) -> None:
        subscribed = {
            channel: names or [channel] for channel, names in client.state["subscribed"].items()
        }
        self._say(client, "subscriptions", [{"subscriptions": subscribed}])

    def _say(self, client: Subscriber, channel: str, events: list[Any]) -> None:
        number = client.state["number"]
        client.state["number"] = number + 1
        client.reply(
            msgspec.json.encode(
                {
                    "channel": channel,
                    "client_id": "",
                    "timestamp": rfc3339(time.time_ns(), 9),
                    "sequence_num": number,
                    "events": events,
                }
            )
        )

    def _fail(self, client: Subscriber, message: str) -> None:
        client.reply(msgspec.json.encode({"type": "error", "message": message}))


def frame(channel: str, ns: int, event: str) -> bytes:
    """Return a frame that no connection has numbered yet."""
    return (
        f'{{"channel":"{channel}","client_id":"","timestamp":"{rfc3339(ns, 9)}",'
        f'"sequence_num":0,"events":[{event}]}}'
    ).encode()


class CoinbaseStream(Stream):
    """A stream, and the dialect that writes its numbers."""

    def __init__(self, key: Key, spec: Instrument, book: VenueBook, dialect: Dialect) -> None:
        super().__init__(key, spec, book)
        self.dialect = dialect

    def price(self, ticks: int) -> str:
        """Return a price's text."""
        return self.dialect.texts(self.spec, ticks, 0)[0]

    def size(self, units: int) -> str:
        """Return a size's text."""
        return self.dialect.texts(self.spec, 0, units)[1]


class BookStream(CoinbaseStream):
    """Channel `level2`, whose frames are of channel `l2_data`: batches of 50 ms."""

    every = 0.05
    is_book = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._changed_ns = self.book.ns
        self._pushes = 0

    def on_change(self, change: Change) -> None:
        """Keep the last size of each level."""
        self._bids.update(change.bids)
        self._asks.update(change.asks)
        self._changed_ns = change.ns

    def take(self, now_ns: int) -> list[Encode]:
        """Return what changed, and now and then that nothing did."""
        if not self._bids and not self._asks:
            return []
        bids, asks = list(self._bids.items()), list(self._asks.items())
        self._bids, self._asks = {}, {}
        self._pushes += 1
        told = [self._encode("update", bids, asks, self._changed_ns)]
        if self._pushes % _EMPTY_EVERY == 0:
            told.append(self._encode("update", [], [], self._changed_ns))
        return told

    def empty(self) -> list[Encode]:
        """Return a frame without updates."""
        return [self._encode("update", [], [], self._changed_ns)]

    def first(self) -> list[Encode]:
        """Return the whole book."""
        top = self.book.top()
        return [self._encode("snapshot", top.bids, top.asks, 0)]

    def _encode(self, kind: str, bids: list[Level], asks: list[Level], changed_ns: int) -> Encode:
        at = rfc3339(changed_ns, 6 if changed_ns else 0)
        name = self.spec.symbol

        def encode(ns: int) -> bytes:
            rows = [
                f'{{"side":"{side}","event_time":"{at}",'
                f'"price_level":"{self.price(ticks)}","new_quantity":"{self.size(units)}"}}'
                for side, levels in (("bid", bids), ("offer", asks))
                for ticks, units in levels
            ]
            event = f'{{"type":"{kind}","product_id":"{name}","updates":[{",".join(rows)}]}}'
            return frame("l2_data", ns, event)

        return encode


class TradeStream(NewTrades, CoinbaseStream):
    """Channel `market_trades`: batches of 250 ms, newest first, with the MAKER's side."""

    every = 0.25

    def take(self, now_ns: int) -> list[Encode]:
        """Return what traded since the last push."""
        new = self.taken()
        return [self._encode("update", new)] if new else []

    def first(self) -> list[Encode]:
        """Return the last trades."""
        return [self._encode("snapshot", list(self.recent))]

    def _encode(self, kind: str, trades: list[Execution]) -> Encode:
        rows = ",".join(
            f'{{"trade_id":"{trade.id}","product_id":"{self.spec.symbol}",'
            f'"price":"{self.price(trade.ticks)}","size":"{self.size(trade.units)}",'
            f'"time":"{rfc3339(trade.ns, 6)}",'
            f'"side":"{"SELL" if trade.side == "buy" else "BUY"}"}}'
            for trade in reversed(trades)
        )
        return lambda ns: frame("market_trades", ns, f'{{"type":"{kind}","trades":[{rows}]}}')


class TickerStream(CoinbaseStream):
    """Channels `ticker`, pushed with trades, and `ticker_batch`, every five seconds."""

    def __init__(
        self, key: Key, spec: Instrument, book: VenueBook, dialect: Dialect, day: Day
    ) -> None:
        super().__init__(key, spec, book, dialect)
        self.every = 5.0 if key[0] == "ticker_batch" else 0.0
        self._day = day
        self._is_due = False

    def on_trades(self, trades: Sequence[Execution]) -> None:
        """Push with a trade."""
        self._day = self._day.after(trades[-1].ticks)
        self._is_due = True

    def on_day(self, day: Day) -> None:
        """Keep the day's figures."""
        self._day = day

    def take(self, now_ns: int) -> list[Encode]:
        """Return one frame if something traded."""
        due, self._is_due = self._is_due, False
        return [self._encode("update")] if due else []

    def first(self) -> list[Encode]:
        """Return the ticker as it stands."""
        return [self._encode("snapshot")]

    def _encode(self, kind: str) -> Encode:
        day, top = self._day, self.book.top(1)
        change = 100 * (day.last - day.open) / day.open
        row = (
            f'{{"type":"ticker","product_id":"{self.spec.symbol}",'
            f'"price":"{self.price(day.last)}","volume_24_h":"{self.size(day.volume)}",'
            f'"low_24_h":"{self.price(day.low)}","high_24_h":"{self.price(day.high)}",'
            f'"low_52_w":"{self.price(day.low // 2)}","high_52_w":"{self.price(day.high * 2)}",'
            f'"price_percent_chg_24_h":"{change:.8f}",'
            f'"best_bid":"{self.price(top.bids[0][0])}",'
            f'"best_ask":"{self.price(top.asks[0][0])}",'
            f'"best_bid_quantity":"{self.size(top.bids[0][1])}",'
            f'"best_ask_quantity":"{self.size(top.asks[0][1])}"}}'
        )
        channel = self.key[0]
        return lambda ns: frame(channel, ns, f'{{"type":"{kind}","tickers":[{row}]}}')


def _routed(name: str) -> str:
    """Return the product that answers for another: -USDC is told as -USD."""
    return name.removesuffix("C") if name.endswith("-USDC") else name
