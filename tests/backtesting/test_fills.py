"""Orders, costs and stops: worked by hand, and bar by bar against a second implementation."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit.backtesting.account.fills import REASONS, costs_together
from mdkit.backtesting.account.terms import BacktestWarning, Terms
from mdkit.backtesting.data.panel import make_panel
from mdkit.backtesting.engine import backtest
from mdkit.backtesting.runs import account_run
from mdkit.errors import SettingsError
from mdkit.strategies import strategy

pytestmark = [pytest.mark.outer, pytest.mark.xdist_group("account")]

CHOICES = [None, 0.0, 1.0, -1.0, 0.5, -0.3]


def frame(rows, start="2024-01-01"):
    index = pd.date_range(start, periods=len(rows), freq="1D", tz="UTC")
    made = pd.DataFrame(rows, index, columns=["open", "high", "low", "close"], dtype=float)
    return made.assign(volume=1.0)


def said(*signals):
    """A strategy that says these, bar after bar."""

    @strategy("bar")
    class Said:
        def start(self):
            self.left = list(signals)

        def __call__(self, bar):
            return self.left.pop(0)

    return Said()


def run(rows, signals, **terms):
    return backtest(said(*signals), frame(rows), cash=1000.0, engine="python", **terms)


FLAT = [(100, 100, 100, 100)]


def test_a_signal_fills_at_the_next_open():
    result = run([(100, 101, 99, 100), (110, 120, 105, 115), (115, 121, 114, 120)], [1, None, None])
    fill = result.fills.iloc[0]
    assert (fill["time"], fill["price"]) == (result.panel.index[1], 110.0)
    assert fill["units"] == pytest.approx(1000 / 110)
    assert result.equity["equity"].tolist() == pytest.approx(
        [1000, 1000 / 110 * 115, 1000 / 110 * 120]
    )


def test_a_signal_fills_at_its_own_close_if_asked_to():
    result = run([(90, 101, 90, 100), (110, 120, 105, 115)], [1, None], fill="close")
    assert result.fills["price"].tolist() == [100.0]
    assert result.equity["equity"].tolist() == pytest.approx([1000, 1150])


def test_a_signal_on_the_last_bar_never_fills_at_an_open():
    assert len(run(FLAT * 2, [None, 1]).fills) == 0


def test_costs_are_paid_from_the_target_itself():
    result = run(FLAT * 3, [1, 0, None], fee=0.01, slippage=0.02)
    buy, sell = result.fills.to_dict("records")
    assert buy["price"] == pytest.approx(102.0)
    assert buy["units"] == pytest.approx(1000 / (102 * 1.01)), "all cash, and not a cent more"
    assert sell["price"] == pytest.approx(98.0)
    left = buy["units"] * 98.0 * 0.99
    assert result.equity["equity"].iloc[-1] == pytest.approx(left)
    trade = result.trades.iloc[0]
    assert trade["pnl"] == pytest.approx(left - 1000)
    assert trade["fees"] == pytest.approx(buy["fee"] + sell["fee"])


def test_half_an_exposure_holds_after_costs():
    result = run(FLAT * 2, [0.5, None], fee=0.01)
    assert result.equity["exposure"].iloc[-1] == pytest.approx(0.5)


def test_a_repeated_target_is_no_order():
    rows = [(100, 100, 100, 100), (100, 150, 100, 150), (150, 150, 150, 150)]
    assert len(run(rows, [0.5, 0.5, 0.5]).fills) == 1


def test_short_selling_gains_when_prices_fall():
    result = run([*FLAT, (100, 100, 80, 80), (80, 80, 80, 80)], [-1, None, None])
    assert result.equity["equity"].tolist() == pytest.approx([1000, 1200, 1200])
    assert result.trades.iloc[0]["side"] == "short"


def test_turning_is_one_fill_and_two_trades():
    result = run(FLAT * 4, [1, -1, 0, None], fee=0.01)
    assert len(result.fills) == 3
    assert result.trades["side"].tolist() == ["long", "short"]
    assert result.trades["pnl"].sum() == pytest.approx(result.equity["equity"].iloc[-1] - 1000)


STOPS = [
    # (entry bar and the bar after, stop, take) -> price and reason of the exit
    ([(100, 101, 96, 98)], 0.05, None, None, None),
    ([(100, 101, 95, 98)], 0.05, None, 95.0, "stop_loss"),
    ([(100, 101, 99, 100), (90, 99, 80, 95)], 0.05, None, 90.0, "stop_loss"),
    ([(100, 112, 99, 100)], None, 0.10, 110.0, "take_profit"),
    ([(100, 101, 99, 100), (115, 120, 110, 118)], None, 0.10, 115.0, "take_profit"),
    ([(100, 112, 90, 100)], 0.05, 0.10, 95.0, "stop_loss"),
]


@pytest.mark.parametrize(("rows", "stop", "take", "price", "reason"), STOPS)
def test_stops_of_a_long_position(rows, stop, take, price, reason):
    rows = [*FLAT, *rows, *FLAT]
    result = run(rows, [1] + [None] * (len(rows) - 1), stop_loss=stop, take_profit=take)
    exits = result.fills.iloc[1:]
    if reason is None:
        assert exits.empty
    else:
        assert exits["price"].tolist() == pytest.approx([price])
        assert exits["reason"].tolist() == [reason]


@pytest.mark.parametrize(("rows", "stop", "take", "price", "reason"), STOPS)
def test_stops_of_a_short_position_mirror_them(rows, stop, take, price, reason):
    rows = [*FLAT, *[(200 - o, 200 - lo, 200 - h, 200 - c) for o, h, lo, c in rows], *FLAT]
    result = run(rows, [-1] + [None] * (len(rows) - 1), stop_loss=stop, take_profit=take)
    exits = result.fills.iloc[1:]
    if reason is None:
        assert exits.empty
    else:
        assert exits["price"].tolist() == pytest.approx([200 - price])
        assert exits["reason"].tolist() == [reason]


def test_after_a_stop_a_new_target_is_needed():
    rows = [*FLAT, (100, 100, 80, 90), *FLAT * 4]
    result = run(rows, [1, 1, 1, 0, 1, None], stop_loss=0.1)
    assert result.fills["reason"].tolist() == ["signal", "stop_loss", "signal"]
    assert result.fills["time"].iloc[-1] == result.panel.index[5]


def test_a_position_opened_at_a_close_is_stopped_from_the_next_bar_on():
    result = run([(100, 100, 50, 100), (100, 100, 95, 100)], [1, None], fill="close", stop_loss=0.1)
    assert len(result.fills) == 1


def test_a_lost_account_is_closed_and_trades_no_more():
    rows = [*FLAT, (100, 250, 100, 250), *[(50, 50, 50, 50)] * 3]
    result = run(rows, [-1, None, 1, 0, 1])
    assert result.fills["reason"].tolist() == ["signal", "ruin"]
    assert result.equity["equity"].tolist()[1:] == pytest.approx([-500.0] * 4)
    assert result.stats["cagr"] == -1.0
    assert result.trades["exit_reason"].tolist() == ["ruin"]


def test_symbols_share_an_account_in_equal_parts_unless_told():
    bars = {
        "A": frame(FLAT * 3),
        "B": frame([(50, 50, 50, 50), (50, 50, 50, 50), (50, 100, 50, 100)]),
    }

    @strategy("bar")
    def always(bar):
        return 1.0

    result = backtest(always, bars, cash=1000.0, engine="python")
    assert result.fills["units"].tolist() == pytest.approx([5.0, 10.0])
    assert result.equity["equity"].iloc[-1] == pytest.approx(1500.0)
    assert result.equity["exposure"].iloc[-1] == pytest.approx(1.0)
    weighted = backtest(always, bars, cash=1000.0, weights={"A": 1.0, "B": 1.0}, engine="python")
    assert weighted.fills["units"].tolist() == pytest.approx([10.0, 20.0])


def test_a_symbol_without_a_bar_waits_for_its_next_one():
    late = frame([(50, 50, 50, 50), (60, 60, 60, 60)])
    late.index = frame(FLAT * 4).index[[0, 3]]
    bars = {"A": frame(FLAT * 4), "B": late}

    @strategy("bar")
    def always(bar):
        return 1.0

    fills = backtest(always, bars, engine="python").fills
    assert fills["symbol"].tolist() == ["A", "B"]
    assert fills["time"].tolist() == [bars["A"].index[1], bars["A"].index[3]]


def _bar(moves):
    o, c, up, down = moves
    return (o, max(o, c) * (1 + up), min(o, c) * (1 - down), c)


price = st.floats(20.0, 300.0)
reach = st.floats(0.0, 0.4)
bar = st.builds(lambda *x: _bar(x), price, price, reach, reach)
share = st.one_of(st.none(), st.floats(0.01, 0.5))


@st.composite
def cases(draw):
    symbols = draw(st.integers(1, 3))
    count = draw(st.integers(1, 25))
    bars, signals = [], []
    for s in range(symbols):
        rows = draw(st.lists(bar, min_size=count, max_size=count))
        if s > 0:
            holes = draw(st.sets(st.integers(0, count - 1), max_size=count - 1))
            rows = [None if i in holes else row for i, row in enumerate(rows)]
        bars.append(rows)
        told = draw(st.lists(st.sampled_from(CHOICES), min_size=count, max_size=count))
        signals.append([x if row else None for x, row in zip(told, rows, strict=True)])
    terms = {
        "cash": 1000.0,
        "fee": draw(st.sampled_from([0.0, 0.001, 0.05])),
        "slippage": draw(st.sampled_from([0.0, 0.002])),
        "fill": draw(st.sampled_from(["next_open", "close"])),
        "stop_loss": draw(share),
        "take_profit": draw(share),
    }
    return bars, signals, terms


def _panel(bars):
    index = frame(FLAT * len(bars[0])).index
    frames = {}
    for s, rows in enumerate(bars):
        kept = [i for i, row in enumerate(rows) if row]
        frames[f"S{s}"] = frame([rows[i] for i in kept]).set_axis(index[kept])
    return make_panel(frames)


def _flat(signals):
    return np.array([np.nan if x is None else x for row in signals for x in row])


def _check_against_plain(case, engine, plain_account):
    bars, signals, terms = case
    panel = _panel(bars)
    weights = [1.0 / len(bars)] * len(bars)
    equities, fills = plain_account(bars, signals, weights=weights, **terms)
    run = account_run(panel, Terms(**terms), _flat(signals), engine)
    assert run.equity.tolist() == pytest.approx(equities, rel=1e-7, abs=1e-5)
    got = [row for row in run.fills.tolist() if abs(row[2]) > 1e-9]
    fills = [row for row in fills if abs(row[2]) > 1e-9]
    assert [(int(r[0]), int(r[1]), REASONS[int(r[5])]) for r in got] == [
        (t, s, why) for t, s, _, _, why in fills
    ]
    for row, (_, _, size, paid, _) in zip(got, fills, strict=True):
        assert row[2] == pytest.approx(size, rel=1e-6, abs=1e-7)
        assert row[3] == pytest.approx(paid, rel=1e-12)


@given(case=cases())
def test_the_python_account_is_the_plain_one(case, plain_account):
    _check_against_plain(case, "python", plain_account)


@given(case=cases())
def test_the_compiled_account_has_the_same_bits(case, numba):
    bars, signals, terms = case
    panel, told = _panel(bars), _flat(signals)
    one = account_run(panel, Terms(**terms), told, "python")
    two = account_run(panel, Terms(**terms), told, "native")
    assert one.equity.tobytes() == two.equity.tobytes()
    assert one.fills.tobytes() == two.fills.tobytes()


@given(case=cases().filter(lambda case: len(case[0]) == 1))
def test_the_short_way_for_one_symbol_is_the_long_one(case):
    bars, signals, terms = case
    terms |= {"stop_loss": None, "take_profit": None}
    panel, told = _panel(bars), _flat(signals)
    short = account_run(panel, Terms(**terms), told, "python")
    # A stop that no price can reach makes the account take the general way.
    never = {**terms, "take_profit": 1e300}
    long = account_run(panel, Terms(**never), told, "python")
    assert short.equity.tobytes() == long.equity.tobytes()
    assert short.fills.tobytes() == long.fills.tobytes()


TWO = {"A": frame(FLAT * 3), "B": frame(FLAT * 3)}


@strategy("bar")
def fully(bar, target=1.0):
    return target


@pytest.mark.parametrize("engine", ["python", "native"])
@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("count", [1, 2, 10])
def test_symbols_together_spend_exactly_the_cash(engine, fill, count):
    if engine == "native":
        pytest.importorskip("numba")
    bars = {f"S{s}": frame(FLAT * 3) for s in range(count)}
    result = backtest(fully, bars, cash=1000.0, fee=0.01, slippage=0.002, fill=fill, engine=engine)
    fills = result.fills
    assert (fills["units"] * fills["price"] + fills["fee"]).sum() == pytest.approx(1000.0)
    assert result.equity["exposure"].iloc[-1] == pytest.approx(1.0, abs=1e-12)
    assert fills["units"].to_numpy() == pytest.approx(1000.0 / (100.2 * 1.01) / count)


def test_buying_and_selling_at_one_instant_are_sized_together():
    """With E' what the costs leave, 0.8 E' + 0.2 E' are held: worked out by hand."""
    target = {("A", 1): 0.0, ("B", 1): 0.8, ("A", 2): 0.8, ("B", 2): 0.2}

    @strategy("bar", per="session")
    class Told:
        def start(self):
            self.seen = dict.fromkeys("AB", 0)

        def __call__(self, bar):
            self.seen[bar.symbol] += 1
            return target.get((bar.symbol, self.seen[bar.symbol]))

    result = backtest(Told, TWO, cash=1000.0, fee=0.1, weights={"A": 1.0, "B": 1.0})
    # First B alone: 0.8 E1 = b, E1 = 1000 - 0.1 b; then E2 = E1 - 0.1 (0.8 E2 + b - 0.2 E2).
    bought = 800 / 1.08
    left = (1000 - 0.1 * bought - 0.1 * bought) / 1.06
    assert result.fills["units"].tolist() == pytest.approx(
        [bought / 100, 0.8 * left / 100, (0.2 * left - bought) / 100]
    )
    assert result.equity["equity"].iloc[-1] == pytest.approx(left)


