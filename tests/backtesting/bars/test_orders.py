"""Limits, stops and pairs on bars, worked by hand."""

import pandas as pd
import pytest

from mdkit.backtesting.account.answers import OCO, Limit, Quote, Stop
from mdkit.backtesting.account.contracts import Fees
from mdkit.backtesting.engine import backtest
from mdkit.errors import SettingsError, StrategyError
from mdkit.strategies import strategy


def frame(rows):
    index = pd.date_range("2024-01-01", periods=len(rows), freq="1D", tz="UTC")
    made = pd.DataFrame(rows, index, columns=["open", "high", "low", "close"], dtype=float)
    return made.assign(volume=1.0)


def said(*answers):
    """A strategy that answers these, bar after bar, and then nothing."""

    @strategy("bar")
    class Said:
        def start(self):
            self.left = list(answers)

        def __call__(self, bar):
            return self.left.pop(0) if self.left else None

    return Said()


def run(rows, *answers, **terms):
    terms = {"cash": 1000.0, "engine": "python"} | terms
    return backtest(said(*answers), frame(rows), **terms)


def fills(result):
    columns = ("units", "price", "reason")
    return list(zip(*(result.fills[name].tolist() for name in columns), strict=True))


FLAT = (100, 100, 100, 100)


def test_a_limit_fills_at_its_price_where_the_bar_trades_through_it():
    result = run([FLAT, (100, 101, 98, 99), (99, 99, 94, 96)], Limit(95, 4), fee=Fees(0.001, 0.1))
    assert fills(result) == [(4.0, 95.0, "signal")]
    assert result.fills["time"].tolist() == [result.panel.index[2]]
    assert result.fills["fee"].tolist() == pytest.approx([0.001 * 4 * 95])
    order = result.orders.iloc[0]
    assert (order["sent"], order["due"]) == (result.panel.index[0], result.panel.index[1])
    assert (order["kind"], order["wanted"], order["filled"], order["state"]) == (
        "limit", 4.0, 4.0, "filled",
    )  # fmt: skip


def test_a_limit_that_is_only_touched_fills_with_touch_alone():
    rows = [FLAT, (100, 101, 95, 99)]
    assert fills(run(rows, Limit(95, 4))) == []
    assert fills(run(rows, Limit(95, 4), fills="touch")) == [(4.0, 95.0, "signal")]


def test_a_limit_beyond_the_open_takes_there_and_never_pays_more_than_its_price():
    rows = [FLAT, (94, 101, 93, 99)]
    assert fills(run(rows, Limit(95, 4), slippage=0.001)) == [(4.0, 94 * 1.001, "signal")]
    assert fills(run(rows, Limit(94.05, 4), slippage=0.001)) == [(4.0, 94.05, "signal")]
    sold = run([FLAT, (106, 107, 100, 101)], Limit(105, -4), slippage=0.001)
    assert fills(sold) == [(-4.0, 106 * 0.999, "signal")]


def test_an_order_is_not_filled_on_the_bar_that_said_it():
    assert fills(run([(100, 120, 80, 100), FLAT], Limit(95, 4))) == []
    assert fills(run([(100, 120, 80, 100), FLAT], Limit(95, 4), fill="close")) == []


def test_a_stop_fills_at_the_worse_of_its_price_and_the_open():
    assert fills(run([FLAT, (100, 106, 99, 104)], Stop(105, 4))) == [(4.0, 105.0, "signal")]
    assert fills(run([FLAT, (107, 108, 99, 104)], Stop(105, 4))) == [(4.0, 107.0, "signal")]
    assert fills(run([FLAT, (93, 100, 90, 95)], Stop(95, -4))) == [(-4.0, 93.0, "signal")]
    paid = fills(run([FLAT, (100, 106, 99, 104)], Stop(105, 4), slippage=0.001))
    assert paid == [(4.0, 105 * 1.001, "signal")]


def test_a_later_answer_takes_the_place_of_an_order_and_none_does_not():
    rows = [FLAT, FLAT, FLAT, (100, 100, 90, 90)]
    assert len(fills(run(rows, Limit(95, 4), None, None))) == 1
    assert fills(run(rows, Limit(95, 4), Quote())) == []
    result = run(rows, Limit(95, 4), Limit(92, 2))
    assert fills(result) == [(2.0, 92.0, "signal")]
    assert result.orders["state"].tolist() == ["cancelled", "filled"]


def test_the_same_order_said_again_is_none():
    result = run([FLAT, (100, 100, 90, 95), (95, 95, 90, 95), FLAT], *[Limit(95, 4)] * 3)
    assert len(fills(result)) == len(result.orders) == 1


def test_times_in_force():
    rows = [FLAT, FLAT, (100, 100, 90, 90)]
    assert fills(run(rows, Limit(95, 4, "IOC"))) == []
    assert run(rows, Limit(95, 4, "IOC")).orders["state"].tolist() == ["given up"]
    assert fills(run(rows, Limit(101, 4, "IOC"))) == [(4.0, 100.0, "signal")]
    assert fills(run(rows, Limit(101, 4, "GTX"))) == []
    assert fills(run(rows, Limit(95, 4, "GTX"))) == [(4.0, 95.0, "signal")]


