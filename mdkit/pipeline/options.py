"""What a pipeline is asked to be, besides its source and strategies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mdkit.queue.policies import Overflow
from mdkit.workers.lanes import OnError

WorkerKind = Literal["task", "process"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineOptions:
    """How a pipeline queues, serves and keeps messages.

    Attributes:
        workers: how many tasks or processes serve the lanes. More than one task helps only
            strategies that await: all tasks share one core.
        worker_kind: "task", or "process" for strategies that need more than one core.
        maxsize: messages the queue holds in memory. See `Buffer` for this and the next three.
        overflow: what happens to a message that meets a full queue, or that by channel.
        block_timeout: seconds that "block" suspends the source before messages go to disk; None
            waits without end.
        spill_quota_bytes: how much may wait on disk.
        max_retries: how often a message is tried again after a `TransientError`. See `Lanes`.
        on_error: "dead_letter" keeps a failed message and goes on; "raise" stops the pipeline.
        frame_rows: rows that a live frame keeps; None shares 500,000 out. See `Frames`.
        levels: book levels that a live frame keeps, a side.
        interval: fold events into bars of this interval; None makes no bars.
        made_of: "trade" or "ticker": the events that bars are made of.
        warmup: how many completed bars of each symbol come before the stream.
        allow_nonpositive: take prices of 0 and below for prices; so does the replay of a
            recording that was made so.
    """

    workers: int = 4
    worker_kind: WorkerKind = "task"
    maxsize: int = 10_000
    overflow: Overflow | Mapping[str, Overflow] = "block"
    block_timeout: float | None = 30.0
    spill_quota_bytes: int = 1 << 30
    max_retries: int = 3
    on_error: OnError = "dead_letter"
    frame_rows: int | None = None
    levels: int = 10
    interval: str | None = None
    made_of: str = "trade"
    warmup: int = 0
    allow_nonpositive: bool = False
