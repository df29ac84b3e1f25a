"""Random bars, answers and terms: against a second account, against the rules, and both engines."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdkit.backtesting.account.answers import OCO, Limit, Quote, Stop
from mdkit.backtesting.account.contracts import Fees
from mdkit.backtesting.account.fills import REASONS
from mdkit.backtesting.account.leverage import Financing, Margin
from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.bars.columns import bar_answers
from mdkit.backtesting.bars.engines import run_bars
from mdkit.backtesting.bars.sizes import Sized
from mdkit.backtesting.data.panel import make_panel

pytestmark = [pytest.mark.outer, pytest.mark.xdist_group("bars account")]

STEPS = (-4, -2, -1, 0, 0, 1, 2, 4)
LEVELS = tuple(range(80, 125, 2))


@st.composite
def cases(draw):
    """Bars, answers and terms, of whole prices, so that limits are touched often."""
    count = draw(st.integers(1, 2))
    length = draw(st.integers(3, 14))
    step = st.sampled_from(STEPS)
    bars, said = [], []
    for _ in range(count):
        price, own = 100, []
        for _ in range(length):
            open_ = max(40, price + draw(step))
            price = max(40, open_ + draw(step) + draw(step))
            high = max(open_, price) + abs(draw(step))
            low = max(20, min(open_, price) - abs(draw(step)))
            gone = count > 1 and draw(st.integers(0, 7)) == 0
            own.append(None if gone else tuple(map(float, (open_, high, low, price))))
        if not any(own):
            own[0] = (100.0, 100.0, 100.0, 100.0)
        bars.append(own)
        said.append([None if bar is None else draw(answers()) for bar in own])
    for t in range(length):
        if all(own[t] is None for own in bars):
            bars[0][t] = (100.0, 101.0, 99.0, 100.0)
    # Of no whole price a whole price, where a rounding error would tell touched from not.
    fraction = st.sampled_from([None, 0.0203, 0.0507])
    terms = {
        "fill": draw(st.sampled_from(["next_open", "close"])),
        "through": draw(st.booleans()),
        "stop_loss": draw(fraction),
        "take_profit": draw(fraction),
        "trailing_stop": draw(fraction),
        "maker": draw(st.sampled_from([0.0, -0.0001, 0.001])),
        "taker": draw(st.sampled_from([0.0, 0.002])),
        "slippage": draw(st.sampled_from([0.0, 0.001])),
        "margin": draw(st.sampled_from([None, None, (0.5, 0.4), (0.25, 0.2), (1.0, 0.5)])),
        "weights": draw(st.sampled_from([1.0, 0.5, 2.5])),
    }
    if draw(st.booleans()):
        rates = st.sampled_from([0.0, 0.5])
        terms |= {"borrow": draw(rates), "loan": draw(rates)}
        every = st.sampled_from([0.0, 0.001, -0.002])
        terms["funding"] = [draw(every) for _ in range(length + 1)]
    return bars, said, terms


def answers():
    level = st.sampled_from(LEVELS).map(float)
    size = st.sampled_from([4.0, -4.0, 8.0, -12.0])
    exposure = st.sampled_from([0.0, 1.0, -1.0, 0.5])
    life = st.sampled_from(["GTC", "IOC", "GTX"])
    limit = st.builds(Limit, level, size, life) | st.builds(
        lambda price, exposure: Limit(price, exposure=exposure), level, exposure
    )
    stop = st.builds(Stop, level, size) | st.builds(
        lambda price, exposure: Stop(price, exposure=exposure), level, exposure
    )
    quote = st.builds(
        lambda bid, wide, size, most: Quote(bid, bid + wide, size, most),
        level, st.sampled_from([1.0, 4.0]), st.just(3.0), st.sampled_from([None, 6.0]),
    )  # fmt: skip
    return (
        st.none()
        | exposure
        | limit
        | stop
        | st.builds(OCO, limit | stop, limit | stop)
        | quote
        | st.just(Quote())
    )


def engine_run(bars, said, terms, engine):
    index = pd.date_range("2024-01-01", periods=len(bars[0]), freq="1D", tz="UTC")
    frames = {}
    for s, own in enumerate(bars):
        kept = [t for t, bar in enumerate(own) if bar is not None]
        frame = pd.DataFrame([own[t] for t in kept], index[kept], ["open", "high", "low", "close"])
        frames[f"s{s}"] = frame.assign(volume=1.0)
    panel = make_panel(frames)
    signals, orders = np.full((len(bars), len(index)), np.nan), []
    for s, own in enumerate(said):
        kept = [t for t, bar in enumerate(bars[s]) if bar is not None]
        orders.append([])
        for place, t in enumerate(kept):
            if isinstance(own[t], float):
                signals[s, t] = own[t]
            elif own[t] is not None:
                orders[s].append((place, own[t]))
    financing = None
    if "funding" in terms:
        ends = [*index, index[-1] + pd.Timedelta(days=1)]
        financing = Financing(terms["borrow"], terms["loan"], pd.Series(terms["funding"], ends))
    agreed = Terms(
        fee=Fees(terms["maker"], terms["taker"]), slippage=terms["slippage"], fill=terms["fill"],
        cash=1000.0, stop_loss=terms["stop_loss"], take_profit=terms["take_profit"],
        trailing_stop=terms["trailing_stop"], fills="through" if terms["through"] else "touch",
        margin=terms["margin"] and Margin(*terms["margin"]), financing=financing,
        weights=dict.fromkeys(frames, terms["weights"]),
    )  # fmt: skip
    return panel, run_bars(
        panel, agreed, Sized(signals.ravel()), bar_answers(orders, panel), engine
    )


def plain_run(naive, bars, said, terms):
    given = dict(terms, weights=[terms["weights"]] * len(bars))
    given["when"] = given.pop("fill")
    if "funding" in terms:
        given["years"] = [0.0] + [1 / 365] * len(bars[0])
    return naive(bars, said, **given).run()


@given(cases())
def test_fills_and_equity_are_those_of_the_plain_account(naive, case):
    bars, said, terms = case
    _, (equity, fills, _) = engine_run(bars, said, terms, "python")
    plain = plain_run(naive, bars, said, terms)
    found = [
        (int(t), int(s), units, paid, REASONS[int(why)]) for t, s, units, paid, _, why in fills
    ]
    expected = [fill for fill in plain.fills if abs(fill[2]) > 1e-9]
    found = [fill for fill in found if abs(fill[2]) > 1e-9]
    assert [(t, s, why) for t, s, _, _, why in found] == [
        (t, s, why) for t, s, _, _, why in expected
    ]
    for one, other in zip(found, expected, strict=True):
        assert one[2:4] == pytest.approx(other[2:4], rel=1e-7, abs=1e-7)
    assert equity.tolist() == pytest.approx(plain.equities, rel=1e-7, abs=1e-6)


@given(cases())
def test_nothing_fills_before_it_is_due_or_at_a_price_that_was_not_traded(case):
    bars, said, terms = case
    terms = terms | {"slippage": 0.0}
    panel, (equity, fills, ran) = engine_run(bars, said, terms, "python")
    cash, units, at = 1000.0, [0.0] * len(bars), 0
    marks = [0.0] * len(bars)
    for t in range(len(panel)):
        cash -= ran.charged[2 * t] + ran.charged[2 * t + 1]
        while at < len(fills) and fills[at, 0] == t:
            _, s, size, paid, fee, why = fills[at]
            bar = bars[int(s)][t]
            # Only what is gone is closed without a bar, at the last price.
            assert REASONS[int(why)] == "ruin" if bar is None else bar[2] <= paid <= bar[1]
            cash -= size * paid + fee
            units[int(s)] += size
            at += 1
        for s, own in enumerate(bars):
            marks[s] = marks[s] if own[t] is None else own[t][3]
        worth = cash + sum(held * mark for held, mark in zip(units, marks, strict=True))
        assert worth == pytest.approx(equity[t], rel=1e-12, abs=1e-9), "nothing comes or goes"
    assert at == len(fills)
    asked = ran.answers
    for number in np.flatnonzero(ran.filled):
        assert asked.due[number] > asked.sent[number] >= 0
        assert abs(ran.filled[number]) <= abs(ran.wanted[number]) + 1e-12
    orders = ran.orders_frame(panel.symbols, panel.index)
    assert set(orders["state"]) <= {
        "never due", "standing", "filled", "cancelled", "given up", "cut to the margin",
    }  # fmt: skip
    assert (orders.loc[orders["state"] == "never due", "due"].isna()).all()


@given(cases())
def test_a_limit_fills_at_its_price_or_better(case):
    bars, said, terms = case
    single = [[answer if isinstance(answer, Limit) else None for answer in own] for own in said]
    terms = terms | {"stop_loss": None, "take_profit": None, "trailing_stop": None, "margin": None}
    _, (_, fills, ran) = engine_run(bars, single, terms, "python")
    asked = ran.answers
    rows = [fill for fill in fills if REASONS[int(fill[5])] == "signal"]
    orders = list(np.flatnonzero(ran.filled != 0.0))
    assert len(rows) == len(orders)
    for _, s, size, paid, _, _ in rows:
        of = [n for n in orders if asked.symbol[n] == s and ran.filled[n] == size]
        assert any(paid <= asked.price[n] if size > 0 else paid >= asked.price[n] for n in of)


@settings(max_examples=40)
@given(cases())
def test_the_compiled_account_has_the_same_bits(numba, case):
    _, (equity, fills, ran) = engine_run(*case, "python")
    _, (other, others, again) = engine_run(*case, "native")
    assert equity.tobytes() == other.tobytes()
    assert fills.tobytes() == others.tobytes()
    for name in ("wanted", "filled", "states", "charged"):
        assert getattr(ran, name).tobytes() == getattr(again, name).tobytes()