def test_an_exposure_is_that_of_the_equity_when_it_fills():
    result = run([FLAT, (100, 100, 75, 80)], Limit(80, exposure=1.0), fee=0.001)
    ((units, price, _),) = fills(result)
    assert price == 80.0
    assert units * price * 1.001 == pytest.approx(1000.0), "all of the cash, the fee included"


def test_a_pair_closes_a_position_once_and_the_stop_first():
    ends = OCO(Stop(95, exposure=0.0), Limit(110, exposure=0.0))
    bought = [FLAT, (100, 100, 100, 100)]
    both = run([*bought, (100, 111, 94, 100), FLAT], 1.0, ends)
    assert fills(both) == [(10.0, 100.0, "signal"), (-10.0, 95.0, "signal")]
    assert both.orders["state"].tolist() == ["filled", "cancelled"]
    won = run([*bought, (100, 111, 96, 100), (100, 100, 90, 90)], 1.0, ends)
    assert fills(won) == [(10.0, 100.0, "signal"), (-10.0, 110.0, "signal")]


def test_of_a_breakout_on_both_sides_the_side_that_lost_is_taken():
    sides = OCO(Stop(105, 4), Stop(95, -4))
    assert fills(run([FLAT, (100, 106, 94, 96)], sides)) == [(4.0, 105.0, "signal")]
    assert fills(run([FLAT, (100, 106, 94, 104)], sides)) == [(-4.0, 95.0, "signal")]


def test_a_quote_stands_on_both_sides():
    result = run([FLAT, (100, 103, 97, 100), FLAT], Quote(98, 102, 3))
    assert fills(result) == [(3.0, 98.0, "signal"), (-3.0, 102.0, "signal")]
    assert result.equity["equity"].iloc[-1] == pytest.approx(1012.0)
    full = run([FLAT, (100, 100, 97, 98), FLAT], Quote(98, 102, 3), Quote(97, 99, 3, 3.0))
    assert full.orders["kind"].tolist() == ["quote"] * 4
    assert full.orders["wanted"].tolist() == [3.0, -3.0, 0.0, -3.0], "no more than it may hold"


def test_a_target_cancels_orders_and_an_order_a_target():
    rows = [FLAT, (100, 100, 90, 95), FLAT]
    result = run(rows, Limit(95, 4), 0.0, fill="close")
    assert fills(run([FLAT, FLAT, (100, 100, 90, 95)], Limit(95, 4), 0.5)) == [
        (5.0, 100.0, "signal")
    ]
    assert result.orders["state"].tolist() == ["filled"]


def test_a_stop_of_the_position_cancels_its_orders():
    rows = [FLAT, FLAT, (100, 100, 94, 96), (96, 112, 96, 111)]
    result = run(rows, 1.0, Limit(110, -20), stop_loss=0.05)
    assert fills(result) == [(10.0, 100.0, "signal"), (-10.0, 95.0, "stop_loss")]


def test_what_enters_within_a_bar_meets_its_stop_there_and_takes_no_profit():
    entered = run([FLAT, (100, 112, 97, 111)], Stop(105, 4), stop_loss=0.05, take_profit=0.05)
    assert fills(entered) == [(4.0, 105.0, "signal"), (-4.0, 99.75, "stop_loss")]
    calm = run([FLAT, (100, 112, 100, 111)], Stop(105, 4), stop_loss=0.05, take_profit=0.05)
    assert fills(calm) == [(4.0, 105.0, "signal")]


def test_orders_of_a_strategy_that_does_not_compile_run_in_python(numba):
    rows = [FLAT, (100, 101, 94, 99)]
    with pytest.raises(SettingsError, match="cannot run natively"):
        run(rows, Limit(95, 4), engine="native")
    assert run(rows, Limit(95, 4), engine="auto").engine == "python"


def test_what_cannot_be_is_refused(seeded_bars):
    bars = seeded_bars(30)
    for make in (
        lambda: Limit(float("nan"), 1), lambda: Limit(1.0), lambda: Limit(1.0, 0.0),
        lambda: Limit(1.0, 1.0, exposure=1.0), lambda: Stop(1.0, exposure=2.0),
        lambda: Stop(1.0, float("inf")), lambda: OCO(Limit(1.0, 1.0), 3.0),
        lambda: Limit(1.0, 1.0, "DAY"),
    ):  # fmt: skip
        with pytest.raises(SettingsError):
            make()
    with pytest.raises(SettingsError, match='fills="book" is for books'):
        backtest(said(), bars, fills="book")
    with pytest.raises(SettingsError, match="every order is a fill"):
        _ = backtest(said(1.0), bars, engine="python").orders
    with pytest.raises(StrategyError, match=r"expected a real number.*orders are for md\.backtest"):
        backtest(said(Limit(1.0, 1.0)), bars, engine="python", trade=False)


def test_notes_say_how_orders_were_filled():
    result = run([FLAT, (100, 101, 94, 99)], Limit(95, 4))
    assert any("1 of 1 orders were filled" in note for note in result.notes)
