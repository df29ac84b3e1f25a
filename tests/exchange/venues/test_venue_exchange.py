"""An exchange that speaks a venue's dialect, as an object: processes, symbols, settings."""

from __future__ import annotations

from random import Random

import pytest
import requests
from exchange_clients import run
from kraken_frames import book, follow, of
from venue_clients import levels, session, until

from mdkit.errors import ExchangeError, SettingsError
from mdkit.events import Depth
from mdkit.exchange import VENUES, Exchange, configure
from mdkit.exchange.venues.book import VenueBook
from mdkit.exchange.venues.instruments import listing

PUBLIC = [venue for venue in VENUES if venue != "tickdb"]


@pytest.mark.parametrize(
    ("venue", "native"),
    [
        ("kraken", "BTC/USD"),
        ("binance", "BTCUSDT"),
        ("binance.us", "BTCUSDT"),
        ("binance.futures", "BTCUSDT"),
        ("coinbase", "BTC-USD"),
        ("hyperliquid", "BTC"),
        ("okx", "BTC-USDT"),
    ],
)
def test_symbols_are_given_in_the_common_form_or_the_venues_own(venue, native):
    for symbol in ("BTC/USD", "BTC-USD", "btc/usd", native):
        assert configure([symbol], venue=venue).symbols == (native,)
    assert native in configure(venue=venue).symbols
    assert len(configure(venue=venue).symbols) == 5
    spec = listing(native, venue)
    assert spec.symbol == native
    assert 10_000 < spec.price(spec.base) < 200_000


def test_other_quotes_and_old_names_are_read():
    assert configure(["XBT/EUR", "ETHBTC"], venue="kraken").symbols == ("BTC/EUR", "ETH/BTC")
    assert configure(["SOL/USDC"], venue="coinbase").symbols == ("SOL-USDC",)
    spec = listing("ETH/BTC", "kraken")
    assert 0.01 < spec.price(spec.base) < 0.2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"venue": "krakn"}, "kraken"),
        ({"venue": "kraken", "symbols": ["B T C"]}, "BTC/USD"),
        ({"venue": "kraken", "symbols": [""]}, "not a symbol of kraken"),
        ({"venue": "kraken", "api_key": "x"}, "need no key"),
        ({"venue": "kraken", "hours": "us"}, "around the clock"),
        ({"venue": "kraken", "replay": "x.jsonl"}, "simulated market"),
        ({"venue": "kraken", "opening": 5, "scenario": "open"}, "no meaning"),
        ({"venue": "okx", "book_levels": 5}, "10"),
        ({"keepalive": 0}, "above 0"),
    ],
)
def test_what_cannot_work_is_refused_with_the_cure(options, words):
    with pytest.raises(SettingsError, match=words):
        configure(options.pop("symbols", None), **options)


def moments(true):
    """Return the ways to ask for a book that was there before."""
    return ({"update_id": true["update_id"]}, {"time_ns": true["time_ns"]})


@pytest.mark.outer
@pytest.mark.parametrize("venue", PUBLIC)
def test_an_exchange_in_its_own_process_names_its_bases_and_shows_its_books(venue):
    with Exchange(["BTC/USD"], venue=venue, book_levels=50) as exchange:
        assert exchange.venue == venue
        assert exchange.ws_url.startswith(f"ws://127.0.0.1:{exchange.port}")
        assert exchange.rest_url == f"http://127.0.0.1:{exchange.port}"
        true = exchange.true_book("BTC/USD")
        assert len(true["bids"]) == len(true["asks"]) == 50
        assert float(true["bids"][0][0]) < float(true["asks"][0][0])
        again = exchange.true_book("BTC/USD", update_id=true["update_id"])
        assert again["bids"] == true["bids"]
        for found in (exchange.true_book("BTC/USD", levels=3, **at) for at in moments(true)):
            assert [found["bids"], found["asks"]] == [true["bids"][:3], true["asks"][:3]]
        with pytest.raises(SettingsError, match="too few"):
            exchange.true_book("BTC/USD", levels=0)
        with pytest.raises(ExchangeError, match="not come to"):
            exchange.true_book("BTC/USD", update_id=true["update_id"] + 10**9)
        with pytest.raises(ExchangeError, match="not traded here"):
            exchange.true_book("ETH/USD")
        with pytest.raises(ExchangeError, match="no flat dialect"):
            _ = exchange.flat_ws_url
        exchange.inject("lost_diff")
        assert exchange.statistics()["faults"] == {"lost_diff": 1}
        with pytest.raises(SettingsError, match="unknown"):
            exchange.inject("nonsense")


