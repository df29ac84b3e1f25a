"""A market's first second: up to 100,000 books in it, through each overflow policy.

    python tests/benchmarks/market_open.py [--books 1000 10000 50000 100000] [--heavy 50]

The embedded exchange, in a process of its own, sends so many depth messages in one second and
then falls silent. `sent in` is what a reader sees that counts bytes and nothing else: the
exchange's own pace. `websockets` is a reader that takes messages and does nothing with them. The
others are sessions with the pressure strategy and live frames. `worked off` is from the first
message's arrival until nothing waits any more; latency from a book's receipt at the socket to the
signal about it. The last rows have a second strategy that computes for `--heavy` µs a book, so
that the queue fills.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from websockets.asyncio.client import connect

import mdkit as md
from mdkit.pipeline.pipeline import Pipeline
from mdkit.queue.policies import POLICIES, Overflow
from mdkit.sources.websocket import WebSocketSource
from mdkit.strategies import pressure
from mdkit.strategies.contract import Strategy, as_strategy
from mdkit.venues.tickdb.commands import subscribe_command

SYMBOLS = ("AAPL.US", "MSFT.US", "GOOGL.US", "AMZN.US", "NVDA.US")
BOOKS = (1_000, 10_000, 50_000, 100_000)


@dataclass
class Opening:
    """What became of an opening; times in seconds, latencies in ms."""

    sent: int
    totals: dict[str, int]
    balanced: bool
    backwards: int
    peak: int
    spilled: int
    worked_off: float
    late: tuple[float, float]


@md.strategy("depth")
def heavy(book: Any, micros: float = 50.0) -> None:
    """Compute for so long."""
    until = time.perf_counter() + micros * 1e-6
    while time.perf_counter() < until:
        pass


def market(books: int, **options: Any) -> md.Exchange:
    """An exchange that sends so many books in its first second, and no more."""
    return md.Exchange(SYMBOLS, scenario="open", opening=books, count=books, **options)


async def count_bytes(exchange: md.Exchange, books: int) -> float:
    """Seconds in which a reader had all bytes that did not look into them."""
    async with connect(exchange.ws_url, compression=None) as socket:
        arrived = asyncio.get_running_loop().create_future()
        began, met = 0.0, 0

        def data_received(data: bytes) -> None:
            nonlocal began, met
            met += data.count(b'{"cmd":"depth"')
            began = began or (time.perf_counter() if met else 0.0)
            if met >= books and not arrived.done():
                arrived.set_result(time.perf_counter() - began)

        await socket.send(subscribe_command("depth", SYMBOLS))
        await socket.recv()
        socket.data_received = data_received  # type: ignore[method-assign]
        return await arrived


async def receive_only(exchange: md.Exchange, books: int) -> float:
    """Seconds in which websockets handed out all messages."""
    async with connect(exchange.ws_url, compression=None) as socket:
        await socket.send(subscribe_command("depth", SYMBOLS))
        await socket.recv()
        await socket.recv(decode=False)
        began = time.perf_counter()
        for _ in range(books - 1):
            await socket.recv(decode=False)
        return time.perf_counter() - began


async def through(
    exchange: md.Exchange,
    books: int,
    policy: Overflow,
    maxsize: int = 10_000,
    strategies: Sequence[Strategy] = (),
) -> Opening:
    """Take an opening through a session's queue, lanes, strategies and frames."""
    pipeline = Pipeline(
        WebSocketSource(exchange.ws_url, ["depth"], SYMBOLS),
        [as_strategy(pressure), *strategies],
        overflow=policy,
        maxsize=maxsize,
    )
    late: list[int] = []
    pipeline.on_signal(lambda signal: late.append(time.time_ns() - signal.received_ns))
    pipeline.start()
    began = spilled = 0.0
    while True:
        totals = pipeline.ledger.totals()
        began = began or (time.perf_counter() if totals["received"] else 0.0)
        spilled = max(spilled, totals["spilled"])
        waiting = totals["queued"] + totals["spilled"] + totals["in_flight"]
        if totals["received"] == books and not waiting:
            break
        await asyncio.sleep(0.002)
    worked_off = time.perf_counter() - began
    sent = (await asyncio.to_thread(exchange.statistics))["sent_total"]
    receipt = await pipeline.stop()
    found = np.array(late or [0]) / 1e6
    return Opening(
        sent,
        dict(receipt.totals),
        receipt.balanced,
        sum(channel.reader.quality.backwards for channel in pipeline.channels),
        pipeline.buffer.statistics().peak,
        int(spilled),
        worked_off,
        (float(np.quantile(found, 0.5)), float(np.quantile(found, 0.99))),
    )


def run(books: int, work: Any, *more: Any) -> Any:
    """Run a reader against an exchange of its own."""
    with market(books) as exchange:
        reading: Coroutine[Any, Any, Any] = work(exchange, books, *more)
        return asyncio.run(reading)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--books", type=int, nargs="+", default=BOOKS)
    parser.add_argument("--maxsize", type=int, default=10_000)
    parser.add_argument("--heavy", type=float, default=50.0, metavar="µs")
    arguments = parser.parse_args()
    print(
        f"{'':>26} {'sent':>8} {'received':>9} {'highest':>8} {'dropped':>8} {'conflated':>9} "
        f"{'spilled':>8} {'worked off s':>12} {'p50 ms':>8} {'p99 ms':>8}"
    )
    for books in arguments.books:
        print(f"{f'{books:,} sent in':<81} {run(books, count_bytes):>22.2f}")
        print(f"{f'{books:,} websockets':<81} {run(books, receive_only):>22.2f}")
        for policy in POLICIES:
            tell(f"{books:,} {policy}", run(books, through, policy, arguments.maxsize))
    slow = [as_strategy(heavy).with_params(micros=arguments.heavy)]
    for policy in POLICIES:
        name = f"{books:,} {policy}, {arguments.heavy:g} µs"
        tell(name, run(books, through, policy, arguments.maxsize, slow))


def tell(name: str, it: Opening) -> None:
    """Print a row, once it is sure that every message is where the ledger says."""
    assert it.balanced
    assert it.sent == it.totals["received"]
    assert not it.backwards, "a symbol's books came out of order"
    print(
        f"{name:<26} {it.sent:>8,} {it.totals['received']:>9,} {it.peak:>8,} "
        f"{it.totals['dropped']:>8,} {it.totals['conflated']:>9,} {it.spilled:>8,} "
        f"{it.worked_off:>12.2f} {it.late[0]:>8.2f} {it.late[1]:>8.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
