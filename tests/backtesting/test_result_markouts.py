"""`result.markouts()`: what came after a backtest's fills, against plain loops over the books."""

import inspect
import pickle

import msgspec
import numpy as np
import pytest

import mdkit as md
from mdkit.errors import SettingsError

HORIZONS = {"100ms": 100_000_000, "1s": 1_000_000_000}


@md.strategy("depth")
def maker(book):
    return md.Quote(book.bids[0][0], book.asks[0][0], size=10.0, max_position=50.0)


@pytest.fixture(scope="module", params=["takes", "rests"])
def result(request):
    if request.param == "takes":
        return md.backtest(md.strategies.pressure, md.sample(), latency_ms=3.0)
    return md.backtest(maker, md.sample(), fills="queue", cash=100_000.0)


def naive(result, symbol, span):
    """By fill: the signed move in bp over the span, and twice the distance of its price."""
    books = [
        (event.received_ns, (event.bids[0][0] + event.asks[0][0]) / 2)
        for event in md.read_recording(md.sample())
        if event.kind == "depth" and event.symbol == symbol
    ]
    moved, effective = [], []
    for fill in result.fills[result.fills["symbol"] == symbol].itertuples():
        at, sign = fill.time.value, np.sign(fill.units)
        before = [mid for time, mid in books if time < at or (time == at and not fill.maker)]
        if not before or at + span > books[-1][0]:
            continue
        after = [mid for time, mid in books if time <= at + span]
        moved.append(sign * (after[-1] / before[-1] - 1) * 1e4)
        effective.append(2 * sign * (fill.price / before[-1] - 1) * 1e4)
    return moved, effective


@pytest.mark.parametrize("symbol", ["AAPL.US", "MSFT.US"])
def test_moves_and_costs_are_those_of_a_plain_loop(result, symbol):
    found = result.markouts(horizons=tuple(HORIZONS), symbol=symbol)
    assert found.name == "fills"
    for name, span in HORIZONS.items():
        moved, effective = naive(result, symbol, span)
        assert len(moved) > 5
        assert found.table.loc[name, "events"] == len(moved)
        assert found.table.loc[name, "move_bp"] == pytest.approx(np.mean(moved))
        assert found.costs.loc[name, "effective"] == pytest.approx(np.mean(effective))


def test_it_is_md_markouts_over_what_was_backtested(result):
    mine = result.markouts(symbol="AAPL.US", resamples=50, seed=4)
    other = md.markouts(result, md.sample(), symbol="AAPL.US", resamples=50, seed=4)
    assert mine.table.equals(other.table)
    defaults = [
        {name: each.default for name, each in inspect.signature(function).parameters.items()}
        for function in (type(result).markouts, md.markouts)
    ]
    shared = set(defaults[0]) & set(defaults[1]) - {"data"}
    assert shared == {"horizons", "symbol", "resamples", "seed"}
    assert all(defaults[0][name] == defaults[1][name] for name in shared)


def test_a_symbol_need_not_be_said_where_only_one_was_traded():
    mine = {"AAPL.US": 1.0, "MSFT.US": 0.0}
    result = md.backtest(md.strategies.pressure, md.sample(), weights=mine)
    assert set(result.fills["symbol"]) == {"AAPL.US"}
    assert result.markouts(horizons="1s").symbol == "AAPL.US"
    assert md.markouts(result, md.sample(), "1s").symbol == "AAPL.US"


def test_of_a_session_it_looks_at_what_the_session_holds():
    session = md.live(["A"], source=md.Simulated(speed=None, count=800, seed=2), name="held")
    session.run_blocking()
    result = md.backtest(md.strategies.pressure, session)
    table = session.frame("depth", "A")
    assert result.markouts(horizons="100ms").table.equals(md.markouts(result, table, "100ms").table)


def test_of_a_list_of_events_it_looks_at_the_list():
    events = list(md.read_recording(md.sample()))
    result = md.backtest(md.strategies.pressure, events, latency_ms=3.0)
    theirs = md.markouts(result, md.sample(), symbol="AAPL.US")
    assert result.markouts(symbol="AAPL.US").table.equals(theirs.table)
    # Without times of receipt those of the exchange count, for fills and books alike.
    unread = [msgspec.structs.replace(event, received_ns=0) for event in events]
    unread.sort(key=lambda event: event.exchange_ns)
    result = md.backtest(md.strategies.pressure, unread)
    again = [msgspec.structs.replace(event, received_ns=event.exchange_ns) for event in unread]
    mine, other = (md.markouts(result, one, symbol="AAPL.US") for one in (unread, again))
    assert mine.table.equals(other.table)
    assert mine.table["events"].iloc[0] > 5
    assert result.markouts(symbol="AAPL.US").table.equals(mine.table)


def test_where_there_are_no_books_it_says_what_to_give(seeded_bars, tmp_path):
    on_bars = md.backtest(md.strategies.BuyAndHold, seeded_bars(50), engine="python")
    with pytest.raises(SettingsError, match="on bars there are no books: give data"):
        on_bars.markouts()
    once = md.backtest(md.strategies.pressure, iter(md.read_recording(md.sample())))
    with pytest.raises(SettingsError, match="generator is no data: give a recording"):
        once.markouts(symbol="AAPL.US")
    result = md.backtest(md.strategies.pressure, md.sample())
    kept = [pickle.loads(pickle.dumps(result)), md.read_result(result.save(tmp_path / "one.npz"))]
    for one in kept:
        with pytest.raises(SettingsError, match="it holds no books: give data"):
            one.markouts(symbol="AAPL.US")
        given = one.markouts(md.sample(), symbol="AAPL.US")
        assert given.table.equals(result.markouts(symbol="AAPL.US").table)
