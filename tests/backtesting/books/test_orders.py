"""Limits, quotes, contracts, fees, stops and latencies, one rule at a time."""

import math
import pickle

import pytest

from mdkit.backtesting.account.answers import Limit, Quote
from mdkit.backtesting.account.contracts import Contract, Fees
from mdkit.backtesting.engine import backtest
from mdkit.errors import SettingsError, StrategyError
from mdkit.events import Depth, Trade
from mdkit.strategies import strategy

S = 1_000_000_000
START = 1_700_000_000 * S


def bk(second, bids, asks, symbol="A", exchange=0):
    """A book of (price, size) levels."""
    return Depth(symbol, tuple(bids), tuple(asks), exchange, START + round(second * S))


def hit(second, price, size, side="sell", symbol="A"):
    return Trade(symbol, price, size, side, received_ns=START + round(second * S))


def told(*answers):
    """A strategy of books that says these, one after the other."""

    @strategy("depth")
    class Told:
        def start(self):
            self.left = list(answers)

        def __call__(self, book):
            return self.left.pop(0) if self.left else None

    return Told()


def rows(result):
    fills = result.fills
    return list(zip(fills["contracts"], fills["price"], fills["maker"], strict=True))


FLAT = [bk(i, [(99.0, 10.0), (98.0, 5.0)], [(101.0, 10.0), (102.0, 5.0)]) for i in range(6)]


def test_a_book_is_walked_and_what_was_taken_stays_taken():
    result = backtest(told(Limit(102.0, 12.0), Limit(103.0, 9.0)), FLAT)
    assert rows(result) == [(10.0, 101.0, False), (2.0, 102.0, False), (3.0, 102.0, False)]
    assert result.orders["filled"].tolist() == [12.0, 3.0]
    half = backtest(told(Limit(102.0, 12.0)), FLAT, max_share=0.5)
    assert rows(half)[:2] == [(5.0, 101.0, False), (2.5, 102.0, False)]


def test_only_what_grew_at_a_price_can_be_taken_again():
    books = [*FLAT[:2], bk(2, [(99.0, 1.0)], [(101.0, 13.0)]), bk(3, [(99.0, 1.0)], [(101.0, 4.0)])]
    books += [bk(4, [(99.0, 1.0)], [(103.0, 1.0)]), bk(5, [(99.0, 1.0)], [(101.0, 2.0)])]
    result = backtest(told(Limit(101.0, 100.0)), books)
    assert rows(result) == [(10.0, 101.0, False), (3.0, 101.0, True), (2.0, 101.0, True)]


def test_time_in_force():
    assert backtest(told(Limit(101.0, 12.0, "IOC")), FLAT).orders["filled"].tolist() == [10.0]
    assert backtest(told(Limit(101.0, 12.0, "GTX")), FLAT).orders["filled"].tolist() == [0.0]
    tape = [FLAT[0], bk(1, [(99.0, 1.0)], [(100.0, 3.0)]), FLAT[2]]
    for life in ("GTC", "GTX"):
        assert rows(backtest(told(Limit(100.0, 12.0, life)), tape)) == [(3.0, 100.0, True)]
    assert rows(backtest(told(Limit(100.0, 12.0, "IOC")), tape)) == []
    given_up = backtest(told(1.0), FLAT, cash=1e6, time_in_force="IOC")
    assert given_up.fills["contracts"].sum() == 15.0
    assert len(set(given_up.fills["time"])) == 1


def test_a_queue_is_shortened_by_trades_and_by_its_share_of_cancels():
    def with_events(*events):
        return backtest(told(Limit(99.0, 4.0)), [FLAT[0], *events, FLAT[5]], fills="queue")

    assert rows(with_events(hit(1, 99.0, 10.0))) == []  # all that was ahead, and no more
    assert rows(with_events(hit(1, 99.0, 12.0))) == [(2.0, 99.0, True)]
    assert rows(with_events(hit(1, 99.0, 12.0, "buy"))) == []  # nobody sold to a bid
    assert rows(with_events(hit(1, 98.5, 1.0))) == [(1.0, 99.0, True)]  # past the queue
    # Of 10 ahead 6 trade; 2 of the 4 left cancel, then 2 are ahead.
    left = bk(2, [(99.0, 2.0)], [(101.0, 10.0)])
    assert rows(with_events(hit(1, 99.0, 6.0), left, hit(3, 99.0, 3.0))) == [(1.0, 99.0, True)]
    # What is added is behind: 10 are still ahead.
    more = bk(2, [(99.0, 50.0)], [(101.0, 10.0)])
    assert rows(with_events(more, hit(3, 99.0, 11.0))) == [(1.0, 99.0, True)]
    assert with_events().orders["queue"].tolist() == [10.0]
    alone = backtest(told(Limit(100.0, 4.0)), [FLAT[0], hit(1, 100.0, 1.0), FLAT[5]], fills="queue")
    assert alone.orders["queue"].tolist() == [0.0]
    assert rows(alone) == [(1.0, 100.0, True)]


