"""What the full dashboard costs the notebook's loop, in a real kernel, beside the naive way.

    python tests/benchmarks/dashboard.py [--rate 20000] [--seconds 20]

One kernel runs a session of its own loop on a feed of `rate` depth messages a second, first
with the dashboard at four pictures a second, then with what most notebooks do: a new matplotlib
figure and clear_output for every picture. A probe in the same loop measures how late it is.
"""

from __future__ import annotations

import argparse
import json

import jupyter_client

import mdkit as md

SETUP = """
import asyncio, json, time, statistics
import mdkit as md

session = md.live(
    %(symbols)r, source=%(source)r, strategies=[md.strategies.pressure]
).start()
while session.stats()["messages"]["received"] < 1000:
    await asyncio.sleep(0.05)

async def probe(seconds, every=0.005):
    loop, late = asyncio.get_running_loop(), []
    end = loop.time() + seconds
    while loop.time() < end:
        due = loop.time() + every
        await asyncio.sleep(every)
        late.append(max(0.0, loop.time() - due))
    late.sort()
    return late

async def measure(name, seconds, drawing):
    before, cpu, began = session.stats(), time.thread_time(), time.perf_counter()
    drawing["spent"] = drawing["count"] = 0
    late = await probe(seconds)
    wall = time.perf_counter() - began
    after = session.stats()
    handled = after["messages"]["processed"] - before["messages"]["processed"]
    lost = after["messages"]["dropped"] - before["messages"]["dropped"]
    print(json.dumps({
        "name": name, "rate": handled / wall, "dropped": lost,
        "p50_ms": late[len(late) // 2] * 1e3, "p99_ms": late[int(len(late) * 0.99)] * 1e3,
        "max_ms": late[-1] * 1e3, "share": drawing["spent"] / wall,
        "pictures": drawing["count"] / wall, "cpu": (time.thread_time() - cpu) / wall,
    }), flush=True)
"""
NOTHING = "await measure('no view', {seconds}, dict())"
DASHBOARD = """
board = session.dashboard(hz=4)
drawing = {{}}
draw = board.clock._draw
async def timed(view, data):
    spent = await draw(view, data)
    drawing["spent"] += spent
    drawing["count"] += view is board.queue
    return spent
board.clock._draw = timed
drawing["spent"] = drawing["count"] = 0
display(board)
await asyncio.sleep(6)
await measure('mdkit dashboard', {seconds}, drawing)
board.close()
"""
NAIVE = """
import matplotlib.pyplot as plt
from IPython.display import clear_output, display
drawing = {{}}
async def naive():
    while True:
        began = time.thread_time()
        clear_output(wait=True)
        figure, (above, below) = plt.subplots(2, 1, figsize=(8, 6))
        metrics = session.metrics()
        above.plot(metrics.index, metrics["queued"])
        above.plot(metrics.index, metrics["in_rate"])
        for symbol in session.symbols:
            frame = session.frame("depth", symbol, last=2000)
            below.plot(frame.index, frame["pressure"])
        display(figure)
        plt.close(figure)
        drawing["spent"] += time.thread_time() - began
        drawing["count"] += 1
        await asyncio.sleep(0.25)
drawing["spent"] = drawing["count"] = 0
task = asyncio.create_task(naive())
await measure('new figure each time', {seconds}, drawing)
task.cancel()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=20_000)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    manager, client = jupyter_client.manager.start_new_kernel(kernel_name="python3")
    results = []

    def take(message: dict) -> None:
        if message["msg_type"] == "stream" and message["content"]["text"].startswith("{"):
            results.append(json.loads(message["content"]["text"]))
        elif message["msg_type"] == "error":
            raise SystemExit("\n".join(message["content"]["traceback"]))

    try:
        with md.Exchange(scenario="flood", rate=arguments.rate) as exchange:
            source = {"source": exchange.ws_url, "symbols": exchange.symbols}
            client.execute_interactive(SETUP % source, output_hook=take, timeout=120)
            for cell in (
                NOTHING.format(seconds=arguments.seconds).replace("dict()", "{}"),
                DASHBOARD.format(seconds=arguments.seconds),
                NAIVE.format(seconds=arguments.seconds),
            ):
                client.execute_interactive(cell, output_hook=take, timeout=300)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
    print(
        f"{'':<22} {'msg/s':>8} {'dropped':>8} {'p50 ms':>7} {'p99 ms':>7} {'max ms':>7} "
        f"{'pictures/s':>11} {'drawing':>8} {'CPU':>6}"
    )
    for r in results:
        print(
            f"{r['name']:<22} {r['rate']:>8,.0f} {r['dropped']:>8} {r['p50_ms']:>7.1f} "
            f"{r['p99_ms']:>7.1f} {r['max_ms']:>7.1f} {r['pictures']:>11.1f} "
            f"{r['share']:>8.1%} {r['cpu']:>6.0%}"
        )


if __name__ == "__main__":
    main()
