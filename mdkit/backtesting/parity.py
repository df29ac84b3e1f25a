"""One strategy, every engine, the same bits: `verify` runs them all and compares everything.

The Python engine is the reference. The native engine runs beside it, stopping now and then for
its state to be compared; the live path is the real one: events encoded as the service's
messages, delivered in uneven batches to the real pipeline, queued, decoded, handled by workers.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import Any

import numpy as np

from mdkit.backtesting import native
from mdkit.backtesting.engine import bar_events, interval_name
from mdkit.backtesting.layout import CannotCompile, Memory, same, state_of
from mdkit.backtesting.lint import lint
from mdkit.backtesting.native import Columns
from mdkit.errors import SettingsError
from mdkit.events import Bar, Event, Gap
from mdkit.strategies.contract import Strategy, as_signal, as_strategy
from mdkit.stream.pipeline import Pipeline
from mdkit.stream.recordings import Recording
from mdkit.stream.replay import Replay
from mdkit.stream.source import Sink
from mdkit.stream.steps import steps
from mdkit.wire import tickdb

_MS = 1_000_000
_STOPS = 64
"""How many times, about, the native engine's state is compared on the way."""


@dataclass(frozen=True)
class Difference:
    """Where an engine first differed from the Python engine, and how.

    `number` counts the symbol's own events from 0; `what` is "output" or the dotted name of a
    part of the state, compared after that event.
    """

    engine: str
    symbol: str
    number: int
    what: str
    expected: Any
    got: Any

    def __str__(self) -> str:
        return (
            f"{self.engine} differs on event {self.number:,} of {self.symbol}: {self.what} is "
            f"{_exact(self.got)}, in Python {_exact(self.expected)}"
        )


@dataclass(frozen=True)
class Verification:
    """The outcome of `verify`; true in a condition when every engine agreed.

    Attributes:
        strategy: what ran.
        engines: those that were compared.
        skipped: those that could not run, with the reason.
        events: how many events each engine saw.
        outputs: how many of them were answered.
        digest: SHA-256 over every output and the final state, in hexadecimal: the same wherever
            the same strategy sees the same events.
        difference: the first one found, or None.
        warnings: what `lint` says.
    """

    strategy: str
    engines: tuple[str, ...]
    skipped: dict[str, str]
    events: int
    outputs: int
    digest: str
    difference: Difference | None
    warnings: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.difference is None

    def __str__(self) -> str:
        told = [
            f"{self.strategy}: {' = '.join(self.engines)} over {self.events:,} events, "
            f"{self.outputs:,} answers; sha256 {self.digest[:16]}"
            if self
            else f"{self.strategy}: {self.difference}"
        ]
        told += [f"{engine} not compared: {why}" for engine, why in self.skipped.items()]
        told += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(told)

    __repr__ = __str__


@dataclass
class _Trace:
    """What one symbol's instance said, and its state at the end."""

    outputs: list[float | None]
    state: dict[str, Any]


def verify(strategy: Any, data: Any, *, bars: str | None = None, seed: int = 0) -> Verification:
    """Run a strategy on every engine and compare every output and all state, bit by bit.

    Args:
        strategy: a strategy on one kind of event.
        data: bars as `backtest` takes them; a recording, or the path of one; or any iterable of
            events, of which those of the strategy's kinds count. A recording is taken as the
            strategies of its session saw it, gaps included, and replayed with one worker and
            with several.
        bars: the interval to fold a recording's trades into, for strategies of bars.
        seed: decides into what batches the live path's messages fall.

    Returns a `Verification`: true if all agree, with the digest; else with the first difference
    and both values. Raises `SettingsError` when there is nothing to run on, and whatever the
    strategy raises.
    """
    chosen = as_strategy(strategy)
    if chosen.is_async:
        raise SettingsError(f"strategy {chosen.name} is async, which runs live only")
    checks: Sequence[tuple[str, Callable[[], Difference | None]]]
    recording = _recording(data)
    if recording is not None:
        expected = _python(chosen, steps(recording, bars))
        checks = [
            (name, partial(_check_replay, name, chosen, recording, expected, bars, workers))
            for name, workers in (("replay", 1), ("replay with 4 workers", 4))
        ]
    else:
        events = _events(chosen, data)
        expected = _python(chosen, events)
        checks = (
            ("native", lambda: _check_native(chosen, events, expected)),
            ("live", lambda: _compare("live", expected, _live(chosen, events, seed))),
        )
    if not expected:
        raise SettingsError(f"the data hold no {' or '.join(chosen.kinds)} events")
    engines, skipped = ["python"], {}
    difference = None
    for engine, check in checks:
        try:
            difference = difference or check()
            engines.append(engine)
        except CannotCompile as reason:
            skipped[engine] = str(reason)
    outputs = [value for trace in expected.values() for value in trace.outputs]
    return Verification(
        strategy=repr(chosen),
        engines=tuple(engines),
        skipped=skipped,
        events=len(outputs),
        outputs=sum(value is not None for value in outputs),
        digest=digest(expected.items()),
        difference=difference,
        warnings=lint(chosen),
    )


