"""The parts wired together: a source, the buffer, the lanes; started, watched, drained, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from mdkit.errors import MdkitError, SessionError
from mdkit.events import Gap, MarketEvent, Signal
from mdkit.frames import Frames, MetricsFrame, SignalFrame
from mdkit.strategies.contract import Strategy
from mdkit.stream.buffer import Buffer, Message, Overflow, Slot
from mdkit.stream.connection import RawMessage
from mdkit.stream.explain import explain
from mdkit.stream.health import Health, Monitor, Sample
from mdkit.stream.lanes import Handler, Lanes, OnError, Reading, StrategyTimer
from mdkit.stream.ledger import Ledger
from mdkit.stream.source import Source
from mdkit.wire.tickdb import ANSWER, MAX_MESSAGE_BYTES, SEVERAL, Decode, Route, Router, decode

_SAMPLE_SECONDS = 0.2
_METRICS = ("queued", "spilled", "in_rate", "out_rate", "dropped", "lag_ms")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a session did, handed over when it stops.

    Attributes:
        seconds: from start to stop.
        totals: messages by column of the ledger, over all symbols and channels.
        balanced: whether the ledger's equation held for every account at the end.
        signals: how many signals the strategies gave.
        gaps: how many stretches of a channel were not seen.
        connects: connections made.
        drained: whether everything that was received had been handled in time.
        left_path: the file in which unhandled messages were saved (a recording that can be
            replayed), or None.
        reason: what ended the session: "stopped", "the source ended", or an error.
    """

    seconds: float
    totals: Mapping[str, int]
    balanced: bool
    signals: int
    gaps: int
    connects: int
    drained: bool
    left_path: Path | None
    reason: str

    @property
    def left(self) -> int:
        """How many messages were received but not handled."""
        return self.totals["queued"] + self.totals["spilled"] + self.totals["in_flight"]

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>"

    def __str__(self) -> str:
        t = self.totals
        ended = ", ".join(
            f"{t[name]:,} {name.replace('_', ' ')}"
            for name in ("processed", "dropped", "conflated", "dead_lettered", "invalid")
            if t[name] or name == "processed"
        )
        left = (
            f"{self.left:,} left unhandled, saved in {self.left_path}"
            if self.left
            else "nothing left"
        )
        balance = "the ledger balances" if self.balanced else "THE LEDGER DOES NOT BALANCE"
        return (
            f"{t['received']:,} messages in {self.seconds:.1f} s: {ended}; {left}; "
            f"{self.signals:,} signals, {self.gaps:,} gaps; {balance} ({self.reason})."
        )


