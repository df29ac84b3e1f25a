"""What Binance pushes: diffs, partial books, best prices, trades and day's figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.messages import Key
from mdkit.exchange.venues.book import Change, Level, VenueBook
from mdkit.exchange.venues.numbers import fixed
from mdkit.exchange.venues.wire import Day, Encode, Execution, NewTrades, Stream

_DAY_MS = 86_400_000


class Writer:
    """How spot writes numbers and events: eight decimals, whatever the tick size."""

    places: ClassVar[int | None] = 8
    speeds: ClassVar[dict[str, float]] = {"": 1.0, "100ms": 0.1}
    others: ClassVar[tuple[str, ...]] = ("bookTicker", "trade", "aggTrade", "ticker", "miniTicker")
    has_futures_fields: ClassVar[bool] = False

    def price(self, spec: Instrument, ticks: int) -> str:
        """Return a price."""
        return fixed(ticks * spec.step, spec.decimals, self.places)

    def size(self, spec: Instrument, units: int) -> str:
        """Return a size."""
        return fixed(units, spec.size_decimals, self.places)

    def quote(self, spec: Instrument, product: int) -> str:
        """Return a turnover of ticks times units."""
        decimals = spec.decimals + spec.size_decimals
        return fixed(product * spec.step, decimals, max(decimals, self.places or 0))

    def levels(self, spec: Instrument, levels: Sequence[Level]) -> str:
        """Return price levels as arrays of two texts."""
        rows = [f'["{self.price(spec, t)}","{self.size(spec, u)}"]' for t, u in levels]
        return f"[{','.join(rows)}]"


class BinanceStream(Stream):
    """A stream, and what writes its numbers."""

    def __init__(self, key: Key, spec: Instrument, book: VenueBook, writer: Writer) -> None:
        super().__init__(key, spec, book)
        self.writer = writer


class DepthStream(BinanceStream):
    """`depth@100ms`: all that changed since the last push, in one range of ids."""

    is_book = True

    def __init__(self, key: Key, spec: Instrument, book: VenueBook, writer: Writer) -> None:
        super().__init__(key, spec, book, writer)
        self.every = writer.speeds[key[0].partition("@")[2]]
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self._first = self._last = 0
        self._before = book.id
        self._changed_ns = 0

    def on_change(self, change: Change) -> None:
        """Keep the last size of each level."""
        self._bids.update(change.bids)
        self._asks.update(change.asks)
        self._first = self._first or change.first_id
        self._last = change.last_id
        self._changed_ns = change.ns

    def take(self, now_ns: int) -> list[Encode]:
        """Return the range of updates since the last push."""
        if not self._first:
            return []
        bids = sorted(self._bids.items(), reverse=True)
        asks = sorted(self._asks.items())
        encode = self._encode(self._first, self._last, self._before, bids, asks, self._changed_ns)
        self._bids, self._asks = {}, {}
        self._before, self._first = self._last, 0
        return [encode]

    def _encode(
        self,
        first: int,
        last: int,
        before: int,
        bids: list[Level],
        asks: list[Level],
        changed_ns: int,
    ) -> Encode:
        spec, writer = self.spec, self.writer

        def encode(ns: int) -> bytes:
            changed = min(ns, changed_ns) // 1_000_000
            time = f'"T":{changed},' if writer.has_futures_fields else ""
            chain = f'"pu":{before},' if writer.has_futures_fields else ""
            return (
                f'{{"e":"depthUpdate","E":{ns // 1_000_000},{time}"s":"{spec.symbol}",'
                f'"U":{first},"u":{last},{chain}'
                f'"b":{writer.levels(spec, bids)},"a":{writer.levels(spec, asks)}}}'
            ).encode()

        return encode


class PartialStream(BinanceStream):
    """`depth20@100ms`: the best levels, without a symbol."""

    def __init__(
        self, key: Key, spec: Instrument, book: VenueBook, writer: Writer, levels: int
    ) -> None:
        super().__init__(key, spec, book, writer)
        self.every = writer.speeds[key[0].partition("@")[2]]
        self._levels = levels

    def take(self, now_ns: int) -> list[Encode]:
        """Return the best levels as they stand."""
        top, spec, writer = self.book.top(self._levels), self.spec, self.writer
        if writer.has_futures_fields:
            return [
                lambda ns: (
                    f'{{"e":"depthUpdate","E":{ns // 1_000_000},"T":{top.ns // 1_000_000},'
                    f'"s":"{spec.symbol}","U":{top.last_id},"u":{top.last_id},'
                    f'"pu":{top.last_id},"b":{writer.levels(spec, top.bids)},'
                    f'"a":{writer.levels(spec, top.asks)}}}'
                ).encode()
            ]
        return [
            lambda ns: (
                f'{{"lastUpdateId":{top.last_id},"bids":{writer.levels(spec, top.bids)},'
                f'"asks":{writer.levels(spec, top.asks)}}}'
            ).encode()
        ]


class BookTickerStream(BinanceStream):
    """`bookTicker`: each change of the best prices, with the id of its update."""

    def __init__(self, key: Key, spec: Instrument, book: VenueBook, writer: Writer) -> None:
        super().__init__(key, spec, book, writer)
        self._new: list[Encode] = []

    def on_change(self, change: Change) -> None:
        """Keep the best prices for a push, if they changed."""
        if change.is_top:
            self._new.append(self.event())

    def take(self, now_ns: int) -> list[Encode]:
        """Return an event for each change."""
        new, self._new = self._new, []
        return new

    def event(self) -> Encode:
        """Return the event of the best prices as they stand."""
        top, spec, writer = self.book.top(1), self.spec, self.writer
        (bid, bid_size), (ask, ask_size) = top.bids[0], top.asks[0]

        def encode(ns: int) -> bytes:
            name, times = "", ""
            if writer.has_futures_fields:
                name = '"e":"bookTicker",'
                times = f',"T":{min(ns, top.ns) // 1_000_000},"E":{ns // 1_000_000}'
            return (
                f'{{{name}"u":{top.last_id},"s":"{spec.symbol}",'
                f'"b":"{writer.price(spec, bid)}","B":"{writer.size(spec, bid_size)}",'
                f'"a":"{writer.price(spec, ask)}","A":"{writer.size(spec, ask_size)}"{times}}}'
            ).encode()

        return encode


class TradeStream(NewTrades, BinanceStream):
    """`trade` and `aggTrade`: `m` is whether the buyer was the maker, so the aggressor sold."""

    def __init__(
        self, key: Key, spec: Instrument, book: VenueBook, writer: Writer, kind: str
    ) -> None:
        super().__init__(key, spec, book, writer)
        self._kind = kind

    def take(self, now_ns: int) -> list[Encode]:
        """Return an event for each trade."""
        return [self._encode(trade) for trade in self.taken()]

    def _encode(self, trade: Execution) -> Encode:
        spec, writer = self.spec, self.writer
        price, size = writer.price(spec, trade.ticks), writer.size(spec, trade.units)
        is_maker = "true" if trade.side == "sell" else "false"

        def encode(ns: int) -> bytes:
            now, at = ns // 1_000_000, min(ns, trade.ns) // 1_000_000
            head = f'"e":"{self._kind}","E":{now}'
            if self._kind == "aggTrade":
                ids = f'"f":{trade.id},"l":{trade.id}'
                if writer.has_futures_fields:
                    return (
                        f'{{{head},"a":{trade.id},"s":"{spec.symbol}","p":"{price}","q":"{size}",'
                        f'"nq":"{size}",{ids},"T":{at},"m":{is_maker}}}'
                    ).encode()
                return (
                    f'{{{head},"s":"{spec.symbol}","a":{trade.id},"p":"{price}","q":"{size}",'
                    f'{ids},"T":{at},"m":{is_maker},"M":true}}'
                ).encode()
            if writer.has_futures_fields:
                return (
                    f'{{{head},"T":{at},"s":"{spec.symbol}","t":{trade.id},"p":"{price}",'
                    f'"q":"{size}","X":"MARKET","m":{is_maker}}}'
                ).encode()
            return (
                f'{{{head},"s":"{spec.symbol}","t":{trade.id},"p":"{price}","q":"{size}",'
                f'"T":{at},"m":{is_maker},"M":true}}'
            ).encode()

        return encode


class MiniTickerStream(BinanceStream):
    """`miniTicker`: the day's figures once a second."""

    every = 1.0

    def __init__(
        self, key: Key, spec: Instrument, book: VenueBook, writer: Writer, day: Day
    ) -> None:
        super().__init__(key, spec, book, writer)
        self.day = day
        self.last_units = 0
        self.last_id = 0

    def on_day(self, day: Day) -> None:
        """Keep the day's figures."""
        self.day = day

    def on_trades(self, trades: Sequence[Execution]) -> None:
        """Keep the last trade."""
        self.last_units, self.last_id = trades[-1].units, trades[-1].id

    def take(self, now_ns: int) -> list[Encode]:
        """Return the day's figures."""
        return [self._encode()]

    def _extremes(self) -> str:
        """Return the fields that both tickers end with: high, low, volume, turnover."""
        spec, writer, day = self.spec, self.writer, self.day
        return (
            f'"h":"{writer.price(spec, day.high)}","l":"{writer.price(spec, day.low)}",'
            f'"v":"{writer.size(spec, day.volume)}",'
            f'"q":"{writer.quote(spec, day.middle * day.volume)}"'
        )

    def _encode(self) -> Encode:
        spec, writer, day = self.spec, self.writer, self.day
        tail = (
            f'"s":"{spec.symbol}","c":"{writer.price(spec, day.last)}",'
            f'"o":"{writer.price(spec, day.open)}",{self._extremes()}'
        )
        return lambda ns: f'{{"e":"24hrMiniTicker","E":{ns // 1_000_000},{tail}}}'.encode()


