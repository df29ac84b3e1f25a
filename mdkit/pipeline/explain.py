"""One sentence on how a pipeline is doing, made of measurements."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

from mdkit.channels.handlers import Handler
from mdkit.machine import cores
from mdkit.pipeline.health import BLOCKED
from mdkit.pipeline.pipeline import Pipeline
from mdkit.processes.lanes import ProcessLanes

_LONG = 5.0
"""Seconds that an async strategy may await before that is worth a word."""
_HEAVY = 50e-6
"""Seconds a message from which on a process of its own gives more than sending to it takes."""


def explain(pipeline: Pipeline) -> str:
    """Return what holds the pipeline back now, worst first, or that nothing does."""
    health = pipeline.health()
    source = pipeline.source
    look = pipeline.buffer.statistics()
    outcome = pipeline.lanes.outcome
    monitor = pipeline.monitor
    said: list[str] = []
    if pipeline.failure is not None:
        failure = pipeline.failure
        return f"Stopped by {type(failure).__name__}: {failure}"
    if pipeline.receipt is not None:
        # Where nothing came at all, as of a replay that begins behind its end, it says why.
        nothing = pipeline.problems and not pipeline.receipt.totals["received"]
        return f"Stopped: {pipeline.receipt}{f' {pipeline.problems[-1]}' if nothing else ''}"
    if pipeline.paused:
        said.append("paused: nothing is taken from the source")
    elif not health.connected:
        last = f" ({pipeline.problems[-1]})" if pipeline.problems else ""
        said.append(f"not connected{last}")
    elif health.stale_for:
        said.append(f"the feed is connected but has been silent for {health.stale_for:.0f} s")
    often = sum(sample.lag > BLOCKED for sample in monitor.recent())
    if often > 1:
        said.append(
            f"the event loop is blocked again and again, for {health.lag:.1f} s at most, by "
            f"{_blame(pipeline, health.lag)}"
        )
    refused = getattr(source, "refused", None)
    if refused:
        number = "1 subscription was" if len(refused) == 1 else f"{len(refused):,} were"
        said.append(f"{number} refused{', the last' if len(refused) > 1 else ''}: {_last(refused)}")
    said += getattr(source, "troubles", ())
    said += _held_up(pipeline) or _held_elsewhere(pipeline) or _standstill(pipeline)
    if health.bottleneck == "consumer_bound":
        slowest = max(pipeline.timers.values(), key=lambda timer: timer.mean, default=None)
        blame = ""
        if slowest is not None and slowest.samples:
            blame = f"; the slowest strategy is {slowest.name} at {_duration(slowest.mean)} a call"
        said.append(
            f"the strategies cannot keep up: {health.in_rate:,.0f} messages a second come in, "
            f"{health.out_rate:,.0f} are handled, {look.depth:,} of {look.maxsize:,} wait{blame}; "
            f"{advice(pipeline)}"
        )
    if look.spilled:
        said.append(f"{look.spilled:,} messages ({look.spilled_bytes:,} bytes) wait on disk")
    totals = pipeline.ledger.totals()
    for name, verb in (("dropped", "dropped"), ("conflated", "conflated"), ("invalid", "invalid")):
        if totals[name]:
            said.append(f"{totals[name]:,} {verb} so far")
    said += _no_bars(pipeline)
    parts = sum(outcome.invalid_reasons.values()) - totals["invalid"]
    if parts > 0:
        said.append(f"{parts:,} trades or tickers in usable messages were unusable so far")
    if totals["dead_lettered"]:
        number = f"{totals['dead_lettered']:,} dead letters so far"
        if monitor.failing:
            number = f"most of the last messages were dead letters, {number}"
        why = outcome.failures.commonest
        said.append(f"{number}{why and f', {why}; dead_letters() has the tracebacks'}")
    if outcome.callback_errors:
        said.append(outcome.callback_errors[-1])
    disconnects = getattr(source, "disconnects", 0)
    if disconnects:
        said.append(f"{disconnects:,} disconnects so far")
    flow = (
        f"{health.in_rate:,.0f} messages a second in, {health.out_rate:,.0f} out, "
        f"{look.depth:,} waiting"
    )
    over = _blocked_before(pipeline) if often < 2 else ""
    if not said:
        return f"All is well: {flow}.{over}"
    sentence = "; ".join(said)
    return f"{sentence[0].upper()}{sentence[1:]} ({flow}).{over}"


def _blocked_before(pipeline: Pipeline) -> str:
    """Return what to say at the end of a loop that was blocked and is not any more."""
    monitor = pipeline.monitor
    if not monitor.blocks:
        return ""
    seconds = monitor.longest_block
    times = "" if monitor.blocks == 1 else f" {monitor.blocks} times, at most"
    blame = _blame(pipeline, seconds)
    return f" Earlier the event loop was blocked{times} for {seconds:.1f} s by {blame}."


class Diagnosis(str):
    """`consumer_bound`, `producer_bound` or `balanced`.

    `advice` says whether more worker processes would help, and why not.
    """

    advice: str

    def __new__(cls, word: str, advice: str = "") -> Self:
        """Return the word with the advice beside it."""
        made = super().__new__(cls, word)
        made.advice = advice
        return made

    def __repr__(self) -> str:
        return f"{str(self)!r}: {self.advice}" if self.advice else repr(str(self))


def diagnose(pipeline: Pipeline) -> Diagnosis:
    """Return which side holds a pipeline back, and whether more worker processes would help."""
    return Diagnosis(pipeline.monitor.diagnose(), advice(pipeline))


def advice(pipeline: Pipeline) -> str:
    """Return whether more worker processes would help now, and the reason if not."""
    lanes = len({channel.lane for channel in pipeline.channels if channel.symbol})
    in_use = pipeline.workers if pipeline.worker_kind == "process" else 1
    useful = min(cores(), lanes)
    timers = pipeline.timers.values()
    each = sum(timer.mean for timer in timers)
    if not timers:
        why = "there are no strategies to run in them"
    elif pipeline.monitor.diagnose() != "consumer_bound":
        came = pipeline.ledger.totals()["received"]
        why = "the strategies keep up with the feed" if came else "nothing has come yet"
    elif cores() <= in_use:
        why = f"of {cores()} core{'s' * (cores() > 1)} none is idle"
    elif useful <= in_use:
        # Everything in one lane is handled in order, and so by one process.
        few = "is one stream" if lanes <= 1 else f"are {lanes} streams"
        why = f"there {few} of messages to be handled in order"
    elif not any(timer.samples for timer in timers):
        why = "no call of a strategy has been timed yet"
    elif each < _HEAVY:
        why = (
            f"the strategies take {_duration(each)} a message, and sending one to a process pays "
            f"from {_duration(_HEAVY)} on"
        )
    else:
        free = useful - in_use
        more = "one more core" if free == 1 else f"{free} more cores"
        return (
            f'more worker processes would help: worker_kind="process" with workers={useful} '
            f"would use {more}"
        )
    return f"more worker processes would not help because {why}"


def waiting(pipeline: Pipeline) -> list[tuple[Handler, float]]:
    """Return the async strategies that have awaited for long, and the seconds; longest first."""
    now = time.monotonic()
    found = [
        (handler, now - handler.awaiting_since)
        for handler in pipeline.channels.handlers
        if handler.awaiting_since is not None and now - handler.awaiting_since > _LONG
    ]
    return sorted(found, key=lambda item: -item[1])


def _no_bars(pipeline: Pipeline) -> list[str]:
    """Say why no bars are made of some symbols, and that late trades are not in some of them."""
    bars = pipeline.channels.readers.bars
    why = {symbol: made.shift.why for symbol, made in bars.items() if made.shift.why}
    told = [
        f"{reason} ({', '.join(named[:3])}{', ...' if named[3:] else ''})"
        for reason in dict.fromkeys(why.values())
        for named in [[symbol for symbol, one in why.items() if one == reason]]
    ]
    late = sum(made.builder.late for made in bars.values())
    if late:
        told.append(f"{late:,} trades came too late for their bars so far")
    return told


def _held_up(pipeline: Pipeline) -> list[str]:
    """Say which strategy has awaited something for longest."""
    return [
        f"strategy {handler.name} has awaited something for {seconds:.0f} s, and its symbol waits"
        for handler, seconds in waiting(pipeline)[:1]
    ]


def _held_elsewhere(pipeline: Pipeline) -> list[str]:
    """Say which strategy does not return to its worker process."""
    lanes = pipeline.lanes
    if not isinstance(lanes, ProcessLanes):
        return []
    told = [str(process.held) for process in lanes.processes.values() if process.held is not None]
    return [f"{one[0].lower()}{one[1:]}" for one in told]


def _standstill(pipeline: Pipeline) -> list[str]:
    """Say that nothing is handled though something waits, as when a worker process hangs."""
    recent = pipeline.monitor.recent()
    if pipeline.paused or len(recent) < pipeline.monitor.window or not pipeline.timers:
        return []
    first, last = recent[0], recent[-1]
    if last.processed != first.processed or not first.queued:
        return []
    names = ", ".join(timer.name for timer in pipeline.timers.values())
    return [
        f"nothing has been handled for {last.at - first.at:.0f} s though messages wait: does "
        f"every strategy return ({names})?"
    ]


def _blame(pipeline: Pipeline, seconds: float) -> str:
    """Return who blocked the loop for so many seconds, and what that cost."""
    late = pipeline.monitor.late
    cost = f" and {late:,} messages came late" if late else ""
    held = pipeline.watchdog.longest
    if held is not None and held.seconds > 0.5 * seconds:
        return f"{held.by[0].lower()}{held.by[1:]} ({held.where}){cost}"
    if pipeline.has_own_thread:
        return f"other threads or programs on this machine{cost}"
    return f'other code in this thread{cost}; runner="thread" avoids it'


def _last(refused: Mapping[Any, Exception]) -> str:
    return str(list(refused.values())[-1]).rstrip(".")


def _duration(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
