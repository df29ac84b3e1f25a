"""Indicators against plain definitions over the whole window, on any numbers."""

import itertools
import math
import statistics

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit.backtesting.compiled.layout import state_of
from mdkit.errors import SettingsError
from mdkit.strategies.indicators import (
    ATR,
    EMA,
    INDICATORS,
    RSI,
    SMA,
    VWAP,
    WMA,
    Bollinger,
    Crossover,
    Lag,
    RollingMax,
    RollingMin,
    StandardDeviation,
    ZScore,
)

prices = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=40)
periods = st.integers(1, 9)


def values(indicator, xs):
    return [indicator.update(x) for x in xs]


def windows(xs, period):
    return [xs[i - period + 1 : i + 1] if i + 1 >= period else None for i in range(len(xs))]


def check(found, expected, scale=1.0):
    assert len(found) == len(expected)
    for got, want in zip(found, expected, strict=True):
        if want is None:
            assert math.isnan(got)
        else:
            assert got == pytest.approx(want, rel=1e-9, abs=1e-9 * scale)


PLAIN = {
    "SMA": (SMA, statistics.fmean),
    "WMA": (WMA, lambda w: sum(i * x for i, x in enumerate(w, 1)) / sum(range(1, len(w) + 1))),
    "RollingMin": (RollingMin, min),
    "RollingMax": (RollingMax, max),
}


@pytest.mark.parametrize("name", PLAIN)
@given(xs=prices, period=periods)
def test_windows_follow_their_definition(name, xs, period):
    make, plain = PLAIN[name]
    indicator = make(period)
    found = values(indicator, xs)
    check(found, [None if w is None else plain(w) for w in windows(xs, period)], max(xs))
    assert indicator.ready == (len(xs) >= period)


@given(xs=prices, period=st.integers(2, 9), ddof=st.integers(0, 1))
def test_deviation_and_score_follow_their_definition(xs, period, ddof):
    deviation, score = StandardDeviation(period, ddof), ZScore(period, ddof)
    for x, window in zip(xs, windows(xs, period), strict=True):
        width, where = deviation.update(x), score.update(x)
        if window is None:
            assert math.isnan(width)
            assert math.isnan(where)
            continue
        assert width == pytest.approx(np.std(window, ddof=ddof), rel=1e-6, abs=1e-9 * max(xs))
        assert deviation.mean == pytest.approx(statistics.fmean(window), rel=1e-9)
        if width > 1e-6 * max(xs):
            assert where == pytest.approx(
                (x - statistics.fmean(window)) / width, rel=1e-4, abs=1e-6
            )


@given(xs=prices, period=st.integers(1, 9), width=st.floats(0.5, 3.0))
def test_bollinger_bands(xs, period, width):
    bands = Bollinger(period, width)
    for x, window in zip(xs, windows(xs, period), strict=True):
        place = bands.update(x)
        if window is None:
            assert math.isnan(place)
            continue
        mean, reach = statistics.fmean(window), width * np.std(window)
        assert bands.upper == pytest.approx(mean + reach, rel=1e-8, abs=1e-8 * max(xs))
        assert bands.lower == pytest.approx(mean - reach, rel=1e-8, abs=1e-8 * max(xs))
        if reach > 1e-6 * max(xs):
            assert place == pytest.approx((x - mean + reach) / (2 * reach), rel=1e-4, abs=1e-6)


@given(xs=prices, period=periods)
def test_ema_is_that_of_pandas(xs, period):
    expected = pd.Series(xs).ewm(span=period, adjust=False).mean()
    indicator = EMA(period)
    assert values(indicator, xs) == pytest.approx(expected.tolist(), rel=1e-9)
    assert indicator.ready == (len(xs) >= period)


def wilder(xs, period):
    """Mean of the first `period`, then average += (x - average) / period; None before."""
    out, average = [], None
    for i, x in enumerate(xs):
        if i + 1 == period:
            average = sum(xs[:period]) / period
        elif i + 1 > period:
            average += (x - average) / period
        out.append(average)
    return out


@given(xs=prices, period=periods)
def test_rsi_by_its_textbook_formula(xs, period):
    changes = [b - a for a, b in itertools.pairwise(xs)]
    gains = wilder([max(c, 0.0) for c in changes], period)
    losses = wilder([max(-c, 0.0) for c in changes], period)
    expected = [None]
    for gain, loss in zip(gains, losses, strict=True):
        if gain is None:
            expected.append(None)
        elif loss == 0.0:
            expected.append(100.0 if gain > 0.0 else 50.0)
        else:
            expected.append(100.0 - 100.0 / (1.0 + gain / loss))
    check(values(RSI(period), xs), expected, 100.0)


