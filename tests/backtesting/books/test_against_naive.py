"""Every fill model beside its naive statement, over random books and over the recordings."""

import gzip
import math
from bisect import bisect
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit.backtesting.account.answers import Limit, Quote
from mdkit.backtesting.account.contracts import Contract, Fees
from mdkit.backtesting.account.terms import Fills
from mdkit.backtesting.engine import backtest
from mdkit.events import Depth, Trade
from mdkit.strategies import strategy
from tests.backtesting.books.naive import Naive

pytestmark = pytest.mark.xdist_group("books account")

MODELS = Fills.__args__
MS = 1_000_000
START = 1_700_000_000_000_000_000
FEES = Fees(maker=0.0001, taker=0.0004)


def scripted(answers):
    """A strategy that answers the n-th event with `answers[n]`."""

    @strategy("depth", "trade", per="session")
    class Scripted:
        def start(self):
            self.n = -1

        def __call__(self, event):
            self.n += 1
            return answers.get(self.n)

    return Scripted()


def sides(draw_bid, draw_ask):
    return st.tuples(draw_bid, draw_ask)


level_sizes = st.lists(st.integers(1, 40), min_size=0, max_size=4)


@st.composite
def tapes(draw):
    """Books around 100 in ticks of 0.5, trades among them, and answers to some."""
    events, answers, middle, at = [], {}, 200, START
    for n in range(draw(st.integers(4, 25))):
        at += draw(st.integers(1, 4)) * 10 * MS
        middle += draw(st.integers(-2, 2))
        if draw(st.integers(0, 3)) == 0 and n:
            price = (middle + draw(st.integers(-3, 3))) / 2
            side = draw(st.sampled_from(["buy", "sell", "neutral"]))
            size = draw(st.integers(1, 40)) / 4
            events.append(Trade("A", price, size, side, received_ns=at))
        else:
            bids, asks = draw(level_sizes), draw(level_sizes)
            if n == 0:
                bids, asks = bids or [8], asks or [8]
            gap = draw(st.integers(1, 3))
            events.append(
                Depth(
                    "A",
                    tuple(((middle - k) / 2, size / 4) for k, size in enumerate(bids)),
                    tuple(((middle + gap + k) / 2, size / 4) for k, size in enumerate(asks)),
                    0,
                    at,
                )
            )
        kind = draw(st.sampled_from(["", "", "target", "limit", "quote"]))
        near = st.integers(middle - 3, middle + 4)
        size = draw(st.integers(1, 60)) / 4
        if kind == "target":
            answers[n] = draw(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]))
        elif kind == "limit":
            life = draw(st.sampled_from(["GTC", "IOC", "GTX"]))
            answers[n] = Limit(draw(near) / 2, draw(st.sampled_from([1, -1])) * size, life)
        elif kind == "quote":
            bid = draw(near)
            ask = draw(st.sampled_from([None, (bid + draw(st.integers(1, 4))) / 2]))
            answers[n] = Quote(bid / 2, ask, size, draw(st.sampled_from([None, 20.0])))
    return events, answers


def told(result):
    """Fills as the naive account tells them, but for those within rounding errors of nothing."""
    fills = result.fills
    rows = zip(
        fills["time"].astype("int64"), fills["units"], fills["price"], fills["maker"],
        fills["shown"], strict=True,
    )  # fmt: skip
    return [row for row in rows if abs(row[1]) > 1e-7]


