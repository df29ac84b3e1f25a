"""A worker process: the same lanes, fed by a session over a socket.

Started as `python -m mdkit.processes.worker PORT`, with a secret on standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from mdkit.channels.channel import Channel
from mdkit.channels.channels import Channels
from mdkit.channels.handlers import Handler
from mdkit.events import Event, Gap
from mdkit.frames import Frames
from mdkit.gap.clocks import Clocks
from mdkit.machine import memory_bytes
from mdkit.processes.protocol import (
    TOKEN_BYTES,
    Anew,
    Batch,
    BatchResult,
    End,
    Ready,
    Setup,
    TableCall,
    pack,
    unpack,
)
from mdkit.queue.buffer import Buffer
from mdkit.queue.channel import Lane, Message
from mdkit.queue.ledger import Ledger
from mdkit.venues.codec import Codec
from mdkit.venues.routes import SEVERAL, Router
from mdkit.workers.calls import Call
from mdkit.workers.lanes import Lanes, OnError
from mdkit.workers.outcome import Outcome
from mdkit.workers.watchdog import TOLD, Held, Watchdog

_LOOK_SECONDS = 0.2
"""Between two looks at the memory in use and at the strategies that await."""


class _Table:
    """Stands for a live table, which is in the session's process: notes what it is to do."""

    watched_until = 0.0
    read: Any = None

    def __init__(self, channel: str, symbol: str, tables: _Tables) -> None:
        self._name = (channel, symbol)
        self._calls = tables.calls
        self._positions = tables.positions
        self.kept: tuple[int, list[int]] | None = None
        """The last note if it may be added to."""

    def keep(self, raw: bytes, received_ns: int) -> None:
        """Have a message kept, which the session still has: only its position travels."""
        number, position = self._positions[id(raw), received_ns]
        if self.kept is not None and self.kept[0] == number:
            self.kept[1].append(position)
        else:
            kept = (number, [position])
            self._note("keep", kept)
            self.kept = kept

    def extend(self, events: Sequence[Event]) -> None:
        """Have events appended."""
        if events:
            self._note("extend", list(events))

    def fill_in(self, events: Sequence[Event]) -> None:
        """Have events appended that REST gave."""
        if events:
            self._note("fill_in", list(events))

    def revise(self, events: Sequence[Event]) -> None:
        """Have bars take the places of others."""
        self._note("revise", list(events))

    def break_off(self) -> None:
        """Have a gap marked."""
        self._note("break_off", None)

    def _note(self, call: str, argument: Any) -> None:
        self.kept = None
        self._calls.append(TableCall(*self._name, call, argument))


class _Tables(Frames):
    """Makes notes in place of tables."""

    def __init__(self) -> None:
        self.calls: list[TableCall] = []
        self.positions: dict[tuple[int, int], tuple[int, int]] = {}
        """The batch, and the position in it, of the messages at hand, by identity and time."""
        self._tables: dict[tuple[str, str], _Table] = {}

    def table(self, kind: str, symbol: str) -> Any:
        table = self._tables.get((kind, symbol))
        if table is None:
            table = self._tables[kind, symbol] = _Table(kind, symbol, self)
        return table

    def bars(self, symbol: str) -> Any:
        return self.table("bar", symbol)

    def taken(self) -> list[TableCall]:
        """Return the notes so far, and begin new ones."""
        for call in self.calls:
            self._tables[call.channel, call.symbol].kept = None
        return _taken(self.calls)


class _Signals:
    def __init__(self) -> None:
        self.rows: list[Any] = []

    def extend(self, rows: Sequence[Any]) -> None:
        self.rows.extend(rows)


class _Delays(Clocks):
    """Keeps the samples for the session, which has all of them together."""

    def __init__(self) -> None:
        self.samples: list[tuple[str, int | None]] = []

    def begin_anew(self, symbol: str) -> None:
        self.samples.append((symbol, None))

    def add(self, symbol: str, difference_ns: int) -> None:
        self.samples.append((symbol, difference_ns))


