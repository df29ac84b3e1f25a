"""Archives of Tardis and Binance, as events with their gaps."""

import gzip
import zipfile

import pytest

import mdkit as md
from mdkit.events import Depth, Gap, Trade

HEAD = "exchange,symbol,timestamp,local_timestamp"


def written(path, text):
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr(path.with_suffix(".csv").name, text)
    else:
        path.write_text(text)
    return path


def tardis_trades(folder, name="trades.csv.gz"):
    rows = [
        f"{HEAD},id,side,price,amount",
        "x,BTC,1000,1500,7,buy,10.5,2",
        "x,BTC,2000,2500,8,unknown,10.4,1",
    ]
    return written(folder / name, "\n".join(rows))


@pytest.mark.parametrize("name", ["trades.csv", "trades.csv.gz"])
def test_trades_of_tardis(tmp_path, name):
    archive = md.read_archive(tardis_trades(tmp_path, name))
    assert archive.symbols == ("BTC",)
    assert list(archive) == [
        Trade("BTC", 10.5, 2.0, "buy", "7", 1_000_000, 1_500_000),
        Trade("BTC", 10.4, 1.0, "neutral", "8", 2_000_000, 2_500_000),
    ]
    assert archive.frame("trade", "BTC")["price"].tolist() == [10.5, 10.4]
    assert not len(archive.gaps())


def test_snapshots_of_tardis(tmp_path):
    names = [
        f"{s}[{n}].{w}" for n in range(2) for s in ("asks", "bids") for w in ("price", "amount")
    ]
    path = written(
        tmp_path / "book_snapshot_2.csv",
        f"{HEAD},{','.join(names)}\nx,BTC,1,2,11,1,10,2,12,3,,\n",
    )
    (book,) = md.read_archive(path)
    assert book == Depth("BTC", ((10.0, 2.0),), ((11.0, 1.0), (12.0, 3.0)), 1000, 2000)


def test_increments_of_tardis_make_books_and_a_new_snapshot_is_a_gap(tmp_path):
    rows = [
        f"{HEAD},is_snapshot,side,price,amount",
        "x,BTC,1,1,false,bid,9,9",  # before any snapshot
        "x,BTC,2,2,true,bid,10,1",
        "x,BTC,2,2,true,bid,9,2",
        "x,BTC,2,2,true,ask,11,3",
        "x,BTC,3,3,false,bid,10,0",
        "x,BTC,3,3,false,ask,12,4",
        "x,BTC,4,4,false,bid,10.5,5",
        "x,BTC,4,4,false,bid,8,0",  # what is not there
        "x,BTC,9,9,true,bid,20,1",
        "x,BTC,9,9,true,ask,21,1",
    ]
    archive = md.read_archive(written(tmp_path / "l2.csv", "\n".join(rows)))
    assert list(archive) == [
        Depth("BTC", ((10.0, 1.0), (9.0, 2.0)), ((11.0, 3.0),), 2000, 2000),
        Depth("BTC", ((9.0, 2.0),), ((11.0, 3.0), (12.0, 4.0)), 3000, 3000),
        Depth("BTC", ((10.5, 5.0), (9.0, 2.0)), ((11.0, 3.0), (12.0, 4.0)), 4000, 4000),
        Gap("BTC", "depth", "the venue sent a new snapshot", 4000, 9000),
        Depth("BTC", ((20.0, 1.0),), ((21.0, 1.0),), 9000, 9000),
    ]
    assert archive.frame("depth", "BTC")["gap"].tolist() == [False, False, False, True]
    assert archive.gaps()["channel"].tolist() == ["depth"]


@pytest.mark.parametrize(
    "head", ["", "agg_trade_id,price,quantity,first,last,time,is_buyer_maker\n"]
)
@pytest.mark.parametrize("suffix", [".csv", ".zip"])
def test_aggregated_trades_of_binance_and_numbers_that_are_missing(tmp_path, head, suffix):
    path = written(
        tmp_path / f"BTCUSDT-aggTrades-2024-08-08{suffix}",
        f"{head}5,10.5,2,1,1,1723075200000,true\n6,10.6,1,2,2,1723075200001,false\n"
        "9,10.7,1,3,3,1735689600000000,False\n",
    )
    archive = md.read_archive(path)
    first, second, gap, last = archive
    assert first == Trade(
        "BTCUSDT", 10.5, 2.0, "sell", "5", 1_723_075_200_000_000_000, 1_723_075_200_000_000_000
    )
    assert second.side == "buy"
    assert (gap.lost, gap.reason, gap.channel) == (2, "ids are missing", "trade")
    assert gap.to_ns == last.received_ns == 1_735_689_600_000_000_000
    assert archive.frame("trade", "BTCUSDT")["gap"].tolist() == [False, False, True]