@pytest.mark.outer
@given(
    tapes(),
    st.sampled_from(MODELS),
    st.sampled_from([1.0, 0.5]),
    st.sampled_from([0, 5, 10, 35]),
    st.booleans(),
    st.sampled_from([500.0, 20_000.0]),
)
def test_every_fill_is_that_of_the_naive_account(tape, model, share, latency, ioc, cash):
    events, answers = tape
    ioc = ioc and model != "queue"
    naive = Naive(
        fills=model, share=share, latency=latency * MS, maker=FEES.maker, taker=FEES.taker,
        cash=cash, ioc=ioc,
    )  # fmt: skip
    try:
        naive.run(events, answers)
    except AssertionError:
        return  # ruined: not of its rules
    result = backtest(
        scripted(answers), events, fills=model, max_share=share, latency_ms=latency, fee=FEES,
        cash=cash, time_in_force="IOC" if ioc else "GTC", engine="python",
    )  # fmt: skip
    expected = [row for row in naive.fills if abs(row[1]) > 1e-7]
    got = told(result)
    assert [row[0] for row in got] == [row[0] for row in expected]
    assert [row[2:] for row in got] == [row[2:] for row in expected]
    assert [row[1] for row in got] == pytest.approx([row[1] for row in expected], rel=1e-6)
    by_book = [
        equity
        for equity, time in zip(result.run.equity, result.panel.index, strict=True)
        if any(isinstance(e, Depth) and e.received_ns == time.value for e in events)
    ]
    assert by_book == pytest.approx(naive.equities, rel=1e-9)
    assert all(ahead is None or ahead >= 0.0 for ahead in naive.queues)
    hold(result, events, latency, share)


def hold(result, events, latency, share):
    """What is so of every backtest on books, whatever the fill model."""
    orders, fills = result.orders, result.fills
    # To the last bit: cash and units are what the fills leave.
    cash, units = result.terms.cash, dict.fromkeys(result.panel.symbols, 0.0)
    for fill in fills.to_dict("records"):
        cash -= fill["units"] * fill["price"] + fill["fee"]
        units[fill["symbol"]] += fill["units"]
    worth = cash
    for s, symbol in enumerate(result.panel.symbols):
        assert units[symbol] == result.units[s, -1]
        if units[symbol] != 0.0:
            worth += units[symbol] * result.panel.closes[s, -1]
    assert worth == result.run.equity[-1]
    # No more than was wanted, shown, or sent in time.
    sized = orders.dropna(subset="wanted")
    assert (sized["filled"].abs() <= sized["wanted"].abs() * (1 + 1e-9)).all()
    assert (sized["filled"] * sized["wanted"] >= 0.0).all()
    assert not (orders["queue"] < 0.0).any()
    if not isinstance(latency, tuple):
        sent = orders["kind"].isin(["target", "limit", "quote"])
        assert ((orders["due"] - orders["sent"])[sent] == np.timedelta64(latency * MS, "ns")).all()
    due = orders["due"].to_numpy()[fills["order"]]
    assert (fills["time"].to_numpy() >= due).all()
    assert (fills["contracts"].abs() <= fills["shown"] * (1 + 1e-9)).all()
    taker = fills[~fills["maker"]]
    books = {symbol: [] for symbol in result.panel.symbols}
    for event in events:
        if isinstance(event, Depth):
            books[event.symbol].append((event.received_ns or event.exchange_ns, event))
    times = {symbol: [time for time, _ in shown] for symbol, shown in books.items()}
    assert all(found == sorted(set(found)) for found in times.values())
    for (time, symbol, price), group in taker.groupby(["time", "symbol", "price"]):
        _, book = books[symbol][bisect(times[symbol], time.value) - 1]
        side = dict(book.asks if group["units"].iloc[0] > 0 else book.bids)
        assert price in side  # none on an empty side
        assert group["contracts"].abs().sum() <= side[price] * share * (1 + 1e-9)


def recorded(market, name, count):
    from mdkit.venues.tickdb import decode

    with gzip.open(market / f"{name}.jsonl.gz", "rb") as file:
        lines = [line.rstrip(b"\n").split(b"\t", 1) for line in islice(file, count)]
    return [event for at, raw in lines for event in decode(raw, int(at))]


@pytest.fixture(scope="module")
def minute(market):
    """A minute of the recording, books and trades in the order received."""
    books = recorded(market, "depth", 6000)
    trades = [
        trade for trade in recorded(market, "trades", 6000)
        if trade.received_ns <= books[-1].received_ns
    ]  # fmt: skip
    return sorted([*books, *trades], key=lambda event: event.received_ns)


