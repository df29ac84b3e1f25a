"""Runs sessions of public venues through random faults: books are the venue's, or a row says not.

    python -m tests.faults.venue_runs --venue kraken --schedules 200

The embedded exchange speaks the venue's dialect in this process, and keeps the true book. In every
other schedule connections are replaced every second or so, as otherwise once a day. Books that a
strategy saw are compared with the true ones of the same moment; the recording of the session is
replayed and has to give the same bits.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import mdkit as md
from mdkit.exchange import Fault, faults_of, random_faults
from mdkit.session import venues as session_venues
from mdkit.venues.registry import VENUES

SYMBOLS = ("BTC/USD", "ETH/USD")
IN_USDT = ("binance", "binance.us", "binance.futures", "okx")
_ENDLESS = ("blocked", "refused_subscription", "silent_subscription", "age_limit")
"""Faults after which a session ends or a book never comes: they have tests of their own."""
_UNSEEN = {"coinbase": ("reorder", "duplicate")}
"""What a venue's frames cannot show: there they are numbered after the fault has struck."""
_WAIT = 60.0
_LIFETIMES = (0.7, 1.5)
_AGE_LIMIT = 2.5
"""Seconds after which a connection is replaced, at random between; and after which it is cut."""
_COMPARED = 80


def symbols_of(venue: str) -> tuple[str, ...]:
    """Return what is traded in a run."""
    return tuple(s.replace("/USD", "/USDT") for s in SYMBOLS) if venue in IN_USDT else SYMBOLS


def run(venue: str, seed: int, seconds: float = 3.0) -> tuple[str, list[str]]:
    """Run one schedule; return what it was, and what did not hold."""
    random = Random(f"{seed}|{venue}")
    kinds = [kind for kind in faults_of(venue) if kind not in (*_ENDLESS, *_UNSEEN.get(venue, ()))]
    faults = random_faults(seed, seconds=seconds, count=random.randint(2, 6), kinds=kinds)
    lifetime = random.uniform(*_LIFETIMES) if random.random() < 0.5 else None
    plan = ", ".join(f"{fault.kind} at {fault.at:.2f}" for fault in faults)
    if lifetime is not None:
        faults = (Fault("age_limit", 0.0, params={"seconds": _AGE_LIMIT}), *faults)
        plan += f", replaced after {lifetime:.2f}"
    with tempfile.TemporaryDirectory(prefix="mdkit-venues-") as folder:
        try:
            return plan, asyncio.run(_run(venue, seed, seconds, faults, lifetime, Path(folder)))
        except Exception as error:
            return plan, [f"{type(error).__name__}: {error}"]


async def _run(
    venue: str, seed: int, seconds: float, faults: Any, lifetime: float | None, folder: Path
) -> list[str]:
    seen: list[md.Depth] = []
    wrong: list[str] = []
    symbols, chosen = symbols_of(venue), VENUES[venue]
    path = folder / "venue.jsonl.gz"

    @md.strategy("depth")
    def note(book: md.Depth) -> None:
        seen.append(book)

    async with md.Exchange(
        list(symbols), venue=venue, process=False, seed=seed, faults=faults
    ) as exchange:
        source = session_venues.ExchangeVenueSource(
            exchange,
            replace(chosen, manners=chosen.manners._replace(lifetime=lifetime)),
            symbols,
            ("depth", "trade"),
            10,
            base_delay=0.05,
            max_delay=0.4,
        )
        session = md.live(source=source, strategies=[note], record=path, name=f"venue {seed}")
        session.start()
        await asyncio.sleep(seconds)
        deadline = time.monotonic() + _WAIT
        while not _in_step(session, symbols):
            if time.monotonic() > deadline:
                wrong.append(f"not in step in the end:\n{session.venues().to_string()}")
                break
            await asyncio.sleep(0.01)
        receipt = await session.stop()
        if not receipt.balanced:
            wrong.append(f"the ledger does not balance: {session.pipeline.ledger.imbalance()}")
        wrong += _not_the_venues(exchange, seen)
    return wrong + await _not_replayed(path, session, symbols)


def _in_step(session: md.Session, symbols: tuple[str, ...]) -> bool:
    table = session.venues()
    return len(table) == len(symbols) and set(table["state"]) == {"in step"}


def _not_the_venues(exchange: md.Exchange, seen: list[md.Depth]) -> list[str]:
    """Return the books that strategies saw and the venue never had: of some of them, the last."""
    wrong = []
    step = max(1, len(seen) // _COMPARED)
    for book in reversed(seen[::-step]):
        sizes = len(book.bids), len(book.asks)
        try:
            # Where a venue tells milliseconds, the book is that of the end of one.
            for later in (0, 999_999):
                true = exchange.true_book(book.symbol, time_ns=book.exchange_ns + later, levels=10)
                bids, asks = _levels(true)
                if (book.bids, book.asks) == (bids[: sizes[0]], asks[: sizes[1]]):
                    break
            else:
                wrong.append(f"{book} was shown, the venue had {bids[:3]} and {asks[:3]}")
        except md.MdkitError:
            continue  # of too long ago
    return wrong[:3]


def _levels(book: dict[str, Any]) -> tuple[tuple[tuple[float, float], ...], ...]:
    return tuple(
        tuple((float(price), float(size)) for price, size in book[side][:10])
        for side in ("bids", "asks")
    )


async def _not_replayed(path: Path, session: md.Session, symbols: tuple[str, ...]) -> list[str]:
    replay = md.live(source=md.replay(path, speed=None), name="venue replayed")
    await replay.run()
    wrong = [
        f"{symbol} replayed is another table"
        for symbol in symbols
        if not replay.frame("depth", symbol).equals(session.frame("depth", symbol))
    ]
    live, again = (list(each.gaps()["reason"]) for each in (session, replay))
    if sorted(live) != sorted(again):
        wrong.append(f"gaps differ: {live} live, {again} replayed")
    return wrong


def main() -> int:
    """Run schedules one after the other; print those that failed, with what repeats them."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.venue_runs")
    parser.add_argument("--venue", choices=sorted(VENUES), action="append")
    parser.add_argument("--schedules", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    failed = 0
    for venue in options.venue or sorted(VENUES):
        for seed in range(options.seed, options.seed + options.schedules):
            plan, wrong = run(venue, seed)
            if wrong:
                failed += 1
                print(f"{venue} seed {seed} FAILED ({plan})", *wrong, sep="\n    ", flush=True)
        print(f"{venue}: {options.schedules} schedules, {failed} failed so far", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
