"""Workers: they take batches from the buffer, decode, and run the strategies.

A message ends in one of three ways here: processed, invalid (not a usable message), or dead
letter (a strategy failed on it). None of them stops the lane.
"""

from __future__ import annotations

import asyncio
import inspect
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from mdkit.channels.channel import Channel
from mdkit.channels.handlers import Handler, described, ends_worker, shortened
from mdkit.channels.live_bars import RevisedBar
from mdkit.channels.reader import Item, UnseenGap, Unusable
from mdkit.errors import InvalidMessage, StrategyError
from mdkit.events import SET_BACK, Bar, Depth, Gap, MarketEvent, Signal, Ticker, Trade
from mdkit.frames import EventFrame
from mdkit.gap.clocks import Clocks
from mdkit.gap.pending import PendingGap
from mdkit.queue.buffer import Buffer
from mdkit.queue.channel import Lane, Message
from mdkit.queue.due_gaps import due_gaps
from mdkit.strategies.contract import as_signal
from mdkit.venues.routes import LIVE
from mdkit.workers.calls import Call, Calls
from mdkit.workers.failures import where_failed
from mdkit.workers.outcome import DeadLetter, Invalid, Outcome, SignalRow, SignalSink
from mdkit.workers.time_slice import SLICE_SECONDS, TimeSlice

OnError = Literal["dead_letter", "raise"]

# Larger ones would push their decoded events out of the processor's cache.
_MAX_BATCH = 128
_SAMPLE_EVERY = 64
_SAMPLE_BYTES = 512