def test_a_target_in_the_queue_follows_the_touch_after_the_latency():
    up = [bk(i, [(100.0, 7.0)], [(101.0, 10.0)]) for i in (1, 2, 3)]
    tape = [FLAT[0], up[0], hit(1.05, 99.0, 5.0), up[1], hit(2.5, 100.0, 8.0), up[2]]
    result = backtest(told(1.0), tape, fills="queue", latency_ms=100, cash=1000.0)
    # At 99 it stands behind 10 until 1.1 s, and from then on at 100, behind 7.
    assert rows(result) == [(1.0, 100.0, True)]
    assert result.orders["queue"].tolist() == [7.0]
    assert "no trades" not in str(result)
    assert "no trades" in str(backtest(told(1.0), FLAT, fills="queue"))


def test_a_quote_keeps_its_place_and_minds_its_position():
    quote = Quote(99.0, 101.0, 3.0, max_position=4.0)
    tape = [FLAT[0], hit(0.5, 99.0, 12.0), FLAT[1], hit(1.5, 99.0, 1.0), FLAT[2], FLAT[3]]
    result = backtest(told(quote, quote, quote), tape, fills="queue")
    assert rows(result) == [(2.0, 99.0, True), (1.0, 99.0, True)]
    # The first bid stood until it was filled; then a new one, for what the position allows.
    orders = result.orders
    assert orders[orders["wanted"] > 0.0]["wanted"].tolist() == [3.0, 1.0]
    assert (orders["kind"] == "quote").all()
    gone = backtest(told(quote, Quote()), tape, fills="queue")
    assert rows(gone) == [(2.0, 99.0, True)]
    with pytest.raises(SettingsError, match="bid 101 is not below ask 99"):
        Quote(101, 99, 1)
    with pytest.raises(SettingsError, match="Quote: size is 0"):
        Quote(99, 101)
    with pytest.raises(SettingsError, match="Limit: size is 0"):
        Limit(99, 0)
    with pytest.raises(StrategyError, match="returned a Quote"):
        backtest(told(quote), FLAT, trade=False)


def test_makers_and_takers_pay_their_own_fees():
    fees = Fees(maker=-0.001, taker=0.002)
    taker = backtest(told(Limit(101.0, 1.0)), FLAT, fee=fees)
    assert taker.fills["fee"].tolist() == [pytest.approx(0.202)]
    tape = [FLAT[0], bk(1, [(99.0, 1.0)], [(100.0, 3.0)])]
    maker = backtest(told(Limit(100.0, 1.0)), tape, fee=fees)
    assert maker.fills["fee"].tolist() == [pytest.approx(-0.1)]
    for wrong in ({"taker": -0.1}, {"maker": 0.7}, {"taker": math.nan}):
        with pytest.raises(SettingsError, match="Fees: "):
            Fees(**wrong)


def test_an_inverse_contract_gains_in_coin():
    """100 contracts of 100 dollars bought at 50,000 and sold at 40,000: 10,000 (0.8 - 1)."""
    books = [bk(i, [(p - 1.0, 1e4)], [(p, 1e4)]) for i, p in enumerate((50_000.0, 40_001.0))]
    contracts = {"A": Contract(100, inverse=True, lot=1)}
    deal = told(Limit(60_000.0, 100.0), Limit(1.0, -100.0))
    result = backtest(deal, books, contracts=contracts, cash=1e4)
    assert result.run.equity[-1] - 1e4 == pytest.approx(10_000.0 * (40_000.0 / 50_000.0 - 1.0))
    assert result.fills["units"].tolist() == [pytest.approx(0.2), pytest.approx(-0.2)]
    # Turned from long to short: closed as it was bought, and opened anew.
    deal = told(Limit(60_000.0, 100.0), Limit(1.0, -150.0))
    turned = backtest(deal, books, contracts=contracts, cash=1e4)
    assert turned.fills["contracts"].tolist() == [100.0, -100.0, -50.0]
    assert turned.fills["units"].sum() == pytest.approx(-50 * 100 / 40_000.0)
    # Whole lots of a value: 1,000 dollars are 10 contracts.
    target = backtest(told(1.0), books, contracts=contracts, cash=1_090.0)
    assert target.fills["contracts"].tolist() == [10.0]
    with pytest.raises(SettingsError, match="Contract: size is 0"):
        Contract(0)


def test_ticks_and_lots():
    tape = [FLAT[0], bk(1, [(99.0, 1.0)], [(100.0, 3.0)])]
    contracts = {"A": Contract(tick=0.5, lot=0.25)}
    result = backtest(told(Limit(100.3, 1.1)), tape, contracts=contracts)
    assert rows(result) == [(1.0, 100.0, True)]
    asked = backtest(told(Quote(98.3, 100.6, 1.0)), tape, contracts=contracts)
    assert asked.orders["price"].tolist() == [98.0, 101.0]


