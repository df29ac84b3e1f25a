"""Moves ahead, against looking at every row by itself."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from markets import leading

import mdkit as md


def plain(frame, span_ns):
    """The move after each row, found by walking on from it."""
    times, mids = frame.index.as_unit("ns").asi8, frame["mid"].to_numpy()
    gap = frame["gap"].to_numpy()
    found = []
    for i in range(len(frame)):
        last = i
        while last + 1 < len(frame) and not gap[last + 1] and times[last + 1] <= times[i] + span_ns:
            last += 1
        # Something must come at or after the end, without a gap, or nobody knows the price then.
        ends = times[last] == times[i] + span_ns or (last + 1 < len(frame) and not gap[last + 1])
        found.append((mids[last] / mids[i] - 1) * 1e4 if ends else np.nan)
    return found


@pytest.mark.parametrize("gaps", [(), (100, 101, 350)], ids=["whole", "gaps"])
def test_moves_are_those_of_a_walk_and_cross_no_gap(gaps):
    frame = leading(600, gaps=gaps)
    moved = md.forward(frame, ("200ms", "1s", "5s"))
    assert list(moved) == ["200ms", "1s", "5s"]
    assert moved.index.equals(frame.index)
    for label, span in (("200ms", 200_000_000), ("1s", 10**9), ("5s", 5 * 10**9)):
        np.testing.assert_array_equal(moved[label].to_numpy(), plain(frame, span))
        assert moved[label].notna().any()
        assert np.isnan(moved[label].iloc[-1])


def test_a_clock_that_was_set_back_is_a_gap():
    frame = leading(200)
    back = frame.copy()
    back.index = back.index[:100].append(back.index[100:] - pd.Timedelta("1h"))
    moved = md.forward(back, "1s")["1s"]
    parts = [md.forward(part, "1s")["1s"] for part in (back.iloc[:100], back.iloc[100:])]
    np.testing.assert_array_equal(moved.to_numpy(), pd.concat(parts).to_numpy())


def test_other_prices():
    frame = leading(200)
    bid = md.forward(frame, "1s", price="bid")["1s"]
    np.testing.assert_array_equal(bid, md.forward(frame, "1s", price=frame["bid"])["1s"])
    micro = md.forward(frame, "1s", price="microprice")["1s"]
    np.testing.assert_array_equal(micro, md.forward(frame, "1s", price=md.microprice(frame))["1s"])


def test_a_move_is_no_share_of_a_price_of_zero_or_below():
    frame = leading(50).assign(calendar=np.where(np.arange(50) < 25, -2.0, 4.0))
    moved = md.forward(frame, "100ms", price="calendar")["100ms"].to_numpy()
    assert np.isnan(moved[:25]).all()
    assert np.nanmax(np.abs(moved[25:])) == 0.0


def test_horizons_that_differ_little_are_two():
    spans = (timedelta(seconds=1), timedelta(seconds=1, microseconds=1))
    assert list(md.forward(leading(50), spans)) == ["1s", "1.000001s"]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda f: md.forward(f, 1), "horizon is 1"),
        (lambda f: md.forward(f, "-1s"), "above zero"),
        (lambda f: md.forward(f, ()), "horizons is empty"),
        (lambda f: md.forward(f, "1s", price="middle"), "is not to be had"),
        (lambda f: md.forward(f, "1s", price=f["bid"].iloc[:3]), "3 rows"),
        (lambda f: md.forward(f, "1s", price=f["bid"][::-1]), "other times"),
        (lambda f: md.forward(f.assign(symbol=["A", "B"] * 10), "1s"), "several symbols"),
        (lambda f: md.forward(f.reset_index(drop=True), "1s"), "by time"),
        (lambda f: md.forward(None, "1s"), "a table is needed"),
    ],
)
def test_what_cannot_be_is_refused_in_words(call, told):
    with pytest.raises(md.MdkitError, match=told):
        call(leading(20))
