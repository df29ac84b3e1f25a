"""Footprint, CVD, profile and heat map agree with plain loops, bit by bit."""

import gzip
import json
import math
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdkit as md
from mdkit.errors import SettingsError
from mdkit.events import Depth, Trade
from mdkit.frames import DepthFrame, Frames, TradeFrame
from mdkit.orderflow.columns import Trades, trades_of
from mdkit.orderflow.cvd import running_delta
from mdkit.orderflow.footprint import FootprintBuilder, price_cells

T0 = 1_700_000_000_000_000_000
S = 1_000_000_000

trade_rows = st.lists(
    st.tuples(
        st.integers(0, 3 * S),  # since the one before
        st.integers(9_990, 10_010),  # price in hundredths
        st.floats(0, 1e6),
        st.sampled_from(["buy", "sell", "neutral"]),
        st.booleans(),
    ),
    max_size=60,
)


def table(rows):
    """Trades as a live frame gives them; a row is (ns since the last, cents, size, side, gap)."""
    frame, at = TradeFrame(), T0
    for since, cents, size, side, gap in rows:
        at += since
        if gap:
            frame.break_off()
        frame.extend([Trade("A", cents / 100, size, side, "", at, at)])
    return frame.snapshot()


def naive_footprint(trades, step):
    """(start, price) -> [sold, bought, unknown], and the starts of bars that may lack trades."""
    cells, partial, last = defaultdict(lambda: [0.0, 0.0, 0.0]), set(), None
    for at, row in zip(trades.index.asi8.tolist(), trades.itertuples(index=False), strict=True):
        start = at // step * step
        cells[start, row.price][{"sell": 0, "buy": 1}.get(row.side, 2)] += row.size
        if row.gap or last is None:
            partial |= {start} if last is None else {start, last}
        last = start
    return cells, partial | ({last} if last is not None else set())


def check_footprint(trades, interval, step):
    found = md.footprint(trades, interval)
    cells, partial = naive_footprint(trades, step)
    keys = [(at.value, price) for at, price in found.index]
    assert keys == sorted(cells)
    for key, row in zip(keys, found.itertuples(index=False), strict=True):
        sold, bought, unknown = cells[key]
        assert (row.sell, row.buy, row.neutral) == (sold, bought, unknown)
        assert row.delta == bought - sold
        assert row.partial == (key[0] in partial)
    for start in {start for start, _ in cells}:
        of_bar = {price: sum(cell) for (at, price), cell in cells.items() if at == start}
        best = min(price for price in of_bar if of_bar[price] == max(of_bar.values()))
        marked = found[found["poc"]].loc[pd.Timestamp(start, tz="UTC")]
        assert list(marked.index) == [best]


def check_cvd(trades):
    found, total = md.cvd(trades), 0.0
    assert list(found.index) == list(trades.index)
    for row, trade in zip(found.itertuples(), trades.itertuples(), strict=True):
        total = 0.0 if trade.gap else total
        total += {"buy": trade.size, "sell": -trade.size}.get(trade.side, 0.0)
        assert row.cvd == total
        assert row.gap == trade.gap


def check_profile(trades):
    found, volumes = md.volume_profile(trades), defaultdict(lambda: [0.0, 0.0, 0.0])
    for trade in trades.itertuples():
        volumes[trade.price][{"sell": 0, "buy": 1}.get(trade.side, 2)] += trade.size
    assert list(found.index) == sorted(volumes)
    for row in found.itertuples():
        assert [row.sell, row.buy, row.neutral] == volumes[row.Index]
    if found["volume"].sum() > 0:
        assert found.index[found["poc"]][0] == found["volume"].idxmax()
        assert found.loc[found["value_area"], "volume"].sum() >= 0.6999 * found["volume"].sum()
        inside = np.flatnonzero(found["value_area"])
        assert (np.diff(inside) == 1).all()


@pytest.mark.outer
@settings(deadline=None, max_examples=60)
@given(trade_rows)
def test_tables_of_trades_agree_with_plain_loops(rows):
    trades = table(rows)
    check_footprint(trades, "2s", 2 * S)
    check_cvd(trades)
    check_profile(trades)


@settings(deadline=None, max_examples=40)
@given(trade_rows, st.lists(st.integers(1, 10), max_size=20))
def test_bars_and_sums_have_the_same_bits_however_trades_are_dealt_out(rows, counts):
    trades = trades_of(table(rows))
    whole, dealt = FootprintBuilder(S), FootprintBuilder(S)
    whole.add(trades)
    first, parts, before = 0, [], 0.0
    for count in [*counts, trades.size.size]:
        part = Trades(*(column[first : first + count] for column in trades))
        dealt.add(part)
        parts.append(running_delta(part, before))
        before = parts[-1][-1] if parts[-1].size else before
        first += count
    assert dealt.bars == whole.bars
    assert np.concatenate(parts).tobytes() == running_delta(trades).tobytes()


