"""Files of bars: whatever format, the same frame."""

import gzip
import warnings

import pandas as pd
import pytest
from services import T0, body, kline, minutes

from mdkit.errors import InvalidMessage, RecordingError, RecordingWarning
from mdkit.history.columns import Klines, join_frames, to_frame
from mdkit.history.files.files import read_klines
from mdkit.history.prices import PriceWarning

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


def test_without_volume_it_is_0_and_of_two_bars_the_last_counts_and_that_is_told(tmp_path):
    (tmp_path / "a.csv").write_text(
        "Date,Open,High,Low,Close\n2025-01-02,1,3,1,2\n2025-01-01,1,2,1,2\n2025-01-02,5,6,5,5\n"
    )
    with pytest.warns(RecordingWarning, match=r"a\.csv: 1 bars .* first at 2025-01-02 00:00 UTC"):
        got = read_klines(tmp_path / "a.csv")
    assert got["close"].tolist() == [2.0, 5.0]
    assert got["volume"].tolist() == [0.0, 0.0]
    assert got.index[0] == pd.Timestamp("2025-01-01", tz="UTC")


def test_the_same_bar_twice_is_nothing_to_tell(tmp_path):
    path = write(tmp_path, "date,open,high,low,close", "2025-01-01,1,2,1,2", "2025-01-01,1,2,1,2")
    assert len(read_klines(path)) == 1


def write(folder, header, *rows):
    path = folder / "bars.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def starts(path, **options):
    """Return the starts of a file's bars as text, to the second."""
    return [f"{stamp:%Y-%m-%d %H:%M:%S}" for stamp in read_klines(path, **options).index]


@pytest.mark.parametrize(
    ("header", "row", "start"),
    [
        ("date,time", "2024-01-02,09:30:00", "2024-01-02 09:30:00"),
        ("time,date", "09:30,2024-01-02", "2024-01-02 09:30:00"),
        ("<DATE>\t<TIME>", "2024.01.02\t09:30:00", "2024-01-02 09:30:00"),
        ("<DATE>,<TIME>", "20240102,093000", "2024-01-02 09:30:00"),
        ("Date;Time", "01/31/2024;0930", "2024-01-31 09:30:00"),
        ("Date,Time", "31.01.2024,9:30 PM", "2024-01-31 21:30:00"),
        ("date,time", "2024-01-02,12:05 AM", "2024-01-02 00:05:00"),
        ("date,timestamp", "45293,0.3958333333", "2024-01-02 09:30:00"),
        ("date,time", "2024-01-02,09:30:00-05:00", "2024-01-02 14:30:00"),
        ("date,time", "2024-01-02,2024-01-03 09:30", "2024-01-03 09:30:00"),
        ("date,time", "2024-01-02 09:30,09:30", "2024-01-02 09:30:00"),
        ("date,timestamp", "2024-01-02,1704187800", "2024-01-02 09:30:00"),
    ],
)
def test_a_date_and_a_time_of_day_are_one_time(tmp_path, header, row, start):
    between = next(c for c in "\t;," if c in header)
    figures = between.join(["1", "1", "1", "1"])
    names = between.join(["<OPEN>", "High", "low", "CLOSE"])
    path = write(tmp_path, header + between + names, row + between + figures)
    assert starts(path) == [start]


def test_each_minute_of_each_day_stays_a_bar_of_its_own(tmp_path):
    rows = [
        f"{d:%Y-%m-%d},{d:%H:%M:%S},1,1,1,1"
        for d in pd.date_range("2024-01-02", periods=5000, freq="h")
    ]
    got = read_klines(write(tmp_path, "date,time,open,high,low,close", *rows))
    assert got.index.equals(
        pd.date_range("2024-01-02", periods=5000, freq="h", tz="UTC", unit="ns")
    )


def test_times_of_day_without_a_day_are_no_times(tmp_path):
    path = write(tmp_path, "time,open,high,low,close", "09:30:00,1,1,1,1")
    with pytest.raises(
        RecordingError, match=r"column time holds times of day .* add a column date"
    ):
        read_klines(path)


