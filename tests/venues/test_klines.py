"""Every public venue's bars through `md.klines`, against a service that answers as it does.

A new venue gets these tests by a fake in `fake_venues.FAKES`.
"""

import importlib
import json
from types import SimpleNamespace

import pandas as pd
import pytest
from fake_venues import (
    DAY,
    FAKES,
    HOUR,
    MINUTE,
    NOW,
    SIZES,
    Binance,
    Coinbase,
    Hyperliquid,
    Kraken,
    Market,
    Okx,
    serve,
)

import mdkit as md
from mdkit.errors import InvalidMessage, RateLimitError, RequestError, ServerError, SettingsError
from mdkit.history.http.client import RestClient
from mdkit.history.paging import PageWarning
from mdkit.history.reshape import gaps
from mdkit.venues.services import SERVICES

pytestmark = pytest.mark.outer
of_all = pytest.mark.parametrize("kind", FAKES, ids=[kind.venue for kind in FAKES])
KEEPERS = pytest.mark.parametrize("kind", [Kraken, Hyperliquid], ids=["kraken", "hyperliquid"])


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """This machine's clock; `clock(ms)` moves it."""
    module = importlib.import_module("mdkit.api.klines")
    now = [NOW]
    monkeypatch.setattr(module, "time", SimpleNamespace(time_ns=lambda: now[0] * 1_000_000))
    return lambda ms: now.__setitem__(0, ms)


def stamp(ms):
    return pd.Timestamp(ms, unit="ms", tz="UTC")


def load(fake, url, interval="1m", start=None, end=None, *, symbol=None, **options):
    options.setdefault("cache", False)
    return md.klines(
        symbol or fake.symbol,
        interval,
        None if start is None else stamp(start),
        None if end is None else stamp(end),
        source=fake.venue,
        rest_url=url,
        progress=False,
        **options,
    )


