"""What is fuzzed: functions of bytes that may raise mdkit's own errors and nothing else."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import msgspec

from mdkit.cli import main as cli
from mdkit.errors import MdkitError, RecordingWarning
from mdkit.exchange import configure
from mdkit.exchange.faults.faults import make_fault
from mdkit.exchange.market.simulator import SimulatedFeed
from mdkit.exchange.server.commands import Commands
from mdkit.exchange.server.delivery import Delivery
from mdkit.exchange.server.rest import Endpoints, Refusal, query
from mdkit.history.columns import Klines
from mdkit.history.prices import keep_possible
from mdkit.recording.reading.reader import read_recording
from mdkit.settings import Settings
from mdkit.venues import routes, tickdb
from mdkit.venues.tickdb import commands
from mdkit.venues.tickdb.rest import decode_answer, decode_klines

Target = Callable[[bytes], None]


def codec(data: bytes) -> None:
    """Route, split and decode a message of the feed, as the queue and a lane do."""
    router = tickdb.TickdbRouter(["AAPL.US", "700.HK"])
    route = router.route(data)
    parts = list(router.split(data)) if route is routes.SEVERAL else [(route, data)]
    for route, part in parts:
        try:
            events = route.decode(part, 1)
        except MdkitError:
            continue
        for event in events:
            assert event.symbol
            assert msgspec.json.encode(event)
    try:
        commands.read_answer(data)
    except MdkitError:
        pass


def recording(data: bytes) -> None:
    """Read a file that claims to be a recording, compressed or not."""
    suffix = (".jsonl", ".jsonl.gz", ".jsonl.zst")[data[0] % 3] if data else ".jsonl"
    handle, name = tempfile.mkstemp(suffix=suffix)
    try:
        os.write(handle, data[1:])
        os.close(handle)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordingWarning)
            for _ in read_recording(name):
                pass
    except MdkitError:
        pass
    finally:
        Path(name).unlink()


def klines(data: bytes) -> None:
    """Read a REST answer and the bars in it."""
    try:
        bars = Klines.of(decode_klines(decode_answer(data).data, "fuzz"))
        figures = keep_possible(bars, "fuzz", allow_nonpositive=True).figures
        assert (figures[2] <= figures[1]).all()
    except MdkitError:
        pass


class _Client:
    """A client of the exchange that keeps nothing."""

    def __init__(self) -> None:
        self.keys: set[tuple[str, str]] = set()
        self.over_limit = False

    def reply(self, text: bytes) -> None:
        assert msgspec.json.decode(text)

    def close(self, code: int, reason: str) -> None:
        """Nothing to close."""


_config = configure(["AAPL.US"], start=1_735_732_800_000)
_feed = SimulatedFeed(_config, 1_735_732_800_000)
_delivery = Delivery(_config, _feed)
_commands = Commands(_config, _feed, _delivery)
_endpoints = Endpoints(_feed)


def websocket(data: bytes) -> None:
    """Hand the exchange a client's message: text where it is UTF-8, else binary."""
    client = _Client()
    try:
        message: str | bytes = data.decode()
    except UnicodeDecodeError:
        message = data
    code = _commands.handle(client, message)
    assert isinstance(code, int)
    assert len(client.keys) <= 3


def http(data: bytes) -> None:
    """Ask the exchange for a path with parameters, and for an article's subscriptions."""
    target = "/v1/market/" + data.decode("latin-1")
    path, params = query(target)
    try:
        _commands.check_flat(target)
    except Refusal:
        pass
    try:
        answer = _endpoints.find(path)(params)
        if hasattr(answer, "close"):
            answer.close()
    except Refusal:
        pass


def faults(data: bytes) -> None:
    """Make a fault of a URL's parameters."""
    _, params = query("/?" + data.decode("latin-1"))
    try:
        make_fault(params.pop("kind", ""), params)
    except MdkitError:
        pass


def settings(data: bytes) -> None:
    """Set one of the environment's variables to anything it can hold."""
    names = [name.upper() for name in Settings.model_fields]
    name = names[data[0] % len(names)] if data else names[0]
    before = os.environ.get(name)
    os.environ[name] = data[1:].replace(b"\0", b"").decode("utf-8", "surrogateescape")
    try:
        Settings()
    except MdkitError:
        pass
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


# What ends by itself: the others start a server, a session or a browser.
_COMMANDS = ("backtest", "klines", "replay", "record", "demo", "--version", "")


def command_line(data: bytes) -> None:
    """Parse a command line of any words behind a command, which ends in an exit code."""
    words = data.replace(b"\0", b"").decode("utf-8", "replace").split()
    command = _COMMANDS[len(data) % len(_COMMANDS)]
    try:
        cli.main([command, "--no-such-option", *words] if command else ["--no-such", *words])
    except SystemExit:
        pass


TARGETS: dict[str, Target] = {
    "codec": codec,
    "recording": recording,
    "klines": klines,
    "websocket": websocket,
    "http": http,
    "faults": faults,
    "settings": settings,
    "command_line": command_line,
}

SEEDS: dict[str, tuple[bytes, ...]] = {
    "codec": (
        b'{"cmd":"depth","data":{"symbol":"AAPL.US","bids":[["1.5","2"]],"asks":[["1.6","2"]],'
        b'"timestamp":1700000000000}}',
        b'{"type":"trade","symbol":"700.HK","price":1.5,"quantity":2,"side":"buy","timestamp":1}',
        b'{"cmd":"ticker","data":[{"symbol":"NVDA","last_price":"1.5","timestamp":1}]}',
        b'{"cmd":"subscribe","code":0,"message":"success","data":{}}',
    ),
    "recording": (
        b'\0{"mdkit":"recording"}\n1700000000000000000\t{"cmd":"depth","data":{"symbol":"A",'
        b'"bids":[["1","1"]],"asks":[["2","1"]],"timestamp":1}}\n',
        b"\1\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
        b"\2\x28\xb5\x2f\xfd\x20\x00",
    ),
    "klines": (
        b'{"code":0,"message":"success","data":{"symbol":"A","interval":"1h","klines":[{"time":0,'
        b'"open":"1","high":"2","low":"1","close":"2","volume":"3"}]}}',
        b'{"code":3001,"message":"slow down","data":null}',
    ),
    "websocket": (
        b'{"cmd":"subscribe","data":{"channel":"depth","symbols":["AAPL.US"]}}',
        b'{"cmd":"unsubscribe","data":{"channel":"depth","symbols":["AAPL.US"]}}',
        b'{"cmd":"ping"}',
    ),
    "http": (b"depth?symbol=AAPL.US&limit=5", b"kline?symbol=AAPL.US&interval=1h&limit=9"),
    "faults": (b"kind=stall&duration=0.5&hold=true", b"kind=clock&seconds=-5&at=1"),
    "settings": (b"\x03100", b"\0wss://example.org/v1"),
    "command_line": (b"--symbols AAPL.US --interval 1h", b"x.jsonl --speed 0"),
}
