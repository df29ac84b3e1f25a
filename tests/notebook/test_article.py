"""The article's functions, pasted in, and its pipeline as a script that signals end."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

import mdkit as md
from mdkit.errors import SessionError

pytestmark = pytest.mark.outer

ARTICLE = """
def compute_pressure_ratio(message):
    bids = message.get("bids", [])[:5]
    asks = message.get("asks", [])[:5]
    bid_volume = sum(float(level[1]) for level in bids)
    ask_volume = sum(float(level[1]) for level in asks)
    if ask_volume == 0:
        return 0.0
    return bid_volume / ask_volume


def pressure_strategy(message):
    ratio = compute_pressure_ratio(message)
    if ratio > 2.0:
        print(f"{message['symbol']} strong buying {ratio:.2f}")
    elif ratio < 0.5:
        print(f"{message['symbol']} strong selling {ratio:.2f}")


async def async_strategy(message):
    await asyncio.sleep(0)
    return compute_pressure_ratio(message)
"""
namespace = {"asyncio": asyncio}
exec(ARTICLE, namespace)


@pytest.fixture
def books():
    flat = b'{"type":"depth","symbol":"A","bids":[[10,%d]],"asks":[[11,4]],"timestamp":1}'
    return [[flat % size for size in (4, 9, 1, 0)]]


def test_monitoring_ends_with_the_feed_however_long_a_line_is_away(list_source, books):
    async def main():
        pipeline = md.MarketDataPipeline(lambda book: None, source=list_source(books))
        await pipeline.start()
        await asyncio.wait_for(pipeline.monitor(interval=3600.0), timeout=60.0)
        assert not pipeline.session.running
        return await pipeline.shutdown()

    assert asyncio.run(main()).totals["processed"] == 4


def test_the_articles_functions_run_unchanged(list_source, books, capsys):
    async def main():
        pipeline = md.MarketDataPipeline(namespace["pressure_strategy"], source=list_source(books))
        await pipeline.start()
        await pipeline.session.pipeline.finished.wait()
        return await pipeline.shutdown()

    receipt = asyncio.run(main())
    assert receipt.totals["processed"] == 4
    assert receipt.signals == 0
    assert capsys.readouterr().out.split("\n") == [
        "A strong buying 2.25",
        "A strong selling 0.25",
        "A strong selling 0.00",
        "",
    ]


@pytest.mark.parametrize("name", ["compute_pressure_ratio", "async_strategy"])
def test_what_such_a_function_returns_is_a_signal(list_source, books, name):
    async def main():
        strategy = md.messages(namespace[name])
        session = md.live(source=list_source(books), strategies=[strategy], name="messages")
        await session.run()
        return session.signals()

    signals = asyncio.run(main())
    assert signals["value"].tolist() == [1.0, 2.25, 0.25, 0.0]
    assert set(signals["strategy"]) == {name}


def test_shutdown_before_start_is_told(list_source):
    async def main():
        pipeline = md.MarketDataPipeline(print, source=list_source([]))
        with pytest.raises(SessionError, match="start"):
            await pipeline.shutdown()

    asyncio.run(main())


SCRIPT = (
    "import asyncio\nimport mdkit as md\n"
    + ARTICLE
    + """
async def main():
    pipeline = md.MarketDataPipeline(async_strategy, ["AAPL.US"], source="demo", num_workers=2)
    await pipeline.start()
    print("started", flush=True)
    await pipeline.monitor(interval=0.2)
    receipt = await pipeline.shutdown(timeout=5)
    assert receipt.balanced and receipt.drained, receipt
    print("receipt:", receipt, flush=True)

asyncio.run(main())
"""
)
BLOCKING = """
import mdkit as md
print("started", flush=True)
receipt = md.live(["AAPL.US"], source="demo", strategies=[md.strategies.pressure]).run_blocking()
assert receipt.balanced and receipt.drained, receipt
print("receipt:", receipt, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send SIGINT to one process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("script", [SCRIPT, BLOCKING], ids=["pipeline", "run_blocking"])
def test_a_signal_drains_a_script_and_it_exits_0(wait_until, number, script):
    import psutil

    child = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "started\n"
        process = psutil.Process(child.pid)
        # Its connection to the exchange is up: the session is under way.
        wait_until(lambda: any(c.status == "ESTABLISHED" for c in process.net_connections("inet")))
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
    finally:
        child.kill()
        child.communicate()
    assert child.returncode == 0, err
    assert "the ledger balances" in out
    assert err == ""
