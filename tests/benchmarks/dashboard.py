"""What the live canvas costs the notebook's loop, in a real kernel and a real page.

    python tests/benchmarks/dashboard.py [--rate 20000] [--seconds 10] [--hz 30]

A kernel in JupyterLab runs a session in its own loop on a feed of `rate` depth messages a second,
first without a view and then with the canvas in headless Chromium. Printed are pictures a second
sent and drawn, how long the loop is held per picture (wall clock, looking and sending included),
how late the loop is, frames a second of the page, its long tasks, and the CPU that processes took
meanwhile (drawing is the browser's, the driver is what leads it). Measures and prints, no more.
Needs what the browser tests need.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

import mdkit as md

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "browser"))

from lab import CHROMIUM, Lab, Page

SETUP = """
import asyncio, json, time
import mdkit as md

session = md.live(
    %(symbols)r, source=%(source)r, strategies=[md.strategies.pressure]
).start()

async def measure(name, seconds, costs):
    loop, late = asyncio.get_running_loop(), []
    before, began = session.stats(), time.perf_counter()
    costs.clear()
    while time.perf_counter() - began < seconds:
        due = loop.time() + 0.005
        await asyncio.sleep(0.005)
        late.append(max(0.0, loop.time() - due))
    wall, after = time.perf_counter() - began, session.stats()
    late.sort()
    held = sorted(costs) or [0.0]
    handled = after["messages"]["processed"] - before["messages"]["processed"]
    json.dump({
        "name": name, "rate": handled / wall, "pictures": len(costs) / wall,
        "dropped": after["messages"]["dropped"] - before["messages"]["dropped"],
        "held_ms": held[len(held) // 2] * 1e3, "held_p99_ms": held[int(len(held) * .99)] * 1e3,
        "share": sum(costs) / wall, "late_ms": late[len(late) // 2] * 1e3,
        "late_p99_ms": late[int(len(late) * .99)] * 1e3,
    }, open(name + ".part", "w"))
    import os; os.rename(name + ".part", name + ".json")

plain = asyncio.create_task(measure("no view", %(seconds)r, []))
"""
BOARD = """
board = session.dashboard(hz=%(hz)r)
costs, tick = [], board.ticker._tick
def timed():
    sent, began = board.pictures, time.perf_counter()
    goes_on = tick()
    if board.pictures > sent:
        costs.append(time.perf_counter() - began)
    return goes_on
board.ticker._tick = timed
board
"""
COUNT = """() => {
    const m = window.mdkitFrames = { frames: 0, long: 0, longest: 0, began: performance.now() };
    const turn = () => { m.frames++; requestAnimationFrame(turn); };
    requestAnimationFrame(turn);
    new PerformanceObserver(list => list.getEntries().forEach(entry => {
        m.long++; m.longest = Math.max(m.longest, entry.duration);
    })).observe({ entryTypes: ['longtask'] });
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=20_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--hz", type=float, default=30)
    arguments = parser.parse_args()
    if CHROMIUM is None:
        raise SystemExit("a Chromium on the path is needed")
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as folder,
        md.Exchange(scenario="flood", rate=arguments.rate) as exchange,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        lab = Lab(Path(folder), "Light")
        values = {"source": exchange.ws_url, "symbols": list(exchange.symbols)}
        values |= {"seconds": arguments.seconds, "hz": arguments.hz}
        begin = "watched = asyncio.create_task(measure('canvas', %(seconds)r, costs))"
        name = lab.write("bench.ipynb", SETUP % values, BOARD % values, begin % values)
        try:
            with Page.open(browser, lab, name) as page:
                run = "Run Selected Cell"
                page.select_cell(0)
                page.run(run)
                with cpu("no view"):
                    wait(page, lab.folder / "no view.json")
                page.run(run)
                page.wait_for_pictures(60)
                page.page.evaluate(COUNT)
                drawn = page.board("m => m.board.draws")
                came = page.board("m => m.store.counters.pictures")
                page.run(run)
                with cpu("canvas"):
                    wait(page, lab.folder / "canvas.json")
                frames = page.page.evaluate(
                    "(() => ({...window.mdkitFrames, now: performance.now()}))()"
                )
                seconds = (frames["now"] - frames["began"]) / 1e3
                drawn = (page.board("m => m.board.draws") - drawn) / seconds
                came = (page.board("m => m.store.counters.pictures") - came) / seconds
                holes = page.board("m => m.store.counters.holes")
            results = [
                json.loads((lab.folder / f"{n}.json").read_text()) for n in ("no view", "canvas")
            ]
        finally:
            lab.close()
            browser.close()
    print(
        f"{'':<8} {'msg/s':>8} {'dropped':>8} {'pictures/s':>11} {'held ms':>8} {'p99':>6} "
        f"{'of loop':>8} {'late ms':>8} {'p99':>6}"
    )
    for r in results:
        print(
            f"{r['name']:<8} {r['rate']:>8,.0f} {r['dropped']:>8} {r['pictures']:>11.1f} "
            f"{r['held_ms']:>8.2f} {r['held_p99_ms']:>6.1f} {r['share']:>8.1%} "
            f"{r['late_ms']:>8.2f} {r['late_p99_ms']:>6.1f}"
        )
    print(
        f"page: {frames['frames'] / seconds:.0f} frames a second, {came:.1f} pictures came and "
        f"{drawn:.1f} were drawn a second, {frames['long']} long tasks, the longest "
        f"{frames['longest']:.0f} ms, {holes} holes in the numbers"
    )


@contextmanager
def cpu(name: str) -> Iterator[None]:
    """Print what this program's processes take of a core, until the block ends."""
    children = psutil.Process().children(recursive=True)
    before, began = [seconds(child) for child in children], time.perf_counter()
    yield
    wall, shares = time.perf_counter() - began, Counter[str]()
    for child, spent in zip(children, before, strict=True):
        shares[kind(child)] += round(100 * (seconds(child) - spent) / wall)
    told = ", ".join(f"{k} {share}" for k, share in shares.most_common() if share > 0)
    print(f"{name}, CPU in %: {told}")


def kind(process: psutil.Process) -> str:
    """Say what a process is: the kernel, the exchange, or one of the browser's."""
    words = " ".join(process.cmdline())
    for found, name in {
        "ipykernel": "kernel",
        "mdkit.exchange": "exchange",
        "jupyterlab": "server",
        "--type=renderer": "page",
        "--type=gpu-process": "drawing",
        "chrom": "browser",
    }.items():
        if found in words:
            return name
    return "driver"


def seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def wait(page: Page, path: Path) -> None:
    """Wait for a file of results, the page's own events going on."""
    deadline = time.monotonic() + 300
    while not path.exists():
        if time.monotonic() > deadline:
            raise SystemExit(f"{path.name} was not written within 300 s")
        page.page.wait_for_timeout(200)


if __name__ == "__main__":
    main()
