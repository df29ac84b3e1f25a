"""Live frames, sessions' frames, recordings and results in libraries that take Arrow streams."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import mdkit as md
from mdkit.arrow import stream
from mdkit.frames import DepthFrame, SignalFrame, TradeFrame


def taken(thing):
    return pa.RecordBatchReader.from_stream(thing).read_all()


class Given:
    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return stream(self.table, requested_schema)


def same(column, series):
    """Whether a column of Arrow says what a column of pandas says, times to the nanosecond."""
    if series.dtype.kind == "M":
        column = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
        return column.to_pylist() == [None if pd.isna(time) else time.value for time in series]
    ours = [None if pd.isna(value) else value for value in series.tolist()]
    return column.to_pylist() == ours


@pytest.fixture(scope="module")
def session():
    made = md.live(
        ["A", "B"],
        channels=["depth", "trade"],
        source=md.Simulated(speed=None, count=300, seed=5),
        strategies=[md.strategies.pressure],
        name="arrow",
    )
    made.run_blocking()
    return made


@pytest.fixture(scope="module")
def gives():
    """By name: what gives itself, and the DataFrame that it stands for."""
    result = md.backtest(md.strategies.pressure, md.sample())
    frame = SignalFrame()
    frame.extend([(n, "A", "mine", float(n), 0) for n in range(1, 4)])
    columns = md.read_recording(md.sample()).columns("depth", "AAPL.US", cache=False)
    info, study = md.recording_info(md.sample()), md.study(md.imbalance, md.sample(), "1s", **ONE)
    capacity, draws = result.capacity([1e3, 1e4]), result.bootstrap(50)
    days = pd.date_range("2026-01-01", periods=12, tz="UTC")
    prices = [100.0, 101.0, 103.0, 102.0, 99.0, 98.0] * 2
    bars = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), prices), days)
    grid, terms = {"fast": [1], "slow": [2, 3]}, {"train": 4, "test": 4, "metric": "return"}
    walked = md.walk_forward(md.strategies.SmaCross, bars, grid, **terms)
    return {
        "live frame": (frame, frame.snapshot()),
        "columns": (columns, pd.DataFrame(dict(columns))),
        "figures of a recording": (info, info.frame()),
        "result": (result, result.equity.rename_axis("time")),
        "capacity": (capacity, capacity.table),
        "bootstrap": (draws, draws.draws),
        "walk forward": (walked, walked.windows),
        "study": (study, next(iter(study.tables.values()))),
    }


NAMES = ["live frame", "columns", "figures of a recording", "result", "capacity", "bootstrap",
         "walk forward", "study"]  # fmt: skip
ONE = {"symbol": "AAPL.US"}


@pytest.mark.parametrize("name", NAMES)
def test_each_gives_its_table_with_the_index_first(gives, name):
    thing, table = gives[name]
    arrow, index = taken(thing), table.index
    assert arrow.num_rows == len(table) > 0
    assert all(same(arrow[str(column)], table[column]) for column in table.columns)
    if not isinstance(index, pd.RangeIndex):
        assert arrow.column_names == [*index.names, *map(str, table.columns)]
        levels = index.to_frame()
        assert all(same(arrow[level], levels[level]) for level in levels)


def test_what_is_made_of_events_has_its_time_first_as_well(session):
    for channel, kind in (("depth", DepthFrame), ("trade", TradeFrame)):
        frame = session.pipeline.frames.table(channel, "A")
        assert isinstance(frame, kind)
        arrow, table = taken(frame), frame.snapshot()
        assert arrow.column_names == ["received", *table.columns]
        assert same(arrow["received"], table.index.to_series())
        assert all(same(arrow[name], table[name]) for name in table.columns)


def test_a_stream_stays_what_it_was_when_the_frame_goes_on():
    frame = md.LiveFrame({"price": "float", "venue": "object"}, capacity=2)
    frame.append((1, 1.5, None))
    arrow = taken(frame)
    frame.extend([(2, 2.5, "x"), (3, 3.5, "y")])
    assert arrow["price"].to_pylist() == [1.5]
    assert arrow.schema.field("venue").type == pa.string()
    assert taken(frame)["venue"].to_pylist() == ["x", "y"]


def test_an_empty_frame_has_its_columns():
    arrow = taken(md.LiveFrame({"price": "float", "venue": "object", "at": "time"}))
    assert arrow.num_rows == 0
    assert arrow.column_names == ["received", "price", "venue", "at"]
    assert arrow.schema.field("received").type == pa.timestamp("ns", tz="UTC")


def test_categories_that_say_nothing_are_text_as_well():
    none = pd.Categorical.from_codes([-1, -1], pd.Index([], dtype=object))
    for column in (none, none[:0]):
        table = pd.DataFrame({"venue": column})
        assert taken(Given(table)).schema.field("venue").type == pa.string()


def test_numbers_are_those_of_the_table_and_not_copies():
    times = pd.date_range("2026", periods=5, tz="UTC", name="time")
    table = pd.DataFrame({"price": np.arange(5.0)}, times)
    arrow = taken(Given(table))
    (chunk,) = arrow["price"].chunks
    assert chunk.buffers()[1].address == table["price"].to_numpy().ctypes.data


def test_no_index_is_lost():
    plain = pd.DataFrame({"a": [1, 2]})
    assert taken(Given(plain)).column_names == ["a"]
    assert taken(Given(plain.set_axis(["x", "y"]))).column_names == ["index", "a"]
    two = plain.set_axis(pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["s", None]))
    assert taken(Given(two)).column_names == ["s", "level_1", "a"]
    named = plain.rename_axis("n")
    assert taken(Given(named)).column_names == ["n", "a"]
    prices = pd.DataFrame([[1.0, 2.0]], columns=[100.5, 101.5])
    assert taken(Given(prices)).column_names == ["100.5", "101.5"]


def test_the_tables_of_a_session_are_dataframes_that_give_themselves(session):
    for table in (session.frame("depth", "A"), session.frame("trade"), session.signals()):
        assert isinstance(table, pd.DataFrame)
        arrow = taken(table)
        assert {"received", *table.columns} == set(arrow.column_names)
        assert same(arrow["received"], table.index.to_series())


def test_polars_takes_them(session, gives):
    pl = pytest.importorskip("polars")
    frame = session.pipeline.frames.table("trade", "A")
    table = pl.DataFrame(frame)
    assert table.columns[0] == "received"
    assert table["price"].to_list() == frame.snapshot()["price"].tolist()
    result, equity = gives["result"]
    assert pl.DataFrame(result)["equity"].to_list() == equity["equity"].tolist()
    assert pl.DataFrame(result)["time"].cast(pl.Int64)[5] == equity.index[5].value
    assert pl.DataFrame(result.fills)["symbol"].to_list() == result.fills["symbol"].tolist()
    # Of a DataFrame it takes the columns alone, unless it is told.
    books = session.frame("depth", "A")
    assert "received" not in pl.DataFrame(books).columns
    whole = pl.from_pandas(books, include_index=True)
    assert whole["received"].cast(pl.Int64).to_list() == [time.value for time in books.index]


def test_duckdb_takes_them(session, gives):
    duckdb = pytest.importorskip("duckdb")
    frame = session.pipeline.frames.table("trade", "A")
    result, _ = gives["result"]
    with duckdb.connect() as connection:
        (total,) = connection.sql("select sum(price * size) from frame").fetchall()[0]
        table = frame.snapshot()
        assert math.isclose(total, (table["price"] * table["size"]).sum())
        (highest,) = connection.sql("select max(equity) from result").fetchall()[0]
        assert highest == result.equity["equity"].max()
        trades = result.trades
        (count,) = connection.sql("select count(*) from trades").fetchall()[0]
        assert count == len(trades)
