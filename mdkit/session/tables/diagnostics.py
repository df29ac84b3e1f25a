"""What a pipeline knows besides its frames, as DataFrames and dicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mdkit.events import Gap
from mdkit.frames.gaps import gap_table
from mdkit.pipeline.memory import memory
from mdkit.processes.lanes import ProcessLanes
from mdkit.sources.venue import VenueSource
from mdkit.workers.outcome import DeadLetter, Invalid

if TYPE_CHECKING:
    import pandas as pd

    from mdkit.pipeline.pipeline import Pipeline


def dead_letters(letters: Iterable[DeadLetter]) -> pd.DataFrame:
    """Return one row a dead letter, oldest first, by time received.

    `where` is the strategy's line that failed, such as "my_file.py:12 in lean".
    """
    columns = ["symbol", "channel", "strategy", "error", "where", "attempts", "traceback", "raw"]
    rows = [(x.received_ns, *(getattr(x, name) for name in columns)) for x in letters]
    return _by_time(rows, columns)


def invalid(messages: Iterable[Invalid]) -> pd.DataFrame:
    """Return one row an invalid message, oldest first, by time received."""
    columns = ["symbol", "channel", "reason", "sample"]
    rows = [(x.received_ns, *(getattr(x, name) for name in columns)) for x in messages]
    return _by_time(rows, columns)


def gaps(found: Iterable[Gap]) -> pd.DataFrame:
    """Return one row a gap: symbol, channel, reason, from, to (UTC), its seconds, lost."""
    return gap_table(found)


def stats(pipeline: Pipeline) -> dict[str, Any]:
    """Return the figures of a pipeline; nested dicts of plain numbers and strings."""
    look = pipeline.buffer.statistics()
    outcome = pipeline.lanes.outcome
    source = pipeline.source
    return {
        "source": source.name,
        "connected": source.connected,
        "connects": getattr(source, "connects", 0),
        "disconnects": getattr(source, "disconnects", 0),
        "frames": source.frame_counts() if isinstance(source, VenueSource) else {},
        "messages": pipeline.ledger.totals(),
        "queue": asdict(look),
        "health": asdict(pipeline.health()),
        "signals": outcome.signals,
        "retries": outcome.retries,
        "gaps": pipeline.gap_count,
        "memory": memory(pipeline),
        "workers": _workers(pipeline),
        "bars": {
            symbol: {
                "late": bars.builder.late,
                "ignored": bars.builder.ignored,
                "empty": bars.builder.empty,
                "skipped": bars.builder.skipped,
            }
            for symbol, bars in pipeline.channels.readers.bars.items()
        },
        "suspicious": {
            f"{channel.symbol} {channel.channel}": counts
            for channel in pipeline.channels
            if any((counts := channel.reader.quality.counts).values())
        },
        "recording": None
        if pipeline.recorder is None
        else {
            "path": str(pipeline.recorder.path),
            "messages": pipeline.recorder.messages,
            "lost": pipeline.recorder.lost,
            "bytes": pipeline.recorder.bytes,
        },
        "strategies": {
            timer.name: {
                "calls_timed": timer.samples,
                "mean_us": timer.mean * 1e6,
                "slowest_us": timer.slowest * 1e6,
            }
            for timer in pipeline.timers.values()
        },
        "invalid_reasons": dict(outcome.invalid_reasons),
        "callback_errors": list(outcome.callback_errors),
        "problems": [f"{type(problem).__name__}: {problem}" for problem in pipeline.problems],
        "refused": {
            f"{channel} {symbol}": str(error)
            for (channel, symbol), error in getattr(source, "refused", {}).items()
        },
    }


def memory_table(pipeline: Pipeline) -> pd.Series[Any]:
    """Return the bytes that a pipeline takes, by what holds them."""
    import pandas as pd

    return pd.Series(memory(pipeline), dtype="int64", name="bytes")


def _workers(pipeline: Pipeline) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": pipeline.worker_kind, "count": pipeline.workers}
    lanes = pipeline.lanes
    if isinstance(lanes, ProcessLanes):
        told["deaths"] = lanes.deaths
        told["processes"] = {
            process.number: {
                "pid": process.child.pid,
                "memory_bytes": process.memory_bytes,
                "held": None if process.held is None else str(process.held),
            }
            for process in lanes.processes.values()
        }
    return told


def _by_time(rows: list[tuple[Any, ...]], columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    from mdkit.frames.display import Table

    index = pd.to_datetime([row[0] for row in rows], unit="ns", utc=True).rename("received")
    return Table([row[1:] for row in rows], index=index, columns=columns)