def digest(traces: Iterable[tuple[str, _Trace]]) -> str:
    """Return SHA-256 over symbols, outputs and states; every number as its eight bytes."""
    found = hashlib.sha256()
    for symbol, trace in traces:
        found.update(symbol.encode() + b"\0")
        for value in (*trace.outputs, *itertools.chain(*trace.state.items())):
            if value is None:
                found.update(b"none")
            elif isinstance(value, (int, float)) and abs(value) < 2**53:
                found.update(struct.pack("<d", value))
            elif value != value:
                found.update(b"nan")
            else:
                found.update(repr(value).encode())
    return found.hexdigest()


def _exact(value: Any) -> str:
    return f"{value!r} ({value.hex()})" if isinstance(value, float) else repr(value)


def _events(strategy: Strategy, data: Any) -> list[Any]:
    import pandas as pd

    is_bars = isinstance(data, pd.DataFrame) or (
        isinstance(data, dict) and all(isinstance(x, pd.DataFrame) for x in data.values())
    )
    if not is_bars:
        return [event for event in data if getattr(event, "kind", "") in strategy.kinds]
    from mdkit.backtesting.panel import make_panel

    panel = make_panel(data)
    interval = interval_name(panel.step.value)
    series = [
        bar_events(symbol, columns, interval)
        for symbol, columns in zip(panel.symbols, panel.bars, strict=True)
    ]
    if len(series) == 1:
        return list(series[0])
    return sorted(itertools.chain(*series), key=lambda bar: bar.start_ns)


def _key(strategy: Strategy, event: Event) -> str:
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

    def traces(self) -> dict[str, _Trace]:
        """Return what the instances said, by symbol, those never called left out."""
        found = {}
        for call, said in self.taken:
            if said:
                values = [as_signal(value, self.name) for _, value in said]
                found[_key(self.strategy, said[0][0])] = _Trace(values, state_of(call))
        return found


def _python(strategy: Strategy, events: Iterable[Any]) -> dict[str, _Trace]:
    tap = _Tap(strategy)
    calls: dict[str, Callable[[Any], Any]] = {}
    for event in events:
        kind = event.channel.partition(":")[0] if isinstance(event, Gap) else event.kind
        if kind not in strategy.kinds:
            continue
        key = _key(strategy, event)
        if key not in calls:
            calls[key] = tap.instance()
        if not isinstance(event, Gap):
            calls[key](event)
        elif (on_gap := getattr(calls[key], "on_gap", None)) is not None:
            on_gap(event)
    return tap.traces()


def _recording(data: Any) -> Recording | None:
    if isinstance(data, str | PathLike):
        return Recording(data, as_seen=True)
    if isinstance(data, Recording):
        return Recording(data.paths, as_seen=True)
    return None


