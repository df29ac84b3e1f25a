"""Depth recordings: decided on one book, filled at a later one's touch."""

import math

import pytest

import mdkit as md
from mdkit.backtesting.account.terms import BacktestWarning
from mdkit.backtesting.engine import backtest
from mdkit.errors import SettingsError, StrategyError
from mdkit.events import Depth, Gap, Trade
from mdkit.strategies import pressure, strategy

MS = 1_000_000


def book(at_ms, bid, ask, symbol="A", bid_size=1.0):
    return Depth(symbol, ((bid, bid_size),), ((ask, 1.0),), 0, at_ms * MS)


@strategy("depth")
def heavy(depth, enter=2.0):
    size = depth.bids[0][1]
    return 1.0 if size > enter else (0.0 if size < 1.0 else None)


TAPE = [
    book(1000, 99.0, 101.0, bid_size=5.0),
    book(1030, 100.0, 102.0),
    book(1080, 103.0, 105.0),
    book(1100, 103.0, 105.0, bid_size=0.5),
    book(1200, 107.0, 109.0),
]


@pytest.mark.parametrize(
    ("latency", "buys_at", "sells_at"), [(0, 101.0, 103.0), (50, 102.0, 103.0), (80, 105.0, 103.0)]
)
def test_it_fills_at_the_opposite_touch_in_force_after_the_latency(latency, buys_at, sells_at):
    result = backtest(heavy, TAPE, latency_ms=latency, cash=10.0)
    assert result.fills["price"].tolist() == [buys_at, sells_at]
    units = 10.0 / buys_at
    # Sized at the mid of the book in force, which the touch costs half a spread more than.
    assert result.fills["units"].iloc[0] == pytest.approx(units)
    end = 10.0 + result.trades["pnl"].sum()
    assert result.equity["equity"].iloc[-1] == pytest.approx(end)
    assert result.engine in ("python", "native")


def test_an_order_due_after_the_last_book_is_not_filled():
    assert len(backtest(heavy, TAPE[:2], latency_ms=500).fills) == 0


def test_other_events_are_passed_over_and_symbols_have_instances_of_their_own():
    tape = [TAPE[0], Trade("A", 1.0, 1.0), *(book(1000 + i, 9.0, 9.5, "B") for i in range(3))]
    result = backtest(heavy, tape, cash=1.0)
    assert list(result.signals.columns) == ["A", "B"]
    assert result.signals["A"].count() == 1


def test_what_depth_backtests_refuse():
    with pytest.raises(SettingsError, match="not in order of time"):
        backtest(heavy, TAPE[::-1])
    with pytest.raises(SettingsError, match="no book with both sides"):
        backtest(heavy, [])
    with pytest.raises(SettingsError, match="latency_ms is -1"):
        backtest(heavy, TAPE, latency_ms=-1)
    with pytest.raises(SettingsError, match=r"latency_ms is \(30, 20\)"):
        backtest(heavy, TAPE, latency_ms=(30, 20))
    with pytest.raises(SettingsError, match="no event has both the time of the exchange"):
        backtest(heavy, TAPE, latency_ms="recorded")
    with pytest.raises(SettingsError, match="fills is 'all'"):
        backtest(heavy, TAPE, fills="all")
    with pytest.raises(SettingsError, match="max_share is 0"):
        backtest(heavy, TAPE, max_share=0)
    with pytest.raises(SettingsError, match="waits; leave it out"):
        backtest(heavy, TAPE, fills="queue", time_in_force="IOC")
    with pytest.raises(SettingsError, match="contracts is"):
        backtest(heavy, TAPE, contracts={"A": 100})

    @strategy("trade")
    def trades(event):
        return None

    with pytest.raises(SettingsError, match="wants trade; backtests run on bar or on depth"):
        backtest(trades, TAPE)

    @strategy("depth")
    def spread(depth):
        return depth.asks[0][0] - depth.bids[0][0]

    with pytest.raises(StrategyError, match="spread said 2 on a book of A"):
        backtest(spread, TAPE)


def test_pressure_over_recorded_books(market):
    import gzip
    from itertools import islice

    from mdkit.venues.tickdb import decode

    with gzip.open(market / "depth.jsonl.gz", "rb") as file:
        lines = [line.rstrip(b"\n").split(b"\t", 1) for line in islice(file, 4000)]
    events = [event for at, raw in lines for event in decode(raw, int(at))]
    slow, fast = (backtest(pressure, events, latency_ms=ms) for ms in (50, 0))
    assert len(slow.trades) > 10
    assert slow.run.signals.tobytes() == fast.run.signals.tobytes()
    assert slow.run.equity.tobytes() != fast.run.equity.tobytes()
    levels = {(e.symbol, *level) for e in events for level in (*e.bids, *e.asks)}
    for fill in fast.fills.to_dict("records")[:50]:
        assert (fill["symbol"], fill["price"], fill["shown"]) in levels
        assert abs(fill["units"]) <= fill["shown"]