class Pipeline:
    """One source, one bounded queue, some workers, any number of strategies.

    Args:
        source: delivers raw messages.
        strategies: each gets an instance of its own for every symbol, unless it says
            `per="session"`, which puts all symbols into one lane.
        workers: how many tasks serve the lanes. More than one helps only strategies that
            await: all tasks share one core.
        maxsize, overflow, block_timeout: see `Buffer`.
        max_retries, on_error: see `Lanes`.
        frame_rows, levels: how many rows and book levels the live frames keep.

    For one event loop. All methods must be called in it.
    """

    def __init__(
        self,
        source: Source,
        strategies: Sequence[Strategy] = (),
        *,
        workers: int = 4,
        maxsize: int = 10_000,
        overflow: Overflow | Mapping[str, Overflow] = "block",
        block_timeout: float | None = 30.0,
        spill_quota_bytes: int = 1 << 30,
        max_retries: int = 3,
        on_error: OnError = "dead_letter",
        frame_rows: int = 10_000,
        levels: int = 10,
    ) -> None:
        self.source = source
        self.strategies = tuple(strategies)
        self.workers = workers
        self.ledger = Ledger()
        self.frames = Frames(frame_rows, levels)
        self.signals = SignalFrame(frame_rows)
        self.metrics = MetricsFrame(_METRICS, frame_rows)
        self.buffer = Buffer(
            maxsize,
            overflow,
            block_timeout=block_timeout,
            spill_quota_bytes=spill_quota_bytes,
            clock_ns=source.clock_ns,
        )
        self.lanes = Lanes(self.buffer, self.signals, max_retries=max_retries, on_error=on_error)
        self.monitor = Monitor()
        self.router = Router(source.symbols)
        self.gaps: deque[Gap] = deque(maxlen=100_000)
        self.gap_count = 0
        self.problems: deque[MdkitError] = deque(maxlen=100)
        self.problem_counts: Counter[str] = Counter()
        self.timers = {
            strategy: StrategyTimer(label)
            for strategy, label in zip(self.strategies, _labels(self.strategies), strict=True)
        }
        self.failure: BaseException | None = None
        self.receipt: Receipt | None = None
        self.finished = asyncio.Event()
        self._slots: dict[Route, Slot] = {}
        self._broken: dict[str, Slot] = {}
        self._shared = {
            strategy: Handler(strategy, strategy.instance(), self.timers[strategy])
            for strategy in self.strategies
            if strategy.per == "session"
        }
        self._per_symbol: dict[tuple[Strategy, str], Handler] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._producer: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[Receipt] | None = None
        self._running = asyncio.Event()
        self._running.set()
        self._started_at: float | None = None
        self._metrics_at = 0.0

    # -- the sink: what the source delivers to ----------------------------------------------

    async def deliver(self, batch: Sequence[RawMessage]) -> list[bytes]:
        """Queue messages in order; return those that are answers to commands."""
        if not self._running.is_set():
            await self._running.wait()
        route_of, slots = self.router.route, self._slots
        messages = []
        answers: list[bytes] = []
        for raw, received_ns in batch:
            route = route_of(raw)
            slot = slots.get(route)
            if slot is None:
                if route.channel == ANSWER:
                    answers.append(raw)
                    continue
                if route is SEVERAL:
                    for part, item in self.router.split(raw):
                        messages.append((self._slot(part), item, received_ns))
                    continue
                slot = self._slot(route)
            if len(raw) > MAX_MESSAGE_BYTES:
                slot = self._slot(self.router.oversized(route))
                raw = raw[:512]
            messages.append((slot, raw, received_ns))
        if messages:
            await self.buffer.put_many(messages)
        return answers

    def gap(self, gap: Gap) -> None:
        """Keep a gap for `gaps()`."""
        self.gap_count += 1
        self.gaps.append(gap)

    def problem(self, error: MdkitError) -> None:
        """Keep trouble that the source survives."""
        self.problems.append(error)
        self.problem_counts[type(error).__name__] += 1

    def _slot(self, route: Route) -> Slot:
        """Return the place of a route, made when its first message arrives."""
        if not route.symbol:
            # Broken messages have routes of their own; they share one place, and why each is
            # broken is found out again when its turn comes.
            place = self._broken.get(route.channel)
            if place is None:
                place = self._broken[route.channel] = self._make_slot(route, decode, [])
            return place
        place = self._slots.get(route)
        if place is None:
            handlers = self._handlers(route.symbol, route.channel)
            place = self._slots[route] = self._make_slot(route, route.decode, handlers)
        return place

    def _make_slot(self, route: Route, decode: Decode, handlers: list[Handler]) -> Slot:
        table = None
        if route.symbol:
            table = self.frames.table(route.channel, route.symbol)
            table.read = _read_message
        return self.buffer.slot(
            self.ledger.account(route.symbol, route.channel),
            lane="(session)" if self._shared else None,
            context=Reading(route.symbol, route.channel, decode, handlers, table),
        )

    def _handlers(self, symbol: str, channel: str) -> list[Handler]:
        handlers = []
        for strategy in self.strategies:
            if channel not in strategy.kinds:
                continue
            handler = self._shared.get(strategy) or self._per_symbol.get((strategy, symbol))
            if handler is None:
                handler = Handler(strategy, strategy.instance(), self.timers[strategy])
                self._per_symbol[strategy, symbol] = handler
            handlers.append(handler)
        return handlers

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; returns at once. Needs a running loop."""
        if self._started_at is not None:
            raise SessionError("This pipeline has been started before; make a new one.")
        self._started_at = time.monotonic()
        self._producer = self._supervise(self.source.run(self), "producer")
        for number in range(self.workers):
            self._tasks.append(self._supervise(self.lanes.work(), f"worker {number}"))
        self._tasks.append(self._supervise(self._sample(), "sampler"))

    def pause(self) -> None:
        """Stop taking from the source; it feels that as backpressure."""
        self._running.clear()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._running.set()

    @property
    def paused(self) -> bool:
        """Whether `pause` is in force."""
        return not self._running.is_set()

    async def wait(self) -> Receipt:
        """Return the receipt once the pipeline has ended by itself or been stopped.

        Raises what made it fail.
        """
        await self.finished.wait()
        if self.failure is not None:
            raise self.failure
        assert self.receipt is not None
        return self.receipt

    def stop(self, timeout: float = 10.0) -> asyncio.Task[Receipt]:
        """Stop reading, handle what is queued for up to `timeout` seconds, return a receipt.

        Returns a task, so it may be awaited or left alone. Stopping twice is the same stop.
        """
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop(timeout, "stopped"))
        return self._stopping

    def _supervise(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"mdkit {name}")
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        """No task ends unnoticed: a failure stops the pipeline, the source's end drains it."""
        error = None if task.cancelled() else task.exception()
        if error is not None and self.failure is None:
            self.failure = error
        if self._stopping is None and (error is not None or task is self._producer):
            reason = f"{type(error).__name__}: {error}" if error else "the source ended"
            # The source's end may take as long as it takes to handle what it brought.
            timeout = 10.0 if error else float("inf")
            self._stopping = asyncio.ensure_future(self._stop(timeout, reason))

    async def _stop(self, timeout: float, reason: str) -> Receipt:
        deadline = None if timeout == float("inf") else time.monotonic() + timeout
        try:
            self.source.stop()
            self.resume()
            if self._producer is not None:
                await asyncio.wait([self._producer], timeout=_left(deadline))
                # What it still has in hand is saved with the rest.
                self.buffer.stop_blocking()
                await self._until(time.monotonic() + 1.0, [self._producer])
            self.buffer.close()
            workers = [task for task in self._tasks if "worker" in task.get_name()]
            drained = await self._until(deadline, workers)
            everyone = [task for task in (self._producer, *self._tasks) if task is not None]
            for task in everyone:
                task.cancel()
            await asyncio.gather(*everyone, return_exceptions=True)
            self._take_sample(0.0)
            totals = self.ledger.totals()
            left_path = self._save_leftovers() if totals["queued"] + totals["spilled"] else None
            self.receipt = Receipt(
                seconds=time.monotonic() - (self._started_at or time.monotonic()),
                totals=totals,
                balanced=not self.ledger.imbalance(),
                signals=self.lanes.outcome.signals,
                gaps=self.gap_count,
                connects=getattr(self.source, "connects", 0),
                drained=drained and left_path is None,
                left_path=left_path,
                reason=reason,
            )
            return self.receipt
        finally:
            self.buffer.discard()
            self.finished.set()

    async def _until(self, deadline: float | None, tasks: Sequence[asyncio.Task[None]]) -> bool:
        """Wait for tasks until the deadline; cancel what is left. True if nothing was left."""
        if not tasks:
            return True
        _, pending = await asyncio.wait(tasks, timeout=_left(deadline))
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)
        return not pending

    def _save_leftovers(self) -> Path | None:
        """Write unhandled messages as a recording, so that stopping early loses nothing."""
        handle, name = tempfile.mkstemp(prefix="mdkit-left-", suffix=".jsonl")
        try:
            with os.fdopen(handle, "wb") as file:
                for _, raw, received_ns in self.buffer.leftovers():
                    file.write(b"%d\t%b\n" % (received_ns, raw.replace(b"\n", b" ")))
        except OSError as error:
            self.problem(SessionError(f"Unhandled messages could not be saved: {error}."))
            with contextlib.suppress(OSError):
                os.unlink(name)
            return None
        return Path(name)

    # -- looking ------------------------------------------------------------------------------

    async def _sample(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += _SAMPLE_SECONDS
            await asyncio.sleep(max(0.0, due - loop.time()))
            lag = loop.time() - due
            if lag > _SAMPLE_SECONDS:
                due = loop.time()  # skip the ticks that a blocked loop missed
            self._take_sample(lag)

    def _take_sample(self, lag: float) -> None:
        totals = self.ledger.totals()
        look = self.buffer.statistics()
        sample = Sample(
            at=time.monotonic(),
            received=totals["received"],
            processed=totals["processed"] + totals["dead_lettered"] + totals["invalid"],
            dropped=totals["dropped"],
            conflated=totals["conflated"],
            queued=look.depth,
            spilled=look.spilled,
            maxsize=look.maxsize,
            lag=lag,
            busy=self.lanes.outcome.busy_seconds,
            blocked=look.blocked_seconds,
        )
        previous = self.monitor.samples[-1] if self.monitor.samples else None
        self.monitor.add(sample)
        since = sample.at - (previous.at if previous else self._started_at or sample.at)
        if since <= 0:
            return
        before = previous.received if previous else 0
        handled_before = previous.processed if previous else 0
        self.metrics.record(
            time.time_ns(),
            {
                "queued": sample.queued,
                "spilled": sample.spilled,
                "in_rate": (sample.received - before) / since,
                "out_rate": (sample.processed - handled_before) / since,
                "dropped": sample.dropped + sample.conflated,
                "lag_ms": lag * 1e3,
            },
        )

    # -- judging ------------------------------------------------------------------------------

    def health(self) -> Health:
        """Return the judgement on the last seconds."""
        return self.monitor.health(
            connected=self.source.connected,
            stale_for=self.source.stale_for,
            utilisation=self.buffer.statistics().utilisation,
        )

    def explain(self) -> str:
        """Return one sentence, made of measurements, on how the pipeline is doing."""
        return explain(self)

    def on_signal(self, callback: Callable[[Signal], Any]) -> None:
        """Call `callback` with every signal from now on, in the loop, in order by symbol."""
        self.lanes.callbacks.append(callback)


def _read_message(message: Message) -> tuple[MarketEvent, ...]:
    slot, raw, received_ns = message
    events: tuple[MarketEvent, ...] = slot.context.decode(raw, received_ns)
    return events


def _labels(strategies: Sequence[Strategy]) -> list[str]:
    """Return a name for each strategy: its own, or with parameters where names are not unique."""
    names = Counter(strategy.name for strategy in strategies)
    labels: list[str] = []
    for strategy in strategies:
        label = strategy.name if names[strategy.name] == 1 else repr(strategy)
        same = labels.count(label)
        labels.append(f"{label} #{same + 1}" if same else label)
    return labels


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
