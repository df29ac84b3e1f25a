"""Sessions of public venues over several connections."""

from dataclasses import replace

import pytest

import mdkit as md
from mdkit.sources.venue import VenueSource
from mdkit.venues import registry

pytestmark = pytest.mark.outer


@pytest.fixture
def one_symbol_each(monkeypatch):
    """Have Kraken want a connection for each symbol."""
    kraken = registry.VENUES["kraken"]
    manners = kraken.manners._replace(symbols_per_connection=1)
    monkeypatch.setitem(registry.VENUES, "kraken", replace(kraken, manners=manners))


def in_step(session, count):
    return list(session.venues()["state"]) == ["in step"] * count


def test_symbols_are_dealt_out_over_connections(
    one_symbol_each, exchange_process, wait_until, tmp_path
):
    exchange = exchange_process(["BTC/USD", "ETH/USD"], venue="kraken")
    path = tmp_path / "two.jsonl.gz"
    session = md.live(["BTC/USD", "ETH/USD"], source=exchange, record=path).start()
    wait_until(lambda: in_step(session, 2))
    assert exchange.statistics()["connections"] == 2
    wait_until(lambda: len(session.frame("depth")) > 50)
    session.stop()
    replay = md.live(source=md.replay(path, speed=None)).start()
    wait_until(lambda: not replay.running)
    for symbol in ("BTC/USD", "ETH/USD"):
        assert replay.frame("depth", symbol).equals(session.frame("depth", symbol))


def test_a_later_connection_that_is_refused_ends_the_session_with_the_reason(
    one_symbol_each, exchange_process, wait_until
):
    exchange = exchange_process(["BTC/USD", "ETH/USD"], venue="kraken")
    session = md.live(["BTC/USD"], source=exchange).start()
    wait_until(lambda: in_step(session, 1))
    exchange.inject("blocked", count=100)
    session.subscribe("depth", "ETH/USD")
    wait_until(lambda: not session.running)
    assert "does not serve this place" in str(session.pipeline.failure)
    with pytest.raises(md.MdkitError):
        session.stop()


def test_a_notice_is_followed_once_another_connection_may_be_made(
    exchange_process, wait_until, monkeypatch
):
    """As where many connections get notice at once, of which only some may be replaced now."""
    asked = []
    may_connect = VenueSource._may_connect

    def not_yet(self, venue):
        asked.append(venue)
        return len(asked) > 1 and may_connect(self, venue)

    monkeypatch.setattr(VenueSource, "_may_connect", not_yet)
    exchange = exchange_process(["BTC/USDT"], venue="binance")
    session = md.live(["BTC/USDT"], source=exchange).start()
    wait_until(lambda: in_step(session, 1))
    first = session.pipeline.source.connections[0]
    exchange.inject("shutdown_notice", notice=20.0)
    wait_until(lambda: first not in session.pipeline.source.connections)
    assert len(asked) > 1
    assert session.gaps().empty
    session.stop()


def test_a_recording_that_begins_in_the_middle_knows_the_books(
    exchange_process, wait_until, tmp_path
):
    exchange = exchange_process(["BTC/USDT"], venue="binance")
    path = tmp_path / "later.jsonl.gz"
    session = md.live(["BTC/USDT"], source=exchange).start()
    wait_until(lambda: in_step(session, 1))
    session.record(path)
    before = len(session.frame("depth"))
    wait_until(lambda: len(session.frame("depth")) > before + 10)
    session.stop()
    recorded = md.read_recording(path).frame("depth", "BTC/USDT")
    whole = session.frame("depth", "BTC/USDT")
    assert len(recorded) >= 10
    assert recorded["bid"].tolist() == whole["bid"].tolist()[-len(recorded) :]
    assert recorded["bid_size"].tolist() == whole["bid_size"].tolist()[-len(recorded) :]


def test_every_part_of_a_rotated_recording_knows_the_books(exchange_process, wait_until, tmp_path):
    exchange = exchange_process(["BTC/USD"], venue="kraken")
    path = tmp_path / "parts.jsonl"
    recorder = md.Recorder(path, rotate_bytes=20_000)
    session = md.live(["BTC/USD"], source=exchange, record=recorder).start()
    wait_until(lambda: len(list(tmp_path.glob("parts*.jsonl"))) > 2)
    session.stop()
    whole = session.frame("depth", "BTC/USD")
    assert md.read_recording(path).frame("depth", "BTC/USD").equals(whole)
    (tmp_path / "alone").mkdir()
    alone = tmp_path / "alone" / "part.jsonl"
    alone.write_bytes((tmp_path / "parts.1.jsonl").read_bytes())
    with pytest.warns(md.errors.RecordingWarning, match="begins with part 1"):
        part = md.read_recording(alone).frame("depth", "BTC/USD")
    bids = whole["bid"].tolist()
    # Books that came together have the same time of receipt.
    firsts = (whole.index == part.index[0]).nonzero()[0]
    assert any(bids[first : first + len(part)] == part["bid"].tolist() for first in firsts)
