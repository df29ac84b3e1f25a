"""Books of public venues, proven: mdkit beside cryptofeed, on the same recorded frames.

    python tests/benchmarks/venues.py [--rounds 9] [--levels 10]

mdkit's side is the assembler of each venue, as sessions have it: it decodes a frame, checks its
number or checksum, applies it, cuts the book to its depth, sees that it is not crossed, and makes
a message of the best levels for the queue. cryptofeed's (`pip install cryptofeed`; its books are
C) decodes, applies, cuts and checks, with its own handlers, and hands its book to a callback: one
that does nothing, and one that takes the same best levels from it. Both get the same depth frames
and the same REST snapshots; other channels are left out.

cryptofeed reads Kraken's older wire and mdkit the newer one, so that the recorded frames are put
into the words of the older one for it, with the same texts of numbers and the same checksums. The
recording of Coinbase is of its Exchange feed, which neither reads any more: both get its levels in
the words of Advanced Trade. Rounds are interleaved, and the best of each counts.

The recordings are at ../shared/market/venues beside the repository, and no part of it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import gzip
import importlib.util
import json
import logging
import time
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mdkit.events import Gap
from mdkit.venues.assembly.assembler import Wanted
from mdkit.venues.assembly.parser import rest_frame
from mdkit.venues.registry import VENUES

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "market" / "venues"


class Line(NamedTuple):
    """A recorded frame: of the socket, or of REST where `get` is a path with parameters."""

    ns: int
    get: str
    body: bytes


class Run(NamedTuple):
    """What reading all frames cost, in CPU seconds, and how many books came of them."""

    seconds: float
    books: int


@dataclass
class Case:
    """Frames of one venue, in the words that each side reads.

    `keep` cuts the books to that many levels.
    """

    title: str
    venue: str
    natives: dict[str, str]
    ours: list[Line]
    theirs: list[Line]
    keep: int = 0


# -- the frames ----------------------------------------------------------------------------------


def lines(name: str) -> Iterable[Line]:
    """Yield what a recording holds, but for what its client sent."""
    with gzip.open(RECORDINGS / f"{name}.jsonl.gz") as file:
        for raw in file:
            ns, *rest = raw.rstrip(b"\n").split(b"\t")
            if rest[0] == b"SENT":
                continue
            get = ""
            if rest[0].startswith(b"GET "):
                path = rest[0].decode().removeprefix("GET ").partition("://")[2]
                get = "/" + path.partition("/")[2]
            yield Line(int(ns), get, rest[-1])


def kraken() -> Case:
    """Depth 25; the other side gets the same levels as the older wire has them."""
    ours = [
        line for line in lines("kraken_v2_btcusd") if line.body.startswith(b'{"channel":"book"')
    ]
    theirs = []
    for line in ours:
        frame = json.loads(line.body, parse_float=str)
        (book,) = frame["data"]
        sides = {
            key: [[level["price"], level["qty"], "0"] for level in book[side]]
            for key, side in (("b", "bids"), ("a", "asks"))
        }
        if frame["type"] == "snapshot":
            sides = {"bs": sides["b"], "as": sides["a"]}
        else:
            sides = {key: levels for key, levels in sides.items() if levels}
            sides["c"] = str(book["checksum"])
        theirs.append(line._replace(body=json.dumps([0, sides, "book-25", "XBT/USD"]).encode()))
    return Case("Kraken, depth 25", "kraken", {"BTC/USD": "BTC/USD"}, ours, theirs, 25)


def binance(title: str, venue: str, recording: str) -> Case:
    """Numbered differences each 100 ms, and the snapshots of REST."""
    kept = [
        line for line in lines(recording) if "/depth" in line.get or b'"depthUpdate"' in line.body
    ]
    names = {json.loads(line.body)["data"]["s"] for line in kept if not line.get}
    return Case(title, venue, {name: name for name in names}, kept, kept)


def coinbase() -> Case:
    """Ten products, in the words of Advanced Trade."""
    told: list[Line] = []
    names = set()
    for line in lines("coinbase_exchange_2021"):
        frame = json.loads(line.body)
        if frame["type"] not in ("snapshot", "l2update"):
            continue
        names.add(frame["product_id"])
        if frame["type"] == "snapshot":
            rows = [
                (side, *row)
                for side, key in (("bid", "bids"), ("offer", "asks"))
                for row in frame[key]
            ]
        else:
            rows = [
                ("bid" if side == "buy" else "offer", price, size)
                for side, price, size in frame["changes"]
            ]
        at = frame.get("time", "2021-04-17T16:43:37.000000Z")
        event = {
            "type": "snapshot" if frame["type"] == "snapshot" else "update",
            "product_id": frame["product_id"],
            "updates": [
                {"side": s, "event_time": at, "price_level": p, "new_quantity": q}
                for s, p, q in rows
            ],
        }
        new = {
            "channel": "l2_data",
            "client_id": "",
            "timestamp": at,
            "sequence_num": len(told),
            "events": [event],
        }
        told.append(line._replace(body=json.dumps(new, separators=(",", ":")).encode()))
    return Case("Coinbase, whole book", "coinbase", {n: n for n in names}, told, told)


# -- the two sides -------------------------------------------------------------------------------


def run_ours(case: Case, levels: int) -> Run:
    """Feed the frames to a venue's assembler."""
    venue = VENUES[case.venue]
    assembler = venue.assembler(case.natives, levels, case.keep or 1000)
    frames = [
        (rest_frame(line.get, line.ns, line.body) if line.get else line.body, line.ns)
        for line in case.ours
    ]
    gc.collect()
    books = 0
    take = assembler.take
    began = time.process_time()
    for raw, ns in frames:
        for output in take(raw, ns):
            kind = type(output)
            if kind is bytes:
                books += 1
            elif kind is Gap:
                raise SystemExit(f"{case.title}: {output}")
            elif kind is not Wanted:
                raise SystemExit(f"{case.title}: unexpected {output}")
    spent = time.process_time() - began
    faults = sum(builder.faults for builder in assembler.builders.values())
    if faults or assembler.counts["invalid"]:
        raise SystemExit(f"{case.title}: {faults} faults, {dict(assembler.counts)}")
    return Run(spent, books)


