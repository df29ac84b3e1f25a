"""Books and trades as hftbacktest's events: played back, they give the same books."""

import numpy as np
import pytest

import mdkit as md
from mdkit.events import Depth, Gap, Trade
from mdkit.recording.tables.hftbacktest import BUY, DEPTH, DTYPE, EXCH, LOCAL, SELL, SNAPSHOT, TRADE


def played(data, flag, clock):
    """Play events for one clock; return {time: (bids, asks)} and trades, checking the order."""
    own = data[(data["ev"] & np.uint64(flag)) != 0]
    assert (np.diff(own[clock]) >= 0).all()
    sides, books, trades = {BUY: {}, SELL: {}}, {}, []
    for row in own:
        kind, side = int(row["ev"]) & 0xFF, int(row["ev"]) & (BUY | SELL)
        price, size = float(row["px"]), float(row["qty"])
        if kind == TRADE:
            trades.append((price, size, side))
            continue
        assert kind in (DEPTH, SNAPSHOT)
        if size:
            sides[side][price] = size
        else:
            del sides[side][price]
        books[int(row[clock])] = tuple(dict(sides[s]) for s in (BUY, SELL))
    return books, trades


def last_of_each_time(events, time):
    return {
        time(event): (dict(event.bids), dict(event.asks))
        for event in events
        if isinstance(event, Depth)
    }


def test_a_recording_played_back_gives_its_books_and_trades(tmp_path):
    path = tmp_path / "market.jsonl.gz"
    source = md.Simulated(rate=400.0, count=500, speed=0)
    session = md.live(
        ["AAPL.US", "MSFT.US"], source=source, channels=["depth", "trade"], record=path
    )
    session.run_blocking()
    events = [event for event in md.read_recording(path) if event.symbol == "MSFT.US"]
    with np.load(md.to_hftbacktest(path, tmp_path / "out.npz", "MSFT.US")) as file:
        data = file["data"]
    assert data.dtype == DTYPE
    books, trades = played(data, EXCH, "exch_ts")
    assert books == last_of_each_time(events, lambda e: e.exchange_ns)
    sides = {"buy": BUY, "sell": SELL}
    wanted = [(e.price, e.size, sides[e.side]) for e in events if isinstance(e, Trade)]
    assert trades == wanted
    assert played(data, LOCAL, "local_ts")[1] == wanted


def test_a_gap_begins_the_book_anew_and_clocks_that_differ_are_set_right(tmp_path):
    events = [
        Depth("A", ((10.0, 1.0), (9.0, 2.0)), ((11.0, 1.0),), 1_000, 400),
        Depth("A", ((10.0, 5.0),), ((12.0, 1.0),), 2_000, 1_500),
        Gap("A", "depth", "connection lost", 1_500, 1_700),
        Depth("A", ((7.0, 1.0),), (), 1_900, 1_700),  # dated before the last
        Trade("A", 7.5, 1.0, "neutral", "1", 0, 1_800),
    ]
    with np.load(md.to_hftbacktest(events, tmp_path / "x.npz", "A")) as file:
        data = file["data"]
    assert (data["local_ts"] >= data["exch_ts"]).all()
    books, trades = played(data, LOCAL, "local_ts")
    assert list(books.values()) == [
        ({10.0: 1.0, 9.0: 2.0}, {11.0: 1.0}),
        ({10.0: 5.0}, {12.0: 1.0}),
        ({7.0: 1.0}, {}),
    ]
    assert trades == [(7.5, 1.0, 0)]
    theirs = data[(data["ev"] & np.uint64(EXCH)) != 0]
    assert (np.diff(theirs["exch_ts"]) >= 0).all()
    kinds = (data[(data["ev"] & np.uint64(LOCAL)) != 0]["ev"] & np.uint64(0xFF)).tolist()
    assert kinds.count(SNAPSHOT) == 4


def test_the_format_is_that_of_the_package():
    types = pytest.importorskip("hftbacktest.types")
    assert types.event_dtype == DTYPE
    assert (types.DEPTH_EVENT, types.TRADE_EVENT) == (DEPTH, TRADE)
    assert types.DEPTH_SNAPSHOT_EVENT == SNAPSHOT
    flags = (types.EXCH_EVENT, types.LOCAL_EVENT, types.BUY_EVENT, types.SELL_EVENT)
    assert flags == (EXCH, LOCAL, BUY, SELL)


def test_what_cannot_be_is_refused_in_words(tmp_path):
    with pytest.raises(md.MdkitError, match=r"ends in \.npz"):
        md.to_hftbacktest([], tmp_path / "x.npy", "A")
    with pytest.raises(md.MdkitError, match="no books and trades of 'A'"):
        md.to_hftbacktest([], tmp_path / "x.npz", "A")
    assert not list(tmp_path.iterdir())
