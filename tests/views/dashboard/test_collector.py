"""Pictures of a session: what is new, once, and nothing that is not known."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

import mdkit as md
from mdkit.events import Depth, Gap, Trade
from mdkit.pipeline.pipeline import Pipeline
from mdkit.sources.venue import VenueSource
from mdkit.views.dashboard import collector as collecting
from mdkit.views.dashboard.collector import Collector
from mdkit.views.dashboard.state import book_fault, state_of

T0 = 1_700_000_000_000_000_000
S = 1_000_000_000


@pytest.fixture
def pipeline(list_source, monkeypatch):
    # Bars go with every picture.
    monkeypatch.setattr(collecting, "_BARS_SECONDS", 0.0)

    async def main():
        return Pipeline(list_source([]))

    return asyncio.run(main())


def trade(at, price, size, side="buy"):
    return Trade("A", price, float(size), side, "", T0 + int(at * S), T0 + int(at * S))


def book(at):
    return Depth("A", ((100.0, 1.0),), ((100.5, 2.0),), T0 + int(at * S), T0 + int(at * S))


def give(pipeline, *trades):
    pipeline.frames.table("trade", "A").extend(trades)


def page(collector, bars):
    """Take a picture's bars into what a page has of them: start -> row."""
    parts = collector.parts(False)
    for row in parts.get("bars", ()):
        bars[int(row[0]) * 1_000_000] = row
    return parts


def test_a_bar_that_forms_no_longer_is_sent_as_whole(pipeline):
    collector, bars = Collector(pipeline, "A", interval="5s"), {}
    for at in (0, 1, 6, 7, 11):  # one trade a picture
        give(pipeline, trade(at, 100.0, 1))
        assert collector.update()
        page(collector, bars)
    table = md.footprint(pipeline.frames.frame("trade", "A"), "5s")["partial"].groupby("time").any()
    assert [bool(bars[at.value][8]) for at in table.index] == table.tolist() == [True, False, True]


def test_imbalances_are_those_of_the_table_once_prices_lie_closer(pipeline):
    collector, cells = Collector(pipeline, "A", interval="5s"), {}
    rows = [(0, 100.0, 1, "sell"), (1, 101.0, 9, "buy"), (6, 100.5, 1, "buy"), (7, 100.0, 1, "buy")]
    for row in rows:
        give(pipeline, trade(*row))
        collector.update()
        for start, price, *_, mark in collector.parts(False)["cells"]:
            cells[int(start) * 1_000_000, price] = {1: "buy", -1: "sell", 0: ""}[int(mark)]
    table = md.footprint(pipeline.frames.frame("trade", "A"), "5s")["imbalance"]
    assert cells == {(at.value, price): mark for (at, price), mark in table.items()}


def test_another_interval_counts_every_trade_once(pipeline):
    collector = Collector(pipeline, "A", interval="5s")
    give(pipeline, trade(0, 100.0, 1))
    collector.update()
    give(pipeline, trade(1, 100.0, 2))  # has come, and is not taken in yet
    collector.fold("15s")
    collector.update()
    assert sum(bar.volume for bar in collector.footprint.bars.values()) == 3.0


def test_looking_at_the_header_sends_nothing_and_loses_nothing(pipeline):
    collector = Collector(pipeline, "A")
    collector.update()
    pipeline.gap(Gap("A", "depth", "disconnected", T0, T0 + S, None))
    collector.update()
    first = collector.head()["gaps"]
    assert first == collector.head()["gaps"] == [(T0 / 1e6, (T0 + S) / 1e6, "disconnected", 0)]


def test_rows_that_came_and_went_unseen_are_a_gap(pipeline):
    collector = Collector(pipeline, "A")
    books, trades = (pipeline.frames.table(kind, "A") for kind in ("depth", "trade"))
    books.extend([book(0)])
    trades.extend([trade(0, 100.0, 1)])
    collector.update()
    for kind in (books, trades):
        kind.shrink(5)
    books.extend([book(1 + n) for n in range(20)])
    trades.extend([trade(1 + n, 100.0, 1) for n in range(20)])
    collector.update()
    assert collector.ring("books").rows[:, 1].tolist() == [0, 1, 0, 0, 0, 0]
    assert collector.ring("trades").rows[:, 4].tolist() == [0, 1, 0, 0, 0, 0]


def test_hours_are_held_at_the_coarse_levels_when_a_symbol_is_looked_at_late(pipeline):
    books = pipeline.frames.table("depth", "A")
    books.extend([book(n) for n in range(9_000)])
    collector = Collector(pipeline, "A", level=2)
    collector.update()
    held = collector.ring("books").rows[:, 0]
    assert held[0] == (T0 + 4 * S) / 1e6
    assert (np.diff(held) == 5_000.0).all()
    assert held[-1] == (T0 + 8_999 * S) / 1e6


def out_of_step(state, reason="sequence 7 after 5"):
    source = VenueSource.__new__(VenueSource)
    builder = SimpleNamespace(state=state, reason=reason)
    venue = SimpleNamespace(title="Kraken")
    assembler = SimpleNamespace(builders={"A": builder})
    socket = SimpleNamespace(connected=True, stale_for=0.0)
    asked = {("depth", "A"): None}
    source.connections = [
        SimpleNamespace(
            venue=venue,
            assembler=assembler,
            socket=socket,
            silent=(),
            subscriptions=asked,
            replacement=None,
        )
    ]
    return source


def test_a_session_of_which_nothing_could_be_read_is_not_called_normal(
    list_source, depth_message, until
):
    async def main(processed, invalid, *batches):
        session = md.live(source=list_source(batches, ends=False))
        session.start()
        totals = session.pipeline.ledger.totals
        await until(lambda: (totals()["processed"], totals()["invalid"]) == (processed, invalid))
        word = state_of(session.pipeline)
        await session.stop()
        return word

    other = b'{"channel": "book", "data": []}'
    assert asyncio.run(main(0, 2, [other], [other])) == "failing"
    assert asyncio.run(main(1, 1, [other], [depth_message("A")])) == "normal"


@pytest.mark.parametrize(
    ("state", "fault", "word"),
    [
        ("in step", "", "normal"),
        ("out of step", "sequence 7 after 5", "out of step"),
        ("waiting", "sequence 7 after 5", "normal"),
    ],
)
def test_a_book_out_of_step_stands_no_longer_and_is_not_called_normal(pipeline, state, fault, word):
    pipeline.frames.table("depth", "A").extend([book(0)])
    collector = Collector(pipeline, "A")
    collector.update()
    pipeline.source.connected = False
    assert collector.seen_ms == collector.last_ms, "a source that is not connected says nothing"
    pipeline.source = out_of_step(state)
    assert book_fault(pipeline.source, "A") == fault
    assert state_of(pipeline) == word
    assert (collector.seen_ms > collector.last_ms) == (not fault)
