"""What feeds of different sizes need: a share of a core, queue, memory, and how late signals are.

    python tests/benchmarks/sizes.py [--seconds 8]

Each line is a session on the embedded exchange, paced, with the pressure strategy and live
frames, for some seconds: the CPU time of this process as a share of one core, the deepest queue,
what the session added to this process's memory, and the milliseconds from the socket to the
signal. Memory goes on growing until the frames are full, so what a full session takes is worked
out beside it: 10,000 rows a symbol, or 500,000 in all, at what a row was measured to take.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from dataclasses import dataclass

import numpy as np

import mdkit as md
from mdkit.machine import memory_bytes
from mdkit.pipeline.memory import memory
from mdkit.pipeline.pipeline import Pipeline
from mdkit.sources.websocket import WebSocketSource
from mdkit.strategies.contract import as_strategy

SIZES = ((5, 50), (5, 1_000), (50, 5_000), (500, 20_000), (500, 40_000))
"""(symbols, messages a second)"""
_ROWS, _ROWS_IN_ALL = 10_000, 500_000


@md.strategy("depth")
def always(book: md.Depth) -> float:
    return md.pressure_ratio(book)


@dataclass
class Need:
    rate: float
    cpu: float
    deepest: int
    grown_mb: float
    full_mb: float
    late_ms: np.ndarray


def measure(symbols: int, rate: float, seconds: float) -> Need:
    """Run a feed of so many symbols and messages a second, once each has told something."""

    async def play(url: str, names: tuple[str, ...]) -> Need:
        empty = memory_bytes() or 0
        late: list[int] = []
        pipeline = Pipeline(WebSocketSource(url, ["depth"], names), [as_strategy(always)])
        pipeline.on_signal(lambda signal: late.append(time.time_ns() - signal.received_ns))
        pipeline.start()
        # The first message of every symbol makes its tables and strategies.
        while sum(1 for _ in pipeline.channels) < len(names):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.0)
        late.clear()
        before = pipeline.ledger.totals()["processed"]
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        handled = pipeline.ledger.totals()["processed"] - before
        found = np.array(late or [0]) / 1e6
        held = memory(pipeline)
        rows = min(len(found) + before, _ROWS * len(names))
        each = (held["tables"] + held["undecoded"]) / max(rows, 1)
        grown = (memory_bytes() or 0) - empty
        full = each * min(_ROWS * len(names), _ROWS_IN_ALL)
        deepest = pipeline.buffer.statistics().peak
        receipt = await pipeline.stop()
        assert receipt.balanced
        assert receipt.totals["processed"] == receipt.totals["received"]
        return Need(handled / took, cpu / took, deepest, grown / 1e6, full / 1e6, found)

    gc.collect()
    names = [f"S{number}.US" for number in range(symbols)]
    with md.Exchange(names, scenario="flood", rate=rate) as exchange:
        return asyncio.run(play(exchange.ws_url, tuple(names)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    print(
        f"{'symbols':>8} {'asked/s':>8} {'msg/s':>8} {'of a core':>10} {'deepest queue':>14} "
        f"{'grown MB':>9} {'when full':>10} {'p50 ms':>7} {'p99 ms':>7}"
    )
    for symbols, rate in SIZES:
        need = measure(symbols, rate, arguments.seconds)
        p50, p99 = np.quantile(need.late_ms, [0.5, 0.99])
        print(
            f"{symbols:>8,} {rate:>8,} {need.rate:>8,.0f} {need.cpu:>10.0%} {need.deepest:>14,} "
            f"{need.grown_mb:>9,.0f} {need.full_mb:>10,.0f} {p50:>7.1f} {p99:>7.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
