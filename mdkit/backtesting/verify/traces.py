"""What a strategy says, event by event, replayed and live."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from mdkit.backtesting.verify.reference import Tap
from mdkit.backtesting.verify.verification import Trace
from mdkit.errors import InvalidMessage, SettingsError
from mdkit.events import Bar, Event
from mdkit.machine import in_browser
from mdkit.pipeline.pipeline import Pipeline
from mdkit.recording.reading.reader import Recording
from mdkit.recording.replay.replay import Replay
from mdkit.sources.source import Sink
from mdkit.strategies.contract import Strategy
from mdkit.venues.registry import codec_of

_CODEC = codec_of("tickdb.flat")
"""What events in memory are sent through: one trade a message."""


def replay_traces(
    strategy: Strategy, recording: Recording, bars: str | None, made_of: str, workers: int
) -> dict[str, Trace]:
    """Replay a recording as a session would, with so many workers, its bars made of a channel."""
    tap = Tap(strategy)

    async def run() -> None:
        source = Replay(recording.paths, None)
        pipeline = Pipeline(
            source, [tap], workers=workers, maxsize=256, interval=bars, made_of=made_of
        )
        pipeline.start()
        await pipeline.wait()

    _in_own_loop(run)
    return tap.traces()


def live_traces(strategy: Strategy, events: Sequence[Any], seed: int) -> dict[str, Trace]:
    """Send the events as messages through a live pipeline; `seed` decides their batches."""
    tap = Tap(strategy)

    async def run() -> None:
        source = EventSource(events, seed)
        pipeline = Pipeline(source, [tap], maxsize=256, on_error="raise")
        pipeline.start()
        receipt = await pipeline.wait()
        if receipt.totals["invalid"]:
            wrong = pipeline.lanes.outcome.invalid[0]
            raise SettingsError(f"{wrong.symbol} holds an event that no feed sends: {wrong.reason}")

    _in_own_loop(run)
    return tap.traces()


def as_sent(event: Event) -> Event:
    """Return an event as it arrives over the wire, whose times are in milliseconds."""
    if isinstance(event, Bar):
        return event
    try:
        message = _CODEC.encode(event)
        (sent,) = _CODEC.decode(message, getattr(event, "received_ns", 0) or 1)
    except InvalidMessage as error:
        symbol = event.symbol  # type: ignore[attr-defined]
        raise SettingsError(f"{symbol} holds an event that no feed sends: {error}") from None
    return sent


class EventSource:
    """A Source that delivers events from memory, as messages in uneven batches, and ends."""

    name = "events in memory"
    codec = _CODEC
    connected = True
    stale_for = 0.0

    def __init__(self, events: Iterable[Event], seed: int = 0) -> None:
        self.events = iter(events)
        self.symbols: tuple[str, ...] = ()
        self._random = np.random.default_rng(seed)
        self._stopped = False

    def clock_ns(self) -> int:
        """The wall clock."""
        return time.time_ns()

    def stop(self) -> None:
        """Deliver no more."""
        self._stopped = True

    async def run(self, sink: Sink) -> None:
        """Deliver everything, giving the workers a turn after each batch."""
        while not self._stopped:
            batch = list(itertools.islice(self.events, int(self._random.integers(1, 97))))
            if not batch:
                return
            messages = [
                (_CODEC.encode(event), getattr(event, "received_ns", 0) or 1) for event in batch
            ]
            await sink.deliver(messages)
            await asyncio.sleep(0)


def _in_own_loop(work: Callable[[], Any]) -> None:
    """Run a coroutine function to its end, in a notebook too, where a loop runs already."""
    if in_browser():
        raise SettingsError(
            "md.verify runs the live engine in a thread of its own, and Python in a browser has "
            "none: run it where Python is installed."
        )
    failure: list[BaseException] = []

    def body() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=body, name="mdkit verify")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