def test_trades_and_quotes_of_binance_merge_by_time(tmp_path):
    trades = written(
        tmp_path / "ETHUSDT-trades-2024-08-08.csv", "1,10,2,20,1723075200005,true,true\n"
    )
    quotes = written(
        tmp_path / "ETHUSDT-bookTicker-2024-08-08.csv",
        "update_id,b,bq,a,aq,t,e\n1,9.9,5,10.1,6,1723075200001,1723075200001\n"
        "2,9.8,5,0.00,0.000,1723075200009,1723075200009\n",
    )
    archive = md.read_archive([trades, quotes])
    first, trade, last = archive
    assert (first.kind, trade.kind, last.kind) == ("depth", "trade", "depth")
    assert first.bids == ((9.9, 5.0),)
    assert last.asks == ()  # a side of size 0 is empty, no offer for nothing


def test_an_archive_can_be_studied_and_written_as_parquet(tmp_path):
    rows = [f"{HEAD},bids[0].price,bids[0].amount,asks[0].price,asks[0].amount"]
    for n in range(400):
        heavy = 9 if n // 7 % 2 else 1
        price = 100 + (n // 7 % 2)
        rows.append(
            f"x,BTC,{n * 100_000},{n * 100_000 + 5},{price},{heavy},{price + 1},{10 - heavy}"
        )
    archive = md.read_archive(written(tmp_path / "book.csv", "\n".join(rows)))
    found = md.study(md.strategies.pressure(levels=1), archive, "100ms")
    assert found.ic["events"].iloc[0] == 399
    assert found.ic["ic"].iloc[0] < 0  # up when it was heavy before, so down from there
    md.to_parquet(archive, tmp_path / "out")
    back = md.read_parquet(tmp_path / "out")
    assert list(back) == list(archive)
    assert md.study(md.imbalance, back, "100ms").ic["events"].iloc[0] == 399


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("other.csv", "a,b\n1,2\n", "no archive that is known"),
        ("x.csv", f"{HEAD},funding\nx,A,1,1,0.1\n", "none of what can be read"),
        ("x.csv", f"{HEAD},id,side,price,amount\nx,A,1,1,7,buy,ten,1\n", "cannot be read"),
        ("A-trades-2024-01-01.csv", "1,2\n", "cannot be read"),
        ("A-trades-2024-01-01.zip", None, "cannot be read"),
        ("x.csv.gz", None, "cannot be read"),
        ("none.csv", "", "no archive"),
    ],
)
def test_what_is_none_is_refused_in_words(tmp_path, name, text, told):
    path = tmp_path / name
    if text is None:
        path.write_bytes(b"not packed")
    else:
        written(path, text)
    with pytest.raises(md.MdkitError, match=told):
        md.read_archive(path)
    with pytest.raises(md.MdkitError, match="does not exist"):
        md.read_archive(tmp_path / "absent.csv")
    with pytest.raises(md.MdkitError, match="no archive to read"):
        md.read_archive([])


@pytest.mark.parametrize("name", ["x.csv.gz", "A-trades-2024-01-01.zip"])
@pytest.mark.parametrize("filler", [" ", "1", '"'])
def test_a_line_that_does_not_end_is_refused(tmp_path, name, filler):
    path = written(tmp_path / name, f"{HEAD},id,side,price,amount\n" + filler * (8 << 20))
    with pytest.raises(md.MdkitError, match="line of 65,536 characters"):
        md.read_archive(path)


def test_text_that_is_none_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xff\xfe\x00" * 100)
    with pytest.raises(md.MdkitError, match="cannot be read"):
        md.read_archive(path)


