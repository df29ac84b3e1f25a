"""The channels of a session by symbol and kind, each made when its first message arrives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mdkit.channels.channel import Channel
from mdkit.channels.handlers import Handler, StrategyTimer, described, ends_worker
from mdkit.channels.reader import ChannelReader, ChannelReaders
from mdkit.errors import StrategyError
from mdkit.events import Bar, Gap, MarketEvent
from mdkit.frames import Frames
from mdkit.queue.buffer import Buffer
from mdkit.queue.ledger import Ledger
from mdkit.strategies.contract import Strategy
from mdkit.wire.tickdb import LIVE, Route, Router, invalid_route

_CROWD = "the feed sends more symbols that were not subscribed to than mdkit keeps apart"
MAX_UNASKED = 20_000
"""The most symbols and channels, that nobody subscribed to, with a channel of their own."""


class Channels:
    """The channels of a pipeline; iterating yields all of them.

    Args:
        interval: of the bars that are made of live events, or None for no bars.
        made_of: "trade" or "ticker": what bars are made of.
        remote: strategies and bars live in other processes; here are only queue and tables.
    """

    def __init__(
        self,
        strategies: Sequence[Strategy],
        buffer: Buffer[Channel],
        ledger: Ledger,
        frames: Frames,
        router: Router[Channel],
        *,
        interval: str | None = None,
        made_of: str = "trade",
        remote: bool = False,
    ) -> None:
        self.strategies = tuple(strategies)
        self.timers = {
            strategy: StrategyTimer(label)
            for strategy, label in zip(self.strategies, _labels(self.strategies), strict=True)
        }
        self.router = router
        self.readers = ChannelReaders(
            router,
            interval=None if remote else interval,
            made_of=made_of,
            deduplicate=not remote,
        )
        self._by_name: dict[tuple[str, str], Channel] = {}
        self._broken: dict[str, Channel] = {}
        self._buffer = buffer
        self._ledger = ledger
        self._frames = frames
        self._remote = remote
        together = [strategy for strategy in self.strategies if strategy.per == "session"]
        self._lane = "(session)" if together else None
        self._shared = {
            strategy: Handler(strategy, _instance(strategy), self.timers[strategy])
            for strategy in ([] if remote else together)
        }
        self._per_symbol: dict[tuple[Strategy, str], Handler] = {}

    def __iter__(self) -> Iterator[Channel]:
        yield from self._by_name.values()
        yield from self._broken.values()

    @property
    def pushed(self) -> list[tuple[str, str]]:
        """The symbols and channels of which something has been pushed."""
        return [key for key in self._by_name if ":" not in key[1]]

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """All that strategies are called through in this process."""
        return (*self._shared.values(), *self._per_symbol.values())

    def find(self, symbol: str, name: str) -> Channel | None:
        """Return the channel that the ledger shows by these names; None before its first message.

        `name` is "depth", or "depth:rest" for what REST gave.
        """
        return self._by_name.get((symbol, name))

    def named(self, symbol: str, name: str) -> Channel:
        """Return the channel that the ledger shows by these names, which must be there."""
        if symbol:
            found = self._by_name.get((symbol, name))
            return found or self._broken[f"{name} (other)"]
        return self._broken[name]

    def expect(self, symbol: str, name: str) -> Channel:
        """Return the channel of these names, made before its first message if need be."""
        channel = self._by_name.get((symbol, name))
        if channel is None:
            channel = self._by_name[symbol, name] = self._new(self.readers.expect(symbol, name))
        return channel

    def of(self, route: Route[Channel]) -> Channel:
        """Return the channel of a route, made when its first message arrives."""
        if not route.symbol:
            # Broken messages have routes of their own, and share one channel.
            broken = self._broken.get(route.channel)
            if broken is None:
                broken = self._broken[route.channel] = self._unusable(self.readers.reader(route))
            return broken
        channel = route.place
        if channel is None:
            key = route.symbol, route.account
            channel = self._by_name.get(key)
            if channel is None and self._is_too_much(route):
                return self._crowd(route)
            reader = self.readers.reader(route)
            if channel is None:
                channel = self._by_name[key] = self._new(reader)
            route.place = channel
        return channel

    def end(self) -> list[Gap]:
        """Keep the bars that were forming in their tables; return the gaps that nothing followed.

        No strategy sees such a bar, which is partial.
        """
        gaps = [gap for channel in self for gap in channel.reader.quality.end()]
        for symbol, bars in self.readers.bars.items():
            for made in bars.flush():
                if isinstance(made, Bar):
                    self._frames.bars(symbol).extend((made,))
                else:
                    gaps.append(made)
        return gaps

    def _is_too_much(self, route: Route[Channel]) -> bool:
        return len(self._by_name) >= MAX_UNASKED and not self.router.expects(route.symbol)

    def _crowd(self, route: Route[Channel]) -> Channel:
        """Return the channel of a feed's invented symbols: bounded, and counted as invalid."""
        name = f"{route.channel} (other)"
        if name not in self._broken:
            other = invalid_route(route.channel, "(other)", _CROWD)
            self._broken[name] = self._unusable(
                ChannelReader(other.symbol, other.channel, other.read)
            )
        return self._broken[name]

    def _unusable(self, reader: ChannelReader) -> Channel:
        return self._queued(Channel(reader))

    def _new(self, reader: ChannelReader) -> Channel:
        symbol, kind = reader.symbol, reader.channel
        table = self._frames.table(kind, symbol)
        if reader.origin == LIVE:  # what REST gives is never kept undecoded
            table.read = reader.read
        if reader.bars is None:
            channel = Channel(reader, table=table, handlers=self._handlers(symbol, kind))
        else:
            own = reader.has_own_events
            channel = Channel(
                reader,
                table=table if own else None,
                bars_table=self._frames.bars(symbol),
                handlers=self._handlers(symbol, kind) if own else [],
                bar_handlers=self._handlers(symbol, "bar"),
            )
        return self._queued(channel)

    def _queued(self, channel: Channel) -> Channel:
        self._buffer.add(channel, lane=self._lane)
        self._ledger.add(channel)
        return channel

    def _handlers(self, symbol: str, kind: str) -> list[Handler]:
        handlers: list[Handler] = []
        if self._remote:
            return handlers
        for strategy in self.strategies:
            if kind not in strategy.kinds:
                continue
            handler = self._shared.get(strategy) or self._per_symbol.get((strategy, symbol))
            if handler is None:
                handler = Handler(strategy, _instance(strategy), self.timers[strategy])
                self._per_symbol[strategy, symbol] = handler
            handlers.append(handler)
        return handlers


def _instance(strategy: Strategy) -> Callable[[MarketEvent], Any]:
    """Return an instance; what would end the loop that makes it is a `StrategyError` instead."""
    try:
        return strategy.instance()
    except BaseException as error:
        if isinstance(error, Exception) or ends_worker(error):
            raise
        raise StrategyError(
            f"Strategy {strategy.name} could not begin: {described(error)}"
        ) from error


def _labels(strategies: Sequence[Strategy]) -> list[str]:
    """Return a name for each strategy: its own, or with parameters where names are not unique."""
    names = Counter(strategy.name for strategy in strategies)
    labels: list[str] = []
    for strategy in strategies:
        label = strategy.name if names[strategy.name] == 1 else repr(strategy)
        same = labels.count(label)
        labels.append(f"{label} #{same + 1}" if same else label)
    return labels
