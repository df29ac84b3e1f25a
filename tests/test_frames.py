import math
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdkit import measures
from mdkit.books.levels import books_of
from mdkit.errors import SettingsError
from mdkit.events import Bar, Depth, Ticker, Trade
from mdkit.frames import (
    KINDS,
    BarFrame,
    DepthFrame,
    Frames,
    LiveFrame,
    MetricsFrame,
    SignalFrame,
    TickerFrame,
    TradeFrame,
    book_frame,
)
from mdkit.frames.sampling import at_each_end

T0 = 1_700_000_000_000_000_000
FLAGS = ["gap", "backwards", "source"]
COLUMNS = {"x": "float", "when": "time", "name": "object"}

sizes = st.one_of(st.just(0.0), st.floats(0, 1e12))
sides = st.lists(st.tuples(st.floats(0.01, 1e6), sizes), max_size=13).map(tuple)
books = st.builds(
    Depth, st.just("A"), sides, sides, st.sampled_from([0, T0]), st.integers(T0, T0 + 100)
)


def row(number):
    x = None if number % 7 == 0 else number / 3
    return (T0 + number, x, 0 if number % 5 == 0 else T0 - number, f"n{number}")


def same(values, expected):
    """Whether floats have the same bits, every nan counting as one value."""
    return len(values) == len(expected) and all(
        a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(values, expected, strict=True)
    )


def make(kind, number, symbol="A"):
    at = T0 + number
    return {
        "depth": lambda: Depth(symbol, ((99.0, 1.0 + number),), ((101.0, 2.0),), at, at),
        "trade": lambda: Trade(symbol, 1.0 + number, 2.0, "buy", str(number), at, at),
        "ticker": lambda: Ticker(symbol, 1.0 + number, exchange_ns=at, received_ns=at),
        "bar": lambda: Bar(symbol, 1.0 + number, 2.0, 1.0, 2.0, 5.0, at),
    }[kind]()


# The bounded columns, against a list


@settings(deadline=None)
@given(
    capacity=st.integers(1, 900),
    batches=st.lists(st.integers(0, 700), max_size=12),
    last=st.one_of(st.none(), st.integers(0, 1000)),
    look=st.booleans(),
)
def test_it_holds_what_the_tail_of_a_list_would(capacity, batches, last, look):
    frame, model = LiveFrame(COLUMNS, capacity), []
    for size in batches:
        rows = [row(len(model) + n) for n in range(size)]
        frame.extend(rows)
        model += rows
        if look:
            frame.snapshot(1)
        assert len(frame) == min(len(model), capacity)
    assert frame.total == len(model)
    held = model[-capacity:]
    held = held if last is None else held[len(held) - min(last, len(held)) :]
    got = frame.snapshot(last)
    assert list(got.columns) == list(COLUMNS)
    assert got.index.asi8.tolist() == [r[0] for r in held]
    assert same(got["x"].tolist(), [math.nan if r[1] is None else r[1] for r in held])
    assert got["name"].tolist() == [r[3] for r in held]
    known = [r[2] for r in held if r[2]]
    assert got["when"].dropna().astype("int64").tolist() == known
    assert got["when"].isna().tolist() == [r[2] == 0 for r in held]


def test_memory_stops_growing_at_two_windows():
    frame = LiveFrame({"x": "float"}, capacity=1000)
    peak = 0
    for number in range(20_000):
        frame.append((T0 + number, 1.0))
        peak = max(peak, frame.nbytes)
    assert peak == 2 * 1000 * 17
    assert len(frame) == 1000
    assert frame.total == 20_000


def test_a_small_frame_takes_little_memory():
    frame = DepthFrame()
    frame.extend([make("depth", 0)])
    frame.snapshot()
    assert frame.nbytes < 250_000


