"""`klines`: one call, whatever the source; on the embedded exchange without a network."""

import asyncio

import pandas as pd
import pytest

import mdkit as md
from mdkit.api.kline_services import DEMO_EDITION
from mdkit.api.klines import klines
from mdkit.errors import AuthenticationError, FeedError, RequestError, SettingsError
from mdkit.history.cache import KlineCache
from mdkit.history.http.client import RestClient
from mdkit.history.reshape import gaps, resample

pytestmark = pytest.mark.outer

KEY = "sk-very-secret-0123456789"
DAYS = {"start": "2025-03-01", "end": "2025-03-04"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MDKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def exchange():
    with md.Exchange(["AAPL.US", "BTCUSDT", "BU2609"]) as running:
        yield running


def test_bars_of_the_exchange(exchange, capsys):
    bars = klines("AAPL.US", "1m", **DAYS, source=exchange)
    assert len(bars) == 3 * 1440
    assert bars.index[0] == pd.Timestamp("2025-03-01", tz="UTC")
    assert (bars.index.name, str(bars.index.tz), bars.index.dtype.name) == (
        "time",
        "UTC",
        "datetime64[ns, UTC]",
    )
    assert bars.columns.tolist() == ["open", "high", "low", "close", "volume", "quote_volume"]
    assert {str(kind) for kind in bars.dtypes} == {"float64"}
    assert bars.attrs == {"symbol": "AAPL.US", "interval": "1m"}
    assert len(gaps(bars)) == 0
    hours = klines("AAPL.US", "1h", **DAYS, source=exchange)
    pd.testing.assert_frame_equal(resample(bars, "1h"), hours)
    assert capsys.readouterr().out == ""


def test_the_newest_and_the_first(exchange):
    newest = klines("BTCUSDT", "1d", limit=10, source=exchange)
    now = pd.Timestamp(exchange.statistics()["clock_ms"], unit="ms", tz="UTC")
    assert newest.index[-1] == now.normalize() - pd.Timedelta(days=1)
    assert len(newest) == 10
    assert len(klines("BTCUSDT", "1h", source=exchange)) == 1000
    first = klines("BTCUSDT", "1d", "2025-01-01", limit=5, source=exchange)
    assert first.index.strftime("%m-%d").tolist() == ["01-01", "01-02", "01-03", "01-04", "01-05"]
    assert len(klines("BTCUSDT", "1d", "3d", source=exchange)) == 2  # the third has not ended


def test_several_symbols_come_with_a_symbol_level(exchange):
    bars = klines(["BU2609", "AAPL.US"], "1d", **DAYS, source=exchange)
    assert bars.index.names == ["symbol", "time"]
    assert bars.index.get_level_values("symbol").tolist() == ["BU2609"] * 3 + ["AAPL.US"] * 3
    assert bars.loc["BU2609", "quote_volume"].isna().all()
    assert bars.loc["AAPL.US", "quote_volume"].notna().all()
    alone = klines("BU2609", "1d", **DAYS, source=exchange)
    assert "quote_volume" not in alone.columns


def test_no_bars_is_an_empty_frame(exchange):
    bars = klines("AAPL.US", "1d", "1995-01-01", "1995-02-01", source=exchange)
    assert len(bars) == 0
    assert bars.columns.tolist() == ["open", "high", "low", "close", "volume"]
    assert str(bars.index.tz) == "UTC"


def test_without_a_key_it_is_the_embedded_exchange_and_it_says_so(capsys, monkeypatch):
    bars = klines("AAPL.US", "1d", **DAYS)
    assert capsys.readouterr().out.count("\n") == 1
    said = klines("AAPL.US", "1d", **DAYS, source="demo")
    assert capsys.readouterr().out == ""
    pd.testing.assert_frame_equal(bars, said)
    assert len(bars) == 3

    def refuse(self):
        raise AssertionError("it is cached")

    monkeypatch.setattr(md.Exchange, "start", refuse)
    pd.testing.assert_frame_equal(klines("AAPL.US", "1d", **DAYS, source="demo"), bars)
    with pytest.raises(AssertionError, match="cached"):
        klines("AAPL.US", "1d", **DAYS, source="demo", cache=False)


def test_the_present_day_of_the_demo_is_not_kept():
    today = pd.Timestamp.now("UTC").normalize()
    klines("AAPL.US", "1m", today - pd.Timedelta(hours=2), source="demo")
    series = KlineCache().series(f"exchange-seed7-{DEMO_EDITION}", "AAPL.US", "1m")
    last = int((today + pd.Timedelta(days=1)).timestamp()) * 1000
    midnight = int(today.timestamp()) * 1000
    assert series.read(0, last).covered == [(midnight - 7_200_000, midnight)]


def test_the_past_of_the_demo_is_what_its_edition_says():
    """If this fails, the same seed gives another past: count `DEMO_EDITION` up, then mend this."""
    bars = klines("AAPL.US", "1d", **DAYS, source="demo", cache=False)
    assert DEMO_EDITION == 1
    assert bars["close"].tolist() == CLOSES
    assert bars["volume"].tolist() == VOLUMES


CLOSES = [235.94, 237.38, 240.75]
VOLUMES = [953267.0, 943240.0, 989185.0]


def test_a_url_and_an_exchange_are_kept_only_where_one_says(exchange, tmp_path):
    for source in (exchange, exchange.rest_url):
        klines("AAPL.US", "1d", **DAYS, source=source)
        assert not KlineCache().folder.exists()
    klines("AAPL.US", "1d", **DAYS, source=exchange.rest_url, cache=tmp_path / "mine")
    assert (tmp_path / "mine" / "klines").is_dir()


def test_the_exchanges_faults_are_survived(exchange_process, monkeypatch):
    waits = []
    original = RestClient.__init__

    def impatient(self, *args, **options):
        original(self, *args, **{**options, "sleep": waits.append})

    monkeypatch.setattr(RestClient, "__init__", impatient)
    faulty = exchange_process(["AAPL.US"])
    faulty.inject("server_error", count=2)
    assert len(klines("AAPL.US", "1d", **DAYS, source=faulty)) == 3
    faulty.inject("rate_limit", count=1)
    assert len(klines("AAPL.US", "1d", **DAYS, source=faulty)) == 3
    assert len(waits) == 3


def test_an_exchanges_own_key_and_clock_are_used():
    future = md.Exchange(["A.US"], api_key=KEY, start="2031-05-05T10:30:00")
    bars = klines("A.US", "1h", limit=3, source=future)
    assert bars.index[-1] == pd.Timestamp("2031-05-05 09:00", tz="UTC")
    assert not future.running
    with future:
        klines("A.US", "1h", limit=3, source=future)
        assert future.running
        with pytest.raises(AuthenticationError, match="1002"):
            klines("A.US", "1h", limit=3, source=future.rest_url)
        with pytest.raises(AuthenticationError, match="1001") as caught:
            klines("A.US", "1h", limit=3, source=future.rest_url, api_key="wrong-key")
        assert "wrong-key" not in str(caught.value)
        assert len(klines("A.US", "1h", limit=3, source=future.rest_url, api_key=KEY)) == 3


def test_an_exchange_in_this_very_loop_is_refused_with_the_cure():
    async def ask():
        async with md.Exchange(["A.US"], process=False) as here:
            with pytest.raises(SettingsError, match=r"asyncio\.to_thread"):
                klines("A.US", "1h", source=here)
            return await asyncio.to_thread(klines, "A.US", "1h", limit=2, source=here)

    assert len(asyncio.run(ask())) == 2


def test_an_unknown_symbol_and_a_quota(exchange, exchange_process):
    with pytest.raises(RequestError, match=r"2002 .*NOSUCH\.US.*written like AAPL\.US"):
        klines("NOSUCH.US", "1d", source=exchange)
    spent = exchange_process(["A.US"], limits=md.PlanLimits(quota=0))
    with pytest.raises(md.MdkitError, match="quota is used up"):
        klines("A.US", "1d", source=spent)


def test_the_key_goes_to_tickdb_and_to_no_other_address(monkeypatch, exchange):
    seen = []
    original = RestClient.__init__

    def noting(self, base_url, api_key=None, **options):
        seen.append((base_url, api_key))
        original(self, base_url, api_key, **options)

    monkeypatch.setattr(RestClient, "__init__", noting)
    monkeypatch.setenv("TICKDB_API_KEY", KEY)
    klines("AAPL.US", "1d", **DAYS, source=exchange.rest_url)
    assert {key for _, key in seen} == {None}
    seen.clear()
    monkeypatch.setenv("TICKDB_REST_URL", exchange.rest_url)
    klines("AAPL.US", "1d", **DAYS)
    assert set(seen) == {(exchange.rest_url, KEY)}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"interval": "7m"}, "valid ones are 1m, 5m, 15m, 30m, 1h, 2h, 4h, 1d, 1w, 1M"),
        ({"interval": "1H"}, 'Did you mean "1h"'),
        ({"interval": "3m"}, "valid ones are"),
        ({"interval": "1h30m"}, "valid ones are"),
        ({"interval": ""}, "valid ones are"),
        ({"start": "2025-02-01", "end": "2025-01-01"}, "is not before end="),
        ({"start": "2999-01-01"}, "outside 1970 to 2262"),
        ({"start": "2100-01-01"}, "in the future"),
        ({"start": 5}, "not a time"),
        ({"limit": 0}, "limit=0"),
        ({"limit": 2.5}, r"limit=2\.5"),
        ({"source": "nasdaq"}, "not a source of klines"),
        ({"source": f"https://x/v1?api_key={KEY}"}, "api_key="),
        ({"symbol": ""}, "not a symbol"),
        ({"symbol": []}, "No symbol"),
        ({"symbol": "A B"}, "not a symbol"),
        ({"symbol": "A" * 80}, "too long"),
        ({"symbol": ["A", 5]}, "not a symbol"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_starts(arguments, said):
    given = {"symbol": "AAPL.US", "interval": "1d", "source": "demo", **arguments}
    with pytest.raises(SettingsError, match=said) as caught:
        klines(given.pop("symbol"), **given)
    assert KEY not in str(caught.value)


def test_a_missing_key_says_how_to_set_it():
    with pytest.raises(AuthenticationError, match=r"TICKDB_API_KEY.*demo"):
        klines("AAPL.US", "1d", source="tickdb")


def test_no_network_says_what_works_without(monkeypatch):
    monkeypatch.setattr("mdkit.history.http.retries.Patience.sleep", lambda *_: None)
    with pytest.raises(FeedError, match=r'No connection.*source="demo"'):
        klines("AAPL.US", "1d", source="http://127.0.0.1:9/v1", api_key=KEY)


@pytest.mark.parametrize(("name", "told"), [("NOPE", "there are AAPL"), ("AAPL", "mean 'AAPL.US'")])
def test_the_demo_has_no_bars_of_what_it_does_not_trade(name, told):
    with pytest.raises(RequestError, match=rf"does not trade '{name}': .*{told}") as caught:
        md.klines(name, "1d", source="demo", limit=3)
    assert caught.value.code == 2002
    assert len(md.klines("IBM.US", "1d", source="demo", limit=3)) == 3
