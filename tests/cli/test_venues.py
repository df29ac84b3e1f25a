"""Public venues on the command line: their dialects, and what is said where none is reached."""

import re
from dataclasses import replace

import pytest

import mdkit as md
from mdkit.recording.reading.info import recording_info
from mdkit.venues.registry import VENUES

pytestmark = pytest.mark.outer


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    """Kraken itself is at a port of this machine where nobody listens."""
    place_kraken(monkeypatch, "ws://127.0.0.1:9", "http://127.0.0.1:9")


def place_kraken(monkeypatch, ws_url, rest_url):
    found = replace(VENUES["kraken"], ws_url=ws_url, rest_url=rest_url)
    monkeypatch.setitem(VENUES, "kraken", found)


@pytest.mark.parametrize(
    ("venue", "title", "symbol"),
    [("kraken", "Kraken", "BTC/USD"), ("binance", "Binance", "BTC/USDT")],
)
def test_demo_speaks_a_venues_dialect_and_says_so(cli, tmp_path, venue, title, symbol):
    words = ("demo", "--venue", venue, "--symbols", symbol, "--seconds", "90")
    code, out, err = cli(*words, until=f"pressure {symbol} ")
    assert (code, err) == (0, "")
    first = out.splitlines()[0]
    assert first.startswith("Embedded exchange at ws://127.0.0.1:")
    assert f"speaking as {title}" in first
    assert "simulated data, no network" in first
    assert f"pressure {symbol} " in out
    assert " 0 gaps" in out
    assert "the ledger balances" in out
    assert (tmp_path / "mdkit-demo" / "overview.png").stat().st_size > 1000


def test_demo_of_a_venue_that_is_not_reached_ends_soon_with_the_cure(cli, tmp_path):
    code, out, err = cli("demo", "--source", "kraken", "--seconds", "600")
    assert code == 1
    assert out.startswith("Kraken at ws://127.0.0.1:9 (real data, public, no key).\n")
    assert err.startswith("mdkit: Kraken was not reached at ws://127.0.0.1:9 (connection refused")
    assert "mdkit demo --venue kraken" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "mdkit-demo" / "overview.png").exists()


def test_recording_a_venue_that_is_not_reached_says_so(cli):
    code, _, err = cli("record", "BTC/USD", "--source", "kraken", until="not connected: ")
    assert code == 1
    assert "Nothing was recorded: there was no connection (connection refused" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["demo", "--source", "krakn"], "there is no venue 'krakn': did you mean 'kraken'?"),
        (["demo", "--source", "demo"], "there is no venue 'demo'"),
        (["demo", "--venue", "krakn"], "venue='krakn' is unknown: did you mean 'kraken'?"),
        (["record", "--source", "krakn"], "a public venue (kraken, binance, binance.us"),
        (["demo", "--source", "kraken", "--fault", "drop@2"], "takes no --fault: leave it out"),
        (["demo", "--source", "kraken", "--venue", "kraken"], "takes no --venue: leave it out"),
        (["demo", "--source", "kraken", "--replay", "a.gz"], "takes no --replay: leave it out"),
        (["demo", "--source", "kraken", "--speed", "0"], "takes no --speed: leave it out"),
        (["demo", "--source", "kraken", "--symbols", ","], "symbols is empty"),
    ],
)
def test_what_is_no_venue_or_not_a_venues_is_told_in_one_sentence(cli, arguments, told):
    code, out, err = cli(*arguments)
    assert code == 1
    assert told in err
    assert err.startswith("mdkit: ")
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize("command", ["demo", "serve", "record", "klines"])
def test_help_lists_the_venues(cli, command):
    code, out, _ = cli(command, "--help")
    assert code == 0
    words = out.replace(",", " ").split()
    assert set(VENUES) <= {word.strip("().") for word in words}


def test_what_a_venues_dialect_sent_is_recorded_under_its_name(cli, tmp_path, monkeypatch):
    def is_recorded(printed):
        return any(int(n.replace(",", "")) > 10 for n in re.findall(r"([\d,]+) recorded", printed))

    with md.Exchange(["BTC/USD"], venue="kraken") as exchange:
        place_kraken(monkeypatch, exchange.ws_url, exchange.rest_url)
        code, out, err = cli(
            "record", "BTC-USD", "--source", "kraken", "--out", "k.jsonl.gz", until=is_recorded
        )
    assert (code, err) == (0, "")
    assert "recording k.jsonl.gz" in out
    info = recording_info(tmp_path / "k.jsonl.gz")
    assert info.messages > 10
    assert set(info.frame().reset_index()["symbol"]) == {"BTC/USD"}
