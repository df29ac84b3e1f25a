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
from mdkit.venues.routes import LIVE, Route, Router, invalid_route

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
        self._together = [] if remote else together
        self._shared = self._new_shared()
        self._per_symbol: dict[tuple[Strategy, str], Handler] = {}

    def __iter__(self) -> Iterator[Channel]:
        yield from self._by_name.values()
        yield from self._broken.values()

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

    def begin_anew(self) -> None:
        """Give what comes now strategies and bars that know of nothing before; counts go on."""
        self.readers.begin_anew()
        self._per_symbol.clear()
        self._shared = self._new_shared()
        for (symbol, name), channel in self._by_name.items():
            channel.lane.pending.pop(channel, None)
            self._set_up(channel, self.readers.expect(symbol, name))

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

        Those that were reported are left out. No strategy sees such a bar, which is partial.
        """
        gaps: list[Gap] = []
        for channel in self:
            pending = channel.lane.pending.pop(channel, None)
            rest = pending.rest() if pending is not None else ()
            gaps += [gap.gap(channel.symbol) for gap in rest if not gap.reported]
        gaps += [gap for channel in self for gap in channel.reader.quality.end()]
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
        channel = self._queued(Channel(reader))
        self._set_up(channel, reader)
        return channel

    def _set_up(self, channel: Channel, reader: ChannelReader) -> None:
        """Give a channel its reader, the strategies that see what it reads, and tables."""
        symbol, kind = reader.symbol, reader.channel
        table = self._frames.table(kind, symbol)
        if reader.origin == LIVE:  # what REST gives is never kept undecoded
            table.read = reader.read
        own = reader.has_own_events
        channel.table = table if own else None
        handlers = self._handlers(symbol, kind) if own else []
        if reader.bars is None:
            channel.read_by(reader, handlers)
        else:
            channel.bars_table = self._frames.bars(symbol)
            channel.read_by(reader, handlers, self._handlers(symbol, "bar"))

    def _queued(self, channel: Channel) -> Channel:
        self._buffer.add(channel, lane=self._lane)
        self._ledger.add(channel)
        return channel

    def _new_shared(self) -> dict[Strategy, Handler]:
        return {
            strategy: Handler(strategy, _instance(strategy), self.timers[strategy])
            for strategy in self._together
        }

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
