"""Files of bars: whatever format, the same frame."""

import gzip

import pandas as pd
import pytest
from services import T0, body, kline, minutes

from mdkit.errors import InvalidMessage, RecordingError
from mdkit.history.columns import Klines, join_frames, to_frame
from mdkit.history.files import read_klines

BARS = to_frame(Klines.of(minutes(T0, 50)))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape", ["answer", "bare", "data", "list"])
def test_json_in_the_shape_of_the_endpoint(tmp_path, shape, compressed):
    content = body(minutes(T0, 50)[::-1], bare=shape in ("bare", "list"))
    if shape in ("data", "list"):
        content = content[content.index(b'"data": ') + 8 : -1]
    path = tmp_path / ("a.json.gz" if compressed else "a.json")
    path.write_bytes(gzip.compress(content) if compressed else content)
    got = read_klines(path)
    pd.testing.assert_frame_equal(got, BARS)
    assert got.attrs == ({"symbol": "A.US"} if shape in ("answer", "data") else {})


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "A.PARQUET"])
def test_what_was_written_is_read_again(tmp_path, name):
    path = tmp_path / name
    both = join_frames({"A": BARS, "B": BARS.iloc[:3]})
    for bars in (BARS, both):
        (bars.to_csv if "csv" in name else bars.to_parquet)(path)
        got = read_klines(path)
        pd.testing.assert_frame_equal(got, bars)


@pytest.mark.parametrize("unit", [1, 1000, 10**6, 10**9])
@pytest.mark.parametrize("column", ["time", "Timestamp", "DATE"])
def test_numbers_of_any_unit_are_times(tmp_path, unit, column):
    stamps = [T0 // 1000 * unit + i * 60 * unit for i in range(50)]
    table = BARS.reset_index(drop=True).assign(**{column: stamps, "other": "x"})
    table.sample(frac=1, random_state=1).to_csv(tmp_path / "a.csv", index=False)
    pd.testing.assert_frame_equal(read_klines(tmp_path / "a.csv"), BARS)


def test_without_volume_it_is_0_and_of_two_bars_the_last_counts(tmp_path):
    (tmp_path / "a.csv").write_text(
        "Date,Open,High,Low,Close\n2025-01-02,1,3,1,2\n2025-01-01,1,2,1,2\n2025-01-02,5,6,5,5\n"
    )
    got = read_klines(tmp_path / "a.csv")
    assert got["close"].tolist() == [2.0, 5.0]
    assert got["volume"].tolist() == [0.0, 0.0]
    assert got.index[0] == pd.Timestamp("2025-01-01", tz="UTC")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"x", r"must end in \.csv"),
        ("a.json", b"nothing", "a.json: .*not bars in the shape"),
        ("a.json", b'{"code":0}', "not bars in the shape"),
        ("a.json", b"", "not bars in the shape"),
        ("a.parquet", b"PAR1", "a.parquet is not readable as parquet"),
        ("a.csv", b"", "not readable as csv"),
        ("a.csv", b"time,open,high\n1,2,3\n", "no column low, close"),
        ("a.csv", b"open,high,low,close\n1,2,3,4\n", "no column time"),
        ("a.csv", b"time,open,high,low,close\nsoon,1,2,1,2\n", "times are not readable"),
        ("a.csv", b"time,open,high,low,close\n,1,2,1,2\n", "no time"),
        ("a.csv", b"time,open,high,low,close\n2025-01-01,x,2,1,2\n", "column open holds more"),
        ("a.csv.gz", gzip.compress(b"time,open" * 99)[:-9], "damaged"),
    ],
)
def test_what_is_no_file_of_bars(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingError, match=said):
        read_klines(tmp_path / name)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("5,4,1,2,1", "high is below"),
        ("5,6,5.5,5.7,1", "low is above open"),
        ("-5,6,1,5,1", "price is not a positive"),
        (",6,1,5,1", "price is not a positive"),
        ("inf,inf,1,5,1", "price is not a positive"),
        ("5,6,1,5,-1", "volume is not"),
    ],
)
def test_bars_that_cannot_be_true_are_named(tmp_path, row, said):
    good = "2025-01-01,1,2,1,2,3\n"
    (tmp_path / "a.csv").write_text(
        f"time,open,high,low,close,volume\n{good}2025-01-02,{row}\n2025-01-03,{row}\n"
    )
    with pytest.raises(InvalidMessage, match=f"2 invalid bars: 2025-01-02 00:00 UTC: .*{said}"):
        read_klines(tmp_path / "a.csv")
    spoilt = kline(T0)
    spoilt.low = 1e9
    (tmp_path / "a.json").write_bytes(body([spoilt]))
    with pytest.raises(InvalidMessage, match=r"a\.json: invalid bar: 2025-01-01 00:00 UTC"):
        read_klines(tmp_path / "a.json")


def test_a_file_that_is_not_there():
    with pytest.raises(FileNotFoundError):
        read_klines("nowhere.csv")


@pytest.mark.parametrize("symbol", ["AAPL.US", "MSFT.US"])
def test_real_days(market, symbol):
    got = read_klines(market / f"{symbol}_1d.json.gz")
    assert got.attrs["symbol"] == symbol
    assert len(got) == 3270
    assert got.index.is_monotonic_increasing
    assert got.index.is_unique
    assert str(got.index.tz) == "UTC"
    assert got.index.name == "time"
    assert (got.index.normalize() == got.index).all()
    assert got.columns.tolist() == ["open", "high", "low", "close", "volume"]
