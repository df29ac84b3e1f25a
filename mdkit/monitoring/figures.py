"""The figures of a pipeline at one moment, which conditions are about."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mdkit.pipeline.pipeline import Pipeline
from mdkit.redaction import safe_text


@dataclass(frozen=True, slots=True)
class Figures:
    """How a pipeline is doing. Counts are since the session began.

    Attributes:
        queue: messages waiting (memory and disk) over the queue's size; above 1.0 while
            messages wait on disk as well as in a full queue.
        queued, spilled: messages waiting in memory, and on disk.
        in_rate, out_rate: messages a second, received and handled, over the last seconds.
        busy: share of the time that workers were at work; 1.0 is one core.
        lag: the largest delay of the event loop in the last seconds, in seconds.
        stale: seconds without market data while connected; 0.0 when fresh.
        received, lost, dead_letters, invalid: messages; lost are those dropped and conflated.
        signals, gaps, disconnects: how many.
        connected: whether the source has a living connection.
        failing: whether most of the last messages became dead letters.
        failed: what ended the session by an error; empty if nothing did.
        ended: whether the session has ended, or is ending.
        last_gap: what the last gap was; empty if there was none.
    """

    queue: float
    queued: int
    spilled: int
    in_rate: float
    out_rate: float
    busy: float
    lag: float
    stale: float
    received: int
    lost: int
    dead_letters: int
    invalid: int
    signals: int
    gaps: int
    disconnects: int
    connected: bool
    failing: bool
    failed: str
    ended: bool
    last_gap: str


NUMBERS = (
    *("queue", "queued", "spilled", "in_rate", "out_rate", "busy", "lag", "stale", "received"),
    *("lost", "dead_letters", "invalid", "signals", "gaps", "disconnects"),
)
"""The figures that can be compared with a number."""


def fresh_figures(pipeline: Pipeline) -> Figures:
    """Return the figures of this very moment; call it in the pipeline's loop."""
    totals = pipeline.ledger.totals()
    return replace(
        figures(pipeline),
        received=totals["received"],
        lost=totals["dropped"] + totals["conflated"],
        dead_letters=totals["dead_lettered"],
        invalid=totals["invalid"],
    )


def figures(pipeline: Pipeline) -> Figures:
    """Return the figures of the last sample; call it in the pipeline's loop.

    Thousands of symbols take a while to be summed, and for the sample that was done.
    """
    health = pipeline.health()
    look = pipeline.buffer.statistics()
    sample = pipeline.monitor.samples[-1] if pipeline.monitor.samples else None
    failure = pipeline.failure
    gap = pipeline.gaps[-1] if pipeline.gaps else None
    told = "" if gap is None else f"{gap.symbol} {gap.channel}: {gap.reason}".strip()
    return Figures(
        queue=health.utilisation,
        queued=look.depth,
        spilled=look.spilled,
        in_rate=health.in_rate,
        out_rate=health.out_rate,
        busy=health.busy,
        lag=health.lag,
        stale=health.stale_for,
        received=sample.received if sample else 0,
        lost=sample.dropped + sample.conflated if sample else 0,
        dead_letters=sample.failed if sample else 0,
        invalid=sample.invalid if sample else 0,
        signals=pipeline.lanes.outcome.signals,
        gaps=pipeline.gap_count,
        disconnects=getattr(pipeline.source, "disconnects", 0),
        connected=health.connected,
        failing=health.state == "failing",
        failed="" if failure is None else safe_text(f"{type(failure).__name__}: {failure}"),
        ended=pipeline.is_ending,
        last_gap=safe_text(told),
    )