class Worker:
    """Runs batches of lanes as the session's own lanes would, and tells what became of them."""

    def __init__(self, setup: Setup) -> None:
        sys.path[:] = [*dict.fromkeys((*setup.path, *sys.path))]
        strategies = pickle.loads(setup.strategies)
        self._buffer: Buffer[Channel] = Buffer(1)
        self._ledger = Ledger()
        self._tables = _Tables()
        self._signals = _Signals()
        self._delays = _Delays()
        self._gaps: list[Gap] = []
        self._partial: list[Any] = []
        codec: Codec = pickle.loads(setup.codec)
        self._router: Router[Channel] = codec.router(
            setup.symbols, allow_nonpositive=setup.allow_nonpositive
        )
        self._channels = Channels(
            strategies,
            self._buffer,
            self._ledger,
            self._tables,
            self._router,
            interval=setup.interval,
            made_of=setup.made_of,
        )
        self._channels.readers.deduplicators.update(setup.seen)
        self._lanes = Lanes(
            self._buffer,
            self._signals,
            max_retries=setup.max_retries,
            on_error=cast(OnError, setup.on_error),
        )
        self._lanes.may_await = any(strategy.is_async for strategy in strategies)
        self._lanes.clocks = self._delays
        self._lanes.on_gap = self._gaps.append
        self._lanes.on_partial = self._partial.append
        self._loop = asyncio.get_running_loop()
        self._look_at = 0.0
        self._memory_bytes: int | None = None
        self._told: dict[Handler, float] = {}

    async def run(self, batch: Batch) -> BatchResult:
        """Handle a batch; a failure that is to stop the session is told, not raised."""
        messages: list[Message[Channel]] = []
        lane: Lane[Channel] | None = None
        positions = self._tables.positions
        for position, (raw, received_ns) in enumerate(batch.messages):
            route = self._router.route(raw)
            assert route is not SEVERAL
            channel = route.place or self._channels.of(route)
            channel.in_flight += 1
            message = (channel, raw, received_ns, 0)
            messages.append(message)
            positions[id(raw), received_ns] = (batch.number, position)
            lane = channel.lane
        error: BaseException | None = None
        began = self._loop.time()
        try:
            if lane is not None:
                await self._lanes.serve([lane], messages, batch.gaps)
        except Exception as failure:
            error = failure
        finally:
            for message in messages:
                positions.pop((id(message[1]), message[2]), None)  # one may have come twice
        left = 0
        if error is not None and lane is not None:
            left = len(lane.messages)
            lane.messages.clear()
        counted = lane.channels if lane is not None else ()
        return self._done(batch.number, self._loop.time() - began, counted, left, error)

    @property
    def running(self) -> Call | None:
        """The strategy that this process is in, if any."""
        return self._lanes.running

    def begin_anew(self) -> None:
        """Forget everything: fresh strategies, and no trades seen."""
        self._channels.begin_anew()

    def end(self) -> BatchResult:
        """Show the bars that were forming, and return the gaps that nothing came after."""
        self._gaps.extend(self._channels.end())
        return self._done(-1, 0.0, self._channels)

    def _done(
        self,
        number: int,
        busy: float,
        channels: Iterable[Channel],
        left: int = 0,
        error: BaseException | None = None,
    ) -> BatchResult:
        """Return what has happened, of `channels` alone: to look at all costs more than a batch."""
        counts = []
        quality: dict[tuple[str, str], tuple[int, int, int]] = {}
        for channel in channels:
            ended = (channel.processed, channel.invalid, channel.dead_lettered)
            if any(ended):
                counts.append((channel.symbol, channel.channel, *ended))
                channel.processed = channel.invalid = channel.dead_lettered = 0
            found = channel.reader.quality
            if found.backwards or found.frozen or found.empty:
                amiss = (found.backwards, found.frozen, found.empty)
                quality[channel.symbol, channel.channel] = amiss
        outcome, self._lanes.outcome = self._lanes.outcome, Outcome()
        timers = []
        for timer in self._channels.timers.values():
            timers.append((timer.samples, timer.seconds, timer.slowest))
            timer.samples, timer.seconds = 0, 0.0
        return BatchResult(
            number,
            counts,
            _taken(self._signals.rows),
            self._tables.taken(),
            list(outcome.dead_letters),
            list(outcome.invalid),
            dict(outcome.invalid_reasons),
            list(outcome.callback_errors),
            _taken(self._gaps),
            _taken(self._partial),
            _taken(self._delays.samples),
            timers,
            quality,
            outcome.retries,
            busy,
            self._memory(),
            left,
            error,
        )

    def newly_waiting(self) -> Iterator[Held]:
        """Yield the strategies that have come to await something for long, once for each time."""
        now = time.monotonic()
        for handler, symbol in self._async_handlers():
            since = handler.awaiting_since
            if since is None:
                self._told.pop(handler, None)
            elif now - since > TOLD and self._told.get(handler) != since:
                self._told[handler] = since
                by = f"Strategy {handler.name}"
                yield Held(by, "an await", now - since, symbol, "its lane")

    def _async_handlers(self) -> Iterator[tuple[Handler, str]]:
        if self._lanes.may_await:
            for channel in self._channels:
                for handler in (*channel.handlers, *channel.bar_handlers):
                    if handler.is_async:
                        yield handler, channel.symbol

    def _memory(self) -> int | None:
        """Return the memory in use lately: asking the system takes as long as ten messages."""
        now = self._loop.time()
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._memory_bytes = memory_bytes()
        return self._memory_bytes


