"""What others can reach, and what reading a file can do: as little as possible."""

import ast
import asyncio
import json
import os
import socket
import stat
import sys
from pathlib import Path

import pytest
import requests
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import mdkit as md
from mdkit.exchange.server import sockets

pytestmark = pytest.mark.outer

PACKAGE = Path(md.__file__).parent
# What talks to processes of its own over pipes that nobody else holds, and what a cluster's
# scheduler, which runs anybody's code by its nature, hands to a worker.
MAY_UNPICKLE = {
    "processes/protocol.py",
    "processes/worker.py",
    "backtesting/trials/sweep.py",
    "backtesting/verify/reference.py",  # what its parent process gives it
    "backtesting/verify/other_process.py",  # what its child process answers
    "backtesting/compiled/store.py",  # from the user's own folder, which nobody else can write to
    "cluster/shard.py",
}


def in_process(test, **options):
    async def main():
        async with md.Exchange("AAPL.US", process=False, rate=200, **options) as exchange:
            await test(exchange)

    asyncio.run(main())


def calls(path):
    """Names that a module calls: `eval`, `pickle.loads`, ..."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_nothing_that_is_read_is_executed():
    executing = {"eval", "exec", "compile", "__import__", "os.system", "marshal.loads"}
    reading = {"load", "loads", "Unpickler", "read_pickle"}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        found = set(calls(path))
        # A strategy's class is looked up by its module's name when a worker unpickles it.
        allowed = {"__import__"} if name == "strategies/contract.py" else set()
        assert not found & executing - allowed, name
        unpickles = {
            call
            for call in found
            if call.rpartition(".")[2] in reading and ("pickle" in call or "marshal" in call)
        }
        assert not unpickles or name in MAY_UNPICKLE, f"{name}: {unpickles}"
        assert not {c for c in found if c.endswith(("numpy.load", "yaml.load"))}, name
        assert name == "backtesting/report/saved.py" or "np.load" not in found, name
    # NumPy refuses objects there.
    saved = (PACKAGE / "backtesting/report/saved.py").read_text()
    assert saved.count("np.load(") == saved.count("allow_pickle=False)") == 1


def test_the_exchange_is_on_this_machine_alone():
    def listening(exchange):
        return {s.getsockname()[0] for s in exchange._server._server.sockets}

    async def test(exchange):
        assert listening(exchange) == {"127.0.0.1"}

    in_process(test)


def test_an_exchange_that_others_can_reach_says_so(capsys):
    async def test(exchange):
        assert "WARNING" in (told := capsys.readouterr().err)
        assert "other machines" in told
        assert "127.0.0.1" in told

    in_process(test, host="0.0.0.0")


@pytest.mark.parametrize(
    "path",
    ["/v1/../../../../etc/passwd", "/v1/market/%2e%2e%2fsecret", "//etc/passwd", "/_exchange/../x"],
)
def test_no_path_reaches_a_file(path, exchange_process):
    exchange = exchange_process("AAPL.US")
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=5) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        answer = raw.makefile("rb").read()
    assert answer.split()[1] in (b"403", b"404")
    assert b"root:" not in answer


@pytest.mark.parametrize("name", ["replay", "path", "host", "params"])
def test_faults_by_url_cannot_name_a_file(name, exchange_process):
    exchange = exchange_process("AAPL.US")
    url = f"http://127.0.0.1:{exchange.port}/_exchange/fault"
    given = {"kind": "stall", name: "/etc/passwd"}
    answer = requests.get(url, params=given, headers={"X-Mdkit-Control": "1"}, timeout=5)
    assert answer.status_code == 400
    assert "has no parameter" in answer.json()["message"]


def test_long_requests_and_messages_are_refused():
    async def test(exchange):
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.port)
        writer.write(b"GET /v1/market/depth?symbol=" + b"A" * 100_000 + b" HTTP/1.1\r\n\r\n")
        answer = await reader.read()
        assert not answer or answer.split()[1] in (b"400", b"414")
        writer.close()
        await writer.wait_closed()
        async with connect(exchange.ws_url) as client:
            await client.send('{"cmd":"' + "x" * (2 << 20))
            with pytest.raises(ConnectionClosed) as caught:
                await client.recv()
            assert caught.value.rcvd.code == 1009
        async with connect(exchange.ws_url) as client:
            await client.send("[" * 100_000)
            assert json.loads(await client.recv())["code"] == 4002

    in_process(test)


def test_there_is_a_limit_to_connections(monkeypatch):
    monkeypatch.setattr(sockets, "_MOST_CONNECTIONS", 3)

    async def test(exchange):
        clients = [await connect(exchange.ws_url) for _ in range(3)]
        with pytest.raises(InvalidStatus) as caught:
            await connect(exchange.ws_url)
        assert json.loads(caught.value.response.body)["code"] == 3003
        for client in clients:
            await client.close()

    in_process(test)


@pytest.mark.skipif(sys.platform == "win32", reason="file modes of POSIX")
def test_recordings_and_leftovers_are_private(tmp_path, list_source, depth_message, until):
    before = os.umask(0)
    try:

        async def main():
            @md.strategy("depth")
            async def waits(book):
                await asyncio.Event().wait()

            session = md.live(
                source=list_source([[depth_message("A", n) for n in range(20)]], ends=False),
                strategies=[waits],
                record=tmp_path / "kept.jsonl",
                name="private",
            ).start()
            await until(lambda: session.ledger()["received"].sum() == 20)
            return await session.stop(timeout=0.05)

        receipt = asyncio.run(main())
    finally:
        os.umask(before)
    for path in (tmp_path / "kept.jsonl", receipt.left_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    receipt.left_path.unlink()
