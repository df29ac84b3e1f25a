"""When the REST service is asked, and what becomes of the gaps that it fills."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from mdkit.errors import MdkitError
from mdkit.events import Bar, Gap
from mdkit.stream.backfill import Answers, Backfill, Recent
from mdkit.stream.connection import RawMessage
from mdkit.stream.places import Places
from mdkit.stream.source import Source
from mdkit.wire.tickdb import decode

_QUIET_SECONDS = 1.0
_PATIENCE = 5.0
"""Seconds after subscribing in which a live message should have come."""
_TRIES = 5


class Stream(Protocol):
    """What the fillings go into; the pipeline."""

    places: Places

    @property
    def undecided(self) -> bool:
        """Whether `decide` is still to be called."""

    async def decide(self, first: Sequence[RawMessage]) -> None:
        """Choose what serves the queue, by the first messages, and queue the history."""

    async def deliver(self, batch: Sequence[RawMessage]) -> list[bytes]:
        """Queue messages in order."""

    def gap(self, gap: Gap) -> None:
        """Take note of a gap."""

    def problem(self, error: MdkitError) -> None:
        """Take note of trouble."""


class Filling:
    """Fills a stream from REST: bars before it begins, and after a reconnect what was missed.

    Without a `backfill` it only passes gaps on.

    Args:
        interval, warmup: which completed bars to put before the stream, and how many for each
            of the source's symbols; none without an interval.
    """

    def __init__(
        self,
        stream: Stream,
        backfill: Backfill | None,
        source: Source,
        interval: str | None = None,
        warmup: int = 0,
    ) -> None:
        self._stream = stream
        self._backfill = backfill
        self._source = source
        self._interval = interval
        self._warmup = warmup
        self._unfilled: list[Gap] = []
        self._opened_ns = 0
        self._wanted: deque[Bar] = deque(maxlen=1000)
        self._fetching: asyncio.Task[None] | None = None
        self._patience: asyncio.Task[None] | None = None

    async def opened(self, gaps: Sequence[Gap]) -> None:
        """Before anything is subscribed: older than all that will be pushed."""
        # What the article's dialect pushes may have come already, but not before the gaps end.
        self._opened_ns = min([time.time_ns(), *(gap.to_ns for gap in gaps)])
        if self._backfill is None:
            for gap in gaps:
                self._stream.gap(gap)
            return
        if self._has_history and not self._stream.undecided:
            async for bars in self.history():
                await self._stream.deliver(bars)
        # There are some already where the last connection ended before it was subscribed.
        self._unfilled += [gap for gap in gaps if gap.channel == "trade"]
        symbols = [gap.symbol for gap in gaps if gap.channel == "depth"]
        answers = await self._backfill.books(symbols) if symbols else Answers()
        for gap in gaps:
            if gap.channel != "trade":
                self._stream.gap(gap)
        await self._deliver(answers)

    async def subscribed(self) -> None:
        """After subscribing: a trade is either among the latest ones now, or will be pushed."""
        if self._has_history and self._patience is None:
            self._patience = asyncio.create_task(self._lose_patience(), name="mdkit patience")
        if self._backfill is None or not self._unfilled:
            return
        symbols = list(dict.fromkeys(gap.symbol for gap in self._unfilled))
        answers = await self._backfill.trades(symbols)
        while self._unfilled:
            gap = self._unfilled[0]
            raw = answers.messages.get(gap.symbol)
            whole = raw is not None and await self._joins(gap.symbol, raw)
            del self._unfilled[0]
            # A row of `gaps()` in any case; one that lacks nothing is no gap to a strategy.
            self._stream.gap(msgspec.structs.replace(gap, lost=0) if whole else gap)
        await self._deliver(answers)

    def want(self, partial: Bar) -> None:
        """Ask for the whole of a bar that live trades could not make whole."""
        if self._backfill is None:
            return
        self._wanted.append(partial)
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch(), name="mdkit bars")

    async def stop(self) -> None:
        """Ask for nothing more; what was to be filled stays a gap."""
        gaps, self._unfilled = self._unfilled, []
        for gap in gaps:
            self._stream.gap(gap)
        for task in (self._fetching, self._patience):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def history(self) -> AsyncIterator[list[RawMessage]]:
        """Yield what goes before the stream, the bars of a symbol at a time; only once."""
        count, self._warmup = self._warmup, 0
        if not count or self._backfill is None or self._interval is None:
            return
        for symbol in self._source.symbols:
            try:
                bars = await self._backfill.bars(symbol, self._interval, count)
            except MdkitError as error:
                self._stream.problem(error)
                continue
            # Whoever was undecided asks when live messages have come already.
            yield [(raw, min(stamp, self._opened_ns or stamp)) for raw, stamp in bars]

    @property
    def _has_history(self) -> bool:
        return bool(self._warmup) and self._interval is not None

    async def _lose_patience(self) -> None:
        """Show the history of a market that is closed, which no live message announces."""
        await asyncio.sleep(_PATIENCE)
        await self._stream.decide(())

    async def _fetch(self) -> None:
        assert self._backfill is not None
        while self._wanted:
            partial = self._wanted.popleft()
            try:
                messages: list[RawMessage] = []
                for attempt in range(_TRIES):
                    await asyncio.sleep(0.2 * attempt)  # the service may need a moment as well
                    messages = await self._backfill.bar(partial)
                    if messages:
                        break
            except MdkitError as error:
                self._stream.problem(error)
                continue
            if messages:
                await self._stream.deliver(messages)

    async def _joins(self, symbol: str, raw: bytes) -> bool:
        """Whether the trades of an answer reach back to one that was seen: nothing is missing."""
        slot = self._stream.places.find(symbol, "trade")
        if slot is None:
            return False
        account = slot.account
        deadline = time.monotonic() + _QUIET_SECONDS
        while account.queued or account.spilled or account.in_flight:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.005)
        recent = self._stream.places.recent.get(symbol)
        if recent is None:
            # Strategies run in other processes, where trades are told apart; the rows come back.
            recent = Recent.shown(slot.context.table)
        try:
            return recent.reaches(decode(raw))
        except MdkitError:
            return False

    async def _deliver(self, answers: Answers) -> None:
        for problem in answers.problems:
            self._stream.problem(problem)
        if answers.messages:
            # Stamped with the time of asking: pushes that arrive meanwhile come behind them.
            stamp = self._opened_ns
            await self._stream.deliver([(raw, stamp) for raw in answers.messages.values()])
