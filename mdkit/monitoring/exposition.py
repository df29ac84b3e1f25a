"""Metrics of a session in Prometheus's text format.

The format and its rules for names (base units, `_total` for what only grows) are those of
https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4). It is written here,
since a client library would bring registries and threads for what is fifty lines.

Collecting reads a pipeline and belongs in its loop; writing the text may be done anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Literal

from mdkit import __version__
from mdkit.monitoring.alerts import Alerts
from mdkit.monitoring.figures import figures
from mdkit.pipeline.memory import memory
from mdkit.pipeline.pipeline import Pipeline
from mdkit.processes.lanes import ProcessLanes
from mdkit.queue.ledger import COLUMNS, ENDED, WAITING

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Kind = Literal["counter", "gauge"]
_COLUMNS = ("symbol", "channel", *COLUMNS)
_values = attrgetter(*_COLUMNS)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, what it means, and its samples by labels, as `labels` writes them."""

    name: str
    kind: Kind
    about: str
    samples: Iterable[tuple[str, float]]


def collect(pipeline: Pipeline, alerts: Alerts | None = None) -> list[Family]:
    """Return all metrics of this moment; call it in the pipeline's loop."""
    families = [*_state(pipeline), *_messages(pipeline), *_parts(pipeline)]
    if alerts is not None:
        ends = [(labels(state="told"), alerts.told), (labels(state="failed"), alerts.failed)]
        families.append(Family("alerts_total", "counter", "Alerts, by what came of them.", [*ends]))
    return families


def write(families: Iterable[Family], session: str) -> Iterator[str]:
    """Return the lines of the text, each with its end; all have a label `session`."""
    ours = f'session="{_escape(session, quote=True)}"'
    for family in families:
        name = f"mdkit_{family.name}"
        yield f"# HELP {name} {_escape(family.about)}\n"
        yield f"# TYPE {name} {family.kind}\n"
        for told, value in family.samples:
            yield f"{name}{{{ours}{told}}} {_number(value)}\n"


def together(parts: Iterable[tuple[str, Iterable[Family]]], label: str) -> list[Family]:
    """Return the metrics of several as one: each sample with a label that says whose it is."""
    found: dict[str, Family] = {}
    samples: dict[str, list[tuple[str, float]]] = {}
    for owner, families in parts:
        whose = labels(**{label: owner})
        for family in families:
            found.setdefault(family.name, family)
            own = samples.setdefault(family.name, [])
            own += [(whose + told, value) for told, value in family.samples]
    return [replace(family, samples=samples[name]) for name, family in found.items()]


def labels(**given: str) -> str:
    """Return labels as text, each behind a comma."""
    return "".join(f',{name}="{_escape(text, quote=True)}"' for name, text in given.items())


def _state(pipeline: Pipeline) -> Iterator[Family]:
    now = figures(pipeline)
    source = pipeline.source

    def gauge(name: str, about: str, value: float) -> Family:
        return Family(name, "gauge", about, [("", value)])

    def counter(name: str, about: str, value: float) -> Family:
        return Family(name, "counter", about, [("", value)])

    told = labels(source=source.name, version=__version__)
    yield Family("session_info", "gauge", "What runs; always 1.", [(told, 1)])
    yield gauge("session_up", "1 while the session runs, 0 once it ends.", not now.ended)
    yield gauge("session_failed", "1 if an error ended the session.", bool(now.failed))
    yield gauge("connected", "1 while the source has a living connection.", now.connected)
    yield counter("connects_total", "Connections made.", getattr(source, "connects", 0))
    yield counter("disconnects_total", "Connections lost.", now.disconnects)
    refused = len(getattr(source, "refused", ()))
    yield gauge("refused_subscriptions", "Subscriptions that the service refuses.", refused)
    yield gauge("stale_seconds", "Time without market data while connected.", now.stale)
    yield counter("gaps_total", "Stretches that were not seen.", now.gaps)
    yield counter("signals_total", "What strategies said.", now.signals)
    yield gauge("failing", "1 while most of the last messages become dead letters.", now.failing)
    yield gauge("loop_lag_seconds", "Largest delay of the event loop in the last seconds.", now.lag)


