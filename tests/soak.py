"""A long run: `python -m tests.soak --minutes 10 --rate 5000 --plot soak.png`.

A session reads an exchange that has a random fault every few seconds. Memory, open files, tasks,
lag and ledger are printed at intervals and drawn. The exit code is 1 when memory or handles
grew, or when the ledger did not balance.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import math
import sys
import tempfile
import threading
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from random import Random

import psutil
from msgspec import structs

import mdkit as md
from mdkit.exchange import RECOVERABLE, Fault, random_faults
from mdkit.sources.websocket import WebSocketSource

SYMBOLS = ("AAPL.US", "MSFT.US", "GOOGL.US", "AMZN.US", "NVDA.US")
CHANNELS = ("depth", "trade")
FAULT_EVERY = 5.0
"""Seconds from a fault to the next, on average."""
GROWTH_BYTES = 32 << 20
"""How much the second half of a run may need more than the end of the first quarter."""


@dataclass(frozen=True)
class Look:
    """One line of the table. Memory in MB, lag in ms, the others are counts."""

    seconds: float
    memory: float
    handles: int
    tasks: int
    threads: int
    lag: float
    received: int
    rate: float
    lost: int
    bad: int
    waiting: int
    connects: int
    gaps: int


async def soak(options: argparse.Namespace, folder: Path) -> tuple[list[Look], str, bool]:
    """Run; return the looks, the receipt in words, and whether the ledger balanced at each."""
    seconds = options.minutes * 60
    faults = _faults(options.seed, seconds)
    looks: list[Look] = []
    balanced = True
    exchange = md.Exchange(SYMBOLS, rate=options.rate, seed=options.seed, faults=faults)
    async with exchange:
        source = WebSocketSource(
            exchange.ws_url,
            CHANNELS,
            SYMBOLS,
            base_delay=0.1,
            max_delay=2.0,
            heartbeat=1.0,
            connects_per_minute=600,
        )
        session = md.live(
            source=source,
            strategies=[md.strategies.pressure, md.strategies.spread_monitor],
            bars="1m",
            overflow="block",
            record=folder / "soak.jsonl.gz" if options.record else None,
            name="soak",
        )
        began = time.monotonic()
        session.start()
        while (passed := time.monotonic() - began) < seconds:
            await asyncio.sleep(min(options.every, seconds - passed))
            balanced = balanced and not session.pipeline.ledger.imbalance()
            looks.append(_look(session, time.monotonic() - began, looks))
            print(_line(looks[-1]), flush=True)
        receipt = await session.stop()
        balanced = balanced and receipt.balanced
    return looks, str(receipt), balanced


def _faults(seed: int, seconds: float) -> list[Fault]:
    """Return faults for the whole run, drawn minute by minute: most of it is to be ordinary."""
    # Bursts move the market's clock ahead, and large messages end a connection: both are wanted,
    # but not often.
    kinds = (*RECOVERABLE, "drop", "disconnect", "malformed", "duplicate", "reorder", "slow")
    drawn: list[Fault] = []
    for minute in range(math.ceil(seconds / 60)):
        count = round(60 / FAULT_EVERY)
        faults = random_faults(seed + minute, seconds=60.0, count=count, kinds=kinds)
        drawn += [structs.replace(fault, at=fault.at + 60.0 * minute) for fault in faults]
    return drawn


def _look(session: md.Session, seconds: float, before: list[Look]) -> Look:
    gc.collect()
    process = psutil.Process()
    totals = session.pipeline.ledger.totals()
    last = before[-1] if before else None
    since = seconds - (last.seconds if last else 0.0)
    return Look(
        seconds=seconds,
        memory=process.memory_info().rss / 1e6,
        handles=process.num_handles() if sys.platform == "win32" else process.num_fds(),
        tasks=len(asyncio.all_tasks()),
        threads=threading.active_count(),
        lag=session.health().lag * 1e3,
        received=totals["received"],
        rate=(totals["received"] - (last.received if last else 0)) / since,
        lost=totals["dropped"] + totals["conflated"],
        bad=totals["dead_lettered"] + totals["invalid"],
        waiting=totals["queued"] + totals["spilled"],
        connects=session.pipeline.source.connects,
        gaps=session.pipeline.gap_count,
    )


def _line(look: Look) -> str:
    return "  ".join(
        f"{field.name} {value:,.1f}" if isinstance(value, float) else f"{field.name} {value:,}"
        for field, value in zip(fields(look), astuple(look), strict=True)
    )


def complaints(looks: list[Look], balanced: bool) -> list[str]:
    """Return what grew, or did not balance. Needs a few looks to say anything of growth."""
    found = [] if balanced else ["the ledger did not balance"]
    quarter, half = looks[: max(1, len(looks) // 4)], looks[len(looks) // 2 :]
    if len(looks) >= 8:
        grown = min(x.memory for x in half) - max(x.memory for x in quarter)
        if grown * 1e6 > GROWTH_BYTES:
            found.append(f"memory grew by {grown:.0f} MB")
        for name in ("handles", "tasks", "threads"):
            least = min(getattr(x, name) for x in half)
            if least > max(getattr(x, name) for x in quarter) + 2:
                found.append(f"{name} grew to {least}")
    return found


def draw(looks: list[Look], path: Path) -> None:
    """Draw memory, handles, lag and rate over time into a PNG."""
    from matplotlib.figure import Figure

    minutes = [look.seconds / 60 for look in looks]
    figure = Figure(figsize=(9, 9), layout="constrained")
    panels = figure.subplots(4, 1, sharex=True)
    series = (
        (("memory",), "memory of the process (MB)"),
        (("handles", "tasks", "threads"), "open files, tasks, threads"),
        (("lag",), "largest lag of the loop (ms)"),
        (("rate",), "messages a second"),
    )
    for axes, (names, title) in zip(panels, series, strict=True):
        for name in names:
            axes.plot(minutes, [getattr(look, name) for look in looks], label=name)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    panels[1].legend(loc="upper right")
    panels[-1].set_xlabel("minutes")
    figure.savefig(path, dpi=90)


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=5000.0, help="depth messages a second")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two lines")
    parser.add_argument("--seed", type=int, default=Random().randrange(10_000))
    parser.add_argument("--record", action="store_true", help="record into a temporary folder")
    parser.add_argument("--plot", type=Path, help="a PNG to draw into")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mdkit-soak-") as folder:
        looks, receipt, balanced = asyncio.run(soak(options, Path(folder)))
    print(receipt)
    if options.plot is not None:
        draw(looks, options.plot)
        print(f"plot in {options.plot}")
    found = complaints(looks, balanced)
    print(f"seed {options.seed}: {'; '.join(found) or 'nothing grew, and the ledger balances'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
