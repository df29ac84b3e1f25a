"""What the canvas is fed is what the frames hold, however it comes and is dealt out."""

import asyncio
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdkit as md
from mdkit.canvas.rings import MS, Ring, in_ms
from mdkit.errors import SessionError
from mdkit.events import Depth, Trade
from mdkit.frames import DepthFrame, MetricsFrame, SignalFrame, TradeFrame
from mdkit.views.dashboard.series import (
    CAPACITY,
    STEPS_MS,
    BookSeries,
    MetricSeries,
    SignalSeries,
    TradeSeries,
)

T0 = 1_700_000_000_000_000_000
ROWS = st.lists(
    st.tuples(
        st.integers(0, 180).map(lambda half_ms: half_ms * 500_000), st.integers(1, 9), st.booleans()
    ),
    max_size=150,
)


def fill(frame, rows, make, cuts, look):
    """Give a frame rows in parts, looking after each; every part may begin behind a gap."""
    at, given, parts = T0, [], np.array_split(np.arange(len(rows)), cuts)
    for part in parts:
        events = []
        for n in part:
            since, size, gap = rows[n]
            at += since
            if gap:
                frame.extend(events)
                events = []
                frame.break_off()
            events.append(make(at, size))
            given.append((at, size, gap))
        frame.extend(events)
        look()
    return given


def book(at, size):
    return Depth("A", ((100.0, float(size)),), ((100.5, 2.0), (101.0, float(size))), at, at)


@pytest.mark.outer
@settings(deadline=None, max_examples=80)
@given(ROWS, st.integers(1, 30))
def test_of_books_the_last_of_each_step_is_kept(rows, cuts):
    frame = DepthFrame(levels=2)
    series = BookSeries(frame)
    given_rows = fill(frame, rows, book, cuts, series.update)
    for level, step in enumerate(STEPS_MS):
        naive = {}
        for at, size, gap in given_rows:
            key = at // int(step * MS)
            gap = gap or naive.get(key, (0, 0, False))[2]
            naive[key] = (at / MS, float(size), gap)
        held = series.ring(level).rows
        assert [(t, size, gap > 0) for t, size, gap in held[:, [0, 3, 1]]] == list(naive.values())
    if rows:
        whole = frame.snapshot()
        np.testing.assert_array_equal(
            series.ring(0).rows[-1, 2:11], whole.iloc[-1, 1:10].to_numpy(float)
        )


@pytest.mark.outer
@settings(deadline=None, max_examples=60)
@given(ROWS, st.integers(1, 30), st.randoms())
def test_flow_has_the_bits_of_the_table(rows, cuts, random):
    frame = TradeFrame()
    series = TradeSeries(frame)

    def make(at, size):
        side = random.choice(["buy", "sell", "neutral"])
        return Trade("A", 100.0, size / 7, side, "", at, at)

    fill(frame, rows, make, cuts, lambda: (series.update(), series.flow(random.randrange(3))))
    for level, step in enumerate(STEPS_MS):
        table = md.cvd(frame.snapshot(), every=f"{step:.0f}ms")
        held = series.flow(level).rows
        wanted = table[["buy", "sell", "neutral", "cvd", "gap"]].to_numpy(float)
        assert held[:, 0].tolist() == in_ms(table.index.asi8).tolist()
        assert held[:, 1:].tobytes() == np.ascontiguousarray(wanted).tobytes()


def test_signals_are_thinned_but_no_turn_is_missed():
    table = SignalFrame()
    series = SignalSeries(table, "A")
    ms = 1_000_000
    said = [(0, 1.0), (10, 2.0), (20, -1.0), (30, -2.0), (60, -3.0), (70, -4.0)]
    table.extend([(T0 + at * ms, "A", "s", value, 0) for at, value in said])
    table.extend([(T0, "B", "s", 9.0, 0)])
    series.update()
    assert series.ring.rows[:, 2].tolist() == [1.0, -1.0, -3.0]
    assert series.strategies == {"s": 0}


def test_what_was_lost_is_a_rate():
    table = MetricsFrame(("queued", "spilled", "in_rate", "out_rate", "dropped", "lag_ms"))
    series = MetricSeries(table)
    for n, dropped in enumerate((5, 5, 25)):
        table.record(T0 + n * 200_000_000, {"queued": n, "dropped": dropped})
        series.update()
    assert series.ring.rows[:, 5].tolist() == [0.0, 0.0, 100.0]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 40), max_size=20), st.integers(1, 30))
def test_a_ring_is_a_bounded_list(counts, capacity):
    ring, everything, seen = Ring(2, capacity), [], 0
    for count in counts:
        rows = [(len(everything) + n, -1.0) for n in range(count)]
        everything += rows
        ring.append(np.array(rows, float).reshape(-1, 2))
        assert ring.total == len(everything)
        held = everything[-capacity:]
        assert ring.rows.tolist() == [list(map(float, row)) for row in held]
        new = everything[seen:][-capacity:]
        assert ring.since(seen).tolist() == [list(map(float, row)) for row in new]
        seen = len(everything)