def rows(bars):
    columns = bars[["open", "high", "low", "close", "volume"]].itertuples(index=False, name=None)
    times = (bars.index.asi8 // 1_000_000).tolist()
    return list(zip(times, columns, strict=True))


def truth(market, interval, start, end=None):
    """What must come of [start, end): the complete bars."""
    end = market.now if end is None else end
    size = SIZES[interval]
    return [
        (t, market.figures(interval, t))
        for t in market.starts(interval, start, end - 1)
        if t + size <= market.now
    ]


def test_every_venue_is_tried_here():
    assert {kind.venue for kind in FAKES} == set(SERVICES)


@of_all
@pytest.mark.parametrize("interval", ["1m", "1h", "1d"])
def test_all_bars_of_a_stretch_come_complete_and_in_order(kind, interval):
    fake = kind(Market())
    start = NOW - 350 * SIZES[interval]
    with serve(fake) as url:
        bars = load(fake, url, interval, start)
        assert rows(bars) == truth(fake.market, interval, start)
        assert bars.attrs == {"symbol": fake.symbol, "interval": interval}
        middle = load(fake, url, interval, start, NOW - 120 * SIZES[interval])
    assert rows(middle) == truth(fake.market, interval, start, NOW - 120 * SIZES[interval])


@of_all
def test_stretches_longer_than_a_page_are_paged(kind):
    fake = kind(Market())
    api = SERVICES[kind.venue]
    count = api.rules.most - 20 if api.rules.most else 2 * api.max_klines + 37
    start = (NOW // MINUTE - count) * MINUTE
    with serve(fake) as url:
        bars = load(fake, url, "1m", start)
    assert rows(bars) == truth(fake.market, "1m", start)
    assert len(bars) == count
    assert len(fake.asked) <= -(-count // api.max_klines) + 1


@of_all
def test_from_before_the_listing_to_now(kind):
    listed = NOW - 20 * DAY - 11 * HOUR
    fake = kind(Market(listed=listed))
    with serve(fake) as url:
        bars = load(fake, url, "1h", NOW - 2000 * DAY)
    first = fake.market.first("1h")
    assert rows(bars) == truth(fake.market, "1h", first)
    assert len(fake.asked) < 40


def test_binance_goes_back_to_the_listing_in_pages_of_1000():
    fake = Binance(Market(listed=NOW - 200 * DAY))
    with serve(fake) as url:
        bars = load(fake, url, "1h", 0)
    assert rows(bars) == truth(fake.market, "1h", 0)
    assert len(bars) == 4799
    assert [query["limit"] for _, query, _ in fake.asked] == ["1000"] * 5
    starts = [int(query["startTime"]) for _, query, _ in fake.asked]
    assert starts == sorted(starts)


@pytest.mark.parametrize("kind", [Coinbase, Okx], ids=["coinbase", "okx"])
def test_others_page_backwards_and_pass_over_years_without_trades(kind):
    market = Market(listed=NOW - 500 * DAY)
    silent = range(market.first("1m"), NOW - 2 * DAY, MINUTE)
    first_day = [*range(market.first("1m"), market.first("1m") + HOUR, MINUTE)]
    market.missing = frozenset(silent) - frozenset(first_day)
    days = market.starts("1d", 0, NOW - 3 * DAY)
    listing_day = market.first("1m") // DAY * DAY
    market.missing_days = frozenset(day for day in days if day != listing_day)
    market.first = lambda interval: listing_day if interval == "1d" else first_day[0]
    fake = kind(market)
    with serve(fake) as url:
        bars = load(fake, url, "1m", NOW - 600 * DAY)
    assert rows(bars) == truth(market, "1m", 0)
    assert bars.index[0] == stamp(first_day[0])
    ends = [query.get("after") or query["end"] for _, query, _ in fake.asked if _is_minute(query)]
    assert ends == sorted(ends, reverse=True)


def _is_minute(query):
    return query.get("bar") == "1m" or query.get("granularity") == "ONE_MINUTE"


@of_all
def test_the_running_bar_is_left_out_also_by_a_fast_clock(kind, clock):
    fake = kind(Market())
    clock(NOW + 5 * MINUTE)
    with serve(fake) as url:
        bars = load(fake, url, "1m", NOW - HOUR)
        newest = load(fake, url, "1m", limit=10)
    assert rows(bars) == truth(fake.market, "1m", NOW - HOUR)
    assert rows(newest) == rows(bars)[-10:]


@of_all
def test_a_running_bar_is_not_cached(kind, clock, tmp_path):
    fake = kind(Market())
    clock(NOW + 5 * MINUTE)
    with serve(fake) as url:
        load(fake, url, "1m", NOW - HOUR, cache=tmp_path)
        fake.market.now = NOW + 10 * MINUTE
        clock(NOW + 10 * MINUTE)
        bars = load(fake, url, "1m", NOW - HOUR, cache=tmp_path)
    assert rows(bars) == truth(fake.market, "1m", NOW - HOUR)


@of_all
def test_missing_bars_are_stated_and_not_filled(kind):
    market = Market()
    minutes = market.starts("1m", NOW - 600 * MINUTE, NOW)
    # One alone, and longer than a page of the venues with short ones.
    market.missing = frozenset([minutes[20], *minutes[100:450]])
    fake = kind(market)
    with serve(fake) as url:
        bars = load(fake, url, "1m", minutes[0])
    assert rows(bars) == truth(market, "1m", minutes[0])
    runs = gaps(bars)
    assert runs["missing"].tolist() == [1, 350]
    assert runs["start"].tolist() == [stamp(minutes[20]), stamp(minutes[100])]


@of_all
def test_the_newest_bars_without_a_start(kind):
    fake = kind(Market())
    with serve(fake) as url:
        assert (
            rows(load(fake, url, "1m", limit=250))
            == truth(fake.market, "1m", NOW - 300 * MINUTE)[-250:]
        )
        bars = load(fake, url, "1m")
    kept = SERVICES[kind.venue].rules.most
    count = min(1000, kept - 1 if kept else 1000)
    assert rows(bars) == truth(fake.market, "1m", NOW - 1100 * MINUTE)[-count:]


@of_all
def test_the_newest_bars_of_a_young_symbol(kind):
    fake = kind(Market(listed=NOW - 30 * MINUTE))
    with serve(fake) as url:
        bars = load(fake, url, "1m", limit=250)
    assert rows(bars) == truth(fake.market, "1m", 0)
    assert 29 <= len(bars) <= 30


@of_all
def test_the_first_bars_from_a_start(kind):
    fake = kind(Market())
    start = NOW - 500 * MINUTE
    with serve(fake) as url:
        bars = load(fake, url, "1m", start, limit=30)
    assert rows(bars) == truth(fake.market, "1m", start)[:30]


@of_all
def test_what_is_cached_is_not_asked_for_again_and_venues_are_apart(kind, tmp_path):
    fake = kind(Market())
    with serve(fake) as url:
        first = load(fake, url, "1h", NOW - 10 * DAY, cache=tmp_path)
        asked = len(fake.asked)
        again = load(fake, url, "1h", NOW - 10 * DAY, cache=tmp_path)
        assert len(fake.asked) == asked
    pd.testing.assert_frame_equal(first, again)
    places = [path.name for path in (tmp_path / "klines").iterdir()]
    assert len(places) == 1
    coded = "".join(f"%{ord(c):02X}" if c.islower() else c for c in kind.venue)
    assert places[0].startswith(coded)


def test_two_venues_on_one_address_do_not_share_a_cache(tmp_path):
    market = Market()
    spot, us = Binance(market), next(kind for kind in FAKES if kind.venue == "binance.us")(market)
    with serve(spot) as url:
        load(spot, url, "1h", NOW - DAY, cache=tmp_path)
        asked = len(spot.asked)
        load(us, url, "1h", NOW - DAY, cache=tmp_path)
    assert len(spot.asked) > asked


@of_all
def test_all_forms_of_a_symbol_give_the_same_frame(kind):
    fake = kind(Market())
    base, _, quote = fake.symbol.partition("/")
    forms = [f"{base}/{quote}", f"{base}-{quote}", f"{base}{quote}", f"{base}/{quote}".lower()]
    own = SERVICES[kind.venue].names.native(fake.symbol)
    with serve(fake) as url:
        frames = [load(fake, url, "1h", NOW - DAY, symbol=form) for form in [*forms, own]]
        several = load(fake, url, "1h", NOW - DAY, symbol=[*forms, own])
    for frame in frames:
        pd.testing.assert_frame_equal(frame, frames[0])
    assert several.index.get_level_values("symbol").unique().tolist() == [fake.symbol]


@of_all
def test_an_unknown_symbol_is_told_with_near_ones(kind):
    fake = kind(Market())
    near = fake.symbol.replace("BTC", "BTX")
    with serve(fake) as url, pytest.raises(RequestError, match=f"not know '{near}'.*{fake.symbol}"):
        load(fake, url, "1h", NOW - DAY, symbol=near)


@of_all
def test_an_unknown_symbol_is_told_where_the_list_cannot_be_had(kind):
    fake = kind(Market())
    no_list = (404, {}, {"message": "nothing"})
    with serve(fake, None, no_list) as url, pytest.raises(RequestError, match="does not know"):
        load(fake, url, "1h", NOW - DAY, symbol=fake.unknown)


@of_all
def test_intervals_that_a_venue_lacks_get_the_cure(kind):
    lacking = set(SERVICES["okx"].intervals) - set(SERVICES[kind.venue].intervals)
    for interval in lacking:
        with pytest.raises(
            SettingsError, match=rf'bars of {interval}, only.*resample.*"{interval}"'
        ):
            load(kind(Market()), "http://127.0.0.1:1", interval)
    with pytest.raises(SettingsError, match="not an interval"):
        load(kind(Market()), "http://127.0.0.1:1", "7m")


@of_all
@pytest.mark.parametrize("status", [403, 451])
def test_a_refusal_by_place_offers_venues_that_work(kind, status):
    fake = kind(Market())
    page = (status, {}, b"<html>Service unavailable from a restricted location</html>")
    with serve(fake, page) as url, pytest.raises(RequestError) as caught:
        load(fake, url, "1h", NOW - DAY)
    said = str(caught.value)
    assert f"HTTP {status}" in said
    offered = {name for name in SERVICES if f'source="{name}"' in said}
    assert offered == {"kraken", "coinbase", "binance.us"} - {kind.venue}
    assert len(fake.asked) == 1


@of_all
def test_a_ban_is_not_made_longer(kind):
    fake = kind(Market())
    ban = (418, {"Retry-After": "2"}, {"code": -1003, "msg": "Way too many requests"})
    with serve(fake, ban) as url, pytest.raises(RateLimitError, match=r"banned.*2 s") as caught:
        load(fake, url, "1h", NOW - DAY)
    assert caught.value.retry_after == 2
    assert len(fake.asked) == 1


@of_all
def test_too_many_requests_are_tried_again_as_asked(kind):
    fake = kind(Market())
    slower = (429, {"Retry-After": "0"}, {"message": "slow down"})
    with serve(fake, slower, slower) as url:
        bars = load(fake, url, "1h", NOW - DAY)
    assert rows(bars) == truth(fake.market, "1h", NOW - DAY)


@of_all
def test_an_object_with_venue_and_address_is_a_source(kind):
    fake = kind(Market())
    with serve(fake) as url:
        for attribute in ("venue", "name"):
            source = SimpleNamespace(**{attribute: kind.venue}, rest_url=url)
            bars = md.klines(
                fake.symbol, "1h", stamp(NOW - DAY), source=source, cache=False, progress=False
            )
            assert rows(bars) == truth(fake.market, "1h", NOW - DAY)


@of_all
def test_seconds_and_milliseconds_are_never_confused(kind):
    api = SERVICES[kind.venue]
    fake = kind(Market())
    request = api.klines(fake.symbol, "1h", NOW - DAY, NOW, 24)
    asked = json.loads(request.body) if request.body else None
    _, answer = fake.answer(request.path, request.params, asked)
    data = api.read(json.dumps(answer).encode(), 200, "klines", None)
    good = api.read_klines(data, "klines")
    assert min(bar.time for bar in good) >= NOW - DAY - 2 * HOUR
    assert max(bar.time for bar in good) < NOW
    for factor in (1000, 0.001):
        text = data.decode()
        bars = json.loads(text)
        if isinstance(bars, dict):
            bars = next(value for value in bars.values() if isinstance(value, list))
        for bar in bars:
            time = bar.get("t", bar.get("start")) if isinstance(bar, dict) else bar[0]
            text = text.replace(str(time), str(int(int(time) * factor)))
        with pytest.raises(InvalidMessage, match="another unit"):
            api.read_klines(text.encode(), "klines")
    with pytest.raises(SettingsError, match="in milliseconds, not in seconds"):
        api.klines(fake.symbol, "1h", (NOW - DAY) // 1000, NOW // 1000, 24)


@of_all
def test_times_before_any_market_ask_for_nothing(kind):
    fake = kind(Market())
    with serve(fake) as url:
        assert load(fake, url, "1d", 0, 300 * DAY).empty
        assert load(fake, url, "1d", None, 300 * DAY).empty
    assert not fake.asked


def test_days_of_another_time_zone_are_refused():
    class HongKong(Okx):
        def answer(self, path, query, body):
            status, answer = super().answer(path, query, body)
            for row in answer["data"]:
                row[0] = str(int(row[0]) - 8 * HOUR)
            return status, answer

    fake = HongKong(Market())
    with serve(fake) as url, pytest.raises(InvalidMessage, match=r"16:00 UTC, where no period"):
        load(fake, url, "1d", NOW - 20 * DAY)


def test_days_of_okx_are_asked_for_by_utc():
    for interval in ("1d", "1w", "1M"):
        assert (
            SERVICES["okx"].klines("BTC/USDT", interval, 0, NOW, 10).params["bar"].endswith("utc")
        )


@KEEPERS
def test_bars_that_a_venue_no_longer_keeps_are_stated(kind):
    fake = kind(Market())
    most = SERVICES[kind.venue].rules.most
    start = NOW - (most + 300) * MINUTE
    with serve(fake) as url, pytest.warns(PageWarning, match=rf"newest {most:,} bars, and none"):
        bars = load(fake, url, "1m", start)
    expected = truth(fake.market, "1m", start)
    assert most - 1 <= len(bars) <= most
    assert rows(bars) == expected[-len(bars) :]
    with serve(fake) as url, pytest.raises(RequestError, match="none from before"):
        load(fake, url, "1m", start, start + 200 * MINUTE)
    with serve(fake) as url, pytest.warns(PageWarning, match="none from before"):
        assert len(load(fake, url, "1m", limit=most + 100)) == len(bars)


@KEEPERS
def test_what_a_venue_no_longer_keeps_is_not_cached_as_empty(kind, clock, tmp_path):
    fake = kind(Market())
    most = SERVICES[kind.venue].rules.most
    start = NOW - (most - 20) * MINUTE
    with serve(fake) as url:
        before = load(fake, url, "1m", start, cache=tmp_path)
        later = NOW + (most + 100) * MINUTE
        fake.market.now = later
        clock(later)
        for _ in range(2):  # the second finds what the first has kept, and no more
            with pytest.warns(PageWarning, match="none from before"):
                bars = load(fake, url, "1m", start, cache=tmp_path)
            assert rows(bars)[: len(before)] == rows(before)
            assert rows(bars)[len(before) :] == truth(fake.market, "1m", start)[-(most - 1) :] or (
                rows(bars)[len(before) :] == truth(fake.market, "1m", start)[-most:]
            )


@KEEPERS
def test_a_young_symbol_of_such_a_venue_lacks_nothing(kind):
    fake = kind(Market(listed=NOW - 100 * MINUTE))
    with serve(fake) as url:
        bars = load(fake, url, "1m", NOW - 9000 * MINUTE)
    assert rows(bars) == truth(fake.market, "1m", 0)


def test_krakens_errors_under_http_200(monkeypatch):
    monkeypatch.setattr(RestClient, "_nap", lambda self, seconds: None)
    fake = Kraken(Market())
    slow = (200, {}, {"error": ["EAPI:Rate limit exceeded"]})
    with serve(fake, slow) as url:
        assert rows(load(fake, url, "1h", NOW - DAY)) == truth(fake.market, "1h", NOW - DAY)
    busy = (200, {}, {"error": ["EService:Busy"]})
    with serve(fake, *[busy] * 5) as url, pytest.raises(ServerError, match="EService:Busy"):
        load(fake, url, "1h", NOW - DAY)
    warned = {"error": ["WGeneral:Deprecated"], "result": {"XXBTZUSD": [], "last": 0}}
    with serve(fake, (200, {}, warned)) as url:
        assert load(fake, url, "1h", NOW - DAY).empty


def test_a_service_that_ignores_what_it_is_asked_settles_nothing(tmp_path):
    class Stuck(Coinbase):
        def answer(self, path, query, body):
            query = {**query, "start": "", "end": ""}
            del query["start"], query["end"]
            return super().answer(path, query, body)

    fake = Stuck(Market())
    with serve(fake) as url, pytest.warns(PageWarning, match="gave others"):
        bars = load(fake, url, "1m", NOW - 90 * DAY, NOW - 89 * DAY, cache=tmp_path)
    assert bars.empty
    honest = Coinbase(Market())
    with serve(honest) as url:
        bars = load(honest, url, "1m", NOW - 90 * DAY, NOW - 89 * DAY, cache=tmp_path)
    assert rows(bars) == truth(honest.market, "1m", NOW - 90 * DAY, NOW - 89 * DAY)


def test_another_address_is_for_venues_alone():
    with pytest.raises(SettingsError, match="rest_url= is for the venues kraken"):
        md.klines("X", source="demo", rest_url="http://127.0.0.1:1")
    with pytest.raises(SettingsError, match="not a REST base"):
        md.klines("BTC/USD", "1h", source="kraken", rest_url="nowhere")
    with pytest.raises(SettingsError, match=r"not a source of klines.*kraken"):
        md.klines("BTC/USD", "1h", source="krakn")
