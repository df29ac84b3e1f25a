"""When the REST service is asked, and what becomes of the gaps that it fills."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from mdkit.backfill.joining import first_trades, trades_before
from mdkit.backfill.rest import Answers, RestBackfill
from mdkit.channels.channels import Channels
from mdkit.channels.deduplicator import TradeDeduplicator
from mdkit.errors import MdkitError
from mdkit.events import Bar, Gap, Trade
from mdkit.sources.connection import RawMessage
from mdkit.sources.source import Source, codec_of_source

_QUIET_SECONDS = 1.0
_TRIES = 5


class Stream(Protocol):
    """What the fillings go into; the pipeline."""

    channels: Channels

    async def deliver(self, batch: Sequence[RawMessage]) -> list[bytes]:
        """Queue messages in order."""

    def gap(self, gap: Gap) -> None:
        """Report a gap."""

    def problem(self, error: MdkitError) -> None:
        """Report trouble that the session survives."""


class ReconnectBackfill:
    """Fills a stream from REST: bars before it begins, and after a reconnect what was missed.

    Without a `backfill` it only passes gaps on.

    Args:
        interval, warmup: which completed bars to put before the stream, and how many for each
            of the source's symbols; none without an interval.
    """

    def __init__(
        self,
        stream: Stream,
        backfill: RestBackfill | None,
        source: Source,
        interval: str | None = None,
        warmup: int = 0,
    ) -> None:
        self._stream = stream
        self._backfill = backfill
        self._fills_gaps = backfill is not None and not backfill.gives_only_bars
        self._source = source
        self._codec = codec_of_source(source)
        self._interval = interval
        self._warmup = warmup
        self._untold: list[Gap] = []
        self._books: dict[str, RawMessage] = {}
        self._opened_ns = 0
        self._wanted: deque[Bar] = deque(maxlen=1000)
        self._fetching: asyncio.Task[None] | None = None
        self._is_stopped = False

    async def opened(self, gaps: Sequence[Gap]) -> None:
        """Before anything is subscribed: older than all that will be pushed.

        A gap that is not over (`to_ns` is 0) ends with this, for subscribing comes next.
        """
        # Kept until they are told: the connection may be lost before trades can be asked for.
        self._untold += gaps
        # Where the URL subscribes, pushes may have come already, but not before the gaps end.
        self._opened_ns = min([time.time_ns(), *(gap.to_ns for gap in gaps if gap.to_ns)])
        self._books = {}
        with self._all_told_at_the_end():
            if self._backfill is not None:
                async for bars in self._history():
                    await self._stream.deliver(bars)
                missed = [gap.symbol for gap in gaps if gap.channel == "depth"]
                if missed and self._fills_gaps:
                    self._books = self._take(await self._backfill.books(missed))
        if not any(gap.to_ns for gap in gaps):
            self._opened_ns = time.time_ns()
        self._untold = [_ended(gap, self._opened_ns) for gap in self._untold]
        for gap in self._untold[:]:
            # Trades are asked for once they are pushed again, and may leave nothing missing.
            if gap.channel != "trade" or not self._fills_gaps:
                self._untold.remove(gap)
                self._stream.gap(gap)

    async def subscribed(self, pushed: Callable[[], Sequence[RawMessage]] = tuple) -> None:
        """After subscribing: a trade is either among the latest ones now, or will be pushed.

        The books go into the queue here, behind their gaps, for a full queue takes its time.
        `pushed()` is what has come on the connection so far and waits until this returns.
        """
        with self._all_told_at_the_end():
            await self._deliver(self._books)
            if self._backfill is not None and self._fills_gaps and self._untold:
                await self._fill_trades(self._backfill, pushed)

    async def _fill_trades(
        self, backfill: RestBackfill, pushed: Callable[[], Sequence[RawMessage]]
    ) -> None:
        """Ask for the trades of the gaps, tell of each whether that has filled it, and fill.

        On a time line, a symbol's trades are: seen before the break | missed | pushed since.
        The answer ends with the latest trade of all, in the last part, and goes back as far as
        it goes. So there are four cases, and in each the order of trades holds:

        1. It goes back to what was seen: nothing is missing, the gap's `lost` is 0. Those seen
           are left out by the deduplicator, and so are those pushed when they come.
        2. It begins among the missed ones: what is before it stays missing, and the gap says so.
           Given up to the first one pushed, it is followed by all that were pushed.
        3. It begins among those pushed, since there were more than an answer holds: all of it
           will come by the socket, and nothing is given. The first ones would come too late.
        4. There is none, or it cannot be read: the gap stays as it is.

        What is pushed while the answer is on its way stands in `pushed()`. Where nothing of the
        symbol does, the answer is taken to be older than all that will be.
        """
        messages = self._take(await backfill.trades([gap.symbol for gap in self._untold]))
        deadline = time.monotonic() + _QUIET_SECONDS
        first_pushed: dict[str, Trade] | None = None
        while self._untold:
            gap = self._untold[0]
            message = messages.get(gap.symbol)
            whole = message is not None and await self._joins(gap.symbol, message[0], deadline)
            if message is not None and not whole:
                if first_pushed is None:
                    first_pushed = first_trades(pushed(), self._codec)
                live = first_pushed.get(gap.symbol)
                before = trades_before(live, message[0], self._codec)
                messages.pop(gap.symbol)
                if before:
                    messages[gap.symbol] = (before, message[1])
            del self._untold[0]
            # A row of `gaps()` in any case; one that lacks nothing is no gap to a strategy.
            self._stream.gap(msgspec.structs.replace(gap, lost=0) if whole else gap)
        await self._deliver(messages)

    @contextlib.contextmanager
    def _all_told_at_the_end(self) -> Iterator[None]:
        """Tell the gaps that are left when cancelled; what has been pushed comes after them."""
        try:
            yield
        except asyncio.CancelledError:
            self._tell_all()
            raise

    def want(self, partial: Bar) -> None:
        """Ask for the whole of a bar that live trades could not make whole."""
        if self._backfill is None or self._is_stopped:
            return
        key = (partial.symbol, partial.start_ns)
        if any((bar.symbol, bar.start_ns) == key for bar in self._wanted):
            return  # several late trades of one bar
        self._wanted.append(partial)
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch(), name="mdkit bars")

    async def stop(self) -> None:
        """Ask for nothing more; what was to be filled stays a gap."""
        self._is_stopped = True
        self._tell_all()
        if self._fetching is not None:
            self._fetching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._fetching

    async def _history(self) -> AsyncIterator[list[RawMessage]]:
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
            yield bars

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

    async def _joins(self, symbol: str, raw: bytes, deadline: float) -> bool:
        """Whether the trades of an answer reach back to one that was seen: nothing is missing.

        What waits to be handled is waited for until the `deadline`, by the monotonic clock.
        """
        channel = self._stream.channels.find(symbol, "trade")
        if channel is None:
            return False
        while channel.queued or channel.spilled or channel.in_flight:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.005)
        known = self._stream.channels.readers.deduplicators.get(symbol)
        if known is None:
            # Strategies run in other processes, which know the trades; the rows come back.
            assert channel.table is not None
            known = TradeDeduplicator.of_table(channel.table)
        try:
            return known.reaches(self._codec.decode(raw))
        except MdkitError:
            return False

    def _tell_all(self) -> None:
        """Tell the gaps that nothing more is to be done about."""
        gaps, self._untold = self._untold, []
        for gap in gaps:
            self._stream.gap(_ended(gap, time.time_ns()))

    def _take(self, answers: Answers) -> dict[str, RawMessage]:
        """Return what REST gave by symbol; tell what it did not give."""
        for problem in answers.problems:
            self._stream.problem(problem)
        return answers.messages

    async def _deliver(self, messages: Mapping[str, RawMessage]) -> None:
        """Queue what REST gave, stamped as it came but not later than what is pushed.

        Pushes may arrive while REST is asked, and come behind.
        """
        latest = self._opened_ns
        if messages:
            await self._stream.deliver(
                [(raw, min(stamp, latest)) for raw, stamp in messages.values()]
            )


def _ended(gap: Gap, to_ns: int) -> Gap:
    """Return a gap with its end, if it has none."""
    return gap if gap.to_ns else msgspec.structs.replace(gap, to_ns=to_ns)