class _Answers:
    """Gives the recorded REST answers in place of a service."""

    def __init__(self, case: Case) -> None:
        self._by_symbol = {
            next(name for name in case.natives if f"symbol={name}&" in f"{line.get}&"): line.body
            for line in case.theirs
            if line.get
        }

    async def read(self, url: str, *_: Any, **__: Any) -> bytes:
        symbol = next(name for name in self._by_symbol if f"symbol={name}&" in f"{url}&")
        return self._by_symbol[symbol]


def make_feed(case: Case, callback: Any) -> Any:
    """Return cryptofeed's feed of a venue, which asks nobody for its symbols."""
    from cryptofeed import exchanges
    from cryptofeed.defines import L2_BOOK
    from cryptofeed.symbols import Symbols

    kind: Any = {
        "kraken": exchanges.Kraken,
        "binance": exchanges.Binance,
        "binance.us": exchanges.BinanceUS,
        "coinbase": exchanges.Coinbase,
    }[case.venue]

    class Offline(kind):  # type: ignore[misc]
        @classmethod
        def symbol_mapping(cls, *_: Any, **__: Any) -> dict[str, str]:
            Symbols.set(cls.id, {}, {})
            return {}

        def exchange_symbol_to_std_symbol(self, symbol: str) -> str:
            return symbol

    feed = Offline(
        callbacks={L2_BOOK: callback}, max_depth=case.keep, checksum_validation=bool(case.keep)
    )
    feed.http_conn = _Answers(case)
    return feed


