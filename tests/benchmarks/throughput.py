"""From socket to signal: the article's pipeline, the raw receive floor, and mdkit, in one run.

    python tests/benchmarks/throughput.py [--messages 40000] [--rounds 7]

One embedded exchange in a process of its own sends the same depth messages (10 levels a side)
as fast as they are taken; each contender reads them all, in turn, round after round. CPU time
is this process's alone, all its threads together, and steadier than wall time; the ratios are
what to look at. Each figure is the best of its rounds: what else runs on the machine, or beside
a virtual one, only ever adds. The first row reads bytes and looks at none of them: no contender
can take messages faster than the exchange sends them.

"In a thread" is the loop of `live(runner="thread")`: uvloop's where that is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from math import inf

import websockets

from mdkit.exchange import Exchange
from mdkit.notebook.loops import LoopThread
from mdkit.pipeline.pipeline import Pipeline
from mdkit.sources.websocket import WebSocketSource
from mdkit.sources.websockets_connection import open_websockets
from mdkit.strategies import pressure
from mdkit.strategies.contract import as_strategy
from mdkit.venues.registry import DEFAULT
from mdkit.venues.tickdb.commands import subscribe_command

SYMBOLS = ("AAPL.US", "MSFT.US", "GOOGL.US", "AMZN.US", "NVDA.US")


@dataclass
class Feed:
    """Where the messages come from, and how many to take."""

    realtime_url: str
    article_url: str
    messages: int


@dataclass
class Cost:
    """CPU seconds (of this process) and wall seconds for one message."""

    cpu: float
    wall: float


class Stopwatch:
    """Starts at the first message, so that connecting and the server's preparations are out."""

    def __init__(self, already: int) -> None:
        self.already = already
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def stop(self, handled: int) -> Cost:
        count = handled - self.already
        return Cost(
            (time.process_time() - self.cpu) / count, (time.perf_counter() - self.wall) / count
        )


async def timed(feed: Feed, handled: Callable[[], int], each: Callable[[], None]) -> Cost:
    """Watch a counter from its first message to the last that is wanted."""
    while not handled():  # noqa: ASYNC110 - counters have no events
        await asyncio.sleep(0)
    watch = Stopwatch(handled())
    while handled() < feed.messages:
        await asyncio.sleep(0.005)
        each()
    return watch.stop(handled())


class Drain(asyncio.BufferedProtocol):
    """Reads bytes into the same memory again and again, until there were enough."""

    def __init__(self, enough: int, over: Callable[[], None]) -> None:
        self.memory = bytearray(1 << 18)
        self.enough, self.over = enough, over
        self.seen = 0

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.memory

    def buffer_updated(self, nbytes: int) -> None:
        self.seen += nbytes
        if self.seen >= self.enough:
            self.over()


async def read_bytes(feed: Feed) -> Cost:
    """What the exchange sends, and what reading it costs at the very least."""
    async with websockets.connect(feed.realtime_url, compression=None) as socket:
        await socket.send(subscribe_command("depth", SYMBOLS))
        await socket.recv()
        sizes = [len(await socket.recv(decode=False)) + 4 for _ in range(1000)]
        over = asyncio.Event()
        drain = Drain(int(statistics.mean(sizes) * feed.messages), over.set)
        watch = Stopwatch(0)
        socket.transport.set_protocol(drain)
        socket.transport.resume_reading()
        await over.wait()
        cost = watch.stop(feed.messages)
        socket.transport.set_protocol(socket)
        socket.transport.abort()
        return cost


async def receive_only(feed: Feed) -> Cost:
    """The floor of the websockets library: messages are received and thrown away."""
    async with websockets.connect(feed.realtime_url, compression=None) as socket:
        await socket.send(subscribe_command("depth", SYMBOLS))
        await socket.recv()
        await socket.recv()
        watch = Stopwatch(0)
        for _ in range(feed.messages):
            await socket.recv(decode=False)
        cost = watch.stop(feed.messages)
        socket.transport.abort()  # a polite close would first read all that waits
        return cost


async def batches(feed: Feed) -> Cost:
    connection = await open_websockets(feed.realtime_url, DEFAULT)
    await connection.send_text(subscribe_command("depth", SYMBOLS))
    await connection.batch()
    watch = Stopwatch(0)
    count = 0
    while count < feed.messages:
        count += len(await connection.batch())
    cost = watch.stop(count)
    connection.cut()
    await connection.hang_up()
    return cost


class ArticlePipeline:
    """The article's own design: json.loads, one queue item a message, four workers, no frame."""

    def __init__(self, url: str, workers: int = 4) -> None:
        self.url = url
        self.queue: asyncio.Queue[dict] = asyncio.Queue(maxsize=10_000)
        self.workers = workers
        self.processed = 0

    async def producer(self) -> None:
        async with websockets.connect(self.url, compression=None, ping_interval=30) as socket:
            async for raw in socket:
                await self.queue.put(json.loads(raw))

    async def worker(self) -> None:
        while True:
            message = await self.queue.get()
            try:
                await self.strategy(message)
                self.processed += 1
            finally:
                self.queue.task_done()

    async def strategy(self, message: dict) -> float:
        bids = sum(float(level[1]) for level in message.get("bids", [])[:5])
        asks = sum(float(level[1]) for level in message.get("asks", [])[:5])
        return bids / asks if asks else 0.0


