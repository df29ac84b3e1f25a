"""Depth recordings: decided on one book, filled at a later one's touch."""

import pytest

from mdkit.backtesting.engine import backtest
from mdkit.errors import SettingsError, StrategyError
from mdkit.events import Depth, Trade
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
    assert result.engine_reason == "depth runs in Python"


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
    with pytest.raises(SettingsError, match="stop_loss and take_profit are for bars"):
        backtest(heavy, TAPE, stop_loss=0.1)
    with pytest.raises(SettingsError, match="depth runs in Python only"):
        backtest(heavy, TAPE, engine="native")

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

    from mdkit.wire.tickdb import decode

    with gzip.open(market / "depth.jsonl.gz", "rb") as file:
        lines = [line.rstrip(b"\n").split(b"\t", 1) for line in islice(file, 4000)]
    events = [event for at, raw in lines for event in decode(raw, int(at))]
    slow, fast = (backtest(pressure, events, latency_ms=ms) for ms in (50, 0))
    assert len(slow.trades) > 10
    assert slow.run.signals.tobytes() == fast.run.signals.tobytes()
    assert slow.run.equity.tobytes() != fast.run.equity.tobytes()
    by_books = {(e.symbol, e.bids[0][0], e.asks[0][0]) for e in events}
    for fill in fast.fills.to_dict("records")[:50]:
        side = 1 if fill["units"] < 0 else 2
        assert any(b[0] == fill["symbol"] and b[side] == fill["price"] for b in by_books)
