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

from mdkit.errors import InvalidMessage, StrategyError, TransientError
from mdkit.events import DROPPED, SET_BACK, Bar, Event, Gap, MarketEvent, Signal
from mdkit.frames import EventFrame
from mdkit.strategies.contract import as_signal
from mdkit.stream.buffer import Buffer
from mdkit.stream.failures import where_failed
from mdkit.stream.finding import holes_in
from mdkit.stream.handling import (
    DeadLetter,
    Handler,
    Invalid,
    Outcome,
    Reading,
    SignalRow,
    SignalSink,
    ends_worker,
    said,
    shortened,
)
from mdkit.stream.holes import Hole
from mdkit.stream.quality import Clocks
from mdkit.stream.slots import Lane, Message, Slot
from mdkit.wire.tickdb import LIVE, SomeEvents

Call = tuple["Handler | str", "Event | Signal"]
"""Who was called, and with what."""

OnError = Literal["dead_letter", "raise"]

# A batch should hold the loop for about this long, whatever a strategy costs.
_BATCH_SECONDS = 0.004
# Larger batches would push their decoded events out of the processor's cache.
_MAX_BATCH = 128
_SAMPLE_EVERY = 64
_RETRY_BASE = 0.010
_SAMPLE_BYTES = 512


class Lanes:
    """Runs workers over a buffer.

    Args:
        buffer: where batches come from; the context of its slots must be a `Reading`.
        signals: gets the signals of each batch; the events go to their readings' tables.
        max_retries: how often a message is tried again after a `TransientError`, after
            10, 20, 40, ... ms.
        on_error: `"dead_letter"` keeps a failed message and goes on; `"raise"` lets the
            worker fail with `StrategyError`, which stops the pipeline.
        sleep: awaited between retries; replaced in tests.
    """

    def __init__(
        self,
        buffer: Buffer,
        signals: SignalSink,
        *,
        max_retries: int = 3,
        on_error: OnError = "dead_letter",
        sleep: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self.buffer = buffer
        self.signals = signals
        self.max_retries = max_retries
        self.on_error = on_error
        self.outcome = Outcome()
        self.clocks = Clocks()
        self.callbacks: list[Callable[[Signal], Any]] = []
        self.on_gap: Callable[[Gap], None] = lambda gap: None
        self.on_failure: Callable[[DeadLetter], None] = lambda letter: None
        """Called with the first dead letter of each strategy."""
        self.on_partial: Callable[[Bar], None] = lambda bar: None
        self.may_await = True
        """Whether strategies may await: then every lane is served by itself."""
        self.calling: Handler | str | None = None
        """What is being called, for whoever watches from another thread; None between calls."""
        self.called_with: Event | Signal | None = None
        self._awaiting: dict[asyncio.Task[Any] | None, tuple[Handler, Event]] = {}
        self._sleep = sleep
        self._seconds_per_message = 1e-5
        self._unsampled = _SAMPLE_EVERY

    @property
    def running(self) -> Call | None:
        """The strategy or callback that the loop is in, if any; for a thread that watches it."""
        called, event = self.calling, self.called_with
        if called is not None and event is not None:
            return called, event
        for task in list(self._awaiting):
            if task is not None:  # of all that await, the one whose turn it is
                return self._awaiting.get(asyncio.current_task(task.get_loop()))
        return None

    def begin_anew(self) -> None:
        """Forget what was handled; `Places` does that for strategies in this process."""

    async def work(self, number: int = 0) -> None:
        """Serve lanes until the buffer is closed and empty; `number` tells workers apart."""
        turn_began = now = time.perf_counter()
        while True:
            limit = min(_MAX_BATCH, max(1, int(_BATCH_SECONDS / self._seconds_per_message)))
            lanes, batch = await self._take(limit)
            if not batch:
                return
            began = time.perf_counter()
            if began - now > _BATCH_SECONDS:  # it has suspended, so others had their turn
                turn_began = began
            await self.serve(lanes, batch, holes_in(lanes, batch))
            now = time.perf_counter()
            self.outcome.busy_seconds += now - began
            each = (now - began) / len(batch)
            self._seconds_per_message += 0.2 * (each - self._seconds_per_message)
            # Taking suspends only when nothing waits, so a busy worker must yield by itself.
            if now - turn_began > _BATCH_SECONDS:
                await asyncio.sleep(0)
                turn_began = now = time.perf_counter()

    async def _take(self, limit: int) -> tuple[list[Lane], list[Message]]:
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
        lanes: Sequence[Lane],
        batch: list[Message],
        holes: Mapping[int, Sequence[Hole]] | None = None,
    ) -> None:
        """Handle messages taken out of lanes; whatever happens, every one is accounted for.

        `holes` are those before each position of the batch.
        """
        signals: list[SignalRow] = []
        rows: dict[EventFrame[Any], list[MarketEvent]] = {}
        now = time.monotonic()
        position = 0
        # What is timed is the first message of a batch, and of small batches only some.
        self._unsampled += len(batch)
        sampled = -1
        if self._unsampled >= _SAMPLE_EVERY:
            self._unsampled = sampled = 0
        # Of each slot's last message; the queue may go on to drop others while a strategy awaits.
        numbers = self._numbers(batch) if self.may_await else {}
        try:
            for position, message in enumerate(batch):
                slot, raw, received_ns = message
                reading: Reading = slot.context
                account = slot.account
                if holes is not None and position in holes:
                    self._extend_tables(rows)
                    for hole in holes[position]:
                        await self._break_off(slot, hole)
                try:
                    events = reading.read(reading.symbol, raw, received_ns)
                except Exception as error:
                    account.in_flight -= 1
                    account.invalid += 1
                    reading.watch.note_unusable(received_ns)
                    self._note_invalid(reading, raw, received_ns, error)
                    continue
                if type(events) is SomeEvents:
                    reading.watch.note_unusable(received_ns, len(events.unusable))
                    for reason in events.unusable:
                        self._note_unusable(reading, raw, received_ns, reason)
                whole = events
                if reading.recent is not None:
                    events = reading.recent.fresh(events, reading.origin)
                if events:
                    watch = reading.watch
                    last: Any = events[-1]
                    told_ns = last.exchange_ns
                    if told_ns:
                        if told_ns < watch.newest_ns:
                            watch.backwards += 1
                        watch.newest_ns = told_ns
                    if received_ns >= watch.look_ns or (
                        watch.is_of_books and not (last.bids or last.asks)
                    ):
                        self._extend_tables(rows)
                        for gap in watch.look(last, received_ns):
                            await self._break_at(reading, gap)
                    if position == sampled and told_ns and reading.is_sampled:
                        self.clocks.add(reading.symbol, received_ns - told_ns)
                failed = False
                for event in events:
                    if reading.fold is not None:
                        bars = reading.fold.update(event)
                        if bars:
                            failed |= await self._run_bars(bars, message, signals)
                    for handler in reading.handlers:
                        try:
                            if position == sampled:
                                value = await self._call(handler, event, timed=True)
                            else:
                                self.called_with = event
                                self.calling = handler
                                value = handler.call(event)
                                self.calling = None
                                if handler.is_async:
                                    value = await self._result(handler, event, value)
                            if value is None:
                                continue
                            if type(value) is not float or value != value:
                                value = as_signal(value, handler.name)
                        except BaseException as error:
                            self.calling = None
                            if ends_worker(error):
                                raise
                            value, error_left, attempts = await self._retry(handler, event, error)
                            if error_left is not None:
                                failed = True
                                self._bury(handler, slot, raw, received_ns, error_left, attempts)
                        if value is not None:
                            signals.append(
                                (received_ns, event.symbol, handler.name, value, event.exchange_ns)
                            )
                account.in_flight -= 1
                if failed:
                    account.dead_lettered += 1
                else:
                    account.processed += 1
                table = reading.table
                if table is None:
                    continue
                if reading.origin != LIVE or events is not whole:
                    self._extend_tables(rows)
                    (table.extend if reading.origin == LIVE else table.fill_in)(events)
                elif table.watched_until > now:
                    rows.setdefault(table, []).extend(events)
                else:
                    table.keep(raw, received_ns)
        except BaseException as error:
            # Cancelled while a strategy awaited, or on_error="raise". The message at hand was
            # begun and cannot be begun again; the rest goes back to the front of the lane.
            slot, raw, received_ns = batch[position]
            slot.account.in_flight -= 1
            slot.account.dead_lettered += 1
            if isinstance(error, asyncio.CancelledError):
                said = "stopped while a strategy awaited"
                self._keep_letter(slot, "", raw, received_ns, said, 1, "")
            rest = batch[position + 1 :]
            cancelled = isinstance(error, asyncio.CancelledError)
            if cancelled and slot in numbers and self.buffer.on_loss is not None:
                number = numbers[slot] - sum(message[0] is slot for message in rest)
                self.buffer.on_loss(slot, "left", number, 1)
            for lane in lanes:
                self.buffer.release(lane, [message for message in rest if message[0].lane is lane])
            raise
        else:
            self.buffer.release_all(lanes)
        finally:
            self._extend_tables(rows)
            if signals:
                self._publish(signals)

    def _numbers(self, batch: Sequence[Message]) -> dict[Slot, int]:
        """Return the number of each slot's last message in what was just taken, if recorded."""
        if self.buffer.on_loss is None:
            return {}
        return {slot: slot.left for slot, _, _ in batch}

    def _extend_tables(self, rows: dict[EventFrame[Any], list[MarketEvent]]) -> None:
        """Give the tables that somebody watches what a batch has brought so far."""
        for table, events in rows.items():
            table.extend(events)
        rows.clear()

    async def _break_off(self, slot: Slot, hole: Hole) -> None:
        """Tell everybody whom it concerns that something was missed before the next message."""
        reading: Reading = slot.context
        gap = hole.gap(slot.symbol)
        if not hole.told:
            self.on_gap(gap)
        if reading.table is not None:
            reading.table.break_off()
        if reading.fold is not None:
            reading.fold.interrupt(gap)
        if gap.reason != DROPPED:
            reading.watch.forget()
            if gap.reason.startswith(SET_BACK):
                self.clocks.begin_anew(slot.symbol)
        await self._tell_gap(gap, reading.handlers)

    async def _break_at(self, reading: Reading, gap: Gap) -> None:
        """Tell what the messages themselves say is amiss, which is no news to a recording."""
        self.on_gap(gap)
        if reading.table is not None:
            reading.table.break_off()
        if reading.fold is not None and reading.channel == reading.fold.made_of:
            reading.fold.interrupt(gap)
        await self._tell_gap(gap, reading.handlers)

    async def _tell_gap(self, gap: Gap, handlers: Sequence[Handler]) -> None:
        for handler in handlers:
            if handler.on_gap is None:
                continue
            try:
                self.called_with, self.calling = gap, handler
                try:
                    result = handler.on_gap(gap)
                finally:
                    self.calling = None
                if inspect.isawaitable(result):
                    await self._result(handler, gap, result)
            except BaseException as error:
                if ends_worker(error):
                    raise
                self.outcome.callback_errors.append(
                    f"on_gap of strategy {handler.name} failed with {said(error)}"
                )

    async def _run_bars(
        self, bars: Sequence[Bar | Gap], message: Message, signals: list[SignalRow]
    ) -> bool:
        """Show bars to the bar strategies, and gaps between them; whether a strategy failed.

        A partial bar goes to the table alone: a strategy would take it for a whole one.
        """
        slot, raw, received_ns = message
        reading: Reading = slot.context
        assert reading.fold is not None
        table = reading.fold.table
        failed = False
        for bar in bars:
            if isinstance(bar, Gap):
                self.on_gap(bar)
                table.break_off()
                await self._tell_gap(bar, reading.bar_handlers)
                continue
            if bar.start_ns in reading.fold.revised:
                # Strategies have seen it; the table has it anew, and then whole from REST.
                (table.revise if bar.partial else table.fill_in)((bar,))
                if bar.partial:
                    self.on_partial(bar)
                continue
            (table.fill_in if reading.channel == "bar" else table.extend)((bar,))
            if bar.partial:
                self.on_partial(bar)
                continue
            for handler in reading.bar_handlers:
                try:
                    value = as_signal(await self._call(handler, bar, timed=True), handler.name)
                except BaseException as error:
                    if ends_worker(error):
                        raise
                    value, error_left, attempts = await self._retry(handler, bar, error)
                    if error_left is not None:
                        failed = True
                        self._bury(handler, slot, raw, received_ns, error_left, attempts)
                if value is not None:
                    signals.append((received_ns, bar.symbol, handler.name, value, bar.exchange_ns))
        return failed

    async def _call(self, handler: Handler, event: MarketEvent, *, timed: bool = False) -> Any:
        """Call a strategy, await if need be, and note how long that took if it is `timed`."""
        began = time.perf_counter()
        self.called_with, self.calling = event, handler
        try:
            value = handler.call(event)
        finally:
            self.calling = None
        if handler.is_async:
            value = await self._result(handler, event, value)
        if timed:
            handler.timer.add(time.perf_counter() - began)
        return value

    async def _result(self, handler: Handler, event: Event, value: Any) -> Any:
        """Await what a call gave; other calls may be made meanwhile."""
        task = asyncio.current_task()
        self._awaiting[task] = (handler, event)
        try:
            return await handler.result(value)
        finally:
            del self._awaiting[task]

    async def _retry(
        self, handler: Handler, event: MarketEvent, error: BaseException
    ) -> tuple[float | None, BaseException | None, int]:
        """Try an event again while its error is transient.

        Returns the value, the error that remained (None: it went well) and the attempts made.
        """
        attempts = 1
        while isinstance(error, TransientError) and attempts <= self.max_retries:
            await self._sleep(_RETRY_BASE * 2 ** (attempts - 1))
            self.outcome.retries += 1
            attempts += 1
            try:
                value = await self._call(handler, event)
                return as_signal(value, handler.name), None, attempts
            except BaseException as again:
                if ends_worker(again):
                    raise
                error = again
        return None, error, attempts

    def _bury(
        self,
        handler: Handler,
        slot: Slot,
        raw: bytes,
        received_ns: int,
        error: BaseException,
        attempts: int,
    ) -> None:
        short = said(error)
        whole = shortened("".join(traceback.format_exception(error)))
        where = where_failed(error)
        self._keep_letter(slot, handler.name, raw, received_ns, short, attempts, whole, where)
        if self.on_error == "raise":
            account = slot.account
            raise StrategyError(
                f"Strategy {handler.name} failed on a {account.channel} message of "
                f"{account.symbol}: {short}"
            ) from error

    def _keep_letter(
        self,
        slot: Slot,
        strategy: str,
        raw: bytes,
        received_ns: int,
        error: str,
        attempts: int,
        told: str,
        where: str = "",
    ) -> None:
        symbol, channel = slot.account.symbol, slot.account.channel
        self._note_letter(
            DeadLetter(received_ns, symbol, channel, strategy, error, attempts, told, raw, where)
        )

    def _note_letter(self, letter: DeadLetter) -> None:
        self.outcome.dead_letters.append(letter)
        if self.outcome.failures.add(letter):
            self.on_failure(letter)

    def _note_invalid(
        self, reading: Reading, raw: bytes, received_ns: int, error: Exception
    ) -> None:
        reason = str(error)
        if not isinstance(error, InvalidMessage):
            reason = f"decoder failed with {type(error).__name__}: {error}"
        self._note_unusable(reading, raw, received_ns, reason)

    def _note_unusable(self, reading: Reading, raw: bytes, received_ns: int, reason: str) -> None:
        """Keep why a message, or a part of one, could not be used."""
        self.outcome.invalid.append(
            Invalid(received_ns, reading.symbol, reading.channel, reason, raw[:_SAMPLE_BYTES])
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
                    self.called_with, self.calling = signal, "An on_signal callback"
                    callback(signal)
                except BaseException as error:
                    if ends_worker(error):
                        raise
                    self.outcome.callback_errors.append(
                        f"an on_signal callback failed with {said(error)}"
                    )
                finally:
                    self.calling = None