def test_a_stop_sends_an_order_that_pays_what_is_shown_when_it_arrives():
    falling = [bk(i, [(p, 50.0)], [(p + 1.0, 50.0)]) for i, p in enumerate((99, 94, 80, 79, 78))]
    result = backtest(told(1.0), falling, stop_loss=0.05, latency_ms=500, cash=1000.0)
    assert result.fills["reason"].tolist() == ["signal", "stop_loss"]
    assert result.fills["price"].tolist() == [100.0, 94.0]
    assert result.orders["kind"].tolist() == ["target", "stop"]
    late = backtest(told(1.0), falling, stop_loss=0.05, latency_ms=1200, cash=1000.0)
    assert late.fills["price"].tolist() == [95.0, 79.0]
    peak = [bk(i, [(p, 50.0)], [(p + 1.0, 50.0)]) for i, p in enumerate((99, 120, 115, 107, 130))]
    trailed = backtest(told(1.0), peak, trailing_stop=0.1, cash=1000.0)
    assert trailed.fills["reason"].tolist() == ["signal", "trailing_stop"]
    assert trailed.fills["price"].tolist() == [100.0, 107.0]
    taken = backtest(told(-1.0), falling, take_profit=0.1, cash=1000.0)
    assert taken.fills["reason"].tolist() == ["signal", "take_profit"]


def test_latencies():
    same = backtest(told(1.0), FLAT, latency_ms=(100, 900), cash=100.0)
    again = backtest(told(1.0), FLAT, latency_ms=(100, 900), cash=100.0)
    assert same.run.times.tolist() == again.run.times.tolist()
    (delay,) = (same.orders["due"] - same.orders["sent"]).dt.total_seconds()
    assert 0.1 <= delay <= 0.9
    # The feed took 300, 200 and 700 ms, by clocks that are 1 s apart.
    books = [
        bk(i, [(99.0, 9.0)], [(101.0, 9.0)], exchange=START + round((i + 1 - delay) * S))
        for i, delay in enumerate((0.3, 0.2, 0.7))
    ]
    result = backtest(told(0.5, 0.25, 0.1), books, latency_ms="recorded", cash=100.0)
    delays = (result.orders["due"] - result.orders["sent"]).dt.total_seconds()
    assert delays.tolist() == pytest.approx([0.1, 0.0, 0.5])
    assert "the clocks are apart" in str(result)


def test_orders_of_a_symbol_come_due_in_the_order_in_which_they_were_sent():
    answers = [0.1 * n for n in range(1, 7)]
    orders = backtest(told(*answers), FLAT, latency_ms=(0, 5000), cash=100.0).orders
    assert orders["sent"].is_monotonic_increasing
    assert orders["due"].is_monotonic_increasing


def test_a_market_maker_on_noise_loses_its_fees():
    """Books that stand still, hit from both sides alike: the spread earned is what it pays."""
    tape = []
    for i in range(400):
        tape.append(bk(i, [(99.0, 1.0)], [(101.0, 1.0)]))
        tape.append(hit(i + 0.5, *((99.0, 5.0, "sell") if i % 2 else (101.0, 5.0, "buy"))))
    tape.append(bk(400, [(99.0, 1.0)], [(101.0, 1.0)]))

    @strategy("depth")
    def maker(book):
        return Quote(99.0, 101.0, 1.0, max_position=3.0)

    free = backtest(maker, tape, fills="queue", cash=1e4)
    paid = backtest(maker, tape, fills="queue", cash=1e4, fee=Fees(maker=0.02, taker=0.02))
    assert free.stats["return"] > 0.0 > paid.stats["return"]
    assert paid.run.equity[-1] == pytest.approx(free.run.equity[-1] - paid.stats["fees"])


def test_a_result_of_books_is_pickled_without_them():
    result = backtest(told(1.0, -1.0), FLAT, cash=100.0)
    assert result.capacity([100.0]).table["return"].iloc[0] == result.stats["return"]

    copy = pickle.loads(pickle.dumps(result.run))
    assert copy.books.again is None
    assert copy.fills.tobytes() == result.run.fills.tobytes()


@pytest.mark.parametrize("latency", [1e13, 1e300, (0, 1e13)])
def test_a_latency_beyond_the_clock_is_refused(latency):
    """It would come due before it was sent: times are whole nanoseconds of 64 bits."""
    with pytest.raises(SettingsError, match="latency_ms is"):
        backtest(told(1.0), FLAT, latency_ms=latency)


def test_contracts_of_a_symbol_that_is_not_there_are_refused():
    with pytest.raises(SettingsError, match="contracts: 'a' is not among the events"):
        backtest(told(1.0), FLAT, contracts={"a": Contract(100.0, inverse=True)})