def test_a_picture_holds_what_is_new_and_a_new_page_all(until):
    async def main():
        session = md.live(
            ["AAPL.US"], channels=["depth", "trade"], source=md.Simulated(rate=500), name="pictures"
        )
        board_messages = []
        async with session:
            board = session.dashboard(hz=60)
            board.widget.send = lambda message, buffers: board_messages.append(message)
            board.widget._on_message(None, {"kind": "hello"}, [])

            def drawn():
                board.widget._on_message(None, {"kind": "ack", "n": board.widget.number}, [])
                return len(board_messages)

            await until(lambda: drawn() > 30)
            held = board.collector.ring("books").total
            await until(lambda: drawn() and board.collector.ring("books").total > held + 5)
            before = len(board_messages)
            board.widget._on_message(None, {"kind": "hole", "n": 3}, [])
            await until(lambda: len(board_messages) > before + 1)
        return board_messages, before

    messages, before = asyncio.run(main())
    assert [m["n"] for m in messages] == list(range(1, len(messages) + 1))
    assert messages[0]["anew"]
    assert not any(m["anew"] for m in messages[1:before])
    again = next(m for m in messages[before:] if m["anew"])
    rows = {name: count for name, count, _ in again["parts"]}
    assert rows["books"] > 5
    assert rows["books"] <= CAPACITY
    assert again["head"]["symbol"] == "AAPL.US"


def test_at_most_two_answers_are_under_way(until, monkeypatch):
    monkeypatch.setattr("mdkit.canvas.widget.BLIND_SECONDS", math.inf)  # however slow this machine

    async def main():
        session = md.live(["AAPL.US"], source=md.Simulated(rate=500), name="under way")
        async with session:
            board = session.dashboard(hz=60)
            sent = []
            board.widget.send = lambda message, buffers: sent.append(message)
            board.widget._on_message(None, {"kind": "hello"}, [])
            ticks = board.ticker.ticks
            await until(lambda: board.ticker.ticks > ticks + 12)
            held = sum(message["asks"] for message in sent)
            before = len(sent)
            board.widget._on_message(None, {"kind": "ack", "n": board.widget.number}, [])
            await until(lambda: len(sent) > before)
            board.widget._on_message(None, {"kind": "visible", "on": False}, [])
            hidden = len(sent)
            await until(lambda: board.ticker.ticks > ticks + 40)
            return held, len(sent) - hidden

    held, while_hidden = asyncio.run(main())
    assert held == 2
    assert while_hidden == 0


@pytest.mark.leaves_tasks  # the loop of a thread ends with its ticker, which says so and moves
@pytest.mark.parametrize("runner", ["notebook", "thread"])
def test_where_the_page_comes_later_it_is_answered_after_the_end(until, monkeypatch, runner):
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5")

    async def main():
        session = md.live(
            ["AAPL.US"], source=md.Simulated(speed=0, count=200), name="later", runner=runner
        )
        board = session.dashboard()
        sent = []
        board.widget.send = lambda message, buffers: sent.append(message)
        session.start()
        await until(lambda: session.receipt is not None)
        board.widget._on_message(None, {"kind": "hello"}, [])
        await until(lambda: sent and sent[-1]["head"].get("over"))
        await board.last_picture()
        assert board.widget.comm is not None, "a page can still find it"
        board.close()
        assert board.widget.comm is None
        await until(lambda: not board.ticker.running)
        await session.stop()

    asyncio.run(main())


@pytest.mark.parametrize("hz", [0, -1, 61, float("nan")])
def test_pictures_a_second_have_bounds(hz):
    session = md.live(["AAPL.US"], source=md.Simulated(), name="bounds")
    with pytest.raises(md.MdkitError, match="up to 60"):
        session.dashboard(hz=hz)


@pytest.mark.parametrize("seconds", [None, 0.1])
def test_a_dashboard_lets_go_of_a_session_that_is_replaced(until, seconds):
    """Also of one that had ended by itself."""

    async def main():
        market = md.Simulated(rate=500) if seconds else md.Simulated(speed=None, count=50)
        first = md.live(["AAPL.US"], source=market, name="replaced")
        board = first.dashboard()
        if seconds:
            first.start()
            await until(lambda: first.ledger()["received"].sum() > 0)
        else:
            await first.run()
        assert board.session is first
        second = md.live(["AAPL.US"], source=md.Simulated(speed=None, count=50), name="replaced")
        await second.run()
        await until(lambda: "session" not in vars(board))
        with pytest.raises(SessionError, match="replaced by another"):
            board.session.stop()

    asyncio.run(main())
