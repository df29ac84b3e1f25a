"""Files made by Databento's own package."""

import datetime
from types import SimpleNamespace

import pytest

import mdkit as md
from mdkit.errors import RecordingError
from mdkit.events import Bar, Depth, Gap, Trade
from mdkit.recording.archives.databento import ANOTHER, MAYBE_WRONG

dbn = pytest.importorskip("databento_dbn", reason="needs mdkit's extra databento")
zstandard = pytest.importorskip("zstandard", reason="needs mdkit's extra zstd")

T0 = 1_700_000_000_000_000_000  # 2023-11-14
DAY = 86_400_000_000_000
NANO = 1_000_000_000


def write(path, *records, mappings=(("ESZ3", 5, 14, 30),), schema=dbn.Schema.MBP_10):
    """Write records; a mapping is a symbol, an instrument, and from and to which November day."""
    spans = {}
    for symbol, number, start, end in mappings:
        days = [datetime.date(2023, 11, day) for day in (start, end)]
        span = SimpleNamespace(start_date=days[0], end_date=days[1], symbol=str(number))
        spans.setdefault(symbol, []).append(span)
    metadata = dbn.Metadata(
        dataset="GLBX.MDP3",
        start=T0,
        stype_in=dbn.SType.RAW_SYMBOL,
        stype_out=dbn.SType.INSTRUMENT_ID,
        schema=schema,
        symbols=list(spans),
        mappings=[SimpleNamespace(raw_symbol=s, intervals=i) for s, i in spans.items()],
    )
    data = metadata.encode() + b"".join(bytes(record) for record in records)
    path.write_bytes(zstandard.compress(data) if path.suffix == ".zst" else data)
    return path


def trade(n, price, size, side, instrument=5):
    at = T0 + n
    return dbn.TradeMsg(
        1,
        instrument,
        at,
        int(price * NANO),
        size,
        dbn.Action.TRADE,
        side,
        0,
        at + 7,
        sequence=n % 1000 % DAY,
    )


def book(n, *levels, instrument=5, flags=dbn.F_LAST, action=dbn.Action.ADD, event=None):
    at = T0 + (n if event is None else event)
    pairs = [dbn.BidAskPair(int(b * NANO), int(a * NANO), bs, as_) for b, bs, a, as_ in levels]
    pairs += [dbn.BidAskPair()] * (10 - len(pairs))
    return dbn.MBP10Msg(
        1, instrument, at, 1, 2, action, dbn.Side.BID, 0, T0 + n + 7, flags=flags, levels=pairs
    )


@pytest.mark.parametrize("name", ["a.dbn", "a.dbn.zst"])
def test_trades(tmp_path, name):
    sides = (dbn.Side.BID, dbn.Side.ASK, dbn.Side.NONE)
    rows = [trade(n, 4500.25 + n, 3 + n, side) for n, side in enumerate(sides)]
    archive = md.read_archive(write(tmp_path / name, *rows, schema=dbn.Schema.TRADES))
    assert archive.symbols == ("ESZ3",)
    assert list(archive) == [
        Trade("ESZ3", 4500.25 + n, 3.0 + n, side, str(n), T0 + n, T0 + n + 7)
        for n, side in enumerate(("buy", "sell", "neutral"))
    ]


def test_books_come_once_an_event_is_whole(tmp_path):
    path = write(
        tmp_path / "a.dbn",
        book(0, (100.25, 3, 100.5, 4), (100, 1, 101, 2)),
        book(1, (100.25, 9, 100.5, 4), flags=0, event=1),
        book(1, (100.25, 9, 100.5, 8), event=1),
        book(2, (100.25, 7, 100.5, 8), flags=0),
        book(3, (100.25, 6, 100.5, 8), flags=0),
        book(3, flags=dbn.F_LAST, action=dbn.Action.TRADE, event=3),
    )
    found = list(md.read_archive(path))
    books = [event for event in found if isinstance(event, Depth)]
    assert books[0] == Depth(
        "ESZ3", ((100.25, 3.0), (100.0, 1.0)), ((100.5, 4.0), (101.0, 2.0)), T0, T0 + 7
    )
    tops = [(event.bids[0][1], event.asks[0][1]) for event in books]
    assert tops == [(3, 4), (9, 8), (7, 8), (6, 8)]
    assert sum(isinstance(event, Trade) for event in found) == 1
    assert md.read_archive(path).frame("depth", "ESZ3").bid.tolist() == [100.25] * 4


