"""What the REST service can give for a stretch that the socket did not: bars, books, trades.

What it gives is put into the stream as messages of their own, marked as coming by REST, before
the live ones go on: so they are counted, recorded, replayed and seen by strategies like any
other message.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mdkit.errors import MdkitError
from mdkit.events import Bar, MarketEvent, Trade
from mdkit.frames import EventFrame
from mdkit.history.client import RestClient
from mdkit.history.columns import Klines
from mdkit.history.intervals import period_end
from mdkit.history.klines import Pager
from mdkit.stream.connection import RawMessage
from mdkit.wire.tickdb import REST, encode, via_rest

_MS = 1_000_000
_PATIENCE = 5.0
"""Seconds for all calls after a reconnect: the live feed waits for them."""
_AHEAD_MS = 366 * 86_400_000
"""From now; the service's clock may be far from this one, and its newest bars are wanted."""
_KEPT = 5000
"""Trades of a symbol that are known; a REST answer has 1,000."""


class Recent:
    """The trades of one symbol that were seen lately, so that none is seen twice.

    A trade is known by its id, or where the service gives none by its time, price, size and
    side. `known` are such keys, oldest first.
    """

    def __init__(self, known: Iterable[object] = ()) -> None:
        self._known: dict[object, None] = dict.fromkeys(known)
        self._filled: dict[object, None] = {}

    @classmethod
    def shown(cls, table: EventFrame[Any]) -> Recent:
        """Return what a table of trades tells of them, where they were seen in another process."""
        rows = table.arrays(_KEPT)
        names = ("id", "exchange_time", "price", "size", "side")
        columns = [rows[name].tolist() for name in names]
        return cls(id or (*rest,) for id, *rest in zip(*columns, strict=True))

    def begin_anew(self) -> None:
        """Forget them."""
        self._known.clear()
        self._filled.clear()

    def fresh(self, events: tuple[MarketEvent, ...], origin: str) -> tuple[MarketEvent, ...]:
        """Return the trades that were not seen yet: the same tuple when that is all of them.

        Live trades are only held against what REST filled in: a feed that repeats itself
        should be seen to.
        """
        known = self._known
        keys = [_key(event) for event in events]
        if origin == REST:
            kept = [i for i, key in enumerate(keys) if key not in known]
            # Added to those of earlier answers: a feed that lags behind REST may push them yet.
            self._filled.update(dict.fromkeys(keys[i] for i in kept))
            _forget(self._filled)
        elif self._filled:
            kept = [i for i, key in enumerate(keys) if key not in self._filled]
        else:
            kept = list(range(len(keys)))
        known.update(dict.fromkeys(keys))
        _forget(known)
        return events if len(kept) == len(events) else tuple([events[i] for i in kept])

    def reaches(self, trades: Iterable[MarketEvent]) -> bool:
        """Whether some of the trades were seen before: then none is missing between."""
        return any(_key(trade) in self._known for trade in trades)


def _forget(keys: dict[object, None]) -> None:
    """Keep the newest keys, when there have come to be many."""
    if len(keys) > 2 * _KEPT:
        for key in list(keys)[:-_KEPT]:
            del keys[key]


def _key(event: MarketEvent) -> object:
    assert isinstance(event, Trade)
    return event.id or (event.exchange_ns, event.price, event.size, event.side)


@dataclass
class Answers:
    """What REST gave: messages by symbol, and what went wrong."""

    messages: dict[str, bytes] = field(default_factory=dict)
    problems: list[MdkitError] = field(default_factory=list)


class Backfill:
    """Asks a REST service on behalf of a pipeline, in threads.

    `connect` makes a client; it is called in a thread and again for every round of calls.
    """

    def __init__(self, connect: Callable[[], RestClient]) -> None:
        self._connect = connect

    async def books(self, symbols: Sequence[str]) -> Answers:
        """Return the current book of each symbol as a message."""
        return await asyncio.to_thread(self._ask_all, symbols, lambda c, s: c.depth(s))

    async def trades(self, symbols: Sequence[str]) -> Answers:
        """Return the latest trades of each symbol, at most 1,000, as a message."""
        return await asyncio.to_thread(self._ask_all, symbols, lambda c, s: c.trades(s))

    async def bars(self, symbol: str, interval: str, count: int) -> list[RawMessage]:
        """Return the newest `count` completed bars as messages, oldest first."""
        return await asyncio.to_thread(self._newest_bars, symbol, interval, count)

    async def bar(self, missing: Bar) -> list[RawMessage]:
        """Return the whole bar that a partial one stands for, or nothing when there is none."""
        return await asyncio.to_thread(self._one_bar, missing)

    def _ask_all(self, symbols: Sequence[str], ask: Callable[[RestClient, str], bytes]) -> Answers:
        answers = Answers()
        deadline = time.monotonic() + _PATIENCE
        try:
            with self._connect() as client:
                for symbol in symbols:
                    if time.monotonic() > deadline:
                        break
                    try:
                        answers.messages[symbol] = ask(client, symbol)
                    except MdkitError as error:
                        answers.problems.append(error)
        except MdkitError as error:
            answers.problems.append(error)
        return answers

    def _newest_bars(self, symbol: str, interval: str, count: int) -> list[RawMessage]:
        end = time.time_ns() // _MS + _AHEAD_MS
        with self._connect() as client:
            pages = [page.klines for page in Pager(client).newest(symbol, interval, end, count)]
        return _bar_messages(symbol, interval, Klines.empty().merged(*pages), count)

    def _one_bar(self, missing: Bar) -> list[RawMessage]:
        start = missing.start_ns // _MS
        end = period_end(missing.interval, start)
        with self._connect() as client:
            got = client.klines(
                missing.symbol, missing.interval, start_ms=start, end_ms=end, limit=10
            )
        bars = Klines.of(got).between(start, end)
        return _bar_messages(missing.symbol, missing.interval, bars, 1)


def _bar_messages(symbol: str, interval: str, bars: Klines, count: int) -> list[RawMessage]:
    now = time.time_ns()
    events = [
        Bar(symbol, *prices[:5], start_ns=start * _MS, interval=interval)  # type: ignore[misc]
        for start, prices in zip(
            bars.starts[-count:].tolist(), bars.figures[:, -count:].T.tolist(), strict=True
        )
    ]
    return [(via_rest(encode(bar)), now) for bar in events]