@pytest.mark.outer
def test_web_pages_are_kept_out_of_venues_too():
    with Exchange(["BTC/USD"], venue="binance") as exchange:
        url = exchange.rest_url + "/api/v3/time"
        assert requests.get(url, timeout=10).status_code == 200
        foreign = requests.get(url, headers={"Origin": "http://evil.example"}, timeout=10)
        assert foreign.status_code == 403
        other = requests.get(url, headers={"Host": "evil.example"}, timeout=10)
        assert other.status_code == 421
        control = exchange.rest_url + "/_exchange/book?symbol=BTCUSDT"
        assert requests.get(control, timeout=10).status_code == 403


@pytest.mark.outer
@pytest.mark.parametrize("options", [{"speed": 0}, {"scenario": "flood"}, {"speed": 50}])
def test_checksums_hold_at_any_pace(options):
    async def test():
        exchange = Exchange(
            ["BTC/USD", "XRP/USD"], venue="kraken", process=False, count=3000, **options
        )
        async with session(exchange) as socket:
            await socket.send(book())
            frames = await until(socket, lambda f: len(of(f, "book")) > 400)
            assert follow(frames, 10)[2] == 0
            times = [frame["data"][0]["timestamp"] for frame in of(frames, "book")]
            assert times == sorted(set(times))

    run(test())


@pytest.mark.outer
def test_what_has_changed_is_pushed_though_nothing_follows():
    async def test():
        exchange = Exchange(["BTC/USD"], venue="binance", process=False, count=300, speed=0)
        async with session(exchange, "/ws/btcusdt@depth@100ms") as socket:
            await until(
                socket,
                lambda f: f and int(f[-1]["u"]) == exchange.true_book("BTC/USD")["update_id"],
            )
            assert exchange.statistics()["finished"]

    run(test())


@pytest.mark.outer
def test_compressed_connections_get_the_same():
    async def test():
        from websockets.asyncio.client import connect

        exchange = Exchange(["BTC/USD"], venue="kraken", process=False, compression=True)
        async with exchange, connect(exchange.ws_url, max_size=None) as socket:
            assert socket.protocol.extensions
            await socket.send(book())
            frames = await until(socket, lambda f: len(of(f, "book")) > 30)
            assert follow(frames, 10)[2] == 0

    run(test())


def depth(bid, sizes):
    """Return ten levels a side around a best bid, in ticks of 0.1."""
    bids = tuple([((bid - i) / 10, size) for i, size in enumerate(sizes)])
    asks = tuple([((bid + 1 + i) / 10, size) for i, size in enumerate(sizes)])
    return Depth("BTC/USD", bids, asks, 0)


@pytest.mark.outer
def test_a_book_is_shown_as_it_stood_after_each_update():
    random = Random(3)
    spec = listing("BTC/USD", "kraken")

    def shown():
        return depth(600_000 + int(random.random() * 30), [random.random() for _ in range(10)])

    whole = VenueBook(spec, shown(), 120, Random(4), 1000, 10**18)
    states = [whole.top()]
    for i in range(300):
        change = whole.move(shown(), 10**18 + i * 10**6)
        assert change.first_id == states[-1].last_id + 1
        assert change.last_id >= change.first_id
        states.append(whole.top())
        assert len(whole.bids) == len(whole.asks) == 120
    for state in states:
        assert whole.at(state.last_id) == state
        assert whole.at(ns=state.ns) == state
    with pytest.raises(ExchangeError, match="forgotten"):
        whole.at(10)


def test_an_update_within_a_microsecond_is_later_than_what_was_told_at_its_beginning():
    """A frame that was pushed then is without it, and names its book by that time alone."""
    told_ns = 10**18
    book = VenueBook(
        listing("BTC/USD", "coinbase"), depth(600_000, [1.0] * 10), 120, Random(4), 1000, told_ns
    )
    for later, sizes in enumerate(([2.0] * 10, [3.0] * 10), 1):
        pushed = book.top(10)
        change = book.move(depth(600_000, sizes), told_ns + later * 10**6 + 1)
        assert change.ns % 1_000 == 0
        assert book.at(ns=told_ns + later * 10**6, levels=10) == pushed


def test_the_true_book_of_the_data_service_is_refused():
    with pytest.raises(SettingsError, match="whole book"):
        Exchange().true_book("AAPL.US")


@pytest.mark.outer
def test_texts_of_a_true_book_are_those_of_the_snapshot():
    with Exchange(["BTC/USD"], venue="binance") as exchange:
        answer = requests.get(
            exchange.rest_url + "/api/v3/depth",
            params={"symbol": "BTCUSDT", "limit": 5000},
            timeout=10,
        ).json()
        bids, asks = levels(exchange.true_book("BTC/USD", update_id=answer["lastUpdateId"]))
        assert answer["bids"] == [list(level) for level in bids]
        assert answer["asks"] == [list(level) for level in asks]
