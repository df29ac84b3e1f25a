"""Trades against a second, plain grouping of the same fills."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit.backtesting.account.fills import REASONS
from mdkit.backtesting.account.trades import COLUMNS, group, trades_frame

INDEX = pd.date_range("2024-01-01", periods=40, freq="1h", tz="UTC")


def plainly(fills, symbols, last_prices):
    """One unit at a time would be plainer still; here one fill at a time, into dicts."""
    done, open_ = [], {}
    for bar, s, units, price, fee, reason in fills:
        while units:
            trade = open_.get(s)
            if trade is None:
                trade = open_[s] = {"symbol": s, "long": units > 0, "began": bar, "held": 0.0}
                trade |= {"in": 0.0, "paid": 0.0, "out": 0.0, "got": 0.0, "fees": 0.0}
            if (units > 0) == trade["long"]:
                part, side, money = units, "in", "paid"
            else:
                part = max(units, -trade["held"]) if units < 0 else min(units, -trade["held"])
                side, money = "out", "got"
            trade[side] += abs(part)
            trade[money] += abs(part) * price
            trade["fees"] += fee * abs(part / units)
            fee -= fee * abs(part / units)
            trade["held"] += part
            units -= part
            if trade["held"] == 0:
                done.append({**trade, "ended": bar, "reason": REASONS[int(reason)]})
                del open_[s]
    for s in sorted(open_):
        trade = open_[s]
        trade["out"] += abs(trade["held"])
        trade["got"] += abs(trade["held"]) * last_prices[s]
        done.append({**trade, "ended": len(INDEX) - 1, "reason": "open"})
    return done


@st.composite
def fill_rows(draw):
    """Whole units, so that positions return to zero exactly, as the account makes them."""
    count = draw(st.integers(0, 30))
    bars = sorted(draw(st.lists(st.integers(0, 39), min_size=count, max_size=count)))
    unit = st.sampled_from([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])
    return [
        (
            bar,
            draw(st.integers(0, 2)),
            draw(unit),
            draw(st.floats(1.0, 100.0)),
            draw(st.floats(0.0, 5.0)),
            draw(st.integers(0, 3)),
        )
        for bar in bars
    ]


@pytest.mark.outer
@given(fill_rows())
def test_trades_are_those_of_the_definition(rows):
    fills = np.array(rows, float).reshape(-1, 6)
    last = [50.0, 60.0, 70.0]
    expected = plainly(rows, "ABC", last)
    times = INDEX[fills[:, 0].astype(np.int64)]
    frame = trades_frame(group(fills, last), fills, ("A", "B", "C"), times, len(INDEX) - 1)
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == len(expected)
    for row, trade in zip(frame.to_dict("records"), expected, strict=True):
        side = 1 if trade["long"] else -1
        pnl = side * (trade["got"] - trade["paid"]) - trade["fees"]
        assert row["symbol"] == "ABC"[trade["symbol"]]
        assert row["side"] == ("long" if trade["long"] else "short")
        assert row["units"] == trade["in"]
        assert row["entry_time"] == INDEX[trade["began"]]
        assert row["bars"] == trade["ended"] - trade["began"]
        assert row["exit_reason"] == trade["reason"]
        if trade["reason"] == "open":
            assert pd.isna(row["exit_time"])
        else:
            assert row["exit_time"] == INDEX[trade["ended"]]
        assert row["entry_price"] == pytest.approx(trade["paid"] / trade["in"])
        assert row["exit_price"] == pytest.approx(trade["got"] / trade["out"])
        assert row["pnl"] == pytest.approx(pnl, abs=1e-9)
        assert row["return"] == pytest.approx(pnl / trade["paid"], abs=1e-9)
        assert row["fees"] == pytest.approx(trade["fees"], abs=1e-9)


def test_no_fills_are_no_trades():
    frame = trades_frame(group(np.empty((0, 6)), [1.0]), np.empty((0, 6)), ("A",), INDEX[:0], 39)
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == 0
    assert str(frame["exit_time"].dtype).startswith("datetime64")
    assert frame["pnl"].dtype == float