@given(
    st.floats(1.0, 1e6),
    st.lists(
        st.tuples(
            st.one_of(st.just(float("nan")), st.floats(-1.0, 1.0)),
            st.floats(-2e6, 2e6),
            st.floats(0.0, 0.2),
            st.floats(0.0, 0.2),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_the_costs_of_an_instant_are_those_of_its_orders(equity, orders):
    targets, values, buying, selling = map(list, zip(*orders, strict=True))
    targets = [target / len(targets) for target in targets]
    costs = costs_together(equity, targets, values, buying, selling)
    rows = list(zip(targets, values, buying, selling, strict=True))

    def of(left):
        moved = ((t * left - v, b, s) for t, v, b, s in rows if t == t)
        return sum(b * d if d > 0 else -s * d for d, b, s in moved)

    if costs == equity:
        assert of(0.0) >= equity * (1.0 - 1e-9), "closing everything leaves nothing"
    else:
        assert costs == pytest.approx(of(equity - costs), rel=1e-9, abs=1e-9 * equity)


def test_an_account_that_lost_more_than_it_had_trades_no_more():
    """A stop closed the short far above: nothing is held, and nothing is left to trade with."""
    rows = [*FLAT, (100, 101, 99, 100), (400, 400, 400, 400), *FLAT * 3]
    for fill in ("next_open", "close"):
        result = run(rows, [-1, None, None, 1, 0, 1], stop_loss=0.5, fill=fill)
        assert result.fills["reason"].tolist() == ["signal", "stop_loss"]
        assert result.equity["equity"].iloc[-1] < 0.0


NEGATIVE = [(20, 21, 19, 20), (20, 20, 10, 12), (10, 11, -40, -37), (-14, 14, -17, 10)]


@pytest.mark.parametrize("engine", ["python", "native"])
def test_a_position_is_held_through_prices_below_zero(engine):
    if engine == "native":
        pytest.importorskip("numba")
    own = {"weights": {"asset": 0.1}, "allow_nonpositive": True, "cash": 1000.0}
    result = backtest(fully, frame(NEGATIVE), engine=engine, **own)
    units = 1000 * 0.1 / 20
    assert result.equity["equity"].tolist() == pytest.approx(
        [1000, 1000 + units * (12 - 20), 1000 + units * (-37 - 20), 1000 + units * (10 - 20)]
    )


def test_only_closing_fills_below_zero_and_costs_are_costs_there():
    rows = [(20, 20, 20, 20), (20, 20, 20, 20), (-30, -30, -30, -30), *[(-20, 5, -20, 5)] * 2]
    own = {"allow_nonpositive": True, "weights": {"asset": 0.1}, "slippage": 0.1, "fee": 0.01}
    closed = run(rows, [1, 0, None, None, None], **own)
    assert closed.fills["price"].tolist() == pytest.approx([22.0, -33.0])
    assert closed.fills["fee"].iloc[1] == pytest.approx(0.01 * 33 * closed.fills["units"].iloc[0])
    # Entering waits for the first open, or close, above zero.
    assert not len(run(rows, [None, 1, None, None, None], **own).fills)
    late = run(rows, [None, None, 1, None, None], fill="close", **own)
    assert late.fills["time"].tolist() == [late.panel.index[3]]


def test_bars_at_zero_and_below_are_left_out_and_told_unless_allowed():
    with pytest.warns(
        BacktestWarning, match=r"2 of 5 bars left out, since low is -40 at 2024-01-03"
    ):
        result = backtest(
            said(1, None, None), frame([*NEGATIVE, (10, 10, 10, 10)]), engine="python"
        )
    assert len(result.panel) == 3
    assert (result.equity["equity"] > 0.0).all()
    with pytest.raises(
        SettingsError, match=r"low is -5 at .*, as in all 2 bars; .* must be positive"
    ):
        run([(1, 1, -5, 1)] * 2, [1, None])


nonpositive = st.floats(-50.0, 60.0)


@given(case=cases(), moves=st.lists(nonpositive, min_size=25, max_size=25))
def test_accounts_agree_below_zero_too(case, moves, plain_account, numba):
    bars, signals, terms = case
    shift = [-abs(move) for move in moves]
    bars = [
        [row and tuple(x + shift[i] * 3 for x in row) for i, row in enumerate(rows)]
        for rows in bars
    ]
    index = frame(FLAT * len(bars[0])).index
    frames = {}
    for s, rows in enumerate(bars):
        kept = [i for i, row in enumerate(rows) if row]
        frames[f"S{s}"] = frame([rows[i] for i in kept]).set_axis(index[kept])
    panel = make_panel(frames, allow_nonpositive=True)
    weights = [1.0 / len(bars)] * len(bars)
    equities, _ = plain_account(bars, signals, weights=weights, **terms)
    found = account_run(panel, Terms(**terms), _flat(signals), "python")
    assert found.equity.tolist() == pytest.approx(equities, rel=1e-6, abs=1e-3)
    compiled = account_run(panel, Terms(**terms), _flat(signals), "native")
    assert compiled.equity.tobytes() == found.equity.tobytes()
    assert compiled.fills.tobytes() == found.fills.tobytes()
