"""`ChannelReader`: the bytes of one symbol's channel in; its events, bars and gaps out.

Live lanes, worker processes, replays, recordings' frames, `md.verify` and backtests on
recordings all read messages through it, so that they agree by construction. It knows neither
clocks nor queues: what it returns depends on the messages and gaps that it was given alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from mdkit.channels.deduplicator import TradeDeduplicator
from mdkit.channels.live_bars import LiveBars, Made, RevisedBar
from mdkit.errors import InvalidMessage
from mdkit.events import DROPPED, Gap, MarketEvent
from mdkit.gap.quality import BookQuality
from mdkit.venues.routes import LIVE, Read, Route, Router, SomeEvents


class Unusable(NamedTuple):
    """A part of a message that could not be used, such as one trade of several."""

    reason: str
    kind: Literal["unusable"] = "unusable"


class UnseenGap(NamedTuple):
    """A gap that is a row of `gaps()` and that no strategy sees.

    It is one of the bars that REST gives: strategies see gaps of the bars that are made here.
    """

    gap: Gap
    kind: Literal["unseen"] = "unseen"


Item = MarketEvent | Gap | RevisedBar | Unusable | UnseenGap
Items = tuple[MarketEvent, ...] | list[Item]
"""What a message gives: a tuple where that is its own events and nothing else, otherwise a list
of all that strategies, tables and counts have to know, in the order in which they meet it."""


class ChannelReader:
    """Reads the messages of one symbol and channel in order of receipt.

    Args:
        symbol, channel: of the messages.
        decode: from a message to its events.
        origin: "live", or "rest" where the messages are what REST gave.
        deduplicator: of the symbol's trades; None for other channels.
        bars: the symbol's bars, made of the events of all its channels; None for no bars.

    Attributes:
        quality: what is found amiss in the events.
        has_own_events: whether strategies see its events: of bars only those made here.
    """

    def __init__(
        self,
        symbol: str,
        channel: str,
        decode: Read,
        *,
        origin: str = LIVE,
        deduplicator: TradeDeduplicator | None = None,
        bars: LiveBars | None = None,
    ) -> None:
        self.symbol = symbol
        self.channel = channel
        self.decode = decode
        self.origin = origin
        self.deduplicator = deduplicator
        self.bars = bars
        self.quality = BookQuality(symbol, channel)
        self.has_own_events = bars is None or channel != "bar"
        self._is_plain = bars is None and deduplicator is None

    def read(self, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        """Return the events of a message alone, whatever came before it.

        Raises `InvalidMessage` with the reason when it is unusable.
        """
        return self.decode(self.symbol, raw, received_ns)

    def events(self, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        """Return the next message's events alone, those that came before left out: for tables.

        Raises `InvalidMessage` with the reason when it is unusable.
        """
        events = self.decode(self.symbol, raw, received_ns)
        if self.deduplicator is None:
            return events
        return self.deduplicator.fresh(events, self.origin)

    def feed(self, raw: bytes, received_ns: int) -> Items:
        """Return the next message's events, and what else is to be known before and after each.

        Raises `InvalidMessage` with the reason when the message is unusable, which the next
        one's gap counts.
        """
        quality = self.quality
        try:
            events = self.decode(self.symbol, raw, received_ns)
        except InvalidMessage:
            quality.note_unusable(received_ns)
            raise
        except Exception as error:
            quality.note_unusable(received_ns)
            reason = f"decoder failed with {type(error).__name__}: {error}"
            raise InvalidMessage(reason) from error
        if self._is_plain and type(events) is tuple and events:
            newest: Any = events[-1]
            if (
                quality.newest_ns <= newest.exchange_ns
                and received_ns < quality.look_ns
                and (not quality.is_of_books or newest.bids or newest.asks)
            ):  # there is nothing to tell of it, as of most messages
                quality.newest_ns = newest.exchange_ns
                return events
        before: list[Item] | None = None
        if type(events) is SomeEvents:
            quality.note_unusable(received_ns, len(events.unusable))
            before = [Unusable(reason) for reason in events.unusable]
        fresh = events
        if self.deduplicator is not None:
            fresh = self.deduplicator.fresh(events, self.origin)
        if fresh:
            last: Any = fresh[-1]
            exchange_ns = last.exchange_ns
            if exchange_ns:
                if exchange_ns < quality.newest_ns:
                    quality.backwards += 1
                quality.newest_ns = exchange_ns
            if received_ns >= quality.look_ns or (
                quality.is_of_books and not (last.bids or last.asks)
            ):
                found = self._gaps(quality.look(last, received_ns))
                if found:
                    before = [*(before or ()), *found]
        made: list[Sequence[Made]] | None = None
        if self.bars is not None:
            made = [self.bars.update(event) for event in fresh]
            if self.has_own_events and not any(made):
                made = None
        if before is None and made is None and fresh is events:
            return events
        items = before or []
        if made is None:
            items += fresh
            return items
        for event, bars in zip(fresh, made, strict=True):
            items += bars
            if self.has_own_events:
                items.append(event)
        return items

    def interrupt(self, gap: Gap) -> Gap | UnseenGap:
        """Mark that something is missing before the next message; return what is met of that."""
        if self.bars is not None:
            self.bars.interrupt(gap)
        if gap.reason != DROPPED:
            self.quality.forget()
        return gap if self.has_own_events else UnseenGap(gap)

    def _gaps(self, gaps: Sequence[Gap]) -> Sequence[Item]:
        """Return what is met of gaps that the events themselves show."""
        if self.bars is not None and self.channel == self.bars.made_of:
            for gap in gaps:
                self.bars.interrupt(gap)
        return gaps if self.has_own_events else [UnseenGap(gap) for gap in gaps]


class ChannelReaders:
    """The readers of many channels; those of a symbol share its trades and its bars.

    Args:
        router: tells where the messages belong.
        interval: of the bars that are made of live events, or None for no bars.
        made_of: "trade" or "ticker": what bars are made of.
        deduplicate: whether trades that came twice are left out here.

    Attributes:
        bars: by symbol.
        deduplicators: by symbol.
    """

    def __init__(
        self,
        router: Router[Any],
        *,
        interval: str | None = None,
        made_of: str = "trade",
        deduplicate: bool = True,
    ) -> None:
        self.bars: dict[str, LiveBars] = {}
        self.deduplicators: dict[str, TradeDeduplicator] = {}
        self._router = router
        self._interval = interval
        self._made_of = made_of
        self._deduplicate = deduplicate
        self._readers: dict[tuple[str, str], ChannelReader] = {}
        self._expected: set[ChannelReader] = set()

    def reader(self, route: Route[Any]) -> ChannelReader:
        """Return the reader of a route's messages, made when it is first asked for."""
        key = (route.symbol, route.account)
        reader = self._readers.get(key)
        if reader is None:
            return self._new(key, route.channel, route.read if route.symbol else self._decode_any)
        if reader in self._expected:
            self._expected.discard(reader)
            reader.decode = route.read
        elif reader.decode is not route.read:
            # The same symbol in another dialect: from now on each message says how it is read.
            reader.decode = self._decode_any
        return reader

    def expect(self, symbol: str, account: str) -> ChannelReader:
        """Return the reader that is known by these names, before its first message if need be."""
        reader = self._readers.get((symbol, account))
        if reader is None:
            channel = account.partition(":")[0]
            reader = self._new((symbol, account), channel, self._decode_any)
            self._expected.add(reader)
        return reader

    def begin_anew(self) -> None:
        """Replace all readers, bars and known trades by new ones, which know of nothing before."""
        old = self._readers
        self._readers = {}
        self.bars.clear()
        self.deduplicators.clear()
        self._expected.clear()
        for key, reader in old.items():
            self._new(key, reader.channel, reader.decode)

    def _new(self, key: tuple[str, str], channel: str, decode: Read) -> ChannelReader:
        symbol, account = key
        reader = self._readers[key] = ChannelReader(
            symbol,
            channel,
            decode,
            origin=account.partition(":")[2] or LIVE,
            deduplicator=self._deduplicator(symbol) if channel == "trade" else None,
            bars=self._bars(symbol),
        )
        return reader

    def _deduplicator(self, symbol: str) -> TradeDeduplicator | None:
        if not (self._deduplicate and symbol):
            return None
        return self.deduplicators.setdefault(symbol, TradeDeduplicator())

    def _bars(self, symbol: str) -> LiveBars | None:
        if self._interval is None or not symbol:
            return None
        bars = self.bars.get(symbol)
        if bars is None:
            bars = self.bars[symbol] = LiveBars(symbol, self._interval, self._made_of)
        return bars

    def _decode_any(self, symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        """Decode a message by its own route: a broken one is so for a reason of its own."""
        return self._router.route(raw).read(symbol, raw, received_ns)