class Lanes:
    """Runs workers over a buffer.

    Args:
        buffer: where batches come from.
        signals: gets the signals of each batch; events go to the tables of their channels.
        max_retries: how often a message is tried again after a `TransientError`, after
            10, 20, 40, ... ms.
        on_error: `"dead_letter"` keeps a failed message and goes on; `"raise"` lets the
            worker fail with `StrategyError`, which stops the pipeline.
        sleep: awaited between retries; replaced in tests.
    """

    def __init__(
        self,
        buffer: Buffer[Channel],
        signals: SignalSink,
        *,
        max_retries: int = 3,
        on_error: OnError = "dead_letter",
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self.buffer = buffer
        self.signals = signals
        self.on_error = on_error
        self.outcome = Outcome()
        self.calls = Calls(self.outcome, max_retries, sleep)
        self.clocks = Clocks()
        self.callbacks: list[Callable[[Signal], Any]] = []
        self.on_gap: Callable[[Gap], None] = lambda gap: None
        self.on_failure: Callable[[DeadLetter], None] = lambda letter: None
        """Called with the first dead letter of each strategy."""
        self.on_partial: Callable[[Bar], None] = lambda bar: None
        self.may_await = True
        """Whether strategies may await: then every lane is served by itself."""
        self._seconds_per_message = 1e-5
        self._unsampled = _SAMPLE_EVERY
        self._time_slice = TimeSlice()

    @property
    def running(self) -> Call | None:
        """The strategy or callback that the loop is in, if any; for a thread that watches it."""
        return self.calls.running

    def begin_anew(self) -> None:
        """Forget what was handled; `Channels` does that for strategies in this process."""

    async def work(self, number: int = 0) -> None:
        """Serve lanes until the buffer is closed and empty; `number` tells workers apart."""
        while True:
            # Whatever a strategy costs, a batch should take no longer than a slice.
            limit = min(_MAX_BATCH, max(1, int(SLICE_SECONDS / self._seconds_per_message)))
            lanes, batch = await self._take(limit)
            if not batch:
                return
            began = time.perf_counter()
            self._time_slice.begin(began)
            await self.serve(lanes, batch, due_gaps(lanes, batch))
            taken = time.perf_counter() - began
            self.outcome.busy_seconds += taken
            self._seconds_per_message += 0.2 * (taken / len(batch) - self._seconds_per_message)
            # Taking suspends only when nothing waits, so busy workers must yield by themselves.
            await self._time_slice.wait()

    async def _take(self, limit: int) -> tuple[list[Lane[Channel]], list[Message[Channel]]]:
        """Return up to `limit` messages of one lane, or of several where none of them may await.

        With many symbols each has few messages, and serving them together is much cheaper.
        Nothing is returned when the buffer is closed and empty.
        """
        if not self.buffer.spill:
            most = 1 if self.may_await else None
            lanes, batch = self.buffer.get_several(limit, most_lanes=most)
            if batch:
                return lanes, batch
        taken = await self.buffer.get(limit)
        return ([], []) if taken is None else ([taken[0]], taken[1])

    async def serve(
        self,
        lanes: Sequence[Lane[Channel]],
        batch: list[Message[Channel]],
        gaps: Mapping[int, Sequence[PendingGap]] | None = None,
    ) -> None:
        """Handle messages taken out of lanes; whatever happens, every one is accounted for.

        `gaps` are the pending ones before each position of the batch. A message ends in one of
        five ways, and each counts it once:

        1. processed: its events went to every strategy;
        2. invalid: it could not be read, and no strategy sees it;
        3. dead-lettered: a strategy failed on it, and the others saw it all the same;
        4. dead-lettered: the worker was cancelled, or failed, in the middle of it, since nobody
           knows what strategies have made of it;
        5. none of these: the worker ended before it, and it goes back to the front of its lane.
        """
        signals: list[SignalRow] = []
        rows: dict[EventFrame[Any], list[MarketEvent]] = {}
        now = time.monotonic()
        position = 0
        calls = self.calls
        # What is timed is the first message of a batch, and of small batches only some.
        self._unsampled += len(batch)
        sampled = -1
        if self._unsampled >= _SAMPLE_EVERY:
            self._unsampled = sampled = 0
        try:
            for position, message in enumerate(batch):
                channel, raw, received_ns, _ = message
                reader = channel.reader
                if gaps is not None and position in gaps:
                    self._extend_tables(rows)
                    for pending in gaps[position]:
                        await self._interrupt(channel, pending)
                try:
                    items = reader.feed(raw, received_ns)
                except InvalidMessage as error:
                    channel.in_flight -= 1
                    channel.invalid += 1
                    self._note_unusable(channel, raw, received_ns, str(error))
                    continue
                if position == sampled and items and channel.is_dated:
                    self._sample_clock(channel, items[-1], received_ns)
                failed = False
                if not isinstance(items, tuple):
                    self._extend_tables(rows)
                    failed = await self._handle(items, message, signals)
                else:
                    # The same as in `_run`, which most messages need not be sent to.
                    for event in items:
                        for handler in channel.handlers:
                            try:
                                if position == sampled:
                                    value = await calls.call(handler, event, timed=True)
                                else:
                                    calls.called_with = event
                                    calls.calling = handler
                                    value = handler.call(event)
                                    calls.calling = None
                                    if handler.is_async:
                                        value = await calls.result(handler, event, value)
                                if value is None:
                                    continue
                                if type(value) is not float or value != value:
                                    value = as_signal(value, handler.name)
                            except BaseException as error:
                                calls.calling = None
                                value, has_failed = await self._again(
                                    handler, event, message, error
                                )
                                failed |= has_failed
                            if value is not None:
                                signals.append(
                                    (
                                        received_ns,
                                        event.symbol,
                                        handler.name,
                                        value,
                                        event.exchange_ns,
                                    )
                                )
                    table = channel.table
                    if table is not None:
                        if channel.origin != LIVE:
                            self._extend_tables(rows)  # live ones before it are of this table
                            table.fill_in(items)
                        elif table.watched_until > now:
                            rows.setdefault(table, []).extend(items)
                        else:
                            table.keep(raw, received_ns)
                channel.in_flight -= 1
                if failed:
                    channel.dead_lettered += 1
                else:
                    channel.processed += 1
        except BaseException as error:
            channel, raw, received_ns, place = batch[position]
            channel.in_flight -= 1
            channel.dead_lettered += 1
            cancelled = isinstance(error, asyncio.CancelledError)
            if cancelled:
                reason = "stopped while a strategy awaited"
                self._keep_letter(channel, "", raw, received_ns, reason, 1, "")
            rest = batch[position + 1 :]
            if cancelled and self.buffer.on_loss is not None:
                self.buffer.on_loss("left", (place,))
            for lane in lanes:
                self.buffer.release(lane, [message for message in rest if message[0].lane is lane])
            raise
        else:
            self.buffer.release_all(lanes)
        finally:
            self._extend_tables(rows)
            if signals:
                self._publish(signals)

    def _extend_tables(self, rows: dict[EventFrame[Any], list[MarketEvent]]) -> None:
        """Give the tables that somebody watches what a batch has brought so far."""
        for table, events in rows.items():
            table.extend(events)
        rows.clear()

    async def _interrupt(self, channel: Channel, pending: PendingGap) -> None:
        """Show a pending gap to tables and strategies, before the next message."""
        gap = pending.gap(channel.symbol)
        if not pending.reported:
            self.on_gap(gap)
        if channel.table is not None:
            channel.table.break_off()
        if gap.reason.startswith(SET_BACK):
            self.clocks.begin_anew(channel.symbol)
        if channel.reader.interrupt(gap) is gap:
            await self._show_gap(gap, channel.handlers)

    async def _show_gap(self, gap: Gap, handlers: Sequence[Handler]) -> None:
        for handler in handlers:
            if handler.on_gap is None:
                continue
            try:
                self.calls.called_with, self.calls.calling = gap, handler
                try:
                    result = handler.on_gap(gap)
                finally:
                    self.calls.calling = None
                if inspect.isawaitable(result):
                    await self.calls.result(handler, gap, result)
            except BaseException as error:
                if ends_worker(error):
                    raise
                self.outcome.callback_errors.append(
                    f"on_gap of strategy {handler.name} failed with {described(error)}"
                )

    async def _handle(
        self, items: Sequence[Item], message: Message[Channel], signals: list[SignalRow]
    ) -> bool:
        """Handle a message that gives more than its own events; return if a strategy failed.

        A partial bar goes to the table alone: a strategy would take it for a whole one. So does
        one that strategies have seen already, without a late trade.
        """
        channel, raw, received_ns, _ = message
        failed = False
        own: list[MarketEvent] = []
        for item in items:
            match item:
                case Unusable(reason):
                    self._note_unusable(channel, raw, received_ns, reason)
                case UnseenGap(gap):
                    self.on_gap(gap)
                case Gap():
                    self.on_gap(item)
                    is_own = item.channel == channel.event_kind
                    table = channel.table if is_own else channel.bars_table
                    if table is not None:
                        table.break_off()
                    handlers = channel.handlers if is_own else channel.bar_handlers
                    await self._show_gap(item, handlers)
                case RevisedBar(bar):
                    self._keep_bar(channel, bar, is_revised=True)
                case _ if item.kind == channel.event_kind:
                    own.append(item)
                    failed |= await self._run(channel.handlers, item, message, signals)
                case Bar():
                    self._keep_bar(channel, item)
                    if not item.partial:
                        failed |= await self._run(channel.bar_handlers, item, message, signals)
                case _:
                    raise AssertionError(f"{item!r} is no event of {channel!r}")
        if channel.table is not None:
            (channel.table.extend if channel.origin == LIVE else channel.table.fill_in)(own)
        return failed

    def _keep_bar(self, channel: Channel, bar: Bar, *, is_revised: bool = False) -> None:
        table = channel.bars_table
        if table is not None:
            if is_revised:
                (table.revise if bar.partial else table.fill_in)((bar,))
            else:
                (table.fill_in if channel.kind == "bar" else table.extend)((bar,))
        if bar.partial:
            self.on_partial(bar)

    async def _run(
        self,
        handlers: Sequence[Handler],
        event: MarketEvent,
        message: Message[Channel],
        signals: list[SignalRow],
    ) -> bool:
        """Call strategies with an event; return whether one failed."""
        failed = False
        for handler in handlers:
            try:
                value = as_signal(await self.calls.call(handler, event, timed=True), handler.name)
            except BaseException as error:
                value, has_failed = await self._again(handler, event, message, error)
                failed |= has_failed
            if value is not None:
                signals.append((message[2], event.symbol, handler.name, value, event.exchange_ns))
        return failed

    async def _again(
        self,
        handler: Handler,
        event: MarketEvent,
        message: Message[Channel],
        error: BaseException,
    ) -> tuple[float | None, bool]:
        """Call a strategy again that failed, if that may help.

        Returns its value and whether it has failed for good, which is a dead letter. Raises
        what is meant for the worker.
        """
        if ends_worker(error):
            raise error
        value, error_left, attempts = await self.calls.retry(handler, event, error)
        if error_left is not None:
            self._bury(handler, message, error_left, attempts)
        return value, error_left is not None

    def _sample_clock(self, channel: Channel, last: Item, received_ns: int) -> None:
        """Keep how late a message was, if its last event says when it was made."""
        if isinstance(last, Depth | Trade | Ticker) and last.exchange_ns:
            self.clocks.add(channel.symbol, received_ns - last.exchange_ns)

    def _bury(
        self, handler: Handler, message: Message[Channel], error: BaseException, attempts: int
    ) -> None:
        channel, raw, received_ns, _ = message
        short = described(error)
        whole = shortened("".join(traceback.format_exception(error)))
        where = where_failed(error)
        self._keep_letter(channel, handler.name, raw, received_ns, short, attempts, whole, where)
        if self.on_error == "raise":
            raise StrategyError(
                f"Strategy {handler.name} failed on a {channel.channel} message of "
                f"{channel.symbol}: {short}"
            ) from error

    def _keep_letter(
        self,
        channel: Channel,
        strategy: str,
        raw: bytes,
        received_ns: int,
        error: str,
        attempts: int,
        trace: str,
        where: str = "",
    ) -> None:
        names = channel.symbol, channel.channel
        self._note_letter(
            DeadLetter(received_ns, *names, strategy, error, attempts, trace, raw, where)
        )

    def _note_letter(self, letter: DeadLetter) -> None:
        self.outcome.dead_letters.append(letter)
        if self.outcome.failures.add(letter):
            self.on_failure(letter)

    def _note_unusable(self, channel: Channel, raw: bytes, received_ns: int, reason: str) -> None:
        """Keep why a message, or a part of one, could not be used."""
        self.outcome.invalid.append(
            Invalid(received_ns, channel.symbol, channel.kind, reason, raw[:_SAMPLE_BYTES])
        )
        reasons = self.outcome.invalid_reasons
        reasons[reason if reason in reasons or len(reasons) < 200 else "(other)"] += 1

    def _publish(self, signals: list[SignalRow]) -> None:
        self.outcome.signals += len(signals)
        self.signals.extend(signals)
        for callback in self.callbacks:
            for received_ns, symbol, strategy, value, exchange_ns in signals:
                try:
                    signal = Signal(symbol, strategy, value, exchange_ns, received_ns)
                    self.calls.called_with, self.calls.calling = signal, "An on_signal callback"
                    callback(signal)
                except BaseException as error:
                    if ends_worker(error):
                        raise
                    self.outcome.callback_errors.append(
                        f"an on_signal callback failed with {described(error)}"
                    )
                finally:
                    self.calls.calling = None