def test_a_snapshot_owns_its_data():
    frame = LiveFrame(COLUMNS, capacity=600)
    # Far enough for the buffers to have their full size and to be written over from now on.
    frame.extend([row(n) for n in range(600)])
    frame.extend([row(n) for n in range(600, 1200)])
    frame.extend([row(n) for n in range(1200, 1800)])
    first = frame.snapshot()
    before = first.copy(deep=True)
    for start in range(1800, 4200, 600):
        frame.extend([row(n) for n in range(start, start + 600)])
    pd.testing.assert_frame_equal(first, before)
    second = frame.snapshot()
    second.loc[:, "x"] = -1.0
    second.loc[second.index[0], "name"] = "changed"
    assert (frame.snapshot()["x"] != -1.0).all()
    assert frame.snapshot()["name"].iloc[0] != "changed"


def test_arrays_are_a_snapshots_columns_and_its_own():
    frame = LiveFrame(COLUMNS, capacity=4)
    frame.extend([row(number) for number in range(6)])
    arrays = frame.arrays(last=3)
    assert list(arrays) == ["received", *COLUMNS]
    assert arrays["received"].tolist() == [T0 + 3, T0 + 4, T0 + 5]
    assert arrays["when"].tolist() == [T0 - 3, T0 - 4, 0]
    assert arrays["name"].tolist() == ["n3", "n4", "n5"]
    assert same(arrays["x"].tolist(), [1.0, 4 / 3, 5 / 3])
    frame.extend([row(number) for number in range(6, 20)])
    assert arrays["name"].tolist() == ["n3", "n4", "n5"]
    assert len(frame.arrays()["x"]) == 4


def test_the_index_is_utc_nanoseconds_named_received():
    for frame in (LiveFrame(COLUMNS), DepthFrame(), SignalFrame()):
        index = frame.snapshot().index
        assert index.name == "received"
        assert str(index.dtype) == "datetime64[ns, UTC]"


def test_clear_forgets_the_rows_but_not_the_count():
    frame = DepthFrame()
    frame.extend([make("depth", n) for n in range(600)])
    frame.clear()
    assert (len(frame), frame.total, frame.nbytes, frame.latest) == (0, 600, 0, None)
    assert frame.snapshot().empty
    frame.extend([make("depth", 3)])
    assert len(frame.snapshot()) == 1


def test_a_row_of_the_wrong_width_is_refused_and_nothing_taken():
    frame = LiveFrame(COLUMNS)
    with pytest.raises(SettingsError, match="2 values; expected 4: received, x, when, name"):
        frame.extend([row(1), (T0, 1.0)])
    assert frame.total == len(frame) == 0


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True])
def test_bad_sizes_are_named(wrong):
    with pytest.raises(SettingsError, match=f"capacity is {wrong!r}"):
        LiveFrame(COLUMNS, wrong)
    with pytest.raises(SettingsError, match=f"levels is {wrong!r}"):
        DepthFrame(levels=wrong)


@pytest.mark.parametrize("wrong", [-1, 1.5, "3"])
def test_a_bad_last_is_named(wrong):
    with pytest.raises(SettingsError, match=f"last is {wrong!r}"):
        LiveFrame(COLUMNS).snapshot(wrong)


# Depth


@pytest.mark.outer
@settings(deadline=None)
@given(batch=st.lists(books, max_size=20), levels=st.integers(1, 12))
def test_depth_columns_are_the_books_and_their_measures(batch, levels):
    frame = DepthFrame(levels)
    frame.extend(batch)
    got = frame.snapshot(levels=levels)
    assert same(got["pressure"].tolist(), [measures.pressure_ratio(b) for b in batch])
    assert same(got["mid"].tolist(), [measures.mid(b) for b in batch])
    assert same(got["spread"].tolist(), [measures.spread(b) for b in batch])
    assert got["exchange_time"].isna().tolist() == [b.exchange_ns == 0 for b in batch]
    for side in ("bid", "ask"):
        for level in range(levels):
            found = [getattr(b, f"{side}s")[level : level + 1] for b in batch]
            for part, name in ((0, f"{side}_{level + 1}"), (1, f"{side}_size_{level + 1}")):
                values = [f[0][part] if f else math.nan for f in found]
                assert same(got[name.removesuffix("_1")].tolist(), values)
    part = frame.snapshot(levels=max(1, levels - 2))
    pd.testing.assert_frame_equal(part, got[list(part.columns)])


