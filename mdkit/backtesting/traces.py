"""What a strategy says, event by event, told step by step, replayed, and live."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from mdkit.backtesting.layout import state_of
from mdkit.backtesting.verification import Trace
from mdkit.errors import SettingsError
from mdkit.events import Event, Gap
from mdkit.strategies.contract import Strategy, as_signal
from mdkit.stream.pipeline import Pipeline
from mdkit.stream.recordings import Recording
from mdkit.stream.replay import Replay
from mdkit.stream.source import Sink
from mdkit.wire import tickdb


def python_traces(strategy: Strategy, events: Iterable[Any]) -> dict[str, Trace]:
    """Tell the strategy one event after the other: what every engine is compared with."""
    tap = _Tap(strategy)
    calls: dict[str, Callable[[Any], Any]] = {}
    for event in events:
        kind = event.channel.partition(":")[0] if isinstance(event, Gap) else event.kind
        if kind not in strategy.kinds:
            continue
        key = key_of(strategy, event)
        if key not in calls:
            calls[key] = tap.instance()
        if not isinstance(event, Gap):
            calls[key](event)
        elif (on_gap := getattr(calls[key], "on_gap", None)) is not None:
            on_gap(event)
    return tap.traces()


def replay_traces(
    strategy: Strategy, recording: Recording, bars: str | None, made_of: str, workers: int
) -> dict[str, Trace]:
    """Replay a recording as a session would, with so many workers, its bars made of a channel."""
    tap = _Tap(strategy)

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
    tap = _Tap(strategy)

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


def key_of(strategy: Strategy, event: Event) -> str:
    """Return the name of the instance that an event goes to: its symbol, or one for all."""
    symbol: str = event.symbol  # type: ignore[attr-defined]
    return symbol if strategy.per == "symbol" else "(session)"


class _Tap(Strategy):
    """A strategy that keeps what its instances say, and the instances."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.name, self.kinds = strategy.name, strategy.kinds
        self.per, self.is_async = strategy.per, strategy.is_async
        self.taken: list[tuple[Any, list[tuple[Any, Any]]]] = []

    @property
    def params(self) -> dict[str, Any]:
        return self.strategy.params

    def with_params(self, **changes: Any) -> Strategy:
        return _Tap(self.strategy.with_params(**changes))

    def instance(self) -> Callable[[Any], Any]:
        call = self.strategy.instance()
        said: list[tuple[Any, Any]] = []
        self.taken.append((call, said))

        def tapped(event: Any) -> Any:
            value = call(event)
            said.append((event, value))
            return value

        if hasattr(call, "on_gap"):
            tapped.on_gap = call.on_gap  # type: ignore[attr-defined]
        return tapped

    def traces(self) -> dict[str, Trace]:
        """Return what the instances said, by symbol, those never called left out."""
        found = {}
        for call, said in self.taken:
            if said:
                values = [as_signal(value, self.name) for _, value in said]
                found[key_of(self.strategy, said[0][0])] = Trace(values, state_of(call))
        return found


class EventSource:
    """A Source that delivers events from memory, as messages in uneven batches, and ends."""

    name = "events in memory"
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
                (tickdb.encode(event, "article"), getattr(event, "received_ns", 0) or 1)
                for event in batch
            ]
            await sink.deliver(messages)
            await asyncio.sleep(0)


def _in_own_loop(work: Callable[[], Any]) -> None:
    """Run a coroutine function to its end, in a notebook too, where a loop runs already."""
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