def _check_replay(
    name: str,
    strategy: Strategy,
    recording: Recording,
    expected: dict[str, _Trace],
    bars: str | None,
    workers: int,
) -> Difference | None:
    tap = _Tap(strategy)

    async def run() -> None:
        source = Replay(recording.paths, None)
        pipeline = Pipeline(source, [tap], workers=workers, maxsize=256, interval=bars)
        pipeline.start()
        await pipeline.wait()

    _in_own_loop(run)
    return _compare(name, expected, tap.traces())


def _compare(
    engine: str, expected: dict[str, _Trace], found: dict[str, _Trace]
) -> Difference | None:
    for symbol, trace in expected.items():
        other = found.get(symbol, _Trace([], {}))
        for number, (one, two) in enumerate(
            itertools.zip_longest(trace.outputs, other.outputs, fillvalue="nothing")
        ):
            if not same(one, two):
                return Difference(engine, symbol, number, "output", one, two)
        told = _state_difference(trace.state, other.state)
        if told:
            return Difference(engine, symbol, len(trace.outputs) - 1, *told)
    return None


def _state_difference(
    expected: dict[str, Any], found: dict[str, Any]
) -> tuple[str, Any, Any] | None:
    for name in dict.fromkeys((*expected, *found)):
        one, two = expected.get(name, "missing"), found.get(name, "missing")
        if not same(one, two):
            return name, one, two
    return None


# -- native ---------------------------------------------------------------------------------------


def _check_native(
    strategy: Strategy, events: Sequence[Any], expected: dict[str, _Trace]
) -> Difference | None:
    if strategy.kinds != ("bar",):
        raise CannotCompile(f"it runs on {' and '.join(strategy.kinds)}, natively only bars do")
    code = native.compile_strategy(strategy)
    if strategy.per == "session" and len({event.symbol for event in events}) > 1:
        raise CannotCompile('a strategy per="session" over several symbols')
    for symbol, trace in expected.items():
        bars = [event for event in events if _key(strategy, event) == symbol]
        found = _native_difference(strategy, code, symbol, bars, trace.outputs)
        if found:
            return found
    return None


def _native_difference(
    strategy: Strategy,
    code: native.NativeStrategy,
    symbol: str,
    bars: Sequence[Bar],
    outputs: Sequence[float | None],
) -> Difference | None:
    """Run both engines side by side, a stretch at a time; a stretch that differs bar by bar."""
    columns = _columns(bars)
    signals = np.empty(len(bars))
    reference: Any = strategy.instance()
    state = code.start(strategy)
    stretch = max(1, len(bars) // _STOPS)
    begin = 0
    while begin < len(bars):
        end = min(begin + stretch, len(bars))
        before = state.copy() if isinstance(state, Memory) else state
        told = _run_both(strategy, code, state, reference, columns, bars, begin, end, signals)
        if told is None:
            begin = end
            continue
        if end == begin + 1:
            return Difference("native", symbol, begin, *told)
        # Once more from the last stop, one bar at a time; the reference starts afresh.
        state, stretch = before, 1
        reference = strategy.instance()
        for bar in bars[:begin]:
            reference(bar)
    return None


def _run_both(
    strategy: Strategy,
    code: native.NativeStrategy,
    state: Any,
    reference: Any,
    columns: Columns,
    bars: Sequence[Bar],
    begin: int,
    end: int,
    signals: Any,
) -> tuple[str, Any, Any] | None:
    try:
        failed = code.run(state, columns, begin, end, signals)
    except Exception as error:
        return "output", "a value", f"{type(error).__name__}: {error}"
    if failed >= 0:
        return "output", "a value", "nan"
    for number in range(begin, end):
        value = as_signal(reference(bars[number]), strategy.name)
        got = None if signals[number] != signals[number] else float(signals[number])
        if not same(value, got):
            return "output", value, got
    if not isinstance(state, Memory):
        return None
    return _state_difference(state_of(reference), state.read())


def _columns(bars: Sequence[Bar]) -> Columns:
    columns = [np.array([getattr(bar, name) for bar in bars]) for name in Columns._fields]
    return Columns._make(columns)


# -- live -----------------------------------------------------------------------------------------


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


def _live(strategy: Strategy, events: Sequence[Any], seed: int) -> dict[str, _Trace]:
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
