"""Runs a session that is ended from outside, see test_shutdown.py: `ending.py HOW PORT FILE`.

Prints "begun" once messages have been handled, "stopping" where a stop takes its time, and the
receipt where somebody waits for it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import mdkit as md


@md.strategy("depth")
def counts(book):
    if not begun.is_set():
        begun.set()
        threading.Thread(target=lambda: print("begun", flush=True)).start()


@md.strategy("depth")
def never_returns(book):
    counts(book)
    time.sleep(3600)


def session(**options):
    return md.live(
        "AAPL.US",
        source=f"ws://127.0.0.1:{sys.argv[2]}/v1/realtime",
        strategies=[never_returns if how == "stuck" else counts],
        record=sys.argv[3],
        **options,
    )


async def ends_with_its_loop():
    session().start()
    while not begun.is_set():  # noqa: ASYNC110 - set by the strategy
        await asyncio.sleep(0.01)


def tells_of_a_stop(one):
    while not one._is_stopping:
        time.sleep(0.01)
    print("stopping", flush=True)


how, begun = sys.argv[1], threading.Event()
if how == "blocking":
    print(session().run_blocking(), flush=True)
elif how == "stuck":
    one = session()
    threading.Thread(target=tells_of_a_stop, args=[one], daemon=True).start()
    print(one.run_blocking(), flush=True)
elif how == "article":
    # As the article's script does it.
    async def main():
        pipeline = md.MarketDataPipeline(
            lambda message: None,
            ["AAPL.US"],
            source=f"ws://127.0.0.1:{sys.argv[2]}/v1/realtime",
        )
        pipeline.session.pipeline.on_signal(print)
        await pipeline.start()
        recorder = pipeline.session.record(sys.argv[3])
        while not recorder.messages:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        print("begun", flush=True)
        await pipeline.monitor(0.5)
        print(await pipeline.shutdown(), flush=True)

    asyncio.run(main())
elif how == "loop":
    asyncio.run(ends_with_its_loop())
elif how == "thread":
    session(runner="thread").start()
    begun.wait(20)
elif how == "thread in a loop":

    async def main():
        session(runner="thread").start()
        await asyncio.to_thread(begun.wait, 20)

    asyncio.run(main())
elif how == "exit":
    session(runner="thread").start()
    begun.wait(20)
    sys.exit(5)
elif how == "error":
    session(runner="thread").start()
    begun.wait(20)
    raise ValueError("the script's own error")