def bk(second, bids, asks, symbol="A"):
    levels = [tuple((price, 1e6) for price in side) for side in (bids, asks)]
    at = 1_700_000_000_000_000_000 + round(second * 1e9)
    return Depth(symbol, *levels, at, at)


def told(*targets):
    """A strategy that says these, book after book."""

    @strategy("depth")
    class Told:
        def start(self):
            self.left = list(targets)

        def __call__(self, book):
            return self.left.pop(0) if self.left else None

    return Told()


def second(fill):
    return (fill["time"].value - 1_700_000_000_000_000_000) / 1e9


def test_an_order_waits_while_there_is_nobody_to_sell_to_it():
    """A share at its daily limit: bids alone. It is bought at the first offer, not before."""
    tape = [bk(0, [10.0], [10.01]), bk(1, [11.0], []), bk(2, [11.0], []), bk(60, [11.5], [11.51])]
    (fill,) = backtest(told(None, 1.0), tape).fills.to_dict("records")
    assert (fill["price"], second(fill)) == (11.51, 60.0)


def test_what_can_be_sold_is_sold_at_the_bid_that_is_there():
    tape = [bk(0, [100.0], [100.1]), bk(1, [50.0], []), bk(2, [50.0], [])]
    result = backtest(told(1.0, None, 0.0), tape, cash=1001.0)
    assert result.fills["price"].tolist() == [100.1, 50.0]
    # Marked at the side that is there: nobody would have paid the mid of the book before.
    assert result.equity["equity"].tolist() == pytest.approx([1000.5, 500.0, 500.0])


def test_an_empty_book_leaves_the_mark_and_fills_nothing():
    tape = [bk(0, [99.0], [101.0]), bk(1, [], []), bk(2, [], []), bk(3, [109.0], [111.0])]
    result = backtest(told(1.0, 0.0), tape, cash=1010.0)
    assert [second(fill) for fill in result.fills.to_dict("records")] == [0.0, 3.0]
    assert result.equity["equity"].tolist() == pytest.approx([1000.0, 1000.0, 1000.0, 1090.0])


def test_levels_without_a_size_are_no_levels():
    at = 1_700_000_000_000_000_000
    ghost = Depth("A", ((100.0, 0.0), (99.0, 5.0)), ((101.0, 0.0), (102.0, 5.0)), at, at)
    result = backtest(told(1.0), [ghost, bk(1, [99.0], [102.0])], cash=102.0)
    assert result.fills[["price", "shown"]].to_numpy().tolist() == [[102.0, 5.0]]


def test_a_newer_order_takes_the_place_of_one_that_waits():
    tape = [bk(0, [99.0], [101.0]), bk(1, [99.0], []), bk(2, [99.0], []), bk(3, [99.0], [101.0])]
    result = backtest(told(None, 1.0, -0.5), tape, cash=1000.0)
    (fill,) = result.fills.to_dict("records")
    assert (fill["price"], second(fill)) == (99.0, 2.0)
    assert fill["units"] < 0.0


def test_a_fill_has_the_time_at_which_it_came_due():
    tape = [bk(0, [99.0], [101.0]), bk(10, [103.0], [105.0])]
    (fill,) = backtest(told(1.0), tape, latency_ms=2500).fills.to_dict("records")
    assert (fill["price"], second(fill)) == (101.0, 2.5)
    trades = backtest(told(1.0, 0.0), [*tape, bk(20, [1.0], [2.0])], latency_ms=2500).trades
    assert [second({"time": trades[c][0]}) for c in ("entry_time", "exit_time")] == [2.5, 12.5]


def test_nothing_fills_at_a_touch_from_before_a_gap():
    start = 1_700_000_000_000_000_000
    gap = Gap("A", "depth", "closed", start + MS, start + 9_000 * MS)
    tape = [bk(0, [99.0], [101.0]), gap, bk(9, [199.0], [201.0])]
    for latency, price, at in ((0, 101.0, 0.0), (500, 201.0, 9.0)):
        (fill,) = backtest(told(1.0), tape, latency_ms=latency).fills.to_dict("records")
        assert (fill["price"], second(fill)) == (price, at)


def test_ruin_ends_the_account():
    tape = [bk(0, [99.9], [100.1]), *(bk(i, [p - 0.1], [p + 0.1]) for i, p in ((1, 250), (2, 10)))]
    result = backtest(told(-1.0, None, 1.0), [*tape, bk(3, [9.9], [10.1])], cash=999.0)
    assert result.fills["reason"].tolist() == ["signal", "ruin"]
    assert result.fills["price"].tolist() == [99.9, 250.1]
    assert (result.equity["equity"].iloc[1:] < 0.0).all()
    assert result.equity["equity"].iloc[1:].nunique() == 1
    assert result.trades["exit_reason"].tolist() == ["ruin"]


