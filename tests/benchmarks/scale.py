"""How cost grows: with symbols, with the queue's size, under overload, with worker processes.

    python tests/benchmarks/scale.py [--seconds 60] [--plot scale.png]

The cost by symbols is measured twice: on feeds of the embedded exchange at one total rate, from
the socket to the strategy, and at full speed. There, and in all that follows, messages are made
beforehand and delivered from memory to the real queue, lanes, strategy and frames. CPU time is
this process's, and the best of the rounds, since what else runs on a machine only ever adds; of
processes, medians.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sizes import measure

import mdkit as md
from mdkit.events import Depth
from mdkit.machine import memory_bytes
from mdkit.pipeline.memory import memory
from mdkit.pipeline.pipeline import Pipeline
from mdkit.strategies.contract import as_strategy
from mdkit.venues.tickdb import encode

SYMBOL_COUNTS = (1, 10, 100, 1000, 5000)
QUEUE_SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
POLICIES = ("block", "drop_oldest", "drop_newest", "conflate", "spill")
ROWS_IN_ALL = 50_000
BOOK = Depth("S", ((100.0, 1.0),), ((101.0, 1.0),), 1, 1)
LEVELS = 10


def book(symbol: str, number: int) -> bytes:
    """A message of ten levels a side that differs from the one before."""
    bids = tuple((100.0 - i - number % 7 / 100, 1.0 + (number + i) % 9) for i in range(LEVELS))
    asks = tuple((101.0 + i + number % 5 / 100, 1.0 + (number * 3 + i) % 9) for i in range(LEVELS))
    return encode(Depth(symbol, bids, asks, 1_700_000_000_000_000_000 + number * 1_000_000))


class Memory:
    """A source of messages that are there already; as fast as they are taken, for a while."""

    name = "memory"
    connected = True
    stale_for = 0.0

    def __init__(
        self,
        batches: list[list[bytes]],
        *,
        seconds: float = 0.0,
        rate: float = float("inf"),
        then: list[list[bytes]] | None = None,
    ) -> None:
        self.symbols: tuple[str, ...] = ()
        self.batches = batches
        self.seconds = seconds
        self.rate = rate
        self.then = then or []
        self.go = asyncio.Event()
        self._stopped = False

    def clock_ns(self) -> int:
        return time.time_ns()

    def stop(self) -> None:
        self._stopped = True

    def _each(self) -> Iterator[list[bytes]]:
        deadline = time.monotonic() + self.seconds
        yield from self.batches
        while self.seconds and time.monotonic() < deadline:
            yield from self.batches

    async def run(self, sink: Any) -> None:
        await self._deliver(sink, self._each())
        if self.then:
            await self.go.wait()
            await self._deliver(sink, iter(self.then))

    async def _deliver(self, sink: Any, batches: Iterator[list[bytes]]) -> None:
        began, sent = time.monotonic(), 0
        for batch in batches:
            if self._stopped:
                return
            # What is due is delivered at one go: a socket does not wait for its reader's turn.
            while sent > (time.monotonic() - began) * self.rate:  # noqa: ASYNC110
                await asyncio.sleep(0)
            now = time.time_ns()
            await sink.deliver([(raw, now) for raw in batch])
            sent += len(batch)
            if self.rate == float("inf"):
                await asyncio.sleep(0)


def messages(symbols: int, count: int, batch: int = 100) -> list[list[bytes]]:
    """`count` messages, their symbols in turn."""
    names = [f"S{number}" for number in range(symbols)]
    # As many different books for any number of symbols: what is read is equally far away.
    pool = [book(names[n % symbols], n) for n in range(max(SYMBOL_COUNTS))]
    flat = [pool[n % len(pool)] for n in range(count)]
    return [flat[i : i + batch] for i in range(0, count, batch)]


@dataclass
class Cost:
    cpu_us: float
    rate: float
    peak_bytes: int


def run(batches: list[list[bytes]], first: list[list[bytes]] | None = None, **options: Any) -> Cost:
    """Handle all messages with the pressure strategy and frames; what one costs.

    What comes `first` is not counted: one message of every symbol, which makes its tables and
    strategies, unless it is given.
    """
    known: set[bytes] = set()

    def new(raw: bytes) -> bool:
        head = raw[:50].partition(b'"symbol":"')[2].partition(b'"')[0]
        return not (head in known or known.add(head))

    if first is None:
        first = [batch for batch in batches if any(map(new, batch))]

    async def play() -> Cost:
        source = Memory(first, then=batches)
        pipeline = Pipeline(source, [as_strategy(md.strategies.pressure)], **options)
        pipeline.start()
        while pipeline.ledger.totals()["processed"] < sum(map(len, first)):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        cpu, wall = time.process_time(), time.perf_counter()
        source.go.set()
        receipt = await pipeline.wait()
        assert receipt.balanced
        count = sum(map(len, batches))
        return Cost(
            (time.process_time() - cpu) / count * 1e6,
            count / (time.perf_counter() - wall),
            sum(v for k, v in memory(pipeline).items() if k in ("tables", "undecoded")),
        )

    gc.collect()
    return asyncio.run(play())


def by_symbols(count: int, rounds: int) -> list[tuple[int, Cost]]:
    """The same number of messages over more and more symbols; the best of the rounds.

    All tables together have as many rows for any number of symbols, and are full before the
    counting begins, so that it is the same memory which is used again and again.
    """
    found: dict[int, Cost] = {}
    for _ in range(rounds):
        for symbols in SYMBOL_COUNTS:
            full = messages(symbols, ROWS_IN_ALL + symbols)
            cost = run(messages(symbols, count), full, frame_rows=ROWS_IN_ALL // symbols)
            if symbols not in found or cost.cpu_us < found[symbols].cpu_us:
                found[symbols] = cost
    return list(found.items())


def at_a_rate(rate: float, rounds: int) -> dict[int, float]:
    """CPU µs a message on feeds of one total rate over more and more symbols; best of rounds."""
    found: dict[int, float] = {}
    for _ in range(rounds):
        for symbols in SYMBOL_COUNTS:
            need = measure(symbols, rate, 4.0)
            each = need.cpu / need.rate * 1e6
            found[symbols] = min(each, found.get(symbols, each))
    return found


def by_queue_size(count: int) -> list[tuple[int, Cost]]:
    """All messages at once into queues of every size."""
    return [
        (size, run(messages(10, count, batch=10_000), maxsize=size, overflow="block"))
        for size in QUEUE_SIZES
    ]


@md.strategy("depth")
def heavy(book: Depth, spins: int = 1500) -> float:
    """About 200 µs of plain Python."""
    total = 0.0
    for number in range(spins):
        total += number * 0.5 % 3.0
    return total + book.bids[0][0]


def overload(policy: str, seconds: float) -> tuple[list[tuple[float, float]], dict[str, int]]:
    """Ten times what the strategy can take, for a while: MB of this process over time.

    "block" holds the source up for as long as it takes, and "spill" may fill 8 GB of the disk.
    """
    began = time.process_time()
    for _ in range(1000):
        heavy(BOOK)
    rate = 10 * 1000 / (time.process_time() - began)

    async def play() -> tuple[list[tuple[float, float]], dict[str, int]]:
        source = Memory(messages(8, 10_000, batch=200), seconds=float("inf"), rate=rate)
        pipeline = Pipeline(
            source,
            [as_strategy(heavy)],
            overflow=policy,
            block_timeout=None,
            maxsize=10_000,
            spill_quota_bytes=8 << 30,
        )
        pipeline.start()
        began = time.monotonic()
        curve = []
        while time.monotonic() - began < seconds:
            curve.append((time.monotonic() - began, (memory_bytes() or 0) / 1e6))
            await asyncio.sleep(min(0.5, seconds / 10))
        receipt = await pipeline.stop(0.1)
        assert receipt.balanced
        if receipt.left_path is not None:
            receipt.left_path.unlink()
        return curve, dict(receipt.totals)

    gc.collect()
    return asyncio.run(play())


def processes(count: int) -> dict[str, float]:
    """Messages a second of a strategy of some 200 µs over eight symbols."""

    def rate(**options: Any) -> float:
        async def play() -> float:
            source = Memory(messages(8, count, batch=200))
            pipeline = Pipeline(source, [as_strategy(heavy)], **options)
            pipeline.start()
            # Processes take a moment to start.
            while not pipeline.ledger.totals()["processed"]:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            already, began = pipeline.ledger.totals()["processed"], time.perf_counter()
            receipt = await pipeline.wait()
            assert receipt.totals["processed"] == count
            return (count - already) / (time.perf_counter() - began)

        gc.collect()
        return asyncio.run(play())

    return {
        "tasks, one core": rate(workers=4),
        "1 process": rate(worker_kind="process", workers=1),
        "2 processes": rate(worker_kind="process", workers=2),
    }


def plot(
    curves: dict[str, list[tuple[float, float]]],
    symbols: list,
    paced: dict[int, float],
    rate: float,
    path: str,
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(list(paced), list(paced.values()), marker="o", label=f"at {rate:,.0f} a second")
    left.plot(
        [n for n, _ in symbols], [c.cpu_us for _, c in symbols], marker="o", label="at full speed"
    )
    left.legend(frameon=False)
    left.set(xscale="log", xlabel="symbols", ylabel="CPU µs a message", ylim=(0, None))
    left.set_title("Cost of a message")
    for policy, curve in curves.items():
        right.plot([t for t, _ in curve], [mb for _, mb in curve], label=policy)
    right.set(xlabel="seconds of overload", ylabel="MB of the process", ylim=(0, None))
    right.set_title("Memory at ten times the capacity")
    right.legend(frameon=False)
    FigureCanvasAgg(figure).print_png(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=10_000.0, help="of all symbols together")
    parser.add_argument("--seconds", type=float, default=60.0, help="of overload, each policy")
    parser.add_argument("--plot", default=None, help="a PNG file to draw into")
    arguments = parser.parse_args()
    paced = at_a_rate(arguments.rate, min(arguments.rounds, 3))
    print(f"{'symbols':>9} {'CPU µs/msg':>11} {'x 10 symbols':>13}   at {arguments.rate:,.0f}/s")
    for symbols, each in paced.items():
        print(f"{symbols:>9,} {each:>11.1f} {each / paced[10]:>13.2f}")
    found = by_symbols(arguments.messages, arguments.rounds)
    ten = dict(found)[10].cpu_us
    print(f"\n{arguments.messages:,} messages at full speed; best of {arguments.rounds} rounds")
    print(f"{'symbols':>9} {'CPU µs/msg':>11} {'x 10 symbols':>13} {'msg/s':>9} {'tables MB':>10}")
    for symbols, cost in found:
        ratio, size = cost.cpu_us / ten, cost.peak_bytes / 1e6
        print(f"{symbols:>9,} {cost.cpu_us:>11.1f} {ratio:>13.2f} {cost.rate:>9,.0f} {size:>10.1f}")
    print(f"\n{'queue size':>11} {'CPU µs/msg':>11} {'msg/s':>9}")
    for size, cost in by_queue_size(arguments.messages):
        print(f"{size:>11,} {cost.cpu_us:>11.1f} {cost.rate:>9,.0f}")
    turns = [processes(arguments.messages // 10) for _ in range(arguments.rounds)]
    rates = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
    one = rates["1 process"]
    print(f"\na strategy of some 200 µs over 8 symbols, {os.cpu_count()} cores")
    for name, rate in rates.items():
        print(f"{name:<16} {rate:>9,.0f} msg/s {rate / one:>6.2f} x one process")
    curves = {}
    print(f"\n{arguments.seconds:g} s at ten times the capacity: MB of the process")
    print(f"{'':<12} {'at 20%':>8} {'at the end':>11}  received, processed, lost, spilled")
    for policy in POLICIES:
        curves[policy], totals = overload(policy, arguments.seconds)
        early, late = curves[policy][len(curves[policy]) // 5][1], curves[policy][-1][1]
        lost = totals["dropped"] + totals["conflated"]
        print(
            f"{policy:<12} {early:>8.0f} {late:>11.0f}  {totals['received']:,}, "
            f"{totals['processed']:,}, {lost:,}, {totals['spilled']:,}"
        )
    if arguments.plot:
        plot(curves, found, paced, arguments.rate, arguments.plot)
        print(f"plot in {arguments.plot}")


if __name__ == "__main__":
    main()