@given(
    bars=st.lists(st.tuples(*[st.floats(1.0, 1e4)] * 3), min_size=1, max_size=30), period=periods
)
def test_atr_by_its_textbook_formula(bars, period):
    bars = [tuple(sorted(bar)) for bar in bars]  # low, close, high
    ranges, before = [], None
    for low, close, high in bars:
        spans = [high - low] + ([abs(high - before), abs(low - before)] if before else [])
        ranges.append(max(spans))
        before = close
    indicator = ATR(period)
    found = [indicator.update(high, low, close) for low, close, high in bars]
    check(found, wilder(ranges, period), 1e4)


@given(
    rows=st.lists(st.tuples(st.floats(1.0, 1e4), st.sampled_from([0.0, 1.5, 80.0])), min_size=1),
    period=periods,
)
def test_vwap_by_its_definition(rows, period):
    indicator, expected, last = VWAP(period), [], None
    for window in windows(rows, period):
        if window is not None and sum(v for _, v in window) > 0.0:
            last = sum(p * v for p, v in window) / sum(v for _, v in window)
        expected.append(last)
    check([indicator.update(*row) for row in rows], expected, 1e4)


@given(xs=prices, period=periods)
def test_lag_gives_back_what_came(xs, period):
    expected = [None] * min(period, len(xs)) + xs[: max(0, len(xs) - period)]
    indicator = Lag(period)
    check(values(indicator, xs), expected)
    assert indicator.ready == (len(xs) > period)


def test_crossover_counts_completed_crossings_only():
    crossing = Crossover()
    pairs = [(1, 1), (2, 1), (3, 1), (1, 1), (2, 1), (1, 1), (0, 1), (0, 1), (2, 1)]
    assert [crossing.update(float(a), float(b)) for a, b in pairs] == [0, 0, 0, 0, 0, 0, -1, 0, 1]
    assert crossing.ready


@pytest.mark.parametrize("make", [SMA, WMA, lambda n: StandardDeviation(n), VWAP])
def test_one_huge_value_leaves_no_trace_once_it_has_left(make):
    clean, struck = make(20), make(20)
    random = np.random.default_rng(5)
    noise = random.normal(100.0, 1.0, 500).tolist()

    def update(indicator, x):
        return indicator.update(x, 3.0) if isinstance(indicator, VWAP) else indicator.update(x)

    for i, x in enumerate(noise):
        a, b = update(clean, x), update(struck, 1e18 if i == 7 else x)
        if i > 80:
            assert a == b, "the very same bits"


def test_a_long_run_does_not_drift():
    average, deviation = SMA(50), StandardDeviation(50)
    xs = (1e9 + np.random.default_rng(2).normal(0.0, 1.0, 200_000)).tolist()
    for x in xs:
        average.update(x)
        deviation.update(x)
    assert average.value == pytest.approx(math.fsum(xs[-50:]) / 50, rel=1e-15)
    # A running sum of squares would have lost every digit: 1e18 holds 1.0 to some hundreds.
    assert deviation.value == pytest.approx(statistics.stdev(xs[-50:]), rel=1e-6)


@pytest.mark.parametrize("name", INDICATORS)
def test_the_contract_of_every_indicator(name):
    make = INDICATORS[name]
    indicator = make() if name == "Crossover" else make(3)
    arguments = {"ATR": (3.0, 1.0, 2.0), "VWAP": (2.0, 1.0), "Crossover": (2.0, 1.0)}
    assert not indicator.ready
    for _ in range(10):
        result = indicator.update(*arguments.get(name, (2.0,)))
        assert type(result) is float
        assert result == indicator.value or math.isnan(result)
    assert indicator.ready is True
    assert all(isinstance(part, (int, float)) for part in state_of(indicator).values())
    assert make.__doc__
    if name != "Crossover":
        for wrong in (0, -1, 2.5, None, True):
            with pytest.raises(
                SettingsError, match=r"period is .*; give a whole number of at least"
            ):
                make(wrong)
        assert make(np.int64(3)).period == 3


def test_bollinger_refuses_a_width_that_is_none():
    with pytest.raises(SettingsError, match=r"width is 0\.0"):
        Bollinger(20, 0.0)