@pytest.mark.parametrize("price", ["nan", "inf", "-1", "0", "1e999"])
def test_a_trade_that_cannot_be_true_is_a_gap(tmp_path, price):
    rows = [
        f"{HEAD},id,side,price,amount",
        "x,BTC,1000,1500,7,buy,10.5,2",
        f"x,BTC,2000,2500,8,buy,{price},1",
        "x,BTC,2000,2600,9,buy,10,nan",
        "x,BTC,2000,2700,9,buy,10,0",
        "x,BTC,3000,3500,10,sell,10.4,1",
    ]
    archive = md.read_archive(written(tmp_path / "t.csv", "\n".join(rows)))
    assert archive.frame("trade", "BTC")["price"].tolist() == [10.5, 10.4]
    gaps = archive.gaps()
    assert gaps["reason"].tolist() == [
        f"unusable: price {float(price):g}",
        "unusable: size nan",
        "unusable: size 0",
    ]
    assert gaps["lost"].tolist() == [1, 1, 1]


def test_books_that_cannot_be_true_are_gaps(tmp_path):
    names = [
        f"{s}[{n}].{w}" for n in range(2) for s in ("asks", "bids") for w in ("price", "amount")
    ]
    rows = [
        "x,BTC,1,2,11,1,10,2,12,3,9,0",
        "x,BTC,2,3,11,1,12,2,12,3,9,1",
        "x,BTC,3,4,11,1,10,2,10.5,3,9,1",
        "x,BTC,4,5,11,-1,10,2,12,3,9,1",
        "x,BTC,5,6,11,1,10,2,12,3,nan,1",
    ]
    path = written(tmp_path / "b.csv", "\n".join([f"{HEAD},{','.join(names)}", *rows]))
    archive = md.read_archive(path)
    (book,) = [event for event in archive if isinstance(event, Depth)]
    assert book.bids == ((10.0, 2.0),), "a level of size 0 is none"
    assert archive.gaps()["reason"].tolist() == [
        "crossed: bid 12 above ask 11",
        "asks are not sorted: 10.5 follows 11",
        "unusable: size -1",
        "unusable: price nan",
    ]


def test_a_level_that_cannot_be_true_loses_the_book_until_the_next_snapshot(tmp_path):
    rows = [
        f"{HEAD},is_snapshot,side,price,amount",
        "x,BTC,1,1,true,bid,10,1",
        "x,BTC,1,1,true,ask,11,1",
        "x,BTC,2,2,false,bid,nan,1",
        "x,BTC,3,3,false,bid,10,2",
        "x,BTC,4,4,true,bid,9,1",
        "x,BTC,4,4,true,ask,11,1",
        "x,BTC,5,5,false,ask,11,inf",
        "x,BTC,6,6,false,ask,11,3",
    ]
    archive = md.read_archive(written(tmp_path / "i.csv", "\n".join(rows)))
    events = list(archive)
    assert [event.received_ns for event in events if isinstance(event, Depth)] == [1000, 4000]
    assert [event for event in events if isinstance(event, Gap)] == [
        Gap("BTC", "depth", "unusable: price nan", 1000, 4000),
        Gap("BTC", "depth", "unusable: size inf", 4000, 6000),
    ]


@pytest.mark.parametrize(
    ("symbol", "time"), [("", "1"), ("A" * 65, "1"), ("\x1b[2J", "1"), ("A", "-1"), ("A", "9" * 30)]
)
def test_symbols_and_times_that_can_be_none_are_refused(tmp_path, symbol, time):
    row = f"x,{symbol},1,{time},7,buy,10.5,2"
    path = written(tmp_path / "t.csv", f"{HEAD},id,side,price,amount\n{row}\n")
    with pytest.raises(md.MdkitError, match=r"is no (symbol|time)"):
        md.read_archive(path)


@pytest.mark.parametrize("size", ["nan", "-1"])
def test_a_quote_of_binance_that_cannot_be_true_is_a_gap(tmp_path, size):
    path = tmp_path / "A-bookTicker-2024-01-01.csv"
    path.write_text(f"1,10,{size},11,1,1700000000000,1700000000000\n2,10,0,11,1,1700000000001,1\n")
    archive = md.read_archive(path)
    assert archive.gaps()["reason"].tolist() == [f"unusable: size {size}"]
    (book,) = [event for event in archive if isinstance(event, Depth)]
    assert (book.bids, book.asks) == ((), ((11.0, 1.0),))
