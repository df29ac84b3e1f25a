"""Looks at a pipeline some times a second: how late the loop is, and what went through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from mdkit.frames import MetricsFrame
from mdkit.pipeline.health import Monitor, Sample
from mdkit.queue.buffer import Buffer
from mdkit.queue.ledger import Ledger
from mdkit.sources.source import Source
from mdkit.workers.lanes import Lanes
from mdkit.workers.watchdog import Watchdog

METRICS = ("queued", "spilled", "in_rate", "out_rate", "dropped", "lag_ms")
"""Columns of `pipeline.metrics`: messages, messages a second, and milliseconds."""

_SECONDS = 0.2
_SHARE = 0.005
"""Of the loop's time that looking may take."""


class Sampled(Protocol):
    """What is looked at, and what the samples go into; the pipeline."""

    source: Source
    ledger: Ledger
    buffer: Buffer[Any]
    lanes: Lanes
    watchdog: Watchdog
    monitor: Monitor
    metrics: MetricsFrame
    on_sample: list[Callable[[], None]]


class Sampler:
    """Fills a pipeline's monitor and metrics, and tells its watchdog that the loop turns."""

    def __init__(self, pipeline: Sampled) -> None:
        self._pipeline = pipeline
        self._began: float | None = None

    async def run(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        self._began = time.monotonic()
        due = loop.time()
        lag = next_look = 0.0
        while True:
            due += _SECONDS
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._pipeline.watchdog.beat()
            now = loop.time()
            lag = max(lag, now - due)
            if now - due > _SECONDS:
                due = now  # skip the ticks that a blocked loop missed
            if now >= next_look:
                self.look(lag)
                lag = 0.0
                # To sum up thousands of accounts takes milliseconds.
                next_look = now + (loop.time() - now) / _SHARE

    def look(self, lag: float = 0.0) -> None:
        """Take a sample; `lag` is by how many seconds the loop was late for it."""
        monitor = self._pipeline.monitor
        before = monitor.samples[-1] if monitor.samples else None
        sample = self._sample(lag)
        monitor.add(sample)
        since = sample.at - (before.at if before else self._began or sample.at)
        if since > 0:
            self._record(sample, before, since)
        for look in self._pipeline.on_sample:
            look()

    def _record(self, sample: Sample, before: Sample | None, since: float) -> None:
        received = sample.received - (before.received if before else 0)
        processed = sample.processed - (before.processed if before else 0)
        self._pipeline.metrics.record(
            self._pipeline.source.clock_ns() or time.time_ns(),
            {
                "queued": sample.queued,
                "spilled": sample.spilled,
                "in_rate": received / since,
                "out_rate": processed / since,
                "dropped": sample.dropped + sample.conflated,
                "lag_ms": sample.lag * 1e3,
            },
        )

    def _sample(self, lag: float) -> Sample:
        totals = self._pipeline.ledger.totals()
        buffered = self._pipeline.buffer.statistics()
        return Sample(
            at=time.monotonic(),
            received=totals["received"],
            processed=totals["processed"] + totals["dead_lettered"] + totals["invalid"],
            dropped=totals["dropped"],
            conflated=totals["conflated"],
            queued=buffered.depth,
            spilled=buffered.spilled,
            maxsize=buffered.maxsize,
            lag=lag,
            busy=self._pipeline.lanes.outcome.busy_seconds,
            blocked=buffered.blocked_seconds,
            failed=totals["dead_lettered"],
            invalid=totals["invalid"],
        )
