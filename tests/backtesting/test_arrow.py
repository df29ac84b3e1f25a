"""Results and their tables in libraries that take Arrow streams."""

import pyarrow as pa
import pytest

from mdkit.backtesting.engine import backtest
from mdkit.strategies import SmaCross


@pytest.fixture
def result(seeded_bars):
    return backtest(SmaCross(fast=3, slow=9), seeded_bars(200), fee=0.001, engine="python")


def test_a_result_is_a_stream_of_its_equity(result):
    table = pa.RecordBatchReader.from_stream(result).read_all()
    assert table.column_names == ["time", "equity", "exposure", "drawdown"]
    assert table["equity"].to_pylist() == result.equity["equity"].tolist()
    assert [time.isoformat() for time in table["time"].to_pylist()[:2]] == [
        time.isoformat() for time in result.equity.index[:2]
    ]


def test_polars_takes_a_result_and_its_tables(result):
    pl = pytest.importorskip("polars")
    assert pl.DataFrame(result)["equity"].to_list() == result.equity["equity"].tolist()
    assert pl.DataFrame(result)["time"][5] == result.equity.index[5]
    assert pl.DataFrame(result.trades)["pnl"].to_list() == result.trades["pnl"].tolist()
    assert pl.DataFrame(result.fills)["symbol"].to_list() == result.fills["symbol"].tolist()


def test_duckdb_takes_a_result_and_its_tables(result):
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        equity = result
        trades = result.trades
        (highest,) = connection.sql("select max(equity) from equity").fetchall()[0]
        assert highest == equity.equity["equity"].max()
        (count,) = connection.sql("select count(*) from trades").fetchall()[0]
        assert count == len(trades)
