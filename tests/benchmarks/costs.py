"""What single parts cost: latency, live frames against pd.concat, each overflow policy.

    python tests/benchmarks/costs.py [--rate 30000] [--seconds 5]

Latency is from the receive stamp at the socket to the call of an `on_signal` callback, for a
strategy that answers every message, on a feed paced at `--rate` (about half of what one core
takes). The rest is CPU time of this process for one message or one row.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time

import numpy as np
import pandas as pd

import mdkit as md
from mdkit.events import Depth
from mdkit.frames import DepthFrame
from mdkit.pipeline.pipeline import Pipeline
from mdkit.sources.websocket import WebSocketSource
from mdkit.strategies.contract import as_strategy
from mdkit.venues.tickdb import encode

SYMBOLS = ("AAPL.US", "MSFT.US", "GOOGL.US", "AMZN.US", "NVDA.US")
POLICIES = ("block", "drop_oldest", "drop_newest", "conflate", "spill")


@md.strategy("depth")
def always(book: Depth) -> float:
    return md.pressure_ratio(book)


def book(number: int) -> Depth:
    bids = tuple((100.0 - i, 1.0 + (number + i) % 9) for i in range(10))
    asks = tuple((101.0 + i, 1.0 + (number * 3 + i) % 9) for i in range(10))
    stamp = 1_700_000_000_000_000_000 + number
    return Depth(f"S{number % 5}", bids, asks, stamp, stamp)


def latency(rate: float, seconds: float) -> tuple[float, np.ndarray]:
    """The rate that was received, and the ms from socket to signal."""

    async def play(url: str) -> tuple[float, np.ndarray]:
        late: list[int] = []
        pipeline = Pipeline(WebSocketSource(url, ["depth"], SYMBOLS), [as_strategy(always)])
        pipeline.on_signal(lambda signal: late.append(time.time_ns() - signal.received_ns))
        pipeline.start()
        await asyncio.sleep(1.0)  # connecting, and the first messages' preparations
        late.clear()
        before, began = pipeline.ledger.totals()["processed"], time.perf_counter()
        await asyncio.sleep(seconds)
        handled = pipeline.ledger.totals()["processed"] - before
        found = np.array(late) / 1e6
        took = time.perf_counter() - began
        receipt = await pipeline.stop()
        assert receipt.balanced
        return handled / took, found

    with md.Exchange(SYMBOLS, scenario="flood", rate=rate) as exchange:
        return asyncio.run(play(exchange.ws_url))


def timed(work, count: int) -> float:
    """CPU µs for one of `count`."""
    gc.collect()
    began = time.process_time()
    work()
    return (time.process_time() - began) / count * 1e6


def frames(rows: int = 20_000, chunk: int = 100) -> dict[str, float]:
    """µs a row: appending to a live frame and looking after every hundred, and pd.concat."""
    events = [book(n) for n in range(rows)]
    chunks = [events[i : i + chunk] for i in range(0, rows, chunk)]

    def live(look: bool) -> None:
        frame = DepthFrame(10, rows)
        for part in chunks:
            frame.extend(part)
            if look:
                frame.snapshot(100)

    def concat(parts: list[list[Depth]]) -> None:
        table = pd.DataFrame()
        for part in parts:
            rows = [
                [x for side in zip(e.bids, e.asks, strict=True) for level in side for x in level]
                for e in part
            ]
            times = pd.to_datetime([e.received_ns for e in part], utc=True)
            table = pd.concat([table, pd.DataFrame(rows, times)])

    return {
        "live frame, append": timed(lambda: live(False), rows),
        "live frame, append and look at 100 rows": timed(lambda: live(True), rows),
        "pd.concat of a hundred": timed(lambda: concat(chunks), rows),
        "pd.concat of each row (first 2,000)": timed(
            lambda: concat([[event] for event in events[:2000]]), 2000
        ),
    }


def overflow(policy: str, count: int = 40_000) -> float:
    """µs a message when a queue of 1,000 is met by bursts of 5,000."""
    raw = [encode(book(n)) for n in range(1000)]

    class Bursts:
        name, connected, stale_for = "bursts", True, 0.0
        symbols: tuple[str, ...] = ()

        def clock_ns(self) -> int:
            return time.time_ns()

        def stop(self) -> None: ...

        async def run(self, sink) -> None:
            for _ in range(count // 5000):
                await sink.deliver([(raw[n % 1000], n) for n in range(5000)])
                await asyncio.sleep(0)

    async def play() -> None:
        pipeline = Pipeline(
            Bursts(), [as_strategy(always)], overflow=policy, maxsize=1000, block_timeout=0.0
        )
        pipeline.start()
        receipt = await pipeline.wait()
        assert receipt.balanced
        assert receipt.totals["received"] == count

    return timed(lambda: asyncio.run(play()), count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=30_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    rate, late = latency(arguments.rate, arguments.seconds)
    p50, p99, worst = np.quantile(late, [0.5, 0.99, 1.0])
    print(
        f"socket to signal at {rate:,.0f} messages a second: p50 {p50:.2f} ms, "
        f"p99 {p99:.2f} ms, worst {worst:.1f} ms"
    )
    print("\nCPU µs a row of ten levels a side")
    for name, cost in frames().items():
        print(f"{name:<42} {cost:>8.2f}")
    print("\nCPU µs a message, bursts of 5,000 into a queue of 1,000")
    for policy in POLICIES:
        print(f"{policy:<14} {overflow(policy):>8.2f}")


if __name__ == "__main__":
    main()
