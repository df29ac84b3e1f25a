"""Hyperliquid: whole books of 20 levels a side, twice a second, and REST by POST."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, ClassVar

import msgspec

from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.messages import Key
from mdkit.exchange.venues.book import Level, Snapshot, VenueBook
from mdkit.exchange.venues.dialect import Answer, Dialect, NotServed, answer
from mdkit.exchange.venues.klines import bars
from mdkit.exchange.venues.numbers import trimmed
from mdkit.exchange.venues.wire import Day, Encode, Execution, NewTrades, Stream, Subscriber

LEVELS = 20
_TYPES = ("l2Book", "trades", "bbo", "activeAssetCtx")
_MOST_SUBSCRIPTIONS = 1000
_SILENT_FOR = 60.0
_MOST_BARS = 5000
_INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d", "3d", "1w", "1M")


class HyperliquidDialect(Dialect):
    """`wss://api.hyperliquid.xyz/ws` and `POST https://api.hyperliquid.xyz/info`."""

    venue: ClassVar[str] = "hyperliquid"
    book_levels: ClassVar[int] = 100
    messages: ClassVar[tuple[int, float]] = (2000, 60.0)

    def opened(self, client: Subscriber) -> None:
        """Greet with a text that is no JSON, as the venue does."""
        client.reply(b"Websocket connection established.")

    def beat(self, client: Subscriber, now: float) -> None:
        """Close a connection to which nothing was sent for a minute."""
        if now - client.last_sent >= _SILENT_FOR:
            client.close(1000, "Inactive")

    def command(self, client: Subscriber, text: str | bytes) -> None:
        """Subscribe, unsubscribe or answer a ping."""
        try:
            body = msgspec.json.decode(text)
            method = body["method"]
            wanted = body["subscription"] if method != "ping" else {}
            kind, coin = wanted.get("type"), str(wanted.get("coin"))
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            shown = text if isinstance(text, str) else text.decode(errors="replace")
            self._fail(client, f"Error parsing JSON into valid websocket request: {shown[:200]}")
            return
        if method == "ping":
            client.reply(b'{"channel":"pong"}')
            return
        shown = msgspec.json.encode(wanted).decode()
        refused = self.claims("refused_subscription", coin)
        if (
            method not in ("subscribe", "unsubscribe")
            or kind not in _TYPES
            or not self.feed.admit(str(coin))
        ):
            self._fail(client, f"Invalid subscription {shown}")
        elif refused is not None:
            self._fail(client, f"{refused['reason']} {shown}")
        else:
            self._apply(client, method, (kind, coin), wanted, shown)

    def sample(self) -> bytes:
        """Return a book."""
        stream = self.make_stream(("l2Book", self.feed.symbols[0]))
        return stream.first()[0](stream.book.ns)

    def texts(self, spec: Instrument, ticks: int, units: int) -> tuple[str, str]:
        """Return price and size as they stand in frames: with one decimal at least."""
        return (
            trimmed(ticks * spec.step, spec.decimals, 1),
            trimmed(units, spec.size_decimals, 1),
        )

    def make_stream(self, key: Key) -> Stream:
        """Return the stream of a type and coin."""
        spec, book = self.feed.instruments[key[1]], self.feed.book(key[1])
        if key[0] == "l2Book":
            return BookStream(key, spec, book, self)
        if key[0] == "trades":
            return TradeStream(key, spec, book, self, recent=self.feed.recent(key[1]))
        if key[0] == "bbo":
            return BboStream(key, spec, book, self)
        return ContextStream(key, spec, book, self, self.feed.day(key[1]))

    async def respond(self, path: str, params: dict[str, str], body: bytes | None) -> Answer:
        """Answer `POST /info`, whose body says what is asked."""
        if path != "/info":
            return Answer(404, b"Not Found")
        if body is None:
            return Answer(405, b"Method Not Allowed")
        try:
            asked = msgspec.json.decode(body)
            kind = asked["type"]
            if kind == "l2Book":
                spec = self._spec(asked["coin"])
                return answer(self._book(spec, self.feed.book(spec.symbol).top(LEVELS)))
            if kind == "candleSnapshot":
                return await self._candles(asked["req"])
            if kind == "meta":
                return answer(self._meta())
            if kind == "allMids":
                return answer({name: self._mid(name) for name in self.feed.symbols})
        except NotServed as refusal:
            return refusal.answer
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            pass
        return Answer(422, b"Failed to deserialize the JSON body into the target type")

    def _apply(
        self, client: Subscriber, method: str, key: Key, wanted: dict[str, Any], shown: str
    ) -> None:
        held = client.state.setdefault("held", set())
        if method == "unsubscribe":
            if key not in held:
                self._fail(client, f"Already unsubscribed: {shown}")
                return
            held.discard(key)
            self.unsubscribe(client, key)
        elif key in held:
            self._fail(client, f"Already subscribed: {shown}")
            return
        elif len(held) >= _MOST_SUBSCRIPTIONS:
            self._fail(client, "Cannot track more than 1000 total subscriptions.")
            return
        told = dict(wanted)
        if key[0] == "l2Book":
            told = {"type": "l2Book", "coin": key[1], "nSigFigs": None, "mantissa": None, **told}
        data = {"method": method, "subscription": told}
        client.reply(msgspec.json.encode({"channel": "subscriptionResponse", "data": data}))
        if method == "subscribe":
            held.add(key)
            if self.claims("silent_subscription", key[1]) is None:
                self.subscribe(client, key)

    def _fail(self, client: Subscriber, message: str) -> None:
        client.reply(msgspec.json.encode({"channel": "error", "data": message}))

    def _spec(self, coin: Any) -> Instrument:
        if not isinstance(coin, str) or not self.feed.admit(coin):
            # What is not listed is answered with null, not with an error.
            raise NotServed(Answer(200, b"null"))
        return self.feed.instruments[coin]

    def _book(self, spec: Instrument, top: Snapshot) -> dict[str, Any]:
        return {
            "coin": spec.symbol,
            "time": self.feed.now_ns() // 1_000_000,
            "levels": [
                [self._level(spec, level) for level in side] for side in (top.bids, top.asks)
            ],
        }

    def _level(self, spec: Instrument, level: Level) -> dict[str, Any]:
        price, size = self.texts(spec, *level)
        return {"px": price, "sz": size, "n": orders(level)}

    def _mid(self, name: str) -> str:
        top, spec = self.feed.book(name).top(1), self.feed.instruments[name]
        return middle(spec, top)

    def _meta(self) -> dict[str, Any]:
        return {
            "universe": [
                {"name": spec.symbol, "szDecimals": spec.size_decimals, "maxLeverage": 40}
                for spec in self.feed.instruments.values()
            ]
        }

    async def _candles(self, asked: dict[str, Any]) -> Answer:
        spec, interval = self._spec(asked["coin"]), asked["interval"]
        start, end = asked["startTime"], asked.get("endTime")
        whole = isinstance(start, int) and (end is None or isinstance(end, int))
        if interval not in _INTERVALS or not whole:
            raise KeyError(interval)
        found = await bars(
            self.feed, spec.symbol, self.venue, interval, end=end, limit=_MOST_BARS, newest=True
        )
        rows = [
            {
                "t": bar.open_ms,
                "T": bar.close_ms,
                "s": spec.symbol,
                "i": interval,
                "o": self.texts(spec, bar.open, 0)[0],
                "c": self.texts(spec, bar.close, 0)[0],
                "h": self.texts(spec, bar.high, 0)[0],
                "l": self.texts(spec, bar.low, 0)[0],
                "v": self.texts(spec, 0, bar.volume)[1],
                "n": bar.trades,
            }
            for bar in found
            if bar.close_ms >= start
        ]
        return answer(rows)


def orders(level: Level) -> int:
    """Return how many orders a level is made of: as good as any number, and always the same."""
    return 1 + (level[0] * 7 + level[1]) % 9 if level[1] else 0


def middle(spec: Instrument, top: Snapshot) -> str:
    """Return the middle of the best prices, with half a tick where it is one."""
    twice = (top.bids[0][0] + top.asks[0][0]) * spec.step
    return trimmed(twice * 5, spec.decimals + 1, 1)


class HyperliquidStream(Stream):
    """A stream, and the dialect that writes its numbers."""

    def __init__(self, key: Key, spec: Instrument, book: VenueBook, dialect: Dialect) -> None:
        super().__init__(key, spec, book)
        self.dialect = dialect

    def level(self, level: Level) -> str:
        """Return a level's text."""
        price, size = self.dialect.texts(self.spec, *level)
        return f'{{"px":"{price}","sz":"{size}","n":{orders(level)}}}'