async def article(feed: Feed) -> Cost:
    pipeline = ArticlePipeline(feed.article_url)
    tasks = [asyncio.create_task(pipeline.producer())]
    tasks += [asyncio.create_task(pipeline.worker()) for _ in range(pipeline.workers)]
    cost = await timed(feed, lambda: pipeline.processed, lambda: None)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return cost


async def _mdkit(feed: Feed, url: str, *, look: float = 0) -> Cost:
    source = WebSocketSource(url, ["depth"], SYMBOLS)
    pipeline = Pipeline(source, [as_strategy(pressure)])
    looked = -inf

    def check() -> None:
        nonlocal looked
        if pipeline.failure is not None:
            raise pipeline.failure
        if look and time.perf_counter() - looked > look:
            looked = time.perf_counter()
            for symbol in SYMBOLS:
                pipeline.frames.frame("depth", symbol)

    pipeline.start()
    cost = await timed(feed, lambda: pipeline.ledger.totals()["processed"], check)
    receipt = await pipeline.stop()
    assert receipt.balanced, receipt
    assert receipt.totals["processed"] == receipt.totals["received"], receipt
    return cost


async def mdkit_article(feed: Feed) -> Cost:
    return await _mdkit(feed, feed.article_url)


async def mdkit_realtime(feed: Feed) -> Cost:
    return await _mdkit(feed, feed.realtime_url)


async def mdkit_watched(feed: Feed) -> Cost:
    # From the first message on, and for long enough that many looks are in it.
    longer = replace(feed, messages=8 * feed.messages)
    return await _mdkit(longer, longer.realtime_url, look=0.25)


Contender = Callable[[Feed], Awaitable[Cost]]


def here(contender: Contender, feed: Feed) -> Cost:
    """Run in a loop of this thread, as in a notebook."""
    return asyncio.run(asyncio.wait_for(contender(feed), 300))


def in_thread(contender: Contender, feed: Feed) -> Cost:
    """Run in the loop that `live(runner="thread")` has."""
    result: Future[Cost] = Future()

    async def work() -> None:
        try:
            result.set_result(await asyncio.wait_for(contender(feed), 300))
        except BaseException as error:
            result.set_exception(error)

    LoopThread(work, "benchmark").join(timeout=320)
    return result.result(timeout=0)


FLOOR = "websockets, receive only (floor)"
ARTICLE = "the article's pipeline"

CONTENDERS: dict[str, tuple[Callable[[Contender, Feed], Cost], Contender]] = {
    "bytes only, not parsed": (here, read_bytes),
    FLOOR: (here, receive_only),
    "mdkit's receiving": (here, batches),
    "mdkit's receiving, in a thread": (in_thread, batches),
    ARTICLE: (here, article),
    "mdkit, article dialect": (here, mdkit_article),
    "mdkit, realtime dialect": (here, mdkit_realtime),
    "mdkit, realtime, in a thread": (in_thread, mdkit_realtime),
    "mdkit, 5 frames read 4x a second": (here, mdkit_watched),
}


def measure(messages: int, rounds: int, encoded: int = 25_000) -> dict[str, list[Cost]]:
    """Return the costs of every contender, a round at a time so that noise hits all alike.

    So many messages are `encoded` before, once for each dialect.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in CONTENDERS}
    with Exchange(SYMBOLS, scenario="flood") as exchange:
        query = "&".join(f"symbol={symbol}" for symbol in SYMBOLS)
        url = f"{exchange.flat_ws_url}?channel=depth&{query}"
        feed = Feed(exchange.ws_url, url, messages)
        for warm_up in (article, receive_only):
            asyncio.run(warm_up(Feed(exchange.ws_url, url, encoded)))
        for _ in range(rounds):
            for name, (run, contender) in CONTENDERS.items():
                gc.collect()
                costs[name].append(run(contender, feed))
    return costs


def table(costs: dict[str, list[Cost]]) -> str:
    """Return the report: the best of the rounds, ratios to the article and to the floor."""
    cpu = {name: min(cost.cpu for cost in cs) * 1e6 for name, cs in costs.items()}
    rate = {name: 1 / min(cost.wall for cost in cs) for name, cs in costs.items()}
    lines = [
        f"{'':<44} {'CPU µs/msg':>10} {'x floor':>8} {'msg/s':>9} {'x article':>10} "
        f"{'x article (CPU)':>16}"
    ]
    lines += [
        f"{name:<44} {cpu[name]:>10.1f} {cpu[name] / cpu[FLOOR]:>8.2f} {rate[name]:>9,.0f} "
        f"{rate[name] / rate[ARTICLE]:>10.2f} {cpu[ARTICLE] / cpu[name]:>16.2f}"
        for name in costs
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    print(f"{arguments.messages:,} depth messages, best of {arguments.rounds} rounds")
    print(table(measure(arguments.messages, arguments.rounds)))


if __name__ == "__main__":
    main()