def test_spreads_and_mids_in_columns_are_decimals():
    frame = DepthFrame(1)
    frame.extend([Depth("A", ((n / 100, 1.0),), (((n + 1) / 100, 1.0),)) for n in range(1, 3000)])
    got = frame.snapshot()
    assert got["spread"].unique().tolist() == [0.01]
    assert got["mid"].tolist() == [float(f"{n / 100:.2f}5") for n in range(1, 3000)]


@pytest.mark.parametrize("deep", [3, 5, 10, 20])
def test_pressure_has_the_measures_bits_for_books_of_equal_depth(deep):
    rng = random.Random(deep)
    batch = [
        Depth(
            "A",
            tuple((100.0 - n, rng.random()) for n in range(deep)),
            tuple((101.0 + n, rng.random()) for n in range(deep)),
        )
        for _ in range(2000)
    ]
    frame = DepthFrame(10)
    frame.extend(batch)
    assert frame.snapshot()["pressure"].tolist() == [measures.pressure_ratio(b) for b in batch]


def test_depth_columns_come_in_reading_order():
    summary = [
        *("exchange_time", "bid", "bid_size", "ask", "ask_size", "mid", "spread", "pressure"),
        *("bid_depth", "ask_depth"),
    ]
    levels = [*("bid_2", "bid_size_2", "bid_3", "bid_size_3")]
    levels += [name.replace("bid", "ask") for name in levels]
    for kept in (3, 4, 10):
        assert list(DepthFrame(kept).snapshot(levels=3).columns) == [*summary, *levels, *FLAGS]
        assert list(DepthFrame(kept).snapshot().columns) == [*summary, *FLAGS]
        assert list(DepthFrame(kept).snapshot(levels=1).columns) == [*summary, *FLAGS]


@pytest.mark.parametrize("levels", [0, -1, 4, 2.0, "3", True])
def test_levels_that_are_not_kept_are_named(levels):
    frames = Frames(levels=3)
    for symbol in ("A", None):
        with pytest.raises(SettingsError, match=f"levels is {levels!r}; .* from 1 to 3"):
            frames.frame("depth", symbol, levels=levels)
    with pytest.raises(SettingsError, match="levels=3 is for \"depth\", not for 'trade'"):
        frames.frame("trade", levels=3)


def test_levels_of_all_symbols_are_those_of_each():
    frames = Frames(levels=4)
    for symbol in ("B", "A"):
        frames.extend("depth", symbol, [make("depth", n) for n in range(5)])
    whole = frames.frame("depth", levels=3)
    assert str(whole["symbol"].dtype) == "category"
    assert whole["symbol"].cat.categories.tolist() == ["B", "A"]
    for symbol in ("A", "B"):
        own = whole[whole["symbol"] == symbol].drop(columns="symbol")
        pd.testing.assert_frame_equal(own, frames.frame("depth", symbol, levels=3))


def test_a_ladder_adds_up_from_the_best_level():
    ladder = book_frame(Depth("A", ((99.0, 1.0), (98.0, 2.0)), ((101.0, 5.0),)))
    assert list(ladder.columns) == [
        *("bid_size_total", "bid_size", "bid"),
        *("ask", "ask_size", "ask_size_total"),
    ]
    assert ladder.index.tolist() == [1, 2]
    assert ladder["bid_size_total"].tolist() == [1.0, 3.0]
    assert same(ladder["ask_size_total"].tolist(), [5.0, math.nan])
    assert same(ladder["ask"].tolist(), [101.0, math.nan])
    for nothing in (None, Depth("A", (), ())):
        assert book_frame(nothing).shape == (0, 6)


