"""Does everything that could let a key slip, and prints everything that can be printed.

Started by test_key.py with the key in the environment, never among the arguments:
`python key_run.py SERVICE_PORT FOLDER`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import traceback
import warnings
from pathlib import Path

import mdkit as md
from mdkit.settings import Settings
from mdkit.sources.websocket import WebSocketSource

KEY = os.environ["TICKDB_API_KEY"]


def every_logger_at_debug():
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)


def show(*things):
    for thing in things:
        print(repr(thing), str(thing), getattr(thing, "_repr_html_", str)())


@md.strategy("depth")
def fails(book):
    raise ValueError(f"no use for {book!r}")


def show_session(session):
    show(session, session.pipeline, session.pipeline.source, session.pipeline.recorder)
    show(session.pipeline.problems, session.health(), session.explain(), session.stats())
    show(session.gaps(), session.dead_letters(), session.invalid(), session.ledger())
    show(session.metrics(), session.clocks(), session.signals(), session.memory())


async def read(folder, port, key, path):
    """Read for a while, through a lost connection, with a recording, and save a report."""
    session = md.live(
        source=WebSocketSource(
            f"ws://127.0.0.1:{port}{path}",
            ["depth", "trade"],
            ["AAPL.US"],
            api_key=key,
            base_delay=0.01,
        ),
        api_key=key,
        strategies=[fails],
        record=folder / f"{len(list(folder.iterdir()))}.jsonl",
        name=path,
    ).start()
    every_logger_at_debug()
    while session.running and session.pipeline.ledger.totals()["dead_lettered"] < 5:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    if session.running:
        show(session.dashboard())
        show_session(session)
        session.save(folder / "report")
    receipt = await session.stop()
    show(receipt)
    show_session(session)


def told(work):
    """Print what an attempt raises, with its traceback."""
    try:
        return work()
    except Exception:
        traceback.print_exc()


def main():
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    every_logger_at_debug()
    rest = f"http://127.0.0.1:{port}/v1"
    show(Settings(), Settings(tickdb_rest_url=rest))
    told(lambda: Settings(tickdb_ws_url=f"https://x?api_key={KEY}"))
    told(lambda: md.live(source=f"ws://127.0.0.1:{port}/v1/realtime?api_key={KEY}"))
    for path in ("/v1/realtime", "/v1/market/ws"):
        for key in (KEY, "wrong-" + KEY):
            told(lambda k=key, p=path: asyncio.run(read(folder, port, k, p)))
    settings = Settings(tickdb_rest_url=rest, tickdb_ws_url=f"ws://127.0.0.1:{port}/v1/realtime")
    bars = {"interval": "1h", "start": "2025-01-01", "cache": folder / "cache"}
    show(told(lambda: md.klines("AAPL.US", settings=settings, **bars)))
    told(lambda: md.klines("NONE.US", settings=settings, **bars))
    told(
        lambda: md.klines(
            "AAPL.US",
            "1h",
            start="2025-01-01",
            settings=Settings(
                tickdb_rest_url="http://127.0.0.1:9", tickdb_ws_url="ws://127.0.0.1:9"
            ),
        )
    )
    told(lambda: asyncio.run(md.live("AAPL.US", source="tickdb", settings=settings).run(0.3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exchange = md.Exchange("AAPL.US", api_key=KEY)
        with exchange:
            show(exchange, exchange.config, exchange.statistics())
            told(lambda: asyncio.run(read(folder, exchange.port, KEY, "/v1/realtime")))
    print(json.dumps("done"))


main()
