"""Where each kind of message goes: its queue slot, its strategies, its table. Made on arrival."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from mdkit.errors import StrategyError
from mdkit.events import MarketEvent
from mdkit.frames import BarFrame, Frames
from mdkit.strategies.contract import Strategy
from mdkit.stream.backfill import Recent
from mdkit.stream.buffer import Buffer
from mdkit.stream.folding import Fold
from mdkit.stream.handling import Handler, Reading, StrategyTimer, ends_worker, said
from mdkit.stream.ledger import Ledger
from mdkit.stream.slots import Slot
from mdkit.wire.tickdb import LIVE, Route, Router, decode, invalid_route

_CROWD = "the feed sends more symbols that were not subscribed to than mdkit keeps apart"
MAX_UNASKED = 20_000
"""The most symbols and channels, that nobody subscribed to, with a place of their own."""


class Places:
    """The slots of a pipeline by route, with what their messages are read by.

    Args:
        interval: of the bars that trades are folded into, or None for no bars.
        made_of: "trade" or "ticker": what bars are made of.
        remote: strategies and bars live in other processes; here are only queue and tables.
    """

    def __init__(
        self,
        strategies: Sequence[Strategy],
        buffer: Buffer,
        ledger: Ledger,
        frames: Frames,
        router: Router,
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
        self.folds: dict[str, Fold] = {}
        self.recent: dict[str, Recent] = {}
        self._expected: set[Slot] = set()
        self._by_account: dict[tuple[str, str], Slot] = {}
        self._broken: dict[str, Slot] = {}
        self._buffer = buffer
        self._ledger = ledger
        self._frames = frames
        self.router = router
        self._interval = None if remote else interval
        self._made_of = made_of
        self._remote = remote
        together = [strategy for strategy in self.strategies if strategy.per == "session"]
        self._lane = "(session)" if together else None
        self._together = [] if remote else together
        self._shared = self._new_shared()
        self._per_symbol: dict[tuple[Strategy, str], Handler] = {}

    def __iter__(self) -> Iterator[Slot]:
        yield from self._by_account.values()
        yield from self._broken.values()

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """All that strategies are called through in this process."""
        return (*self._shared.values(), *self._per_symbol.values())

    def find(self, symbol: str, channel: str) -> Slot | None:
        """Return the slot of what a symbol's channel pushes, or None before it has pushed."""
        return self._by_account.get((symbol, channel))

    def named(self, symbol: str, account: str) -> Slot:
        """Return the slot that counts under these names, which must be there."""
        if symbol:
            found = self._by_account.get((symbol, account))
            return found or self._broken[f"{account} (other)"]
        return self._broken[account]

    def expect(self, symbol: str, account: str) -> Slot:
        """Return the slot that counts under these names, before its first message if need be."""
        place = self._by_account.get((symbol, account))
        if place is None:
            channel, _, origin = account.partition(":")
            route = Route(channel, symbol, self._read, origin or LIVE)
            place = self._by_account[symbol, account] = self._new_slot(route, self._reading(route))
            self._expected.add(place)
        return place

    def begin_anew(self) -> None:
        """Give what comes now strategies and bars that know of nothing before; slots go on."""
        self.folds.clear()
        self.recent.clear()
        self._per_symbol.clear()
        self._shared = self._new_shared()
        for slot in self._by_account.values():
            slot.lane.holes.pop(slot, None)
            old: Reading = slot.context
            slot.context = self._reading(Route(old.channel, slot.symbol, old.read, old.origin))

    def slot(self, route: Route) -> Slot:
        """Return the place of a route, made when its first message arrives."""
        if not route.symbol:
            # Broken messages have routes of their own; they share one place, and why each is
            # broken is found out again when its turn comes.
            broken = self._broken.get(route.channel)
            if broken is None:
                reading = Reading(route.symbol, route.channel, _read_alone, [], None)
                broken = self._broken[route.channel] = self._new_slot(route, reading)
            return broken
        place: Slot | None = route.place
        if place is None:
            place = self._by_account.get((route.symbol, route.account))
            if place is None and self._is_too_much(route):
                return self._crowd(route)
            if place is None:
                place = self._new_slot(route, self._reading(route))
                self._by_account[route.symbol, route.account] = place
            elif place in self._expected:
                self._expected.discard(place)
                place.context.read = route.read
            else:
                # The same symbol in another dialect: from now on each message says how it is read.
                place.context.read = self._read
            route.place = place
        return place

    def _is_too_much(self, route: Route) -> bool:
        return len(self._by_account) >= MAX_UNASKED and not self.router.expects(route.symbol)

    def _crowd(self, route: Route) -> Slot:
        """Return the place of a feed's invented symbols: bounded, and counted as invalid."""
        place = self._broken.get(f"{route.channel} (other)")
        if place is None:
            other = invalid_route(route.channel, "(other)", _CROWD)
            reading = Reading(other.symbol, other.channel, other.read, [], None)
            place = self._broken[f"{route.channel} (other)"] = self._new_slot(other, reading)
        return place

    def _new_slot(self, route: Route, reading: Reading) -> Slot:
        return self._buffer.slot(
            self._ledger.account(route.symbol, route.account),
            lane=self._lane,
            context=reading,
            symbol=route.symbol,
            channel=route.channel,
        )

    def _reading(self, route: Route) -> Reading:
        symbol, channel = route.symbol, route.channel
        table = self._frames.table(channel, symbol)
        reading = Reading(symbol, channel, route.read, [], table, origin=route.origin)
        if route.origin == LIVE:  # what REST gives is never kept undecoded
            table.read = reading.decode
        if self._interval is not None:
            reading.fold = self._fold(symbol)
            reading.bar_handlers = self._handlers(symbol, "bar")
            if channel == "bar":
                reading.table = None  # the fold's table is this one
                return reading
        reading.handlers = self._handlers(symbol, channel)
        if channel == "trade" and not self._remote:
            reading.recent = self.recent.setdefault(symbol, Recent())
        return reading

    def _new_shared(self) -> dict[Strategy, Handler]:
        return {
            strategy: Handler(strategy, _instance(strategy), self.timers[strategy])
            for strategy in self._together
        }

    def _fold(self, symbol: str) -> Fold:
        assert self._interval is not None
        fold = self.folds.get(symbol)
        if fold is None:
            table = cast(BarFrame, self._frames.table("bar", symbol))
            fold = self.folds[symbol] = Fold(symbol, self._interval, self._made_of, table)
        return fold

    def _handlers(self, symbol: str, channel: str) -> list[Handler]:
        handlers: list[Handler] = []
        if self._remote:
            return handlers
        for strategy in self.strategies:
            if channel not in strategy.kinds:
                continue
            handler = self._shared.get(strategy) or self._per_symbol.get((strategy, symbol))
            if handler is None:
                handler = Handler(strategy, _instance(strategy), self.timers[strategy])
                self._per_symbol[strategy, symbol] = handler
            handlers.append(handler)
        return handlers

    def _read(self, symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
        return self.router.route(raw).read(symbol, raw, received_ns)


def _instance(strategy: Strategy) -> Callable[[MarketEvent], Any]:
    """Return an instance; what would end the loop that makes it is a `StrategyError` instead."""
    try:
        return strategy.instance()
    except BaseException as error:
        if isinstance(error, Exception) or ends_worker(error):
            raise
        raise StrategyError(f"Strategy {strategy.name} could not begin: {said(error)}") from error


def _read_alone(symbol: str, raw: bytes, received_ns: int) -> tuple[MarketEvent, ...]:
    return decode(raw, received_ns)


def _labels(strategies: Sequence[Strategy]) -> list[str]:
    """Return a name for each strategy: its own, or with parameters where names are not unique."""
    names = Counter(strategy.name for strategy in strategies)
    labels: list[str] = []
    for strategy in strategies:
        label = strategy.name if names[strategy.name] == 1 else repr(strategy)
        same = labels.count(label)
        labels.append(f"{label} #{same + 1}" if same else label)
    return labels