# The other events


def test_trades():
    frame = TradeFrame()
    frame.extend([Trade("A", 1.5, 2.0, "sell", "t1", T0, T0 + 5), Trade("A", 2.5, 1.0)])
    got = frame.snapshot()
    assert list(got.columns) == ["price", "size", "side", "id", "exchange_time", *FLAGS]
    assert got["price"].tolist() == [1.5, 2.5]
    assert got["size"].tolist() == [2.0, 1.0]
    assert got["side"].tolist() == ["sell", "neutral"]
    assert got["id"].tolist() == ["t1", ""]
    assert got["exchange_time"].iloc[0] == pd.Timestamp(T0, tz="UTC")
    assert got["exchange_time"].isna().tolist() == [False, True]


def test_figures_a_ticker_does_not_give_are_nan():
    frame = TickerFrame()
    frame.extend([Ticker("A", 10.0, bid=9.0, trade_session="pre", received_ns=T0)])
    (got,) = frame.snapshot().to_dict("records")
    assert (got["last"], got["bid"], got["trade_session"]) == (10.0, 9.0, "pre")
    assert math.isnan(got["ask"])
    assert math.isnan(got["change_percent_24h"])


def test_signals_and_metrics():
    signals = SignalFrame()
    signals.append((T0, "A", "pressure", math.inf, T0))
    assert signals.snapshot()["value"].tolist() == [math.inf]
    metrics = MetricsFrame(["queued", "lag_ms"])
    metrics.record(T0, {"lag_ms": 2, "queued": 3})
    metrics.record(T0 + 1, {"queued": None})
    assert metrics.snapshot()["queued"].isna().tolist() == [False, True]
    assert same(metrics.snapshot()["lag_ms"].tolist(), [2.0, math.nan])
    with pytest.raises(SettingsError, match="no column lag; there are queued, lag_ms"):
        metrics.record(T0, {"lag": 1.0})


# The collection


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_table_looks_like_a_full_one(kind):
    full = Frames(levels=3)
    full.extend(kind, "A", [make(kind, 0)])
    for symbol in ("A", None):
        empty = Frames(levels=3).frame(kind, symbol)
        assert empty.empty
        names = [str(dtype) for dtype in empty.dtypes]  # categories are of the symbols there are
        assert names == [str(dtype) for dtype in full.frame(kind, symbol).dtypes]
        assert empty.index.dtype == full.frame(kind, symbol).index.dtype
        assert empty.index.name == full.frame(kind, symbol).index.name


@pytest.mark.parametrize("kind", KINDS)
def test_all_symbols_come_together_in_the_order_received(kind):
    frames = Frames(levels=2)
    frames.extend(kind, "B", [make(kind, n, "B") for n in (0, 2, 4)])
    frames.extend(kind, "A", [make(kind, n, "A") for n in (1, 2, 3)])
    got = frames.frame(kind)
    assert got.columns[0] == "symbol"
    assert (got.index.asi8 - T0).tolist() == [0, 1, 2, 2, 3, 4]
    assert got["symbol"].tolist() == ["B", "A", "B", "A", "A", "B"]
    assert frames.frame(kind, last=2)["symbol"].tolist() == ["A", "B"]
    assert frames.frame(kind, last=0).empty
    for symbol in "AB":
        part = got[got["symbol"] == symbol].drop(columns="symbol")
        pd.testing.assert_frame_equal(part, frames.frame(kind, symbol))
    assert frames.symbols(kind) == ("B", "A")