@pytest.mark.parametrize(
    ("value", "start"),
    [
        ("1704187800", "2024-01-02 09:30:00"),
        ("1704187800000", "2024-01-02 09:30:00"),
        ("1704187800000000", "2024-01-02 09:30:00"),
        ("1704187800000000000", "2024-01-02 09:30:00"),
        ("20240102", "2024-01-02 00:00:00"),
        ("202401020930", "2024-01-02 09:30:00"),
        ("20240102093000", "2024-01-02 09:30:00"),
        ("20240102 093000", "2024-01-02 09:30:00"),
        ("45293", "2024-01-02 00:00:00"),
        ("45293.3958333333", "2024-01-02 09:30:00"),
        ("45293.39583", "2024-01-02 09:30:00"),
        ("2024-01-02T09:30:00-05:00", "2024-01-02 14:30:00"),
        ("2024/1/2 9:30", "2024-01-02 09:30:00"),
        ("2 Jan 2024", "2024-01-02 00:00:00"),
        ("31/01/2024", "2024-01-31 00:00:00"),
        ("01/31/2024", "2024-01-31 00:00:00"),
        ("1962-01-02", "1962-01-02 00:00:00"),
    ],
)
def test_every_row_may_have_its_time_in_its_own_way(tmp_path, value, start):
    others = ["1735689600000,1,1,1,1", "2025-01-02,1,1,1,1", "1735862400,1,1,1,1"]
    path = write(tmp_path, "time,open,high,low,close", f"{value},1,1,1,1", *others)
    told = ["2025-01-01 00:00:00", "2025-01-02 00:00:00", "2025-01-03 00:00:00"]
    assert starts(path) == [start, *told]


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_numbers_in_a_table_are_told_apart_row_by_row(tmp_path, unit):
    at = pd.Timestamp("2024-12-31").value
    scale = {"s": 10**9, "ms": 10**6, "us": 10**3}[unit]
    table = pd.DataFrame({"open_time": [at // scale, 1_735_689_600_000_000_000]})
    for column in ("open", "high", "low", "close"):
        table[column] = 1.0
    table.to_parquet(tmp_path / "a.parquet")
    assert starts(tmp_path / "a.parquet") == ["2024-12-31 00:00:00", "2025-01-01 00:00:00"]


@pytest.mark.parametrize("value", ["86400", "0", "-1", "17041878", "99999", "20241301", "5e20"])
def test_numbers_that_are_no_time_are_refused(tmp_path, value):
    path = write(tmp_path, "time,open,high,low,close", "1704187800,1,1,1,1", f"{value},1,1,1,1")
    with pytest.raises(RecordingError, match=r"column time: .* is no time"):
        read_klines(path)


def test_what_was_read_in_a_wrong_unit_before_is_refused(tmp_path):
    wrong = pd.to_datetime(pd.Series([1_735_603_200, 1_735_689_600]))  # seconds taken for ns
    table = pd.DataFrame({"time": wrong, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0})
    table.to_parquet(tmp_path / "a.parquet")
    table.to_csv(tmp_path / "a.csv")
    (tmp_path / "a.json").write_bytes(body([kline(1_735_603_200)]))
    for name in ("a.parquet", "a.csv", "a.json"):
        with pytest.raises(RecordingError, match="of January 1970"):
            read_klines(tmp_path / name)


def test_prices_of_1970_are_not_refused(tmp_path):
    path = write(
        tmp_path,
        "date,open,high,low,close",
        *(f"{d:%Y-%m-%d},1,1,1,1" for d in pd.date_range("1970-01-01", periods=9, freq="MS")),
    )
    assert len(read_klines(path)) == 9


@pytest.mark.parametrize("mark", ["/", ".", "-"])
def test_days_and_months_are_asked_about_where_both_could_be_meant(tmp_path, mark):
    row = f"05{mark}11{mark}2023,1,1,1,1"
    path = write(tmp_path, "date,open,high,low,close", row)
    with pytest.raises(RecordingError, match=r"day, month, year or month, day.*dayfirst=True or"):
        read_klines(path)
    assert starts(path, dayfirst=True) == ["2023-11-05 00:00:00"]
    assert starts(path, dayfirst=False) == ["2023-05-11 00:00:00"]
    path = write(tmp_path, "date,open,high,low,close", row, f"14{mark}11{mark}2023,1,1,1,1")
    assert starts(path) == ["2023-11-05 00:00:00", "2023-11-14 00:00:00"]
    with pytest.raises(RecordingError, match="dayfirst=False, but there is"):
        read_klines(path, dayfirst=False)
    path = write(tmp_path, "date,open,high,low,close", row, f"11{mark}14{mark}2023,1,1,1,1")
    assert starts(path) == ["2023-05-11 00:00:00", "2023-11-14 00:00:00"]
    both = (row, f"14{mark}11{mark}2023,1,1,1,1", f"11{mark}14{mark}2023,1,1,1,1")
    with pytest.raises(RecordingError, match=r"comes first in .* and second in"):
        read_klines(write(tmp_path, "date,open,high,low,close", *both))


@pytest.mark.parametrize("column", ["symbol", "Ticker", "<TICKER>"])
def test_symbols_are_the_text_that_they_are(tmp_path, column):
    symbols = ["NA", "00700", "000001", "TRUE", "nan", "1e5", "null", "INF", "AAPL.US"]
    rows = [f"2024-01-02,{symbol},1,1,1,1" for symbol in symbols]
    got = read_klines(write(tmp_path, f"date,{column},open,high,low,close", *rows))
    assert got.index.get_level_values("symbol").tolist() == symbols


def test_symbols_that_are_no_text_are_refused(tmp_path):
    table = BARS.reset_index().head(2)
    for symbols in ([1, 700], [True, False], ["A", None]):
        table.assign(symbol=symbols).to_parquet(tmp_path / "a.parquet")
        with pytest.raises(RecordingError, match=r"column symbol holds .* which is no text"):
            read_klines(tmp_path / "a.parquet")
    path = write(tmp_path, "date,symbol,open,high,low,close", "2024-01-02,,1,1,1,1")
    with pytest.raises(RecordingError, match="column symbol is empty in row 0"):
        read_klines(path)


def test_column_names_of_two_levels_get_a_sentence(tmp_path):
    columns = pd.MultiIndex.from_product([["Open", "High", "Low", "Close"], ["AAPL", "MSFT"]])
    wide = pd.DataFrame(1.0, pd.date_range("2024-01-02", periods=2, name="Date"), columns)
    wide.to_csv(tmp_path / "a.csv")
    wide.to_parquet(tmp_path / "a.parquet")
    one = wide.xs("AAPL", axis=1, level=1, drop_level=False)
    one.to_csv(tmp_path / "b.csv")
    for name, said in (
        ("a.csv", "two lines of"),
        ("b.csv", "two lines of"),
        ("a.parquet", "2 levels"),
    ):
        with pytest.raises(RecordingError, match=f"{said}.*keep one line of names"):
            read_klines(tmp_path / name)


@pytest.mark.parametrize(
    "header",
    [
        "date,open,high,low,close,close",
        "Date,date,open,high,low,close",
        "date,open,high,low,Close,close",
        "date,symbol,ticker,open,high,low,close,symbol",
    ],
)
def test_a_name_that_stands_over_two_columns_gets_a_sentence(tmp_path, header):
    row = ",".join("2024-01-02" if "date" in n.lower() else "1" for n in header.split(","))
    with pytest.raises(RecordingError, match=r"two columns for (close|date|symbol) "):
        read_klines(write(tmp_path, header, row))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("1704187800,1,1,1,1,5\n1704187860,1,1,1,1,5\n", "has no header"),
        ("<!DOCTYPE html><html><body>Too many requests</body></html>", "is a web page"),
        (
            "date,open,high,low,close\n2024-01-02,1,1,1,1,9\n",
            "not readable as csv: Length of header",
        ),
        ('date,open,high,low,close\n2024-01-02,1,1,1,"1,234"\n', "such as '1,234'"),
    ],
)
def test_other_files_that_people_have_get_a_sentence(tmp_path, content, said):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(RecordingError, match=said):
        read_klines(tmp_path / "a.csv")


def test_what_spreadsheets_write(tmp_path):
    text = "Date\tOpen\tHigh\tLow\tClose\r\n2024-01-02\t1\t1\t1\t1\r\n"
    for coding in ("utf-16", "utf-8-sig"):
        (tmp_path / "a.csv").write_bytes(text.encode(coding))
        assert starts(tmp_path / "a.csv") == ["2024-01-02 00:00:00"]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_price_of_0_or_below_costs_one_bar_unless_it_is_allowed(tmp_path, kind):
    bars = minutes(T0, 4)
    bars[2].low = -40.32
    path = tmp_path / f"a.{kind}"
    if kind == "json":
        path.write_bytes(body(bars))
    else:
        to_frame(Klines.of(bars)).to_csv(path)
    with pytest.warns(
        PriceWarning, match="1 of 4 bars have a price of 0 or below.*2025-01-01 00:02"
    ):
        assert len(read_klines(path)) == 3
    assert read_klines(path, allow_nonpositive=True)["low"].tolist()[2] == -40.32
    bars[2].high = -50.0
    path.write_bytes(body(bars)) if kind == "json" else to_frame(Klines.of(bars)).to_csv(path)
    with pytest.raises(InvalidMessage, match="invalid bar: 2025-01-01 00:02"):
        read_klines(path, allow_nonpositive=True)


def test_a_saved_refusal_is_an_error(tmp_path):
    (tmp_path / "a.json").write_text('{"code":3001,"message":"slow down","data":null}')
    with pytest.raises(RecordingError, match="refusal 3001"):
        read_klines(tmp_path / "a.json")


def test_a_tilde_is_the_users_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    BARS.to_csv(tmp_path / "a.csv")
    pd.testing.assert_frame_equal(read_klines("~/a.csv"), BARS)


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
        ("a.csv.gz", gzip.compress(b"time,open" * 99, mtime=0)[:-9], "damaged"),
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
        (",6,1,5,1", "price is not a number"),
        ("inf,inf,1,5,1", "price is not a number"),
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


def test_many_symbols_are_split_as_one_by_one(tmp_path):
    """Bars in any order, some twice and some at 0, as reading each symbol by itself gives them."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(7)
    rows = []
    for _ in range(400):
        symbol, hour = random.choice(["B", "A", "000001", "NA"]), random.integers(0, 60)
        price = 0.0 if random.random() < 0.1 else float(random.integers(1, 9))
        rows.append((symbol, f"2024-01-0{1 + hour // 24}T{hour % 24:02}:00:00Z", price))
    path = tmp_path / "many.csv"

    def read(chosen):
        lines = ["symbol,time,open,high,low,close,volume"]
        lines += [f"{s},{t},{p},{p},{p},{p},1" for s, t, p in chosen]
        path.write_text("\n".join(lines))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read_klines(path)

    whole = read(rows)
    order = list(dict.fromkeys(row[0] for row in rows))
    parts = pd.concat([read([row for row in rows if row[0] == one]) for one in order])
    pd.testing.assert_frame_equal(whole, parts)


def test_what_is_no_regular_file_is_refused(tmp_path):
    with pytest.raises(RecordingError, match="no regular file"):
        read_klines(tmp_path)


def test_what_unpacks_without_measure_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("mdkit.history.files.files._MOST_UNPACKED", 1000)
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"time,open,high,low,close\n" + b" " * 5000))
    with pytest.raises(RecordingError, match="when unpacked"):
        read_klines(path)
