"""What recordings cost: writing them beside a session, replaying them, reading them.

    python tests/benchmarks/recordings.py [--messages 60000] [--rounds 25]

One embedded exchange in a process of its own sends the same depth messages (10 levels a side)
as fast as they are taken, to a session that does not record them, then to one that does. What
was recorded is replayed at once, as fast as it is taken, and in the end read into a DataFrame.
Rates and CPU times are the best of the rounds, since what else runs on a machine only ever adds.
The throughputs beside that of the session alone are medians of the ratios within a round, with
the median distance from that. The recorder's thread and the exchange share the cores with the
session.
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
from mdkit.pipeline.pipeline import Pipeline
from mdkit.recording.file.recording_file import RecordingFile
from mdkit.recording.reading.reader import read_recording
from mdkit.recording.recorder.recorder import Recorder
from mdkit.recording.replay.replay import replay
from mdkit.sources.source import Source
from mdkit.sources.websocket import WebSocketSource
from mdkit.strategies import pressure
from mdkit.strategies.contract import as_strategy
from mdkit.venues.tickdb import TickdbRouter as Router

SYMBOLS = ("AAPL.US", "MSFT.US", "GOOGL.US", "AMZN.US", "NVDA.US")
SUFFIXES = ("", ".gz", ".zst")


Cost = tuple[float, float]
"""Wall seconds, and CPU seconds of the loop's thread, for each message."""


@dataclass
class Figures:
    """Seconds for each message, by what was done and in what file; bytes for each message.

    `runs` are of sessions "alone", "recorded", and of the "replay"; `decode` and `frame` are CPU
    time.
    """

    runs: dict[tuple[str, str], list[Cost]] = field(default_factory=dict)
    size: dict[str, float] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    decode: list[float] = field(default_factory=list)
    frame: dict[str, list[float]] = field(default_factory=dict)

    def add(self, what: str, name: str, cost: Cost) -> None:
        """Keep what one run cost."""
        self.runs.setdefault((what, name), []).append(cost)

    def best(self, *runs: tuple[str, str]) -> Cost:
        """Return the least wall and the least CPU seconds of such runs."""
        walls, cpus = zip(*(cost for run in runs for cost in self.runs[run]), strict=True)
        return min(walls), min(cpus)

    def beside(self, what: str, name: str) -> tuple[float, float]:
        """Return how many times its throughput is that of the session alone.

        That is the median of the ratios within a round; and half of the rounds lie within so
        much of it.
        """
        pairs = zip(self.runs["alone", name], self.runs[what, name], strict=True)
        ratios = [alone[0] / other[0] for alone, other in pairs]
        middle = statistics.median(ratios)
        return middle, statistics.median(abs(ratio - middle) for ratio in ratios)


def suffixes() -> list[str]:
    """Return the compressions that are installed here."""
    return [s for s in SUFFIXES if s != ".zst" or importlib.util.find_spec("zstandard")]


async def handle(source: Source, messages: int, recorder: Recorder | None = None) -> Cost:
    """Return what each message cost, from the first to be handled on."""
    pipeline = Pipeline(source, [as_strategy(pressure)], recorder=recorder)
    pipeline.start()
    while not (already := pipeline.ledger.totals()["processed"]):  # noqa: ASYNC110
        await asyncio.sleep(0)
    began, cpu = time.perf_counter(), time.thread_time()
    while pipeline.ledger.totals()["processed"] < messages:  # noqa: ASYNC110
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

        def run(source: Source, recorder: Recorder | None = None) -> Cost:
            gc.collect()
            return asyncio.run(asyncio.wait_for(handle(source, messages, recorder), 300))

        def live(recorder: Recorder | None = None) -> Cost:
            return run(WebSocketSource(exchange.ws_url, ["depth"], SYMBOLS), recorder)

        live()  # the exchange encodes each message once
        for number in range(rounds):
            for suffix in suffixes():
                name = f".jsonl{suffix}"
                files[name] = folder / f"{number}{name}"
                recorder = Recorder(files[name])
                # Side by side: this may be a machine whose speed changes from second to second.
                figures.add("alone", name, live())
                figures.add("recorded", name, live(recorder))
                figures.add("replay", name, run(replay(files[name], None)))
                figures.size[name] = recorder.bytes / recorder.messages
                figures.lost[name] = figures.lost.get(name, 0) + recorder.lost
    sent = [item for item in RecordingFile(files[".jsonl"]) if isinstance(item, tuple)]
    held = {
        name: sum(isinstance(item, tuple) for item in RecordingFile(path))
        for name, path in files.items()
    }
    read_recording(files[".jsonl"]).frame("depth")  # imports pandas
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


def table(figures: Figures) -> str:
    """Return the report: what recording takes away, how fast replays are, reading by decoding."""
    names = list(figures.size)
    lines = [
        f"{'a session at full speed':<24} {'msg/s':>9} {'x alone':>15} "
        f"{'loop CPU µs':>12} {'bytes/msg':>10} {'lost':>6}"
    ]

    def line(title: str, cost: Cost, beside: tuple[float, float] | None, rest: str = "") -> None:
        ratio = "" if beside is None else f"{beside[0]:.2f} ± {beside[1]:.2f}"
        lines.append(f"{title:<24} {1 / cost[0]:>9,.0f} {ratio:>15} {cost[1] * 1e6:>12.1f}{rest}")

    line("not recorded", figures.best(*(("alone", name) for name in names)), None)
    for name in names:
        rest = f" {figures.size[name]:>10,.0f} {figures.lost[name]:>6,}"
        run = "recorded", name
        line(f"recorded, {name}", figures.best(run), figures.beside(*run), rest)
    lines.append("")
    for name in names:
        run = "replay", name
        line(f"replay, {name}", figures.best(run), figures.beside(*run))
    decoding = min(figures.decode)
    lines.append(f"\n{'into a DataFrame':<24} {'CPU µs':>9} {'x decoding':>11}")
    lines.append(f"{'decoding alone':<24} {decoding * 1e6:>9.1f} {1:>11.2f}")
    for name, seconds in figures.frame.items():
        each = min(seconds)
        lines.append(f"{name:<24} {each * 1e6:>9.1f} {each / decoding:>11.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    print(f"{arguments.messages:,} depth messages, {arguments.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        print(table(measure(arguments.messages, arguments.rounds, Path(folder))))


if __name__ == "__main__":
    main()
