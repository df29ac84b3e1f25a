"""Lanes in worker processes: every core counts, and the order within a symbol still holds.

Each process owns some lanes. A lane's batch goes out raw, and the lane is held until what
became of it comes back, so no process is ever ahead of itself. Tables stay in this process and
keep the raw messages: sending rows back would cost more than decoding them when somebody looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from mdkit.channels.channel import Channel
from mdkit.channels.channels import Channels
from mdkit.channels.deduplicator import TradeDeduplicator
from mdkit.channels.handlers import StrategyTimer
from mdkit.errors import InvalidMessage, SessionError, StrategyError
from mdkit.events import Gap
from mdkit.frames import Frames
from mdkit.processes.process import Process, end_process, start_process
from mdkit.processes.protocol import Anew, Batch, BatchResult, End, Setup, pack, unpack
from mdkit.queue.buffer import Buffer
from mdkit.queue.due_gaps import due_gaps
from mdkit.sources.connection import RawMessage
from mdkit.venues.routes import LIVE
from mdkit.workers.lanes import Lanes
from mdkit.workers.outcome import SignalSink
from mdkit.workers.watchdog import Held

_logger = logging.getLogger("mdkit")
_OUTSTANDING = 4
"""Batches a process is given before it has answered: enough that it never waits for more."""
_BATCH_SECONDS = 0.010
"""The work in a batch: much more than sending it takes, and soon done when a session stops."""
_MAX_BATCH = 512
_MOST_DEATHS = 5
"""In a minute; a process that dies more often than that has something wrong with it."""


class ProcessLanes(Lanes):
    """Runs lanes in worker processes; to the pipeline it is like `Lanes`.

    Args:
        setup: what the processes run.
        tables: where rows go.
        timers: of the strategies, in their order.
        channels: of the queue that the lanes are served from.
        source_symbols: the symbols that are subscribed to, asked for when a process starts.
        on_held: is told of a strategy that does not return to its process's loop.
    """

    def __init__(
        self,
        buffer: Buffer[Channel],
        signals: SignalSink,
        *,
        setup: Setup,
        tables: Frames,
        timers: Sequence[StrategyTimer],
        channels: Channels,
        source_symbols: Callable[[], Sequence[str]],
        on_held: Callable[[Held], None],
    ) -> None:
        super().__init__(buffer, signals)
        self.processes: dict[int, Process] = {}
        self.deaths = 0
        self._setup = setup
        self._tables = tables
        self._timers = timers
        self._channels = channels
        self._source_symbols = source_symbols
        self._on_held = on_held
        self._serial = 0
        self._buried: dict[Channel, deque[RawMessage]] = {}
        self._cost: dict[int, float] = {}
        self._beginnings = 0

    async def work(self, number: int = 0) -> None:
        """Keep process `number` at work until the buffer is closed and empty."""
        deaths: deque[float] = deque(maxlen=_MOST_DEATHS)
        while True:
            process = await self._start(number)
            try:
                await _together(self._attend(process), self._feed(process), self._listen(process))
                return
            except (asyncio.IncompleteReadError, ConnectionError):
                code = await self._bury_process(process)
                deaths.append(time.monotonic())
                if len(deaths) == _MOST_DEATHS and deaths[-1] - deaths[0] < 60.0:
                    raise SessionError(
                        f"Worker process {number} died {_MOST_DEATHS} times within a minute, the "
                        f"last time with exit code {code}: something in a strategy ends it. Run "
                        'with worker_kind="task" to see what.'
                    ) from None
            finally:
                await self._end(process)

    def begin_anew(self) -> None:
        """Have the processes forget what was handled; nothing may be queued or with them."""
        self._beginnings += 1
        self._buried.clear()
        for process in self.processes.values():
            process.writer.write(pack(Anew()))

    async def _feed(self, process: Process) -> None:
        """Send batches while the process has room for them; then tell it that it may end."""
        while True:
            cost = self._cost.get(process.number, 2e-5)
            limit = min(_MAX_BATCH, max(1, int(_BATCH_SECONDS / cost)))
            # With many symbols a batch is a message or two, and four of them are no work.
            while len(process.outstanding) >= _OUTSTANDING and process.given >= limit:
                process.room.clear()
                await process.room.wait()
            taken = await self.buffer.get(limit, process.number)
            if taken is None:
                break
            lane, batch = taken
            gaps = due_gaps([lane], batch)
            for position, due in (gaps or {}).items():
                channel = batch[position][0]
                for pending in due:
                    if not pending.reported:
                        self.on_gap(pending.gap(channel.symbol))
                        pending.reported = True
            self._serial += 1
            process.outstanding[self._serial] = (lane, batch)
            process.given += len(batch)
            raw = [(message, received_ns) for _, message, received_ns, _ in batch]
            process.writer.write(pack(Batch(self._serial, raw, gaps)))
            await process.writer.drain()
        process.writer.write(pack(End()))
        await process.writer.drain()

    async def _attend(self, process: Process) -> None:
        """Report strategies that hold the process's loop, as its watchdog finds them."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                held: Held = await unpack(process.aside[0])
                held = replace(held, what=f"{held.what} of worker process {process.number}")
                _logger.warning("mdkit: %s. Make it return.", held)
                process.held = held
                self._on_held(held)

    async def _listen(self, process: Process) -> None:
        """Apply the results of batches as they come, until the process has ended in order."""
        while True:
            done: BatchResult = await unpack(process.reader)
            if done.number < 0:
                self._take_in(process, done)
                process.ended = True
                return
            lane, batch = process.outstanding[done.number]
            self._take_in(process, done)
            del process.outstanding[done.number]
            process.given -= len(batch)
            if process.held is not None and process.held.symbol in {
                channel.symbol for channel in lane.channels
            }:
                process.held = None
            process.room.set()
            each = done.busy_seconds / len(batch)
            cost = self._cost.get(process.number, each)
            self._cost[process.number] = cost + 0.2 * (each - cost)
            process.memory_bytes = done.memory_bytes
            # What a failure stopped short of goes back.
            self.buffer.release(lane, batch[len(batch) - done.left :])
            if isinstance(done.error, StrategyError):
                raise done.error
            if done.error is not None:
                raise SessionError(f"Worker process {process.number} failed: {done.error}")
            await asyncio.sleep(0)

    def _take_in(self, process: Process, done: BatchResult) -> None:
        for symbol, name, processed, invalid, dead in done.counts:
            channel = self._channels.named(symbol, name)
            channel.in_flight -= processed + invalid + dead
            channel.processed += processed
            channel.invalid += invalid
            channel.dead_lettered += dead
        for kind, symbol, call, argument in done.tables:
            table = self._tables.table(kind, symbol)
            if call == "keep":
                number, positions = argument
                batch = process.outstanding[number][1]
                for position in positions:
                    _, raw, received_ns, _ = batch[position]
                    table.keep(raw, received_ns)
            elif call == "break_off":
                table.break_off()
            else:
                getattr(table, call)(argument)
        outcome = self.outcome
        for letter in done.dead_letters:
            self._note_letter(letter)
        outcome.invalid.extend(done.invalid)
        for reason, count in done.invalid_reasons.items():
            known = reason in outcome.invalid_reasons or len(outcome.invalid_reasons) < 200
            outcome.invalid_reasons[reason if known else "(other)"] += count
        outcome.callback_errors.extend(done.callback_errors)
        outcome.retries += done.retries
        outcome.busy_seconds += done.busy_seconds
        for timer, (samples, seconds, slowest) in zip(self._timers, done.timers, strict=True):
            timer.samples += samples
            timer.seconds += seconds
            timer.slowest = max(timer.slowest, slowest)
        for (symbol, name), counts in done.quality.items():
            found = self._channels.find(symbol, name)
            if found is not None:
                quality = found.reader.quality
                quality.backwards, quality.frozen, quality.empty = counts
        for symbol, difference_ns in done.delays:
            if difference_ns is None:
                self.clocks.begin_anew(symbol)
            else:
                self.clocks.add(symbol, difference_ns)
        for gap in done.gaps:
            self.on_gap(gap)
        for bar in done.partial_bars:
            self.on_partial(bar)
        if done.signals:
            self._publish(done.signals)

    # -- processes ----------------------------------------------------------------------------

    async def _start(self, number: int) -> Process:
        beginnings = self._beginnings
        setup = self._setup._replace(seen=self._seen(number))
        process = await start_process(number, setup, self._source_symbols)
        self.processes[number] = process
        if beginnings != self._beginnings:  # it was given trades from before that
            process.writer.write(pack(Anew()))
        return process

    def _seen(self, number: int) -> dict[str, TradeDeduplicator]:
        """Return the trades that went to the process which had this number before."""
        seen: dict[str, TradeDeduplicator] = {}
        for channel in self._channels:
            if channel.lane.group == number and channel.channel == "trade":
                assert channel.table is not None
                known = TradeDeduplicator.of_table(channel.table)
                seen[channel.symbol] = known
                for raw, received_ns in self._buried.get(channel, ()):
                    with contextlib.suppress(InvalidMessage):
                        known.fresh(channel.reader.read(raw, received_ns), LIVE)
        return seen

    async def _bury_process(self, process: Process) -> int | None:
        """Count what a dead process held, and say that its strategies begin anew.

        Nothing was missed of a symbol of which it held nothing; but its strategies have forgotten
        what they had seen, and how much that matters nobody can know.
        """
        code = await asyncio.to_thread(process.child.wait)
        self.deaths += 1
        cause = f"worker process {process.number} died with exit code {code}"
        lost: dict[Channel, list[int]] = {}
        for lane, batch in process.outstanding.values():
            if self.buffer.on_loss is not None:
                self.buffer.on_loss("dropped", [message[3] for message in batch])
            for channel, raw, received_ns, _ in batch:
                channel.in_flight -= 1
                channel.dead_lettered += 1
                lost.setdefault(channel, []).append(received_ns)
                self._keep_letter(
                    channel, "", raw, received_ns, f"{cause} while it held this", 1, ""
                )
                if channel.channel == "trade":
                    buried = self._buried.setdefault(channel, deque(maxlen=1000))
                    buried.append((raw, received_ns))
            self.buffer.release(lane)
        process.outstanding.clear()
        # By the clock of receipt, which in a replay is not today's.
        died_ns = max((times[-1] for times in lost.values()), default=time.time_ns())
        for channel in self._channels:
            if channel.lane.group == process.number and channel.symbol:
                times = lost.get(channel, [died_ns])
                self.on_gap(
                    Gap(
                        channel.symbol,
                        channel.channel,
                        f"{cause}; its strategies begin anew",
                        times[0],
                        times[-1],
                        len(times) if channel in lost else None,
                    )
                )
                if channel in lost and channel.table is not None:
                    channel.table.break_off()
        return code

    async def _end(self, process: Process) -> None:
        """End a process; what it had not answered goes back to the queue."""
        if self.processes.get(process.number) is process:
            del self.processes[process.number]
        for lane, batch in process.outstanding.values():
            self.buffer.release(lane, batch)
        process.outstanding.clear()
        await end_process(process)


async def _together(*work: Coroutine[Any, Any, None]) -> None:
    """Run until all is done, or until one fails, which ends the others."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    # The listener's is the one that tells: a feeder only finds that nobody listens any more.
    for result in reversed(results):
        if isinstance(result, Exception):
            raise result