def test_events_received_at_once_keep_their_order():
    frames = Frames(levels=1)
    for symbol in "CAB":
        frames.extend(
            "trade", symbol, [Trade(symbol, 1.0, n, received_ns=T0 + n % 2) for n in range(200)]
        )
    got = frames.frame("trade")
    for odd in (0, 1):
        part = got[got.index.asi8 == T0 + odd]
        assert part["symbol"].tolist() == ["C"] * 100 + ["A"] * 100 + ["B"] * 100
        assert part["size"].tolist() == list(range(odd, 200, 2)) * 3


def test_the_newest_book_is_at_hand():
    frames = Frames()
    assert frames.book("A") is None
    batch = [make("depth", n) for n in range(3)]
    frames.extend("depth", "A", batch)
    frames.extend("depth", "A", [])
    assert frames.book("A") is batch[-1]


def test_unknown_kinds_are_told_from_the_known():
    frames = Frames()
    for use in (
        lambda: frames.extend("book", "A", []),
        lambda: frames.frame("book"),
        lambda: frames.symbols("book"),
    ):
        with pytest.raises(SettingsError, match="no frame of 'book'; the kinds are depth, trade"):
            use()


def test_the_size_of_all_tables_is_known_and_shown():
    frames = Frames(capacity=100)
    assert frames.nbytes == 0
    for start in range(0, 600, 100):
        frames.extend("trade", "A", [make("trade", n) for n in range(start, start + 100)])
        frames.frame("trade")
    assert frames.nbytes == 2 * 100 * (6 * 8 + 1)
    assert "trade 1" in repr(frames)
    assert frames.frame("trade")["price"].tolist() == np.arange(501.0, 601.0).tolist()


def test_many_tables_share_a_bounded_number_of_rows():
    frames = Frames()
    for symbol in range(400):
        frames.extend("trade", f"S{symbol}", [make("trade", n) for n in range(3)])
    assert frames.capacity < 10_000
    assert 400 * frames.capacity <= 500_000
    first = frames.table("trade", "S0")
    first.extend([make("trade", n) for n in range(5000)])
    assert len(first) == frames.capacity
    assert len(frames.frame("trade")) == frames.capacity + 3 * 399


def test_rows_that_were_asked_for_are_kept_whatever_the_number_of_tables():
    frames = Frames(3000)
    for symbol in range(400):
        frames.table("trade", f"S{symbol}")
    assert frames.table("trade", "S0").capacity == 3000


@given(st.integers(0, 300), st.integers(1, 100), st.integers(0, 50))
def test_a_shrunk_table_keeps_the_newest_rows(before, capacity, after):
    frame = TradeFrame(200)
    events = [make("trade", n) for n in range(before + after)]
    frame.extend(events[:before])
    frame.shrink(capacity)
    frame.extend(events[before:])
    kept = min(before, capacity) + after
    expected = [event.id for event in events][-min(kept, capacity) :] if kept else []
    assert frame.snapshot()["id"].tolist() == expected


def bar(minute, partial=False, close=1.0):
    start_ns = 1_700_000_040_000_000_000 + minute * 60_000_000_000
    return Bar("A", 1.0, 2.0, 0.5, close, 3.0, start_ns=start_ns, interval="1m", partial=partial)


def test_whole_bars_by_rest_take_the_places_of_partial_ones():
    frame = BarFrame()
    frame.extend([bar(0), bar(1, partial=True), bar(2, partial=True), bar(3)])
    frame.fill_in([bar(1, close=1.5), bar(2, close=1.25)])
    frame.extend([bar(4, partial=True)])
    bars = frame.snapshot()
    assert bars.index.is_unique
    assert bars.index.is_monotonic_increasing
    assert bars.close.tolist() == [1.0, 1.5, 1.25, 1.0, 1.0]
    assert bars.partial.tolist() == [False] * 4 + [True]
    assert bars.source.tolist() == ["live", "rest", "rest", "live", "live"]
    assert frame.snapshot(3).equals(bars.tail(3))
    frames = Frames()
    for symbol in "AB":
        frames.table("bar", symbol).extend([bar(0), bar(1, partial=True)])
    frames.table("bar", "B").fill_in([bar(1, close=1.5)])
    together = frames.frame("bar")
    assert together[together.partial].symbol.tolist() == ["A"]
    assert together.close.tolist() == [1.0, 1.0, 1.0, 1.5]