class TickerStream(MiniTickerStream):
    """`ticker`: the same with best prices, change and counts."""

    def _encode(self) -> Encode:
        spec, writer, day, top = self.spec, self.writer, self.day, self.book.top(1)
        change = day.last - day.open
        sign = "-" if change < 0 else ""
        before = f'"x":"{writer.price(spec, day.open)}",'
        quotes = (
            f'"b":"{writer.price(spec, top.bids[0][0])}",'
            f'"B":"{writer.size(spec, top.bids[0][1])}",'
            f'"a":"{writer.price(spec, top.asks[0][0])}",'
            f'"A":"{writer.size(spec, top.asks[0][1])}",'
        )
        if writer.has_futures_fields:
            before = quotes = ""
        body = (
            f'"s":"{spec.symbol}","p":"{sign}{writer.price(spec, abs(change))}",'
            f'"P":"{100 * change / day.open:.3f}","w":"{writer.price(spec, day.middle)}",{before}'
            f'"c":"{writer.price(spec, day.last)}","Q":"{writer.size(spec, self.last_units)}",'
            f'{quotes}"o":"{writer.price(spec, day.open)}",{self._extremes()}'
        )
        ids = (
            f'"F":{max(0, self.last_id - 1_000_000)},"L":{self.last_id},'
            f'"n":{min(self.last_id, 1_000_001)}'
        )

        def encode(ns: int) -> bytes:
            now = ns // 1_000_000
            return (
                f'{{"e":"24hrTicker","E":{now},{body},"O":{now - _DAY_MS},"C":{now},{ids}}}'
            ).encode()

        return encode
