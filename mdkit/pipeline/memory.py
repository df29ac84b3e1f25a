"""Where a pipeline's memory is."""

from __future__ import annotations

from mdkit.machine import memory_bytes
from mdkit.pipeline.pipeline import Pipeline
from mdkit.processes.lanes import ProcessLanes
from mdkit.queue.channel import MESSAGE_BYTES


def memory(pipeline: Pipeline) -> dict[str, int]:
    """Return bytes by what holds them.

    `queue`: messages waiting in memory; `handed_over`: copies of those that worker processes have
    in hand, kept until they answer; `tables`: the columns of live frames, `signals` and
    `metrics`; `undecoded`: messages that frames keep until somebody looks; `dead_letters`: these
    and invalid messages; `recorder`: messages waiting to be written; `spill_on_disk`: messages
    waiting in a file; `process`: the whole of this process, 0 where the system does not say;
    `worker_processes`: the same of all worker processes together.
    """
    outcome = pipeline.lanes.outcome
    letters = sum(len(x.raw) + len(x.traceback) + MESSAGE_BYTES for x in outcome.dead_letters)
    invalid = sum(len(x.sample) + MESSAGE_BYTES for x in outcome.invalid)
    recorder = pipeline.recorder
    workers = handed_over = 0
    if isinstance(pipeline.lanes, ProcessLanes):
        for process in pipeline.lanes.processes.values():
            workers += process.memory_bytes or 0
            for _, batch in process.outstanding.values():
                handed_over += sum(len(raw) + MESSAGE_BYTES for _, raw, *_ in batch)
    return {
        "queue": pipeline.buffer.memory_bytes(),
        "handed_over": handed_over,
        "tables": pipeline.frames.nbytes + pipeline.signals.nbytes + pipeline.metrics.nbytes,
        "undecoded": pipeline.frames.kept_bytes,
        "dead_letters": letters + invalid,
        "recorder": recorder.waiting_bytes if recorder is not None else 0,
        "spill_on_disk": pipeline.buffer.statistics().spilled_bytes,
        "worker_processes": workers,
        "process": memory_bytes() or 0,
    }
