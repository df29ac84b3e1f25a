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
from mdkit.recording.archives.reader import read_archive
from mdkit.recording.reading.reader import read_recording
from mdkit.settings import Settings
from mdkit.venues import routes, tickdb
from mdkit.venues.assembly.assembler import AssemblerState
from mdkit.venues.assembly.parser import parsed
from mdkit.venues.normalized.codec import NORMALIZED
from mdkit.venues.registry import VENUES
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


_venues = tuple(VENUES.values())


def venue(data: bytes) -> None:
    """Hand the frames of a connection, a line each, to the venue of the first byte."""
    chosen = _venues[data[0] % len(_venues)] if data else _venues[0]
    symbol = chosen.names.common(chosen.names.example)
    assembler = chosen.assembler({symbol: chosen.names.native(symbol)}, 2, 10)
    router = NORMALIZED.router([symbol])
    for number, frame in enumerate(data[1:].split(b"\n")):
        try:
            parsed(chosen.parser(), frame)
        except MdkitError:
            pass
        for told in assembler.take(frame, number + 1):
            if isinstance(told, bytes):
                route = router.route(told)
                try:
                    assert all(event.symbol == symbol for event in route.decode(told, number + 1))
                except MdkitError:
                    assert b'"invalid"' in told
    saved = msgspec.json.encode(assembler.save())
    assert msgspec.json.encode(msgspec.json.decode(saved, type=AssemblerState)) == saved


def venue_rest(data: bytes) -> None:
    """Read an answer of a venue's REST service as bars, as instruments and as its time."""
    rest = (_venues[data[0] % len(_venues)] if data else _venues[0]).rest
    try:
        content = rest.read(data[1:], 200, "fuzz", None)
    except MdkitError:
        return
    rest.read_time(content)
    for read in (lambda: rest.read_klines(content, "fuzz"), lambda: rest.read_instruments(content)):
        try:
            read()
        except MdkitError:
            pass


_ARCHIVES = ("BTCUSDT-trades-1.csv", "BTCUSDT-aggTrades-1.csv", "BTCUSDT-bookTicker-1.csv", "a.csv")


def archive(data: bytes) -> None:
    """Read a file that claims to be one of Binance's or Tardis'."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _ARCHIVES[data[0] % len(_ARCHIVES) if data else 0]
        path.write_bytes(data[1:])
        try:
            for event in read_archive(path):
                assert event.symbol
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
    "venue": venue,
    "venue_rest": venue_rest,
    "archive": archive,
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
    "venue": (
        b'\0{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":36085.0,'
        b'"qty":0.26383368}],"asks":[{"price":36085.1,"qty":0.5}],"checksum":1}]}\n'
        b'{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":1.5,'
        b'"qty":1.1,"ord_type":"limit","trade_id":1,"timestamp":"2026-11-28T09:02:07.875316Z"}]}',
        b'\1{"rest":"depth","symbol":"BTC/USDT","data":{"lastUpdateId":10,"bids":[["1.5","2"]],'
        b'"asks":[["1.6","2"]]}}\n{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1795,'
        b'"s":"BTCUSDT","U":10,"u":12,"b":[["1.5","0"],["1.4","1"]],"a":[]}}\n'
        b'{"stream":"btcusdt@bookTicker","data":{"u":12,"s":"BTCUSDT","b":"1.4","B":"1","a":"1.6",'
        b'"A":"2"}}',
        b'\3{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT",'
        b'"U":10,"u":12,"pu":9,"b":[["1.5","0"]],"a":[]}}',
        b'\4{"channel":"l2_data","timestamp":"2026-11-28T09:02:15.986001000Z","sequence_num":1,'
        b'"events":[{"type":"snapshot","product_id":"BTC-USD","updates":[{"side":"bid",'
        b'"event_time":"1970-01-01T00:00:00Z","price_level":"1.5","new_quantity":"1"},'
        b'{"side":"offer","price_level":"1.6","new_quantity":"1"}]}]}',
        b'\5{"channel":"l2Book","data":{"coin":"BTC","time":1,"levels":[[{"px":"1.5","sz":"1","n":1}],'
        b'[{"px":"1.6","sz":"1","n":1}]]}}',
        b'\6{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":'
        b'[["1.6","1","0","1"]],"bids":[["1.5","1","0","1"]],"ts":"1","seqId":5,"prevSeqId":-1}]}',
    ),
    "venue_rest": (
        b'\0{"error":[],"result":{"XXBTZUSD":[[1780000000,"1","2","1","2","1.5","3",1]],"last":1}}',
        b'\1[[1780000000000,"1","2","1","2","3",1780000059999,"4",1,"1","1","0"]]',
        b'\1{"code":-1121,"msg":"Invalid symbol."}',
        b'\4{"candles":[{"start":"1780000000","low":"1","high":"2","open":"1","close":"2",'
        b'"volume":"3"}]}',
        b'\5[{"t":1780000000000,"T":1,"s":"BTC","i":"1m","o":"1","c":"2","h":"2","l":"1","v":"3"}]',
        b'\6{"code":"0","msg":"","data":[["1780000000000","1","2","1","2","3","3","3","1"]]}',
    ),
    "archive": (
        b"\0id,price,qty,quote_qty,time,is_buyer_maker\n1,1.5,2,3,1722988800029,true\n",
        b"\11,1.5,2,1,1,1722988800029,true\n3,1.5,2,2,2,1722988800030,false\n",
        b"\2update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,"
        b"event_time\n1,1.5,1,1.6,1,1722988800029,1722988800029\n",
        b"\3exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
        b"x,A,1722988800029000,1722988800030000,1,buy,1.5,2\n",
        b"\3exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"
        b"x,A,1,2,true,bid,1.5,2\nx,A,1,2,true,ask,1.6,2\nx,A,2,3,false,ask,1.6,0\n",
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