def _taken(items: list[Any]) -> list[Any]:
    taken = items.copy()
    items.clear()
    return taken


async def serve(port: int, secret: bytes) -> None:
    """Connect to the session, run what it sends, and end when it does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    writer.write(secret)
    if not hmac.compare_digest(await reader.readexactly(TOKEN_BYTES), secret[::-1]):
        return
    # While a strategy holds the loop, nothing can be told but by a thread, over a way of its own.
    with socket.create_connection(("127.0.0.1", port)) as aside:
        aside.sendall(secret)
        try:
            worker = Worker(await unpack(reader))
        except Exception as error:
            writer.write(pack(Ready(f"{type(error).__name__}: {error}")))
            await writer.drain()
            return

        def tell(held: Held) -> None:
            with contextlib.suppress(OSError):  # the session may be ending
                aside.sendall(pack(held))

        watchdog = Watchdog(lambda: worker.running, tell)
        watchdog.start()
        looking = asyncio.create_task(_look_after(worker, watchdog, tell))
        try:
            await _answer(worker, reader, writer)
        finally:
            looking.cancel()
            watchdog.stop()


async def _look_after(worker: Worker, watchdog: Watchdog, tell: Callable[[Held], None]) -> None:
    while True:
        watchdog.beat()
        for held in worker.newly_waiting():
            tell(held)
        await asyncio.sleep(_LOOK_SECONDS)


async def _answer(
    worker: Worker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(pack(Ready()))
    running: set[asyncio.Task[None]] = set()

    async def handle(batch: Batch) -> None:
        done = await worker.run(batch)
        try:
            writer.write(pack(done))
        except Exception as error:  # what a strategy raised may not travel
            writer.write(pack(done._replace(error=RuntimeError(str(error)))))
        await writer.drain()

    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while not isinstance(message := await unpack(reader), End):
            if isinstance(message, Anew):
                worker.begin_anew()
                continue
            # Batches of different lanes; one that awaits must not hold up the others.
            task = asyncio.create_task(handle(message))
            running.add(task)
            task.add_done_callback(running.discard)
        if running:
            await asyncio.wait(running)
        writer.write(pack(worker.end()))
        await writer.drain()
        writer.close()
        await writer.wait_closed()


def main() -> int:
    """Run a worker process: the entry point."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the session, which drains
    logging.getLogger("mdkit").addHandler(logging.NullHandler())  # the session says what is wrong
    secret = sys.stdin.buffer.read(TOKEN_BYTES)
    if len(sys.argv) != 2 or len(secret) != TOKEN_BYTES:
        sys.stderr.write("mdkit.processes.worker is started by mdkit itself.\n")
        return 2
    asyncio.run(serve(int(sys.argv[1]), secret))
    return 0


if __name__ == "__main__":
    sys.exit(main())
