"""What recordings cost: writing them beside a session, replaying them, reading them.

    python tests/benchmarks/recordings.py [--messages 60000] [--rounds 15]

One embedded exchange in a process of its own sends the same depth messages (10 levels a side)
as fast as they are taken, to a session that records them or does not, in turn. What was
recorded is replayed in the same round as fast as it is taken, and in the end read into a
DataFrame. Rates and CPU times are the best of the rounds, since what else runs on a machine only
ever adds; how much a recording takes away and how fast a replay is are medians of the ratios
within a round. The recorder's thread and the exchange share the cores with the session.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mdkit.exchange import Exchange
from mdkit.strategies import pressure
from mdkit.strategies.contract import as_strategy
from mdkit.stream.pipeline import Pipeline
from mdkit.stream.record import Recorder
from mdkit.stream.recordings import read_recording
from mdkit.stream.replay import replay
from mdkit.stream.source import Source, WebSocketSource
from mdkit.stream.tape import TapeFile
from mdkit.wire.tickdb import Router

SYMBOLS = ("AAPL.US", "MSFT.US", "GOOGL.US", "AMZN.US", "NVDA.US")
SUFFIXES = ("", ".gz", ".zst")


@dataclass
class Figures:
    """Seconds for each message, by what was done; bytes on the disk for each message.

    `live` is wall time and `loop` CPU time of the session's thread, `replay` has both; `decode`
    and `frame` are CPU time.
    """

    live: dict[str, list[float]] = field(default_factory=dict)
    loop: dict[str, list[float]] = field(default_factory=dict)
    size: dict[str, float] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    replay: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    decode: list[float] = field(default_factory=list)
    frame: dict[str, list[float]] = field(default_factory=dict)


def suffixes() -> list[str]:
    """Return the compressions that are installed here."""
    return [s for s in SUFFIXES if s != ".zst" or importlib.util.find_spec("zstandard")]


async def handle(
    source: Source, messages: int | None = None, recorder: Recorder | None = None
) -> tuple[float, float]:
    """Return wall seconds, and CPU seconds of the loop's thread, for each message handled.

    From the first message on; `messages` None goes on to the source's end.
    """
    pipeline = Pipeline(source, [as_strategy(pressure)], recorder=recorder)
    pipeline.start()
    while not (already := pipeline.ledger.totals()["processed"]):  # noqa: ASYNC110
        await asyncio.sleep(0)
    began, cpu = time.perf_counter(), time.thread_time()
    while not pipeline.finished.is_set():
        if messages is not None and pipeline.ledger.totals()["processed"] >= messages:
            break
        await asyncio.sleep(0.005)
    count = pipeline.ledger.totals()["processed"] - already
    figures = (time.perf_counter() - began) / count, (time.thread_time() - cpu) / count
    receipt = await pipeline.stop()
    assert receipt.balanced, receipt
    assert receipt.totals["processed"] == receipt.totals["received"], receipt
    return figures


def timed(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a piece of work: other programs lengthen the wall's alone."""
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(messages: int, rounds: int, folder: Path) -> Figures:
    """Return all figures, a round at a time so that noise hits all alike."""
    figures = Figures()
    files: dict[str, Path] = {}
    with Exchange(SYMBOLS, scenario="flood") as exchange:

        def live(recorder: Recorder | None, count: int = messages) -> tuple[float, float]:
            gc.collect()
            source = WebSocketSource(exchange.ws_url, ["depth"], SYMBOLS)
            return asyncio.run(asyncio.wait_for(handle(source, count, recorder), 300))

        live(None, 25_000)  # the exchange encodes each message once
        for number in range(rounds):
            for suffix in (None, *suffixes()):
                name = "not recorded" if suffix is None else f"recorded, .jsonl{suffix}"
                recorder = None
                if suffix is not None:
                    files[name] = folder / f"{number}.jsonl{suffix}"
                    recorder = Recorder(files[name])
                wall, cpu = live(recorder)
                figures.live.setdefault(name, []).append(wall)
                figures.loop.setdefault(name, []).append(cpu)
                if recorder is not None:
                    figures.size[name] = recorder.bytes / recorder.messages
                    figures.lost[name] = figures.lost.get(name, 0) + recorder.lost
            for name, path in files.items():
                figures.replay.setdefault(name, []).append(asyncio.run(handle(replay(path, None))))
    sent = [item for item in TapeFile(files["recorded, .jsonl"]) if isinstance(item, tuple)]
    held = {
        name: sum(isinstance(item, tuple) for item in TapeFile(path))
        for name, path in files.items()
    }
    read_recording(files["recorded, .jsonl"]).frame("depth")  # imports pandas
    for _ in range(rounds):
        figures.decode.append(timed(lambda: decode(sent)) / len(sent))
        for name, path in files.items():
            seconds = timed(lambda path=path: read_recording(path).frame("depth"))
            figures.frame.setdefault(name, []).append(seconds / held[name])
    return figures


def decode(messages: list[tuple[bytes, int]]) -> None:
    router = Router(SYMBOLS)
    for raw, received_ns in messages:
        router.route(raw).decode(raw, received_ns)


def beside(one: list[float], other: list[float]) -> float:
    """Return the median over the rounds of how many times one takes what the other takes."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def table(figures: Figures) -> str:
    """Return the report: what recording takes away, how fast replays are, reading by decoding."""
    live = {name: min(seconds) for name, seconds in figures.live.items()}
    loop = {name: min(seconds) for name, seconds in figures.loop.items()}
    plain = figures.live["not recorded"]
    lines = [
        f"{'a session at full speed':<24} {'msg/s':>9} {'throughput':>11} "
        f"{'loop CPU µs':>12} {'bytes/msg':>10} {'lost':>6}"
    ]
    for name, seconds in live.items():
        size = f"{figures.size[name]:,.0f}" if name in figures.size else ""
        lost = f"{figures.lost[name]:,}" if name in figures.lost else ""
        lines.append(
            f"{name:<24} {1 / seconds:>9,.0f} {beside(plain, figures.live[name]) - 1:>+11.1%} "
            f"{loop[name] * 1e6:>12.1f} {size:>10} {lost:>6}"
        )
    lines.append(f"\n{'replay, speed=None':<24} {'msg/s':>9} {'x live':>11} {'loop CPU µs':>12}")
    for name, costs in figures.replay.items():
        wall, cpu = (min(each) for each in zip(*costs, strict=True))
        lines.append(
            f"{name.split()[-1]:<24} {1 / wall:>9,.0f} "
            f"{beside(plain, [each for each, _ in costs]):>11.2f} {cpu * 1e6:>12.1f}"
        )
    decoding = min(figures.decode)
    lines.append(f"\n{'into a DataFrame':<24} {'CPU µs':>9} {'x decoding':>11}")
    lines.append(f"{'decoding alone':<24} {decoding * 1e6:>9.1f} {1:>11.2f}")
    for name, seconds in figures.frame.items():
        each = min(seconds)
        lines.append(f"{name.split()[-1]:<24} {each * 1e6:>9.1f} {each / decoding:>11.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    print(f"{arguments.messages:,} depth messages, {arguments.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        print(table(measure(arguments.messages, arguments.rounds, Path(folder))))


if __name__ == "__main__":
    main()