@pytest.mark.outer
def test_tables_of_the_recorded_trades_agree_with_plain_loops(market):
    frames = Frames(capacity=50_000)
    with gzip.open(market / "trades.jsonl.gz", "rt") as lines:
        for line in lines:
            stamp, _, raw = line.partition("\t")
            data = json.loads(raw)["data"]
            rows = [
                Trade(
                    data["symbol"],
                    float(t["price"]),
                    float(t["quantity"]),
                    t["side"],
                    t["id"],
                    t["timestamp"] * 1_000_000,
                    int(stamp),
                )
                for t in data["trades"]
            ]
            frames.extend("trade", data["symbol"], rows)
    assert len(frames.symbols("trade")) == 4
    for symbol in frames.symbols("trade"):
        trades = frames.frame("trade", symbol)
        assert len(trades) > 1_000
        check_footprint(trades, "1m", 60 * S)
        check_cvd(trades)
        check_profile(trades)


def test_cvd_of_seconds_is_what_stood_at_their_ends():
    rows = [(0, 10_000, 2.0, "buy", False), (S // 2, 10_000, 1.0, "sell", False)]
    rows += [(S // 2, 10_001, 4.0, "neutral", False), (S // 2, 10_001, 8.0, "buy", True)]
    found = md.cvd(table(rows), every="1s")
    assert [at.value - T0 for at in found.index] == [0, S, 2 * S]
    assert found["cvd"].tolist() == [2.0, 1.0, 8.0]
    assert found["neutral"].tolist() == [0.0, 4.0, 0.0]
    assert found["gap"].tolist() == [False, False, True]
    assert md.cvd(table(rows), every="1s", across_gaps=True)["cvd"].tolist() == [2.0, 1.0, 9.0]


def test_imbalances_are_diagonal_and_three_to_one():
    rows = [(0, 10_000, 1.0, "sell", False), (1, 10_001, 3.0, "buy", False)]
    rows += [(1, 10_001, 9.0, "sell", False), (1, 10_002, 2.9, "buy", False)]
    found = md.footprint(table(rows), "1m").droplevel("time")
    assert found["imbalance"].to_dict() == {100.00: "", 100.01: "buy", 100.02: ""}
    rows[-1] = (1, 10_002, 3.0, "buy", False)
    rows[1] = (1, 10_001, 2.0, "buy", False)
    found = md.footprint(table(rows), "1m").droplevel("time")
    assert found["imbalance"].to_dict() == {100.00: "", 100.01: "sell", 100.02: ""}


def test_price_cells_do_not_suffer_from_floats():
    prices = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 61800.3])
    assert price_cells(prices, 0.1).tolist() == prices.tolist()
    assert price_cells(prices, 0.25).tolist() == [0.0, 0.0, 0.25, 0.5, 0.5, 61800.25]


# -- the book over time ----------------------------------------------------------------------

book_rows = st.lists(
    st.tuples(
        st.integers(0, 4 * S),
        st.integers(1, 4),  # levels of bids
        st.integers(0, 4),
        st.integers(9_990, 10_010),
        st.floats(0, 1e6),
        st.booleans(),
    ),
    max_size=25,
)


def books(rows):
    frame, at = DepthFrame(levels=4), T0
    for since, bids, asks, cents, size, gap in rows:
        at += since
        if gap:
            frame.break_off()
        frame.extend(
            [
                Depth(
                    "A",
                    tuple(((cents - n) / 100, size + n) for n in range(bids)),
                    tuple(((cents + 1 + 2 * n) / 100, size / 2 + n) for n in range(asks)),
                    at,
                    at,
                )
            ]
        )
    return frame.snapshot()


@pytest.mark.outer
@settings(deadline=None, max_examples=60)
@given(book_rows, st.integers(1, 30))
def test_the_heat_map_agrees_with_a_plain_loop(rows, bins):
    found = md.book_heatmap(books(rows), None, bins, every="1s")
    times, events, at = [], [], T0
    for since, bids, asks, cents, size, gap in rows:
        at += since
        levels = [((cents - n) / 100, size + n) for n in range(bids)]
        others = [((cents + 1 + 2 * n) / 100, size / 2 + n) for n in range(asks)]
        events.append((at, levels, others, gap))
    ends = range(-(-events[0][0] // S) * S, events[-1][0] + 1, S) if events else ()
    shown = []
    for end in ends:
        past = [event for event in events if event[0] <= end]
        after = next((event for event in events if event[0] > end), None)
        fresh = past[-1][0] > end - S
        known = fresh or not (after is not None and after[3])
        times.append(end)
        shown.append(past[-1] if known else None)
    assert found.index.asi8.tolist() == times
    prices = [p for e in shown if e is not None for p, _ in (*e[1], *e[2])]
    if not prices:
        assert found.isna().all().all()
        return
    low, high = min(prices), max(prices)
    edges = [low + n * ((high - low) / bins) for n in range(bins)]
    assert found.columns.tolist() == edges

    def place(price):
        return max(n for n in range(bins) if edges[n] <= price) if high > low else 0

    for end, event in zip(times, shown, strict=True):
        row = found.loc[pd.Timestamp(end, tz="UTC")].tolist()
        if event is None:
            assert all(map(math.isnan, row))
            continue
        want = [math.nan] * bins
        _, bids, asks, _ = event
        reach = [[p for p, _ in side] for side in (bids, asks) if side]
        reach += [[bids[0][0], asks[0][0]]] if bids and asks else []
        for prices_of in reach:
            for n in range(place(min(prices_of)), place(max(prices_of)) + 1):
                want[n] = 0.0
        for price, size in (*bids, *asks):
            want[place(price)] += size
        assert np.array_equal(row, want, equal_nan=True)


def test_the_heat_map_counts_levels_that_the_table_does_not_show():
    rows = [(0, 4, 4, 10_000, 1.0, False), (S, 4, 4, 10_000, 1.0, False)]
    found = md.book_heatmap(books(rows), 1.0, 11, every="1s")
    assert found.iloc[-1].sum() == sum(1 + n for n in range(4)) + sum(0.5 + n for n in range(4))
    of_bids = md.book_heatmap(books(rows), 1.0, 11, every="1s", side="bid")
    assert of_bids.iloc[-1].sum() == sum(1 + n for n in range(4))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda t: md.footprint(t, "1w"), "interval is '1w'"),
        (lambda t: md.footprint(t, 60), "interval is 60"),
        (lambda t: md.footprint(t, "1m", price_step=0), "price_step is 0"),
        (lambda t: md.footprint(t, "1m", price_step=math.nan), "price_step is nan"),
        (lambda t: md.cvd(t, "soon"), "every is 'soon'"),
        (lambda t: md.volume_profile(t, 0), "price_bins is 0"),
        (lambda t: md.volume_profile(t, True), "price_bins is True"),
        (lambda t: md.volume_profile(t.assign(symbol=["A", "B"])), "several symbols"),
        (lambda t: md.cvd(t.drop(columns="size")), "no column size"),
        (lambda t: md.cvd(t.reset_index(drop=True)), "holds no times"),
        (lambda t: md.book_heatmap(t), "no column bid, bid_size, ask, ask_size"),
        (lambda t: md.book_heatmap(books([(0, 1, 1, 10_000, 1.0, False)]), -1), "seconds is -1"),
        (lambda t: md.heatmap(books([(0, 1, 1, 10_000, 1.0, False)])), "md.book_heatmap"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_name(call, told):
    trades = table([(0, 10_000, 1.0, "buy", False), (1, 10_001, 1.0, "sell", False)])
    with pytest.raises(SettingsError, match="^.*" + told.replace("(", r"\(")):
        call(trades)


def test_no_trades_and_no_books_give_empty_tables_with_their_columns():
    assert list(md.footprint(table([])).columns) == [
        *("sell", "buy", "neutral", "volume", "delta", "imbalance", "poc", "partial")
    ]
    assert md.cvd(table([])).empty
    assert md.cvd(table([]), "1s").empty
    assert md.volume_profile(table([]), 10).empty
    assert md.book_heatmap(books([])).shape[0] == 0


def test_a_session_gives_the_same_tables_as_its_frames(until):
    session = md.live(
        ["AAPL.US"], channels=["depth", "trade"], source="simulated", name="order flow"
    )
    session.run_blocking(1.0)
    trades, depth = session.frame("trade", "AAPL.US"), session.frame("depth", "AAPL.US")
    assert len(trades) > 0
    for ours, theirs in (
        (session.footprint("1s", "AAPL.US"), md.footprint(trades, "1s")),
        (session.cvd("AAPL.US"), md.cvd(trades)),
        (session.volume_profile("AAPL.US", 20), md.volume_profile(trades, 20)),
        (session.heatmap("AAPL.US", 60, 50), md.book_heatmap(depth, 60, 50)),
    ):
        pd.testing.assert_frame_equal(ours, theirs)
    with pytest.raises(SettingsError, match="AAPL"):
        session.footprint("1s", "APPL.US")