class BookStream(HyperliquidStream):
    """`l2Book`: the best 20 levels a side, every half second."""

    every = 0.5
    is_book = True

    def take(self, now_ns: int) -> list[Encode]:
        """Return the book as it stands."""
        top = self.book.top(LEVELS)
        sides = ",".join(
            f"[{','.join([self.level(level) for level in side])}]" for side in (top.bids, top.asks)
        )
        return [
            lambda ns: (
                f'{{"channel":"l2Book","data":{{"coin":"{self.spec.symbol}",'
                f'"time":{ns // 1_000_000},"levels":[{sides}]}}}}'
            ).encode()
        ]

    def first(self) -> list[Encode]:
        """Return the same."""
        return self.take(0)


class TradeStream(NewTrades, HyperliquidStream):
    """`trades`: side `B` is an aggressor who buys, `A` one who sells."""

    def take(self, now_ns: int) -> list[Encode]:
        """Return what traded since the last push."""
        new = self.taken()
        return [self._encode(new)] if new else []

    def first(self) -> list[Encode]:
        """Return the last ten trades, if there were any."""
        last = list(self.recent)[-10:]
        return [self._encode(last)] if last else []

    def _encode(self, trades: list[Execution]) -> Encode:
        def row(trade: Execution) -> str:
            price, size = self.dialect.texts(self.spec, trade.ticks, trade.units)
            digest = blake2b(f"{self.spec.symbol}{trade.id}".encode(), digest_size=32).hexdigest()
            return (
                f'{{"coin":"{self.spec.symbol}","side":"{"B" if trade.side == "buy" else "A"}",'
                f'"px":"{price}","sz":"{size}","time":{trade.ns // 1_000_000},'
                f'"hash":"0x{digest}","tid":{trade.id},'
                f'"users":["0x{digest[:40]}","0x{digest[24:]}"]}}'
            )

        rows = ",".join([row(trade) for trade in trades])
        return lambda ns: f'{{"channel":"trades","data":[{rows}]}}'.encode()