def test_rows_that_the_exchange_dates_before_the_last_are_flagged():
    frame = TradeFrame()
    times = [3, 5, 4, 4, 0, 6]
    frame.extend([Trade("A", 1.0, 1.0, exchange_ns=n * 10**9, received_ns=T0) for n in times])
    frame.break_off()
    frame.extend([Trade("A", 1.0, 1.0, exchange_ns=2 * 10**9, received_ns=T0)])
    assert frame.snapshot().backwards.tolist() == [False, False, True, False, False, False, False]
    frames = Frames()
    for symbol, late in (("A", 0), ("B", 5)):  # whose clock differs
        rows = [
            Trade(symbol, 1.0, 1.0, exchange_ns=(n + late) * 10**9, received_ns=T0 + n)
            for n in range(1, 4)
        ]
        frames.extend("trade", symbol, rows)
    assert not frames.frame("trade").backwards.any()


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 5)), max_size=30))
def test_times_run_backwards_within_a_symbol_alone(trades):
    frames, last, expected = Frames(), {}, []
    for number, (symbol, ns) in enumerate(trades):
        made = Trade(symbol, 1.0, 1.0, exchange_ns=ns, received_ns=T0 + number)
        frames.extend("trade", symbol, [made])
        expected.append(0 < ns < last.get(symbol, 0))  # 0 is no time
        last[symbol] = ns
    assert frames.frame("trade").backwards.tolist() == expected


def test_what_is_done_to_a_tables_columns_is_done_to_no_other():
    frames = Frames()
    frames.extend("depth", "A", [make("depth", 1)])
    for look in (lambda: frames.frame("depth"), lambda: frames.frame("depth", "A")):
        table, names = look(), list(look().columns)
        table.columns.name = "mine"
        table.insert(0, "more", 1)
        assert look().columns.name is None
        assert list(look().columns) == names


def test_all_symbols_books_know_the_levels_behind_the_best():
    frames = Frames(levels=3)
    for number in range(40):
        symbol = "AB"[number % 3 == 0]
        bids = tuple((100.0 - k, number + k) for k in range(number % 5))
        frames.extend("depth", symbol, [Depth(symbol, bids, ((101.0, 1.0),), T0, T0 + number)])
    table, whole = frames.frame("depth"), frames.frame("depth", levels=3)
    assert "bid_3" in whole
    assert "bid_2" not in table
    frames.extend("depth", "A", [make("depth", 1)])  # changes no table that was made before
    pd.testing.assert_frame_equal(books_of(table), whole)
    pd.testing.assert_frame_equal(books_of(table[table.symbol == "B"]), whole[whole.symbol == "B"])


@pytest.mark.outer
@given(
    st.lists(
        st.tuples(
            st.integers(0, 4),
            st.sampled_from(["extend", "keep", "gap", "rest", "look", "look together"]),
            st.integers(1, 70),
        ),
        max_size=30,
    ),
    st.sampled_from([None, 40]),
)
def test_many_tables_become_columns_together_as_they_would_alone(steps, capacity):
    alone, together = Frames(capacity), Frames(capacity)
    number = 0
    for which, step, count in steps:
        symbol = f"S{which}"
        for frames in (alone, together):
            table = frames.table("depth", symbol)
            table.read = lambda raw, ns: (make("depth", int(raw)),)
            numbers = range(number, number + count)
            if step in ("extend", "rest"):
                events = [make("depth", n, symbol) for n in numbers]
                (table.extend if step == "extend" else table.fill_in)(events)
            elif step == "keep":
                for n in numbers:
                    table.keep(b"%d" % n, T0 + n)
            elif step == "gap":
                table.break_off()
            elif step == "look":
                table.snapshot()
        number += count
        if step == "look together":
            together.frame("depth")
    whole = together.frame("depth")
    for symbol in together.symbols("depth"):
        expected = alone.table("depth", symbol).snapshot()
        got = whole[whole["symbol"] == symbol].drop(columns="symbol")
        pd.testing.assert_frame_equal(
            got.drop(columns="backwards"), expected.drop(columns="backwards")
        )
        pd.testing.assert_frame_equal(together.table("depth", symbol).snapshot(), expected)


