"""A worker process: the same lanes, fed by a session over a socket.

Started as `python -m mdkit.stream.process_worker PORT`, with a secret on standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import pickle
import signal
import sys
from collections.abc import Sequence
from typing import Any, cast

from mdkit.events import Event, Gap
from mdkit.frames import Frames
from mdkit.stream.buffer import Buffer
from mdkit.stream.handling import Outcome
from mdkit.stream.lanes import Lanes, OnError
from mdkit.stream.ledger import Ledger
from mdkit.stream.machine import memory_bytes
from mdkit.stream.parcels import (
    TOKEN_BYTES,
    Batch,
    Done,
    End,
    Ready,
    Setup,
    TableCall,
    pack,
    unpack,
)
from mdkit.stream.places import Places
from mdkit.stream.quality import Clocks
from mdkit.stream.slots import Lane, Message
from mdkit.wire.tickdb import SEVERAL, Router


class _Table:
    """Stands for a live table, which is in the session's process: notes what it is to do."""

    watched = False
    read: Any = None

    def __init__(self, channel: str, symbol: str, calls: list[TableCall]) -> None:
        self._name = (channel, symbol)
        self._calls = calls

    def keep(self, messages: Sequence[Message]) -> None:
        """Have messages kept, which the session still has: only their positions travel."""
        places = [_positions[id(message)] for message in messages]
        # All of one batch: tables are served at its end.
        self._note("keep", (places[0][0], [position for _, position in places]))

    def extend(self, events: Sequence[Event]) -> None:
        """Have events appended."""
        if events:
            self._note("extend", list(events))

    def fill_in(self, events: Sequence[Event]) -> None:
        """Have events appended that REST gave."""
        if events:
            self._note("fill_in", list(events))

    def break_off(self) -> None:
        """Have a gap marked."""
        self._note("break_off", None)

    def _note(self, call: str, argument: Any) -> None:
        self._calls.append(TableCall(*self._name, call, argument))


_positions: dict[int, tuple[int, int]] = {}
"""The batch, and the position in it, of the messages at hand, by identity."""


class _Tables(Frames):
    """Makes notes in place of tables."""

    def __init__(self) -> None:
        self.calls: list[TableCall] = []
        self._tables: dict[tuple[str, str], _Table] = {}

    def table(self, kind: str, symbol: str) -> Any:
        table = self._tables.get((kind, symbol))
        if table is None:
            table = self._tables[kind, symbol] = _Table(kind, symbol, self.calls)
        return table


class _Signals:
    def __init__(self) -> None:
        self.rows: list[Any] = []

    def extend(self, rows: Sequence[Any]) -> None:
        self.rows.extend(rows)


class _Delays(Clocks):
    """Keeps the samples for the session, which has all of them together."""

    def __init__(self) -> None:
        self.samples: list[tuple[str, int]] = []

    def add(self, symbol: str, difference_ns: int) -> None:
        self.samples.append((symbol, difference_ns))


class Worker:
    """Runs batches of lanes as the session's own lanes would, and tells what became of them."""

    def __init__(self, setup: Setup) -> None:
        sys.path[:] = [*dict.fromkeys((*setup.path, *sys.path))]
        strategies = pickle.loads(setup.strategies)
        self._buffer = Buffer(1)
        self._ledger = Ledger()
        self._tables = _Tables()
        self._signals = _Signals()
        self._delays = _Delays()
        self._gaps: list[Gap] = []
        self._partial: list[Any] = []
        self._router = Router(setup.symbols)
        self._places = Places(
            strategies,
            self._buffer,
            self._ledger,
            self._tables,
            self._router,
            interval=setup.interval,
            made_of=setup.made_of,
        )
        self._lanes = Lanes(
            self._buffer,
            self._signals,
            max_retries=setup.max_retries,
            on_error=cast(OnError, setup.on_error),
        )
        self._lanes.clocks = self._delays
        self._lanes.on_gap = self._gaps.append
        self._lanes.on_partial = self._partial.append
        self._loop = asyncio.get_running_loop()

    async def run(self, batch: Batch) -> Done:
        """Handle a batch; a failure that is to stop the session is told, not raised."""
        messages: list[Message] = []
        lane: Lane | None = None
        for position, (raw, received_ns) in enumerate(batch.messages):
            route = self._router.route(raw)
            assert route is not SEVERAL
            slot = self._places.by_route.get(route) or self._places.slot(route)
            slot.account.in_flight += 1
            message = (slot, raw, received_ns)
            messages.append(message)
            _positions[id(message)] = (batch.number, position)
            lane = slot.lane
        error: BaseException | None = None
        began = self._loop.time()
        try:
            if lane is not None:
                await self._lanes.serve([lane], messages, batch.holes)
        except Exception as failure:
            error = failure
        finally:
            for message in messages:
                del _positions[id(message)]
        left = 0
        if error is not None and lane is not None:
            left = len(lane.messages)
            lane.messages.clear()
        return self._done(batch.number, self._loop.time() - began, left, error)

    def end(self) -> Done:
        """Show the bars that were forming."""
        for fold in self._places.folds.values():
            fold.flush()
        return self._done(-1, 0.0)

    def _done(
        self, number: int, busy: float, left: int = 0, error: BaseException | None = None
    ) -> Done:
        counts = []
        for slot in self._places:
            account = slot.account
            ended = (account.processed, account.invalid, account.dead_lettered)
            if any(ended):
                counts.append((slot.symbol, account.channel, *ended))
                account.processed = account.invalid = account.dead_lettered = 0
        outcome, self._lanes.outcome = self._lanes.outcome, Outcome()
        timers = []
        for timer in self._places.timers.values():
            timers.append((timer.samples, timer.seconds, timer.slowest))
            timer.samples, timer.seconds = 0, 0.0
        return Done(
            number,
            counts,
            _taken(self._signals.rows),
            _taken(self._tables.calls),
            list(outcome.dead_letters),
            list(outcome.invalid),
            dict(outcome.invalid_reasons),
            list(outcome.callback_errors),
            _taken(self._gaps),
            _taken(self._partial),
            _taken(self._delays.samples),
            timers,
            {
                (slot.symbol, slot.account.channel): tuple(slot.context.watch.counts.values())
                for slot in self._places
                if any(slot.context.watch.counts.values())
            },
            outcome.retries,
            busy,
            memory_bytes(),
            left,
            error,
        )


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
    try:
        worker = Worker(await unpack(reader))
    except Exception as error:
        writer.write(pack(Ready(f"{type(error).__name__}: {error}")))
        await writer.drain()
        return
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
        while not isinstance(parcel := await unpack(reader), End):
            # Batches of different lanes; one that awaits must not hold up the others.
            task = asyncio.create_task(handle(parcel))
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
    secret = sys.stdin.buffer.read(TOKEN_BYTES)
    if len(sys.argv) != 2 or len(secret) != TOKEN_BYTES:
        sys.stderr.write("mdkit.stream.process_worker is started by mdkit itself.\n")
        return 2
    asyncio.run(serve(int(sys.argv[1]), secret))
    return 0


if __name__ == "__main__":
    sys.exit(main())