class BboStream(HyperliquidStream):
    """`bbo`: each change of the best prices."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._is_due = False

    def on_change(self, change: Any) -> None:
        """Push if the best prices changed."""
        self._is_due |= change.is_top

    def take(self, now_ns: int) -> list[Encode]:
        """Return the best prices if they changed."""
        due, self._is_due = self._is_due, False
        return self.first() if due else []

    def first(self) -> list[Encode]:
        """Return the best prices."""
        top = self.book.top(1)
        best = f"{self.level(top.bids[0])},{self.level(top.asks[0])}"
        return [
            lambda ns: (
                f'{{"channel":"bbo","data":{{"coin":"{self.spec.symbol}",'
                f'"time":{ns // 1_000_000},"bbo":[{best}]}}}}'
            ).encode()
        ]


class ContextStream(HyperliquidStream):
    """`activeAssetCtx`: the day's figures."""

    def __init__(
        self, key: Key, spec: Instrument, book: VenueBook, dialect: Dialect, day: Day
    ) -> None:
        super().__init__(key, spec, book, dialect)
        self._day = day
        self._is_due = False

    def on_day(self, day: Day) -> None:
        """Push with new figures."""
        self._day, self._is_due = day, True

    def take(self, now_ns: int) -> list[Encode]:
        """Return the figures if they are new."""
        due, self._is_due = self._is_due, False
        return self.first() if due else []

    def first(self) -> list[Encode]:
        """Return the figures."""
        day, spec, top = self._day, self.spec, self.book.top(1)
        last = self.dialect.texts(spec, day.last, 0)[0]
        decimals = spec.decimals + spec.size_decimals
        context = {
            "funding": "0.0000125",
            "openInterest": self.dialect.texts(spec, 0, day.volume)[1],
            "prevDayPx": self.dialect.texts(spec, day.open, 0)[0],
            "dayNtlVlm": trimmed(day.middle * spec.step * day.volume, decimals, 1),
            "premium": "0.0",
            "oraclePx": last,
            "markPx": last,
            "midPx": middle(spec, top),
            "impactPxs": [
                self.dialect.texts(spec, top.bids[0][0], 0)[0],
                self.dialect.texts(spec, top.asks[0][0], 0)[0],
            ],
            "dayBaseVlm": self.dialect.texts(spec, 0, day.volume)[1],
        }
        data = {"coin": spec.symbol, "ctx": context}
        text = msgspec.json.encode({"channel": "activeAssetCtx", "data": data})
        return [lambda ns: text]