def _messages(pipeline: Pipeline) -> Iterator[Family]:
    # Of thousands of symbols only the numbers are taken here, in the loop; labels are made later.
    rows = [_values(counts) for counts in pipeline.ledger]

    def family(name: str, kind: Kind, about: str, label: str, columns: Sequence[str]) -> Family:
        places = [(column, _COLUMNS.index(column)) for column in columns]
        return Family(name, kind, about, _Rows(rows, label, places))

    about = "Messages that arrived."
    yield family("messages_received_total", "counter", about, "", ["received"])
    yield family("messages_total", "counter", "Messages, by what became of them.", "fate", ENDED)
    yield family("messages_waiting", "gauge", "Messages, by where they wait.", "place", WAITING)


class _Rows:
    """The samples of a metric of messages: some columns of every symbol and channel."""

    def __init__(
        self, rows: Sequence[tuple[Any, ...]], label: str, places: Sequence[tuple[str, int]]
    ) -> None:
        self._rows = rows
        self._label = label
        self._places = places

    def __iter__(self) -> Iterator[tuple[str, float]]:
        for row in self._rows:
            told = labels(symbol=row[0], channel=row[1])
            for column, place in self._places:
                yield f'{told},{self._label}="{column}"' if self._label else told, row[place]


def _parts(pipeline: Pipeline) -> Iterator[Family]:
    look = pipeline.buffer.statistics()
    outcome = pipeline.lanes.outcome
    one: list[tuple[str, Kind, str, float]] = [
        ("queue_messages", "gauge", "Messages waiting in memory.", look.depth),
        ("queue_limit_messages", "gauge", "How many may wait in memory.", look.maxsize),
        ("queue_peak_messages", "gauge", "The most that ever waited.", look.peak),
        ("queue_oldest_seconds", "gauge", "Age of the oldest waiting message.", look.oldest_age),
        ("queue_overflows_total", "counter", "Messages that met a full queue.", look.overflows),
        (
            *("queue_blocked_seconds_total", "counter"),
            *("Time that the source was held up.", look.blocked_seconds),
        ),
        ("spilled_messages", "gauge", "Messages waiting on disk.", look.spilled),
        ("spilled_bytes", "gauge", "Their size.", look.spilled_bytes),
        ("worker_busy_seconds_total", "counter", "Time at work.", outcome.busy_seconds),
        ("retries_total", "counter", "Messages tried again.", outcome.retries),
    ]
    for name, kind, about, value in one:
        yield Family(name, kind, about, [("", value)])
    lanes = pipeline.lanes
    if isinstance(lanes, ProcessLanes):
        about = "Worker processes that died."
        yield Family("worker_deaths_total", "counter", about, [("", lanes.deaths)])
    problems = [(labels(kind=kind), count) for kind, count in pipeline.problem_counts.items()]
    yield Family("problems_total", "counter", "Troubles that were survived.", [*problems])
    timers = list(pipeline.timers.values())
    means = [(labels(strategy=timer.name), timer.mean) for timer in timers]
    slowest = [(labels(strategy=timer.name), timer.slowest) for timer in timers]
    yield Family("strategy_mean_seconds", "gauge", "Mean time of a timed call.", [*means])
    yield Family("strategy_slowest_seconds", "gauge", "Longest timed call.", [*slowest])
    held = [(labels(holder=name), size) for name, size in memory(pipeline).items()]
    yield Family("memory_bytes", "gauge", "Memory by what holds it.", [*held])
    recorder = pipeline.recorder
    if recorder is not None:
        for name, about, value in (
            ("recorded_messages_total", "Messages written.", recorder.messages),
            ("recorded_lost_total", "Messages that could not be written.", recorder.lost),
            ("recorded_bytes_total", "Bytes written.", recorder.bytes),
        ):
            yield Family(name, "counter", about, [("", value)])


def _escape(text: str, *, quote: bool = False) -> str:
    """Return a text as the format has it: in labels quotes are escaped as well."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text


def _number(value: Any) -> str:
    if type(value) is int:
        return str(value)
    number = float(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    return repr(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
