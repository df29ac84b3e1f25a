"""How the pipeline is doing: states, measurements, and the bottleneck."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

State = Literal["normal", "elevated", "critical", "failing"]
Bottleneck = Literal["consumer_bound", "producer_bound", "balanced"]

ELEVATED = 0.80
CRITICAL = 0.95
_FEW = 20
"""Messages; fewer are not enough to say that most of them failed, if there were more before."""
BLOCKED = 0.5
"""A loop that is late by so many seconds was blocked, and not merely busy."""


def state_of(utilisation: float) -> State:
    """Return `elevated` above 80% utilisation of the queue, `critical` above 95%."""
    if utilisation > CRITICAL:
        return "critical"
    return "elevated" if utilisation > ELEVATED else "normal"


@dataclass(frozen=True, slots=True)
class Sample:
    """One tick of the sampler. Counts are since the session began, times in seconds.

    Attributes:
        at: the loop's clock.
        received, processed, dropped, conflated: messages so far (`processed` counts every
            message that a strategy was shown or that could not be used).
        queued: messages waiting in memory.
        spilled: messages waiting on disk.
        maxsize: the bound on `queued`.
        lag: by how much the loop was late for this tick.
        busy: worker time so far.
        blocked: producer time suspended so far.
        failed, invalid: messages so far on which a strategy failed, and that could not be used;
            they are among `processed`.
    """

    at: float
    received: int
    processed: int
    dropped: int
    conflated: int
    queued: int
    spilled: int
    maxsize: int
    lag: float
    busy: float
    blocked: float
    failed: int = 0
    invalid: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """A judgement on the last few seconds, and the measurements it is made of.

    Attributes:
        state: failing when most of the last messages became dead letters; else from the
            utilisation of the queue: normal, elevated (>80%), critical (>95%).
        bottleneck: `consumer_bound` when the strategies cannot keep up, `producer_bound` when
            they wait for the feed, else `balanced`.
        utilisation: messages waiting (memory and disk) over the queue's maxsize.
        in_rate, out_rate: messages a second, received and handled.
        busy: share of the time that workers were at work; 1.0 is one core.
        lag: the loop's largest delay in the window, in seconds.
        connected: whether the source has a living connection.
        stale_for: seconds without market data while connected, 0.0 when fresh.
    """

    state: State
    bottleneck: Bottleneck
    utilisation: float
    in_rate: float
    out_rate: float
    busy: float
    lag: float
    connected: bool
    stale_for: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing needs attention."""
        return self.state == "normal" and self.connected and not self.stale_for


@dataclass(slots=True)
class Monitor:
    """Keeps the last samples and judges them.

    `window` is how many samples a judgement looks back on.
    """

    window: int = 25
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=600))
    longest_block: float = 0.0
    blocks: int = 0
    late: int | None = None
    """Messages that came late because of the last block; None while that is not known."""
    _before_block: Sample | None = None

    def add(self, sample: Sample) -> None:
        """Take a sample in; called on a steady clock."""
        before = self._before_block
        if before is not None and sample.lag < BLOCKED:
            # What the socket held is read by now, a sample after the loop was free again.
            self.late = sample.received - before.received
            self._before_block = None
        if sample.lag > BLOCKED:
            self.blocks += 1
            self.longest_block = max(self.longest_block, sample.lag)
            self.late = None
            self._before_block = before or (self.samples[-1] if self.samples else sample)
        self.samples.append(sample)

    def recent(self) -> list[Sample]:
        """Return the samples of the window, oldest first."""
        return list(self.samples)[-self.window :]

    @property
    def failing(self) -> bool:
        """Whether most of the last messages became dead letters.

        The last ones are those of the window; where they are few, as many as are remembered.
        """
        last = self.samples[-1] if self.samples else None
        if last is None:
            return False
        begun = len(self.samples) - self.window
        handled = failed = 0
        for place in range(max(begun, 0), -1, -1):
            # Before the first sample nothing had happened, as long as it is still kept.
            whole = place == 0 and len(self.samples) < (self.samples.maxlen or 0)
            first = self.samples[place]
            handled = last.processed - (0 if whole else first.processed)
            failed = last.failed - (0 if whole else first.failed)
            if handled >= _FEW:
                break
        return failed > 0.5 * handled

    def diagnose(self) -> Bottleneck:
        """Say which side holds the pipeline back.

        `consumer_bound`: the queue is above half, or it overflowed or blocked the producer,
        or it grows while the workers are hardly ever idle. `producer_bound`: the queue is
        nearly empty and the workers mostly wait. Works from the second sample on.
        """
        recent = self.recent()
        if not recent:
            return "balanced"
        first, last = recent[0], recent[-1]
        span = max(last.at - first.at, 1e-9)
        lost = (last.dropped + last.conflated) - (first.dropped + first.conflated)
        held_up = last.blocked - first.blocked > 0.01 * span
        filling = (last.queued + last.spilled) / last.maxsize
        grown = (last.queued + last.spilled) - (first.queued + first.spilled)
        busy = (last.busy - first.busy) / span if len(recent) > 1 else 0.0
        if filling > 0.5 or lost > 0 or held_up or (busy > 0.9 and grown > 0):
            return "consumer_bound"
        if filling < 0.05 and busy < 0.5:
            return "producer_bound"
        return "balanced"

    def health(self, *, connected: bool, stale_for: float, utilisation: float) -> Health:
        """Return the judgement on the window; `utilisation` is that of this moment."""
        recent = self.recent()
        state: State = "failing" if self.failing else state_of(utilisation)
        if not recent:
            return Health(
                state,
                "balanced",
                utilisation,
                0.0,
                0.0,
                0.0,
                0.0,
                connected,
                stale_for,
            )
        first, last = recent[0], recent[-1]
        span = max(last.at - first.at, 1e-9)
        many = len(recent) > 1
        return Health(
            state=state,
            bottleneck=self.diagnose(),
            utilisation=utilisation,
            in_rate=(last.received - first.received) / span if many else 0.0,
            out_rate=(last.processed - first.processed) / span if many else 0.0,
            busy=(last.busy - first.busy) / span if many else 0.0,
            lag=max(sample.lag for sample in recent),
            connected=connected,
            stale_for=stale_for,
        )