def test_books_that_are_marked_are_a_gap(tmp_path):
    level = (100.25, 3, 100.5, 4)
    wrong = dbn.F_LAST | dbn.F_MAYBE_BAD_BOOK
    rows = [book(n, level, flags=wrong if n in (1, 2, 4) else dbn.F_LAST) for n in range(5)]
    found = list(md.read_archive(write(tmp_path / "a.dbn", *rows)))
    assert [type(event).__name__ for event in found] == ["Depth", "Gap", "Depth", "Gap"]
    assert found[1] == Gap("ESZ3", "depth", MAYBE_WRONG, T0 + 8, T0 + 10)
    assert found[3] == Gap("ESZ3", "depth", MAYBE_WRONG, T0 + 11, T0 + 11)


def test_bars(tmp_path):
    row = dbn.OHLCVMsg(dbn.RType.OHLCV_1M, 1, 5, T0, 4 * NANO, 6 * NANO, 3 * NANO, 5 * NANO, 70)
    path = write(tmp_path / "a.dbn", row, schema=dbn.Schema.OHLCV_1M)
    assert list(md.read_archive(path)) == [Bar("ESZ3", 4.0, 6.0, 3.0, 5.0, 70.0, T0, "1m")]


def test_symbols_name_one_instrument_at_a_time(tmp_path):
    rolled = (("ES.c.0", 5, 14, 15), ("ES.c.0", 6, 15, 16))
    rows = [trade(0, 1, 1, dbn.Side.BID), trade(DAY, 2, 1, dbn.Side.BID, instrument=6)]
    found = list(md.read_archive(write(tmp_path / "a.dbn", *rows, mappings=rolled)))
    assert [event.symbol for event in found] == ["ES.c.0"] * 3
    assert found[1] == Gap("ES.c.0", "trade", ANOTHER, T0 + 7, T0 + DAY + 7)
    many = (("ES.FUT", 5, 14, 16), ("ES.FUT", 6, 14, 16))
    rows[1:] = [trade(1, 2, 1, dbn.Side.BID, instrument=n) for n in (6, 7)]
    found = list(md.read_archive(write(tmp_path / "b.dbn", *rows, mappings=many)))
    assert [event.symbol for event in found] == ["ES.FUT:5", "ES.FUT:6", "7"]


def test_what_cannot_be_read_is_told(tmp_path):
    path = write(tmp_path / "a.dbn", trade(0, 1, 1, dbn.Side.BID))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(RecordingError, match="its last record is not whole"):
        md.read_archive(path)
    path.write_bytes(b"not a file of that kind, and long enough to see it")
    with pytest.raises(RecordingError, match="no DBN file that can be read"):
        md.read_archive(path)
    status = dbn.MBOMsg(1, 5, T0, 1, 1, 1, dbn.Action.ADD, dbn.Side.BID, T0)
    with pytest.raises(RecordingError, match="holds MBOMsg records; what can be read"):
        md.read_archive(write(path, status))
    with pytest.raises(RecordingError, match="does not exist"):
        md.read_archive(tmp_path / "none.dbn")


def test_without_the_package_that_is_said(tmp_path, monkeypatch):
    path = write(tmp_path / "a.dbn", trade(0, 1, 1, dbn.Side.BID))
    monkeypatch.setitem(__import__("sys").modules, "databento_dbn", None)
    with pytest.raises(RecordingError, match="pip install databento-dbn"):
        md.read_archive(path)