def test_symbols_share_the_equity_in_equal_parts_unless_told():
    @strategy("depth")
    def always(book):
        return 1.0

    tape = [bk(i, [99.0], [101.0], symbol) for i in range(3) for symbol in "AB"]
    equal = backtest(always, tape, cash=1010.0)
    assert equal.fills["units"].tolist() == pytest.approx([5.0, 5.0])
    told_so = backtest(always, tape, cash=1010.0, weights={"A": 0.0, "B": 1.0})
    assert told_so.fills["symbol"].tolist() == ["B"]
    with pytest.raises(SettingsError, match="weights are for A, C; the symbols are A, B"):
        backtest(always, tape, weights={"A": 0.5, "C": 0.5})


def test_orders_of_one_instant_spend_the_cash_exactly():
    @strategy("depth")
    def always(book):
        return 1.0

    tape = [bk(0, [99.0], [101.0], symbol) for symbol in "ABC"]
    result = backtest(always, [*tape, bk(1, [99.0], [101.0])], latency_ms=500, fee=0.01)
    fills = result.fills
    assert (fills["units"] * fills["price"] + fills["fee"]).sum() == pytest.approx(10_000.0)
    assert fills["units"].nunique() == 1


def test_what_is_not_shown_is_not_filled_and_the_notes_say_so():
    """Ten times what is shown: as much as that is bought, and the rest when more is shown."""
    result = backtest(heavy, TAPE, cash=1000.0)
    # The books at 1030 and 1080 show asks at other prices, so there is one more at each.
    assert result.fills["contracts"].tolist() == [1.0, 1.0, 1.0, -0.5, -1.0]
    assert result.fills["shown"].tolist() == [1.0, 1.0, 1.0, 0.5, 1.0]
    assert "2 of 2 orders were not filled whole" in str(result)
    assert 'fills="book"' in str(result)
    quiet = backtest(heavy, TAPE, cash=1.0)
    assert not [note for note in quiet.notes if "not filled whole" in note]
    wanted = result.orders["wanted"].tolist()
    assert wanted == pytest.approx([1000.0 / 101.0, -3.0])
    assert result.orders["filled"].tolist() == [3.0, -1.5]
    assert result.orders["shown"].tolist() == [1.0, 0.5]


def test_five_minutes_say_nothing_about_a_year():
    tape = [bk(i, [100 + i / 100], [100.01 + i / 100]) for i in range(300)]
    result = backtest(told(1.0), tape)
    assert result.stats["return"] > 0.0
    for name in ("cagr", "volatility", "sharpe", "sortino", "calmar", "alpha", "beta", "turnover"):
        assert math.isnan(result.stats[name]), name
    assert "too few for figures of a year, which need 20; cagr" in result.notes[0]
    assert "sharpe -" in repr(result)


def test_touches_at_zero_and_below_are_no_touches_unless_allowed():
    tape = [bk(0, [9.0], [11.0]), bk(1, [-2.0], [2.0]), bk(2, [-5.0], [-3.0])]
    with pytest.warns(BacktestWarning, match="2 books have a touch at zero or below"):
        kept = backtest(told(1.0, None, 0.0), tape, cash=11.0, weights={"A": 0.5})
    assert len(kept.fills) == 1
    allowed = backtest(
        told(1.0, None, 0.0), tape, cash=11.0, weights={"A": 0.5}, allow_nonpositive=True
    )
    assert allowed.fills["price"].tolist() == [11.0, -5.0]


@pytest.mark.parametrize(
    ("terms", "match"),
    [
        ({"size": md.VolatilityTarget(0.1)}, "size is an md.VolatilityTarget, which is for bars"),
        (
            {"size": md.RiskSize(0.01), "stop_loss": 0.01},
            "size is an md.RiskSize, which is for bars; on books a target is a share of the equity",
        ),
        (
            {"margin": md.Margin()},
            "margin is an md.Margin, which .* bound md.Quote by max_position",
        ),
        ({"financing": md.Financing(loan=0.1)}, "on books holding costs nothing: leave it out"),
    ],
)
@pytest.mark.parametrize("run", [md.backtest, md.sweep, md.walk_forward], ids=lambda f: f.__name__)
def test_terms_of_bars_alone_are_refused_with_what_takes_their_place(run, terms, match):
    @md.strategy("depth")
    def held(book, share=1.0):
        return share

    given = {
        md.backtest: {},
        md.sweep: {"grid": {"share": [1.0]}},
        md.walk_forward: {"grid": {"share": [1.0]}, "train": "1s", "test": "1s"},
    }[run]
    books = [md.Depth("A", ((100.0, 1.0),), ((101.0, 1.0),), 0, n * 10**9) for n in range(1, 9)]
    with pytest.raises(SettingsError, match=match):
        run(held, books, **given, **terms)
