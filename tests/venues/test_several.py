"""Several venues in one session: one queue, one ledger, one set of frames, one recording."""

from dataclasses import replace

import pytest

import mdkit as md
from mdkit.errors import SettingsError
from mdkit.venues import registry

pytestmark = pytest.mark.outer


@pytest.fixture
def on_loopback(exchange_process, monkeypatch):
    """Have Kraken and Binance stand on this machine."""
    for name, pair in (("kraken", "BTC/USD"), ("binance", "BTC/USDT")):
        exchange = exchange_process([pair], venue=name)
        there = replace(registry.VENUES[name], ws_url=exchange.ws_url, rest_url=exchange.rest_url)
        monkeypatch.setitem(registry.VENUES, name, there)


@md.strategy("depth", per="session")
class Spread:
    """The difference of two venues' middles, once both are known."""

    def start(self):
        self.mids = {}

    def __call__(self, book):
        self.mids[book.symbol] = md.mid(book)
        if len(self.mids) == 2:
            return self.mids["kraken:BTC/USD"] - self.mids["binance:BTC/USDT"]
        return None


def test_two_venues_in_one_session(on_loopback, wait_until, tmp_path):
    path = tmp_path / "both.jsonl.gz"
    symbols = ["kraken:BTC/USD", "binance:BTCUSDT"]
    session = md.live(symbols, strategies=[Spread], record=path).start()
    wait_until(lambda: list(session.venues()["state"]) == ["in step"] * 2)
    wait_until(lambda: len(session.signals()) > 20)
    receipt = session.stop()
    assert receipt.balanced
    assert set(session.venues()["venue"]) == {"kraken", "binance"}
    assert set(session.frame("depth")["symbol"]) == {"kraken:BTC/USD", "binance:BTC/USDT"}
    replay = md.live(source=md.replay(path, speed=None), strategies=[Spread]).start()
    wait_until(lambda: not replay.running)
    for symbol in ("kraken:BTC/USD", "binance:BTC/USDT"):
        assert replay.frame("depth", symbol).equals(session.frame("depth", symbol))
    assert replay.signals()["value"].equals(session.signals()["value"])


def test_either_all_symbols_name_their_venue_or_none():
    with pytest.raises(SettingsError, match=r"names its venue and"):
        md.live(["kraken:BTC/USD", "ETH/USD"])
    with pytest.raises(SettingsError, match=r"two assets"):
        md.live(["kraken:BTC"])
