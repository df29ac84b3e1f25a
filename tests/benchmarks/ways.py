"""Three ways to take the same feed: polling, threads with a blocking queue, asyncio; and mdkit.

    python tests/benchmarks/ways.py [--seconds 5]

The feed is the embedded exchange's, as fast as it is taken, or as often as REST may be asked.
Each way computes the pressure ratio of every book it gets. Lag is the time from the exchange's
stamp on a book to its ratio, by the clock that both share; a feed as fast as it is taken stamps
books ahead of their sending, so lag is measured on a paced feed of 2,000 books a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import queue
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import requests
import websockets
from websockets.sync.client import connect as connect_sync

from mdkit.exchange import Exchange
from mdkit.machine import memory_bytes
from mdkit.pipeline.pipeline import Pipeline
from mdkit.sources.websocket import WebSocketSource
from mdkit.strategies import pressure
from mdkit.strategies.contract import as_strategy

SYMBOLS = ("AAPL.US", "MSFT.US", "GOOGL.US", "AMZN.US", "NVDA.US")


@dataclass
class Result:
    books: int
    seconds: float
    cpu_us: float
    grown_mb: float
    lag_ms: float


def ratio(book: dict) -> float:
    bids = sum(float(level[1]) for level in book.get("bids", [])[:5])
    asks = sum(float(level[1]) for level in book.get("asks", [])[:5])
    return bids / asks if asks else 0.0


class Meter:
    """Counts books and how late they are."""

    def __init__(self) -> None:
        self.books = 0
        self.lags: list[float] = []
        self.memory = memory_bytes() or 0
        self.cpu, self.began = time.process_time(), time.perf_counter()

    def note(self, stamp_ms: int) -> None:
        self.books += 1
        if self.books % 50 == 0:
            self.lags.append(time.time() * 1e3 - stamp_ms)

    def result(self) -> Result:
        return Result(
            self.books,
            time.perf_counter() - self.began,
            (time.process_time() - self.cpu) / max(self.books, 1) * 1e6,
            ((memory_bytes() or 0) - self.memory) / 1e6,
            statistics.median(self.lags) if self.lags else float("nan"),
        )


def polling(exchange: Exchange, seconds: float) -> Result:
    """Ask REST for each symbol's book in turn."""
    meter = Meter()
    with requests.Session() as session:
        session.trust_env = False
        while time.perf_counter() - meter.began < seconds:
            for symbol in SYMBOLS:
                answer = session.get(
                    f"{exchange.rest_url}/market/depth", params={"symbol": symbol}, timeout=10
                )
                book = answer.json()["data"]
                ratio(book)
                meter.note(book["timestamp"])
    return meter.result()


def _article_url(exchange: Exchange) -> str:
    query = "&".join(f"symbol={symbol}" for symbol in SYMBOLS)
    return f"{exchange.flat_ws_url}?channel=depth&{query}"


def threads(exchange: Exchange, seconds: float) -> Result:
    """A thread that reads, a blocking queue, and four threads that compute."""
    meter = Meter()
    waiting: queue.Queue = queue.Queue(10_000)
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            try:
                book = json.loads(waiting.get(timeout=0.1))
            except queue.Empty:
                continue
            ratio(book)
            meter.note(book["timestamp"])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    with connect_sync(_article_url(exchange), compression=None, proxy=None) as socket:
        while time.perf_counter() - meter.began < seconds:
            waiting.put(socket.recv())
        over.set()
        for worker in workers:
            worker.join()
        result = meter.result()
        socket.socket.close()
    return result


def article(exchange: Exchange, seconds: float) -> Result:
    """One loop: a producer, an asyncio.Queue, four worker tasks."""

    async def play() -> Result:
        meter = Meter()
        waiting: asyncio.Queue = asyncio.Queue(10_000)

        async def work() -> None:
            while True:
                book = await waiting.get()
                ratio(book)
                meter.note(book["timestamp"])

        workers = [asyncio.create_task(work()) for _ in range(4)]
        async with websockets.connect(_article_url(exchange), compression=None) as socket:
            async for raw in socket:
                await waiting.put(json.loads(raw))
                if time.perf_counter() - meter.began > seconds:
                    break
            result = meter.result()
            socket.transport.abort()
        for worker in workers:
            worker.cancel()
        return result

    return asyncio.run(play())


def mdkit(exchange: Exchange, seconds: float) -> Result:
    """mdkit's pipeline with the pressure strategy and live frames."""

    async def play() -> Result:
        source = WebSocketSource(exchange.ws_url, ["depth"], SYMBOLS)
        pipeline = Pipeline(source, [as_strategy(pressure)])
        lags: list[float] = []
        meter = Meter()
        pipeline.start()
        while time.perf_counter() - meter.began < seconds:
            await asyncio.sleep(0.02)
            for symbol in SYMBOLS:
                book = pipeline.frames.book(symbol)
                if book is not None:
                    # The newest book's way from the exchange to this process.
                    lags.append((book.received_ns - book.exchange_ns) / 1e6)
        meter.books = pipeline.ledger.totals()["processed"]
        meter.lags = lags
        result = meter.result()
        receipt = await pipeline.stop()
        assert receipt.balanced
        return result

    return asyncio.run(play())


WAYS: dict[str, Callable[[Exchange, float], Result]] = {
    "REST polling": polling,
    "threads, blocking queue": threads,
    "asyncio, as the article": article,
    "mdkit": mdkit,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    print(f"{'':<26} {'books/s':>9} {'CPU µs/book':>12} {'memory MB':>10} {'lag ms, paced':>14}")
    for name, way in WAYS.items():
        with Exchange(SYMBOLS, scenario="flood") as exchange:
            fast = way(exchange, arguments.seconds)
        with Exchange(SYMBOLS, rate=2000) as exchange:
            paced = way(exchange, min(arguments.seconds, 3.0))
        print(
            f"{name:<26} {fast.books / fast.seconds:>9,.0f} {fast.cpu_us:>12.1f} "
            f"{fast.grown_mb:>+10.1f} {paced.lag_ms:>14.1f}"
        )


if __name__ == "__main__":
    main()
