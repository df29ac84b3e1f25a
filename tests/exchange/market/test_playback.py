"""Recordings played back: the same bytes, the same rhythm."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest
from exchange_clients import collect, data, run, until
from websockets.asyncio.client import connect

from mdkit.errors import ExchangeError, RecordingError
from mdkit.exchange import Exchange
from mdkit.exchange.market.playback import load
from mdkit.recording.recorder.recorder import Recorder

pytestmark = pytest.mark.outer

MARKET = Path(__file__).parents[3].parent / "shared" / "market"
T0 = 1_723_161_255_000


def depth(i, symbol="BTCUSDT"):
    levels = f'"bids":[["{100 + i}.10","1.5"]],"asks":[["{100 + i}.20","2.5"]]'
    body = f'{{"symbol":"{symbol}",{levels},"timestamp":{T0 + i * 100}}}'
    return f'{{"cmd":"depth","data":{body}}}'


def trade(i, price="101.15"):
    body = f'{{"id":"{i}","price":"{price}","quantity":"0.5","side":"buy","timestamp":{T0 + i}}}'
    return f'{{"cmd":"trade","data":{{"symbol":"BTCUSDT","trades":[{body}]}}}}'


@pytest.fixture
def recording(tmp_path):
    """Ten depth messages and two trades over one second, with marker lines among them."""
    path = tmp_path / "session.jsonl.gz"
    lines = ['{"mdkit":"recording"}', "", "# by hand"]
    lines += [f"{(T0 + i * 100) * 1_000_000}\t{depth(i)}" for i in range(10)]
    lines += [f"{(T0 + 950 + i) * 1_000_000}\t{trade(i)}" for i in range(2)]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def every(exchange):
    return [(channel, ["BTCUSDT"]) for channel in ("depth", "trade")]


@pytest.mark.parametrize("speed", [5, 0, None, float("inf")])
def test_messages_come_verbatim(recording, speed):
    with Exchange(replay=recording, speed=speed) as exchange:
        texts = run(collect(exchange.ws_url, every(exchange), lambda t: len(t) == 12))
        assert texts == [depth(i) for i in range(10)] + [trade(0), trade(1)]
        run(until(lambda: exchange.statistics()["finished"]))
        assert exchange.running
        book = data(exchange, "/market/depth", symbol="BTCUSDT")
        assert book["bids"] == [["109.1", "1.5"]]
        assert [t["id"] for t in data(exchange, "/market/trades", symbol="BTCUSDT")["trades"]] == [
            "0",
            "1",
        ]
        bar = data(exchange, "/market/kline/latest", symbols="BTCUSDT", interval="1m")
        assert bar[0]["klines"][0]["close"] == "101.15"
        assert bar[0]["klines"][0]["volume"] == "1.0"


def test_the_rhythm_is_the_recordings(recording):
    with Exchange(replay=recording, speed=2) as exchange:
        began = time.perf_counter()
        run(collect(exchange.ws_url, every(exchange), lambda t: len(t) == 12))
        assert time.perf_counter() - began > 0.45  # it never runs ahead


def test_lines_without_times_are_paced_by_the_messages_or_the_rate(tmp_path):
    path = tmp_path / "plain.jsonl"
    path.write_text("\n".join(depth(i) for i in range(5)))
    for settings in ({"speed": 4}, {"rate": 100}):
        with Exchange(replay=path, **settings) as exchange:
            texts = run(collect(exchange.ws_url, every(exchange), lambda t: len(t) == 5))
            assert texts == [depth(i) for i in range(5)]


def test_a_loop_begins_again(recording):
    with Exchange(replay=recording, speed=0, loop=True, count=30) as exchange:
        texts = run(collect(exchange.ws_url, every(exchange), lambda t: len(t) == 30))
        assert texts[12:24] == texts[:12]


def test_the_article_dialect_is_translated(recording):
    async def read(exchange):
        url = exchange.flat_ws_url + "?channel=depth&symbol=BTCUSDT"
        async with connect(url) as socket:
            return json.loads(await socket.recv())

    with Exchange(replay=recording) as exchange:
        message = run(read(exchange))
    assert message["type"] == "depth"
    assert message["bids"] == [[100.1, 1.5]]


def test_the_invented_past_ends_at_the_first_price(recording):
    with Exchange(replay=recording) as exchange:
        bars = data(exchange, "/market/kline", symbol="BTCUSDT", interval="1h", limit=3)["klines"]
        minute = data(exchange, "/market/kline", symbol="BTCUSDT", interval="1m", limit=1)
        assert len(bars) == 3
        assert minute["klines"][0]["close"] == "101.15"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello\n", "line 1 is not a market message"),
        (depth(0).encode() + b"\n1723\n" + depth(1).encode(), "line 2 is not a market message"),
        (b"", "holds no market messages"),
        (gzip.compress(depth(0).encode(), mtime=0)[:-12], "cannot be read"),
        (b"\x00\xff\x00\n\n", "line 1"),
    ],
)
def test_what_is_not_a_recording_says_so_in_the_parent(tmp_path, content, words):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=words) as caught:
        Exchange(replay=path).start()
    assert "bad.jsonl" in str(caught.value)


def test_a_missing_file_and_a_missing_symbol(tmp_path, recording):
    with pytest.raises(RecordingError, match="There is no recording"):
        Exchange(replay=tmp_path / "none.gz").start()
    with pytest.raises(ExchangeError, match=r"nothing about AAPL\.US; it has BTCUSDT"):
        Exchange(["AAPL.US"], replay=recording).start()


def test_a_last_line_cut_off_in_writing_is_left_out(tmp_path):
    path = tmp_path / "cut.jsonl"
    path.write_text(f"{depth(0)}\n{depth(1)[:40]}")
    assert len(load(str(path))[0]) == 1


def test_the_first_part_of_a_rotated_recording_stands_for_all(tmp_path, wait_until):
    recorder = Recorder(tmp_path / "day.jsonl.gz", rotate_bytes=1)
    recorder.start()
    for i in range(5):
        recorder.write([(depth(i).encode(), T0 * 1_000_000 + i)])
        wait_until(lambda i=i: recorder.flushed == i + 1)
    recorder.close()
    assert len(recorder.paths) > 1
    entries, _ = load(str(recorder.paths[0]))
    assert [entry.raw.decode() for entry in entries] == [depth(i) for i in range(5)]


def test_the_real_recording_plays_whole():
    path = MARKET / "depth.jsonl.gz"
    if not path.exists():
        pytest.skip("../shared/market is absent: no real recording to play")
    content = gzip.decompress(path.read_bytes()).decode()
    lines = [line.partition("\t")[2] for line in content.splitlines()]
    symbols = ["BTCUSD_PERP", "ETHUSD_PERP", "BTCUSDT", "ETHUSDT"]
    with Exchange(replay=path, speed=0) as exchange:
        texts = run(collect(exchange.ws_url, [("depth", symbols)], lambda t: len(t) == 62_650), 25)
        assert texts == [line.rstrip() for line in lines]
        assert exchange.statistics()["finished"]