@pytest.mark.parametrize("model", MODELS)
def test_a_recorded_symbol_fills_as_the_naive_account(minute, model):
    events = [event for event in minute if event.symbol == "BTCUSDT"][:700]
    answers = {}
    for n, event in enumerate(events):
        if isinstance(event, Depth) and n % 7 == 3:
            bid, ask = event.bids[0][0], event.asks[0][0]
            answers[n] = (
                (-1.0, 0.0, 1.0)[n % 3] if n < 350 else Quote(bid, ask, 0.05, max_position=0.2)
            )
    naive = Naive(
        fills=model, share=1.0, latency=50 * MS, maker=FEES.maker, taker=FEES.taker,
        cash=50_000.0, ioc=False,
    ).run(events, answers)  # fmt: skip
    result = backtest(
        scripted(answers), events, fills=model, latency_ms=50, fee=FEES, cash=50_000.0,
        engine="python",
    )  # fmt: skip
    expected = [row for row in naive.fills if abs(row[1]) > 1e-7]
    got = told(result)
    assert len(got) > 3
    assert [(row[0], *row[2:]) for row in got] == [(row[0], *row[2:]) for row in expected]
    assert [row[1] for row in got] == pytest.approx([row[1] for row in expected], rel=1e-6)
    hold(result, events, 50, 1.0)


CONTRACTS = {
    "BTCUSD_PERP": Contract(100, inverse=True, tick=0.1, lot=1),
    "ETHUSD_PERP": Contract(10, inverse=True, tick=0.01, lot=1),
    "BTCUSDT": Contract(lot=0.001),
}


@pytest.mark.outer
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("latency", [0, (5, 80)])
def test_compiled_and_python_accounts_give_the_same_bits(numba, minute, model, latency):
    from mdkit.strategies import pressure

    options = {
        "fills": model, "latency_ms": latency, "fee": FEES, "contracts": CONTRACTS,
        "max_share": 0.5, "stop_loss": 0.0005, "trailing_stop": 0.0004, "cash": 1e6,
    }  # fmt: skip
    python, native = (
        backtest(pressure, minute, engine=engine, **options) for engine in ("python", "native")
    )
    assert (python.engine, native.engine) == ("python", "native")
    assert len(python.fills) > 20
    assert set(python.fills["reason"]) > {"signal"}
    assert python.run.fills.tobytes() == native.run.fills.tobytes()
    assert python.run.equity.tobytes() == native.run.equity.tobytes()
    assert python.run.books.fills.tobytes() == native.run.books.fills.tobytes()
    np.testing.assert_array_equal(python.run.books.orders, native.run.books.orders)
    hold(python, minute, latency, 0.5)
    whole = python.fills["contracts"] / python.fills["symbol"].map({"BTCUSDT": 0.001}).fillna(1.0)
    whole = whole[python.fills["symbol"] != "ETHUSDT"]
    assert (whole - whole.round()).abs().max() < 1e-6


@pytest.mark.outer
@given(tapes(), st.sampled_from(MODELS), st.sampled_from([0, 10]))
def test_compiled_code_gives_pythons_bits_over_random_answers(numba, tape, model, latency):
    events, answers = tape
    runs = [
        backtest(
            scripted(answers), events, fills=model, latency_ms=latency, fee=FEES, engine=engine,
            cash=700.0, stop_loss=0.01, take_profit=0.02,
        ).run
        for engine in ("python", "native")
    ]  # fmt: skip
    assert runs[0].equity.tobytes() == runs[1].equity.tobytes()
    assert runs[0].books.fills.tobytes() == runs[1].books.fills.tobytes()
    np.testing.assert_array_equal(runs[0].books.orders, runs[1].books.orders)
    assert math.isfinite(runs[0].equity[-1])


@pytest.mark.outer
def test_verify_compares_the_accounts(numba, minute):
    from mdkit.backtesting.verify.parity import verify
    from mdkit.strategies import pressure

    books = [event for event in minute if isinstance(event, Depth)][:500]
    found = verify(pressure, books, fills="queue")
    assert found
    assert "compiled account" in found.engines
