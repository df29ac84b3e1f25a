"""The strategies on bars, on prices one can follow by hand."""

import pytest

from mdkit.events import Bar
from mdkit.strategies import (
    BollingerReversion,
    Breakout,
    BuyAndHold,
    RsiReversion,
    SmaCross,
    as_strategy,
)


def run(strategy, closes, highs=None, lows=None):
    call = as_strategy(strategy).instance()
    rows = zip(closes, highs or closes, lows or closes, strict=True)
    return [call(Bar("A", c, h, low, c, 1.0, i)) for i, (c, h, low) in enumerate(rows)]


def test_sma_cross_follows_the_faster_average():
    closes = [1.0, 1.0, 1.0, 2.0, 3.0, 2.0, 1.0, 0.5]
    assert run(SmaCross(fast=1, slow=3), closes) == [None, None, None, 1, 1, 0, 0, 0]
    assert run(SmaCross(fast=1, slow=3, short=True), closes)[-1] == -1.0


def test_rsi_reversion_buys_weakness_and_leaves_in_the_middle():
    closes = [10.0, 9.0, 8.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]
    said = run(RsiReversion(period=2), closes)
    assert said == [None, None, 1.0, None, None, 0.0, None, None, None]
    short = run(RsiReversion(period=2, short=True), closes)
    assert short[5] == -1.0, "above 70 it turns at once"


def test_bollinger_reversion_buys_below_the_band_and_leaves_at_the_middle():
    closes = [10.0, 10.1, 10.0, 10.1, 10.0, 9.0, 9.2, 10.1]
    said = run(BollingerReversion(period=5, width=1.5), closes)
    assert said == [None, None, None, None, None, 1.0, None, 0.0]
    mirrored = [20.0 - x for x in closes]
    said = run(BollingerReversion(period=5, width=1.5, short=True), mirrored)
    assert said == [None, None, None, None, None, -1.0, None, 0.0]


def test_breakout_compares_with_the_bars_before_alone():
    closes = [10.0, 10.0, 10.0, 11.0, 12.0, 11.5, 9.0, 9.0]
    highs = [x + 0.5 for x in closes]
    lows = [x - 0.5 for x in closes]
    said = run(Breakout(entry=3, exit=2), closes, highs, lows)
    assert said == [None, None, None, 1.0, None, None, 0.0, None]
    said = run(Breakout(entry=3, exit=2, short=True), closes, highs, lows)
    assert said == [None, None, None, 1.0, None, None, -1.0, None]


@pytest.mark.parametrize("exposure", [1.0, -0.5])
def test_buy_and_hold_speaks_once(exposure):
    assert run(BuyAndHold(exposure=exposure), [1.0, 2.0, 3.0]) == [exposure, None, None]