def run_theirs(case: Case, levels: int) -> Run:
    """Feed the frames to cryptofeed's handler; `levels` are taken of each book, 0 for none."""
    books = 0

    async def count(book: Any, receipt: float) -> None:
        nonlocal books
        books += 1

    async def take_best(book: Any, receipt: float) -> None:
        nonlocal books
        books += 1
        sides = book.book
        for side in (sides.bids, sides.asks):
            for at in range(min(levels, len(side))):
                side.index(at)

    feed = make_feed(case, take_best if levels else count)
    frames = [(line.body.decode(), line.ns / 1e9) for line in case.theirs if not line.get]

    async def run() -> float:
        handle = feed.message_handler
        began = time.process_time()
        for text, at in frames:
            await handle(text, None, at)
        return time.process_time() - began

    gc.collect()
    return Run(asyncio.run(run()), books)


def memory(make: Callable[[], Any]) -> int:
    """Return how many bytes what is made takes."""
    gc.collect()
    tracemalloc.start()
    kept = make()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return size


def memory_of_books(levels: int = 1000) -> None:
    """Print what a book of so many levels a side takes, as far as Python's memory is concerned."""
    bids = {f"{60_000 - n / 10:.2f}": f"{1 + n / 1000:.8f}" for n in range(levels)}
    asks = {f"{60_001 + n / 10:.2f}": f"{1 + n / 1000:.8f}" for n in range(levels)}
    rows = [[[*item] for item in side.items()] for side in (bids, asks)]
    plain = json.dumps({"lastUpdateId": 1, "bids": rows[0], "asks": rows[1]}).encode()
    diff = b'{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":2,"u":2,"b":[],"a":[]}'
    binance_get = "/api/v3/depth?symbol=BTCUSDT&limit=1000"

    def ours() -> Any:
        assembler = VENUES["binance"].assembler({"BTCUSDT": "BTCUSDT"}, 10, levels)
        assembler.take(diff, 1)
        assembler.take(rest_frame(binance_get, 1, plain), 2)
        return assembler

    print(f"\nmemory of a book of {levels:,} levels a side: mdkit {memory(ours) / 1e3:,.0f} kB")
    if importlib.util.find_spec("cryptofeed") is not None:
        from decimal import Decimal

        from order_book import OrderBook

        def theirs() -> Any:
            book = OrderBook()
            book.bids = {Decimal(price): Decimal(size) for price, size in bids.items()}
            book.asks = {Decimal(price): Decimal(size) for price, size in asks.items()}
            return book

        print(
            f"cryptofeed {memory(theirs) / 1e3:,.0f} kB (what its C allocates itself not counted)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--levels", type=int, default=10, help="of a side, that are published")
    arguments = parser.parse_args()
    if not RECORDINGS.is_dir():
        print(f"left out: no recordings at {RECORDINGS.parent.name}/{RECORDINGS.name}")
        return
    is_beside = importlib.util.find_spec("cryptofeed") is not None
    if not is_beside:
        print("mdkit alone: cryptofeed is not installed")
    logging.disable(logging.WARNING)
    cases = [
        kraken(),
        binance("Binance, 1 symbol", "binance", "binance_spot_btcusdt"),
        binance("Binance, 4 symbols", "binance", "binance_spot_4_symbols"),
        binance("Binance.US, 4 symbols", "binance.us", "binance_us_4_symbols"),
        coinbase(),
    ]
    levels = arguments.levels
    ways: dict[str, Callable[[Case], Run]] = {"mdkit": lambda case: run_ours(case, levels)}
    if is_beside:
        ways["cryptofeed"] = lambda case: run_theirs(case, 0)
        ways[f"cryptofeed, {levels} levels taken"] = lambda case: run_theirs(case, levels)
    print(f"{'':24}{'way':34}{'messages':>9}{'books':>8}{'µs a message':>14}{'books a second':>16}")
    for case in cases:
        runs: dict[str, list[Run]] = {way: [] for way in ways}
        for _ in range(arguments.rounds):
            for way, run in ways.items():
                runs[way].append(run(case))
        count = sum(1 for line in case.ours if not line.get)
        for way, found in runs.items():
            best = min(run.seconds for run in found)
            books = found[0].books
            print(
                f"{case.title:24}{way:34}{count:>9,}{books:>8,}{best / count * 1e6:>14.2f}"
                f"{books / best:>16,.0f}",
                flush=True,
            )
    memory_of_books()


if __name__ == "__main__":
    main()