def test_a_frame_of_many_symbols_is_written_in_few_runs(monkeypatch):
    runs = []
    write = DepthFrame._write

    def counted(table, rows, into):
        runs.append(len(rows))
        write(table, rows, into)

    monkeypatch.setattr(DepthFrame, "_write", counted)
    frames = Frames(100)
    for n in range(5000):
        frames.extend("depth", f"S{n}", [make("depth", n, f"S{n}")])
    assert len(frames.frame("depth")) == 5000
    assert sum(runs) == 5000
    assert len(runs) <= 5000 / 256 + 1
    frames.frame("depth")
    assert sum(runs) == 5000


# The end of each second


def quotes(*rows):
    """Return a table of books from `(second, bid, whether it follows a gap)`."""
    frame = DepthFrame(1)
    for second, bid, gap in rows:
        if gap:
            frame.break_off()
        ns = int(second * 1e9)
        frame.extend([Depth("A", ((bid, 1.0),), ((bid + 1, 1.0),), ns, ns)])
    return frame.snapshot()


def test_each_end_has_the_last_book_up_to_it():
    table = quotes((0.2, 1.0, False), (0.9, 2.0, False), (2.0, 3.0, False), (2.1, 4.0, False))
    got = at_each_end(table, 10**9)
    assert got.index.name == "time"
    assert [stamp.timestamp() for stamp in got.index] == [1.0, 2.0]
    assert got["bid"].tolist() == [2.0, 3.0]
    assert at_each_end(table, 500_000_000)["bid"].tolist() == [1.0, 2.0, 2.0, 3.0]
    assert at_each_end(table.iloc[:0], 10**9).empty


def test_no_end_within_a_gap_has_a_book():
    table = quotes((0.5, 1.0, False), (4.5, 2.0, True), (5.5, 3.0, False), (7.0, 4.0, False))
    got = at_each_end(table, 10**9)
    assert [stamp.timestamp() for stamp in got.index] == [1.0, 5.0, 6.0, 7.0]
    assert got["gap"].tolist() == [False, True, False, False]


def test_each_symbol_is_sampled_by_itself():
    frames = Frames()
    for number in range(40):
        for symbol, size in (("A", 7), ("B", 3)):
            if number % size == 0:
                ns = number * 250_000_000
                book = Depth(symbol, ((1.0 + number, 1.0),), ((2.0 + number, 1.0),), ns, ns)
                frames.extend("depth", symbol, [book])
    whole = frames.frame("depth", every="1s")
    assert whole.index.is_monotonic_increasing
    for symbol in ("A", "B"):
        own = frames.frame("depth", symbol, every="1s")
        part = whole[whole["symbol"] == symbol].drop(columns="symbol")
        pd.testing.assert_frame_equal(own, part)
        assert len(own) > 5
    assert len(frames.frame("depth", every="1s", last=3)) == 3


@pytest.mark.parametrize("every", ["0s", "-1s", "soon", None.__class__])
def test_a_time_that_is_none_is_named(every):
    with pytest.raises(SettingsError, match="every is"):
        Frames().frame("depth", every=every)


def test_trades_are_not_sampled():
    with pytest.raises(SettingsError, match=r'every=.1s. is for depth and ticker.*bars="1m"'):
        Frames().frame("trade", every="1s")
