"""The exchange's process: quick, quiet, and gone when its parent is."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from exchange_clients import SECONDS, command, data, run, until
from websockets.asyncio.client import connect

from mdkit.errors import ExchangeError, SettingsError
from mdkit.exchange import Exchange, configure, serve_forever

pytestmark = pytest.mark.outer

KEY = "very-secret-key-42"


@pytest.fixture
def warm_exchanges():
    """None: these tests are about the processes, so each starts one."""


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_gone(pid):
    deadline = time.monotonic() + SECONDS
    while not gone(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


def test_start_stop_twice_and_again():
    exchange = Exchange(["AAPL.US"])
    with pytest.raises(ExchangeError, match="not running"):
        _ = exchange.ws_url
    exchange.stop()
    with exchange:
        assert exchange.start() is exchange
        assert exchange.running
        pid = exchange.pid
    exchange.stop()
    assert not exchange.running
    wait_gone(pid)
    with exchange:
        assert exchange.statistics()["connections"] == 0


def test_the_child_needs_nothing_heavy():
    code = (
        "import sys, mdkit.exchange.process, mdkit.exchange.server.sockets; "
        "import mdkit.exchange.market.playback; "
        "heavy = ('numpy', 'pandas', 'matplotlib', 'pydantic_settings'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_key_is_in_no_argument_repr_or_log(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with Exchange(["AAPL.US"], api_key=KEY) as exchange:
        assert KEY not in " ".join(psutil.Process(exchange.pid).cmdline())
        assert KEY not in repr(exchange) + repr(exchange.config)
        data(exchange, "/market/depth", symbol="AAPL.US", headers={"X-API-Key": KEY})
    caplog.clear()

    async def in_loop():
        async with Exchange(["AAPL.US"], api_key=KEY, process=False) as exchange:
            reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
            writer.write(b"GET /v1/market/kline?api_key=%b HTTP/1.1\r\n\r\n" % KEY.encode())
            await reader.read()
            writer.close()
            await writer.wait_closed()

    run(in_loop())
    out, err = capfd.readouterr()
    assert KEY not in out + err + caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_child_dies_with_its_parent(how):
    code = (
        "import sys, time\nfrom mdkit.exchange import Exchange\n"
        "e = Exchange(['AAPL.US']).start(); print(e.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        os.kill(parent.pid, how)
        parent.wait(SECONDS)
    wait_gone(pid)


def test_an_exchange_left_behind_is_ended_at_exit_and_by_the_collector():
    code = "from mdkit.exchange import Exchange\ne = Exchange(['AAPL.US']).start(); print(e.pid)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    wait_gone(int(done.stdout))
    exchange = Exchange(["AAPL.US"]).start()
    pid = exchange.pid
    del exchange
    gc.collect()
    wait_gone(pid)


def test_a_killed_child_is_noticed():
    with Exchange(["AAPL.US"]) as exchange:
        psutil.Process(exchange.pid).kill()
        run(until(lambda: not exchange.running))
        with pytest.raises(ExchangeError, match="does not answer"):
            exchange.statistics()


def test_a_taken_port_is_one_clear_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ExchangeError, match=f"cannot listen on 127.0.0.1:{port}.*leave port"):
            Exchange(port=port).start()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scenario": "panic"}, "the scenarios are calm, steady"),
        ({"symbols": ["A B"]}, "is not a symbol"),
        ({"symbols": []}, "symbols is empty"),
        ({"rate": 0}, "rate=0 is out of range"),
        ({"rate": float("nan")}, "rate=nan"),
        ({"speed": -1}, "speed=-1"),
        ({"levels": 51}, "levels=51"),
        ({"port": 70_000}, "port=70000"),
        ({"scenario": "open", "opening": 100_001}, "opening=100001 is out of range"),
        ({"opening": 1000}, "use it with scenario='open'"),
        ({"scenario": "open", "opening": 10, "rate": 5}, "without rate="),
        ({"scenario": "open", "opening": 10, "speed": 0}, "knows no seconds"),
        ({"start": "yesterday"}, "is not a time"),
        ({"start": "1999-01-01"}, "outside"),
        ({"start": "2024-01-01", "replay": "x"}, "no meaning with replay"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(settings, words):
    with pytest.raises(SettingsError, match=words):
        Exchange(**settings)


def test_in_the_loop_it_behaves_the_same_and_leaves_nothing_behind():
    async def body():
        before = asyncio.all_tasks()
        with pytest.raises(ExchangeError, match="async with"):
            Exchange(process=False).start()
        async with Exchange(process=False, rate=500) as exchange:
            async with connect(exchange.ws_url) as socket:
                await socket.send(command("depth", ["AAPL.US"]))
                await socket.recv()
                assert exchange.statistics()["connections"] == 1
                found = await asyncio.to_thread(exchange.statistics)
                assert found["connections"] == 1
            async with connect(exchange.ws_url) as stuck:
                await stuck.send(command("depth", ["AAPL.US"]))
                exchange.stop()
                await exchange.aclose()
        await until(lambda: asyncio.all_tasks() == before)

    run(body())


def test_async_with_a_process():
    async def body():
        async with Exchange(["AAPL.US"]) as exchange:
            assert await asyncio.to_thread(exchange.statistics)
            return exchange.pid

    wait_gone(run(body()))


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_serve_forever_announces_and_ends_on_a_signal():
    said = []

    async def body():
        serving = asyncio.create_task(serve_forever(configure(["AAPL.US"]), announce=said.append))
        await until(lambda: said)
        await asyncio.sleep(0)
        await until(lambda: signal.getsignal(signal.SIGTERM) is not before)
        os.kill(os.getpid(), signal.SIGTERM)
        await serving

    before = signal.getsignal(signal.SIGTERM)
    run(body())
    assert "ws://127.0.0.1:" in said[0]
    assert signal.getsignal(signal.SIGTERM) is before


def test_started_by_hand_it_says_how():
    done = subprocess.run(
        [sys.executable, "-m", "mdkit.exchange"],
        input="nonsense\n",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert "mdkit serve" in done.stderr
