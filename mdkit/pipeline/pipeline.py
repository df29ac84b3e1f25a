"""The parts wired together: a source, the buffer, the lanes; started, watched, drained, stopped."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

from mdkit.backfill.backfill import ReconnectBackfill
from mdkit.backfill.rest import RestBackfill
from mdkit.channels.channel import Channel
from mdkit.channels.channels import Channels
from mdkit.errors import MdkitError, SessionError, StrategyError
from mdkit.events import REFUSED, Gap, Signal
from mdkit.frames import Frames, MetricsFrame, SignalFrame
from mdkit.gap.pending import PendingGap
from mdkit.pipeline.ending import ended_by, seconds_left
from mdkit.pipeline.health import Health, Monitor
from mdkit.pipeline.options import PipelineOptions
from mdkit.pipeline.receipt import Receipt
from mdkit.pipeline.routed import routed
from mdkit.pipeline.sampler import METRICS, Sampler
from mdkit.pipeline.unconnected import UnconnectedWarnings, why_never_connected
from mdkit.pipeline.unhandled import save_leftovers
from mdkit.processes.lanes import ProcessLanes
from mdkit.processes.process import make_setup
from mdkit.queue.buffer import Buffer
from mdkit.queue.ledger import Ledger
from mdkit.queue.turn import Turn
from mdkit.recording.recorder.recorder import Recorder
from mdkit.recording.recorder.session_recordings import SessionRecordings
from mdkit.sources.connection import RawMessage
from mdkit.sources.feed import Feed
from mdkit.sources.source import Source, codec_of_source
from mdkit.sources.venue import VenueSource
from mdkit.strategies.contract import Strategy
from mdkit.venues.routes import REST, Router
from mdkit.workers.lanes import Lanes
from mdkit.workers.outcome import warn_of_failure
from mdkit.workers.watchdog import Held, Watchdog

_ROWS = 10_000
_LOOK_SECONDS = 0.005
_NOWHERE = repeat(0)


class Pipeline:
    """One source, one bounded queue, some workers, any number of strategies.

    Args:
        source: delivers raw messages.
        strategies: each gets an instance of its own for every symbol, unless it says
            `per="session"`, which puts all symbols into one lane.
        options: see `PipelineOptions`; any of them can be given as a keyword instead.
        backfill: who is asked for warmup bars, and for what was missed after a reconnect.
        recorder: writes down what arrives; started and closed with the pipeline.

    For one event loop. All methods must be called in it.
    """

    def __init__(
        self,
        source: Source,
        strategies: Sequence[Strategy] = (),
        options: PipelineOptions | None = None,
        *,
        backfill: RestBackfill | None = None,
        recorder: Recorder | None = None,
        **keywords: Any,
    ) -> None:
        self.source = source
        self.strategies = tuple(strategies)
        self.options = options = replace(options or PipelineOptions(), **keywords)
        self.workers = options.workers
        self.worker_kind = options.worker_kind
        self.ledger = Ledger()
        self.frames = Frames(options.frame_rows, options.levels)
        self.signals = SignalFrame(options.frame_rows or _ROWS)
        self.metrics = MetricsFrame(METRICS, options.frame_rows or _ROWS)
        self.monitor = Monitor()
        self.on_sample: list[Callable[[], None]] = []  # these raise nothing
        self.watchdog = Watchdog(lambda: self.lanes.running, self._note_held)
        self.gaps: deque[Gap] = deque(maxlen=100_000)
        self.gap_count = 0
        self.beginnings = 0
        """How often it has begun anew."""
        self.problems: deque[MdkitError] = deque(maxlen=100)
        self.problem_counts: Counter[str] = Counter()
        self._unconnected = UnconnectedWarnings(source)
        self.buffer: Buffer[Channel] = Buffer(
            options.maxsize,
            options.overflow,
            block_timeout=options.block_timeout,
            spill_quota_bytes=options.spill_quota_bytes,
            clock_ns=source.clock_ns,
            groups=options.workers if options.worker_kind == "process" else 1,
        )
        signed = options.allow_nonpositive or getattr(source, "allow_nonpositive", False)
        self.interval = options.interval
        """The interval of the bars that are made of trades or tickers; None for no bars."""
        self.codec = codec_of_source(source)
        self.router: Router[Channel] = self.codec.router(source.symbols, allow_nonpositive=signed)
        self.channels = Channels(
            self.strategies,
            self.buffer,
            self.ledger,
            self.frames,
            self.router,
            interval=options.interval,
            made_of=options.made_of,
            remote=options.worker_kind == "process",
        )
        self.timers = self.channels.timers
        self.lanes = self._lanes()
        self._sampler = Sampler(self)
        self.lanes.may_await = any(strategy.is_async for strategy in self.strategies)
        self.lanes.on_gap = self._note_gap
        if options.on_error == "dead_letter":
            self.lanes.on_failure = warn_of_failure
        self.lanes.on_partial = lambda bar: self.backfill.want(bar)
        self.backfill = ReconnectBackfill(self, backfill, source, options.interval, options.warmup)
        self.recorder = recorder
        self._turn = Turn()  # to deliver
        self.recordings = SessionRecordings(
            source, self.channels, self.buffer, self.problem, self._turn
        )
        self.failure: BaseException | None = None
        self.receipt: Receipt | None = None
        self.finished = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._producer: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[Receipt] | None = None
        self._running = asyncio.Event()
        self._running.set()
        self._started_at: float | None = None
        self.has_own_thread = False  # what runs it may say so; see `explain`

    def _lanes(self) -> Lanes:
        """Return what serves the queue."""
        options = self.options
        if options.worker_kind != "process":
            return Lanes(
                self.buffer,
                self.signals,
                max_retries=options.max_retries,
                on_error=options.on_error,
            )
        setup = make_setup(
            self.strategies,
            self.codec,
            interval=options.interval,
            made_of=options.made_of,
            max_retries=options.max_retries,
            on_error=options.on_error,
            allow_nonpositive=self.router.allow_nonpositive,
        )
        return ProcessLanes(
            self.buffer,
            self.signals,
            setup=setup,
            tables=self.frames,
            timers=tuple(self.timers.values()),
            channels=self.channels,
            source_symbols=lambda: self.source.symbols,
            on_held=self._note_held,
        )

    # -- the sink: what the source delivers to ----------------------------------------------

    async def deliver(self, batch: Sequence[RawMessage]) -> list[bytes]:
        """Record messages and queue them in order; return those that are answers to commands."""
        if not self._running.is_set():
            await self._running.wait()
        # What is written next has to be queued next, whatever else is delivered meanwhile.
        turn = self._turn
        if turn.taken:
            await turn.wait()
        turn.taken = True
        try:
            current = self.recordings.current
            places = _NOWHERE if current is None else current.places(len(batch))
            messages, answers = routed(batch, places, self.router, self.channels)
            if answers:  # of which nothing is recorded, so that the others move up
                told = set(map(id, answers))
                batch = [item for item in batch if id(item[0]) not in told]
                messages, _ = routed(batch, places, self.router, self.channels)
            if messages:
                if current is not None:
                    current.write(batch)
                await self.buffer.put_many(messages)
        finally:
            turn.end()
        return answers

    async def queue(self, batch: Sequence[RawMessage], places: Sequence[int]) -> None:
        """Queue messages that were made of recorded frames, in order."""
        if not self._running.is_set():
            await self._running.wait()
        if self._turn.taken:
            await self._turn.wait()
        self._turn.taken = True
        try:
            messages, _ = routed(batch, places, self.router, self.channels)
            await self.buffer.put_many(messages)
        finally:
            self._turn.end()

    def record_frames(self, feed: Feed, frames: Sequence[RawMessage]) -> int:
        """Record what a venue sent; the messages that are made of it are queued next."""
        return self.recordings.frames(feed, frames)

    def gap(self, gap: Gap) -> None:
        """Keep a gap for `gaps()`; strategies and frames meet it in its place in the stream.

        A gap of which `lost` is 0 was filled, and is a row of `gaps()` only; so is one of what
        was refused, of which there is no stream.
        """
        self.recordings.gap(gap)
        self.derived_gap(gap)

    def derived_gap(self, gap: Gap) -> None:
        """Keep a gap of which recorded frames tell again, so that it is not recorded."""
        self._note_gap(gap)
        if gap.symbol and gap.lost != 0 and not gap.reason.startswith(REFUSED):
            pending = PendingGap(gap.reason, gap.from_ns, gap.to_ns, gap.lost, channel=gap.channel)
            filling = self.channels.find(gap.symbol, f"{gap.channel}:{REST}")
            pending.rest_messages = filling.admitted if filling is not None else 0
            self.channels.expect(gap.symbol, gap.channel).interrupt(pending)

    async def begin_anew(self) -> None:
        """Handle what is queued; then strategies are new instances, frames and gaps are empty.

        Ledger, dead letters and health go on: they count for the session. A recording ends here,
        since what comes does not follow what it holds.
        """
        while self._stopping is None and self.ledger.waits:  # noqa: ASYNC110 - workers tell nobody
            await asyncio.sleep(_LOOK_SECONDS)
        if self._stopping is not None:
            return
        self.recordings.end_at_a_jump()
        self.beginnings += 1
        self.channels.begin_anew()
        self.lanes.begin_anew()
        self.frames.clear()
        self.signals.clear()
        self.gaps.clear()

    def expect(self, symbols: Sequence[str]) -> None:
        """Set the symbols that messages are about from now on."""
        self.router.expect(symbols)
        self.recordings.subscribed(symbols)

    def _note_gap(self, gap: Gap) -> None:
        self.gap_count += 1
        self.gaps.append(gap)

    async def opened(self, gaps: Sequence[Gap]) -> None:
        """Ask REST for what was missed since the last connection, and report the gaps."""
        if not isinstance(self.source, VenueSource):
            self.recordings.connected()
        await self.backfill.opened(gaps)

    async def subscribed(self, pushed: Callable[[], Sequence[RawMessage]] = tuple) -> None:
        """Ask REST for the trades that were missed, now that new ones come."""
        await self.backfill.subscribed(pushed)

    def feed_opened(self, feed: Feed) -> None:
        """Record that a feed's connection was made."""
        self.recordings.connected(feed)

    def feed_changed(self, feed: Feed) -> None:
        """Record that a feed carries more."""
        self.recordings.feed_changed(feed)

    def feed_closed(self, feed: Feed, reason: str) -> None:
        """Record the end of a feed's connection."""
        self.recordings.disconnected(reason, feed)

    def feed_ended(self, feed: Feed, at: int) -> int:
        """Record that a feed has ended for good."""
        return self.recordings.feed_ended(feed, at)

    def closed(self, reason: str) -> None:
        """Record the end of a connection."""
        self.recordings.disconnected(reason)

    def _note_held(self, held: Held) -> None:
        self.problem(StrategyError(f"{held}. Make it return, or interrupt it."))

    def problem(self, error: MdkitError) -> None:
        """Keep trouble that the source survives."""
        self.problems.append(error)
        self.problem_counts[type(error).__name__] += 1
        self._unconnected.problem(error)

    # -- recording ----------------------------------------------------------------------------

    def record(self, recorder: Recorder) -> None:
        """Write down from now on what arrives. Raises `SessionError` when that is done already."""
        if self._started_at is None and self.recorder not in (None, recorder):
            raise SessionError(
                f"This session is about to be recorded, into {self.recorder.path}; "
                "wait for a message, and stop that first."
            )
        self.recorder = recorder
        self.recordings.begin(recorder)

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; returns at once. Needs a running loop."""
        if self._started_at is not None:
            raise SessionError("This pipeline has been started before; make a new one.")
        if self.recorder is not None and self.recordings.current is None:
            self.record(self.recorder)
        self._started_at = time.monotonic()
        self.watchdog.start()
        self._producer = self._supervise(self.source.run(self), "producer")
        for number in range(self.workers):
            self._tasks.append(self._supervise(self.lanes.work(number), f"worker {number}"))
        self._tasks.append(self._supervise(self._sampler.run(), "sampler"))

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

    @property
    def is_ending(self) -> bool:
        """Whether it is being stopped, or has ended."""
        return self._stopping is not None

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
        if why := why_never_connected(self.source):
            reason += f"; there was no connection: {why}"
        try:
            self.source.stop()
            self.resume()
            if self._producer is not None:
                await asyncio.wait([self._producer], timeout=seconds_left(deadline))
                # What it still has in hand is saved with the rest.
                self.buffer.stop_blocking()
                await ended_by(time.monotonic() + 1.0, [self._producer])
            await self.backfill.stop()
            self.buffer.close()
            workers = [task for task in self._tasks if "worker" in task.get_name()]
            drained = await ended_by(deadline, workers)
            everyone = [task for task in (self._producer, *self._tasks) if task is not None]
            for task in everyone:
                task.cancel()
            await asyncio.gather(*everyone, return_exceptions=True)
            self._sampler.look()
            for gap in self.channels.end():
                self._note_gap(gap)
            self.recordings.note_left()
            totals = self.ledger.totals()
            left_path = self._save_leftovers() if totals["queued"] + totals["spilled"] else None
            now = time.monotonic()
            self.receipt = Receipt(
                seconds=now - (self._started_at or now),
                totals=totals,
                balanced=not self.ledger.imbalance(),
                signals=self.lanes.outcome.signals,
                gaps=self.gap_count,
                connects=getattr(self.source, "connects", 0),
                drained=drained and left_path is None,
                left_path=left_path,
                reason=reason,
                commonest=self.lanes.outcome.failures.commonest,
            )
            return self.receipt
        finally:
            self.watchdog.stop()
            self.recordings.note_left()
            self.buffer.discard()
            await self.recordings.close()
            self.finished.set()

    def _save_leftovers(self) -> Path | None:
        """Write what was not handled to a file; return that, or None where it could not be."""
        try:
            return save_leftovers(self.buffer.leftovers(), self.codec.name)
        except OSError as error:
            self.problem(SessionError(f"Unhandled messages could not be saved: {error}."))
            return None

    def health(self) -> Health:
        """Return the judgement on the last seconds."""
        return self.monitor.health(
            connected=self.source.connected,
            stale_for=self.source.stale_for,
            utilisation=self.buffer.statistics().utilisation,
        )

    def on_signal(self, callback: Callable[[Signal], Any]) -> None:
        """Call `callback` with every signal from now on, in the loop, in order by symbol."""
        self.lanes.callbacks.append(callback)
