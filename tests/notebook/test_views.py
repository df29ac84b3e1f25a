"""Views and their clock, drawn from a real pipeline without a browser."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import deque
from types import SimpleNamespace

import pytest

import mdkit as md
from mdkit.errors import SettingsError
from mdkit.events import DROPPED, SET_BACK, Depth, Gap
from mdkit.notebook import kernel
from mdkit.views.clock import Clock
from mdkit.views.dashboard.gaps import MOST, RecentGaps
from mdkit.views.ladder import LadderView, ladder_html
from mdkit.views.tables import FrameView, SignalsView, TapeView
from mdkit.views.view import View

VIEWS = {
    "ladder": LadderView,
    "tape": TapeView,
    "signals": SignalsView,
    "frame": lambda: FrameView("depth", "AAPL.US", 3),
}
BOOK = Depth("A", ((10.0, 5.0), (9.5, 2.0)), ((10.5, 1.0), (11.0, 4.0)), 1, 1)


@pytest.fixture(scope="module")
def session():
    """A session that has seen depth, trades and signals, and has ended."""
    source = md.Exchange(["AAPL.US", "MSFT.US"], rate=2000, count=1500)
    session = md.live(
        source=source,
        channels=["depth", "trade"],
        strategies=[md.strategies.pressure],
        name="views",
    )
    session.start()
    deadline = time.monotonic() + 30
    while session.stats()["messages"]["processed"] < 1500 and time.monotonic() < deadline:
        time.sleep(0.02)
    session.stop().result()
    return session


@pytest.mark.outer
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_shows_what_the_session_saw(session, name):
    view = VIEWS[name]()
    view.draw(view.look(session.pipeline))
    still = view.still()
    assert {"tape": "sell", "signals": "pressure"}.get(name, "AAPL.US") in still
    view.draw(view.look(session.pipeline))


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_of_nothing_is_drawn_as_well(name, list_source):
    async def main():
        from mdkit.pipeline.pipeline import Pipeline

        return Pipeline(list_source([]))

    view = VIEWS[name]()
    view.draw(view.look(asyncio.run(main())))
    view.still()


def gap(begin, end, lost=None, reason="disconnected", symbol="A", channel="depth"):
    return Gap(symbol, channel, reason, begin, end, lost)


def recent(view, *gaps):
    pipeline = SimpleNamespace(gaps=deque(gaps), gap_count=len(gaps))
    view.look(pipeline)
    return [(s.from_ns, s.to_ns, s.reason, s.lost) for s in view.stretches]


def test_neighbouring_gaps_of_one_reason_are_one():
    found = recent(
        RecentGaps("A", apart_ns=10),
        gap(0, 10, 1),
        gap(15, 20, 2),
        gap(16, 17, 4, DROPPED),
        gap(31, 40, 8),
    )
    assert found == [
        (0, 20, "disconnected", 3),
        (16, 17, DROPPED, 4),
        (31, 40, "disconnected", 8),
    ]


def test_only_gaps_that_matter_to_the_symbols_picture_are_taken():
    found = recent(
        RecentGaps("A", apart_ns=0),
        gap(0, 1, 0),  # filled in
        gap(2, 3, symbol="B"),
        gap(4, 5, symbol=""),  # of the whole connection
        gap(6, 7, channel="bar"),
        gap(8, 9, reason=f"{SET_BACK} by 2 s"),
    )
    assert found == [(4, 5, "disconnected", 0)]


def test_only_new_gaps_are_read_and_late_ones_find_their_place():
    view = RecentGaps("A", apart_ns=0)
    gaps = deque([gap(10, 20)])
    pipeline = SimpleNamespace(gaps=gaps, gap_count=1)
    assert view.look(pipeline)
    assert not view.look(pipeline)
    gaps.append(gap(0, 5))
    pipeline.gap_count = 2
    assert view.look(pipeline)
    assert [s.from_ns for s in view.stretches] == [0, 10]


def test_a_flood_of_gaps_is_bounded():
    view = RecentGaps("A", apart_ns=0)
    flood = [gap(2 * n, 2 * n + 1, 1, DROPPED) for n in range(5_000)]
    found = recent(view, *flood)
    assert len(found) == MOST
    assert found[-1][1] == 9_999


def test_the_ladder_has_asks_above_bids_and_follows_the_theme():
    html = ladder_html(BOOK, levels=10)
    at = [html.index(f">{price}<") for price in ("11.00", "10.50", "10.00", "9.50")]
    assert at == sorted(at)
    assert "mid 10.250" in html
    assert "pressure 1.40" in html
    assert "var(--jp-content-font-color1" in html
    assert ">11.00<" not in ladder_html(BOOK, levels=1)


def test_symbols_cannot_smuggle_markup():
    book = Depth("<script>", BOOK.bids, BOOK.asks, 1, 1)
    assert "<script>" not in ladder_html(book, 5)


@pytest.mark.outer
def test_drawing_leaves_the_users_matplotlib_alone():
    code = """
import sys, warnings
warnings.simplefilter("error")
import matplotlib
matplotlib.use("Agg")
matplotlib.rcParams["axes.facecolor"] = "pink"
matplotlib.rcParams["savefig.dpi"] = 7
before = dict(matplotlib.rcParams)
import mdkit as md
from mdkit.views.dashboard.collector import Collector
from mdkit.views.dashboard.still import look, still_png
session = md.live(source=md.Simulated(["A_B_"], count=200), name="still")
session.run_blocking()
collector = Collector(session.pipeline)
collector.update()
assert still_png(look(collector))[:4] == bytes([137]) + b"PNG"
assert dict(matplotlib.rcParams) == before
assert "matplotlib.pyplot" not in sys.modules
print("clean")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "clean\n", done.stderr


# -- the clock ----------------------------------------------------------------------------------


class Counting(View):
    """A view that counts, and may be slow or broken."""

    def __init__(self, work=lambda: None):
        self.drawn = 0
        self.work = work

    widget = None

    def look(self, pipeline):
        return pipeline

    def draw(self, data):
        self.drawn += 1
        self.work()

    def still(self):
        return ""


def in_loop(function):
    """Run `function(clock, pipeline)` with a fast clock over an idle pipeline."""

    async def main():
        from mdkit.pipeline.pipeline import Pipeline

        class Idle:
            name, symbols, connected, stale_for = "idle", (), True, 0.0

            def clock_ns(self):
                return time.time_ns()

        async def look(look_now):
            return look_now()

        pipeline = Pipeline(Idle())
        clock = Clock(pipeline, look, hz=10)
        try:
            await function(clock, pipeline)
        finally:
            clock.stop()
            await asyncio.gather(clock._task, return_exceptions=True)

    asyncio.run(main())


def arrive(pipeline):
    pipeline.lanes.outcome.signals += 1


def test_nothing_new_is_not_drawn_again(until):
    async def check(clock, pipeline):
        view = Counting()
        clock.add(view)
        await until(lambda: view.drawn == 1)
        for _ in range(3):
            await clock.tick()
        assert view.drawn == 1
        arrive(pipeline)
        await until(lambda: view.drawn == 2)

    in_loop(check)


def test_slow_drawing_slows_the_clock_which_says_so(until):
    def burn():
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass

    async def check(clock, pipeline):
        view = Counting(burn)
        clock.add(view)
        while not clock.slowed:
            arrive(pipeline)
            await clock.tick()
        assert clock.share > 0.2
        assert clock.interval > 0.1
        view.work = lambda: None
        while clock.slowed:
            arrive(pipeline)
            await clock.tick()
        assert clock.interval == pytest.approx(0.1)

    in_loop(check)


def test_a_broken_view_is_told_and_stops_nobody(until):
    async def check(clock, pipeline):
        def fail():
            raise ValueError("no ink")

        good = Counting()
        clock.add(Counting(fail), good)
        await until(lambda: good.drawn)
        assert clock.trouble == "Counting failed: ValueError: no ink"

    in_loop(check)


@pytest.mark.parametrize("hz", [0, -1, 10.5, float("nan")])
def test_a_clock_cannot_go_faster_than_a_browser_follows(hz):
    async def check(clock, pipeline):
        clock.add(Counting())
        with pytest.raises(SettingsError, match="up to 10"):
            clock.hz = hz

    in_loop(check)


# -- kernels ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "warns"), [("7.0.0", True), ("7.0.1", True), ("7.1.0", False)])
def test_kernels_known_to_be_bad_are_told_once(monkeypatch, version, warns):
    monkeypatch.setattr(kernel, "_warned", False)
    monkeypatch.setattr(kernel, "in_notebook", lambda: True)
    monkeypatch.setattr(kernel, "version_of", lambda package: version)
    if warns:
        with pytest.warns(RuntimeWarning, match=f"ipykernel {version} fails"):
            kernel.check_kernel()
    kernel.check_kernel()  # a second warning would be an error here


@pytest.mark.parametrize(
    ("version", "loses"),
    [("6.31.0", False), ("7.2.9", False), ("7.3.0", True), ("7.10.0", True), ("8.0.0", True)],
)
def test_kernels_that_lose_cells_are_known(version, loses):
    assert kernel.loses_cells(version) is loses


# -- reports ------------------------------------------------------------------------------------


@pytest.mark.outer
def test_a_saved_session_is_charts_tables_and_a_page(session, tmp_path):
    report = session.save(tmp_path / "out")
    names = {path.name for path in report.parent.iterdir()}
    assert {"report.html", "overview.png", "ledger.csv", "depth.csv", "trade.csv"} <= names
    assert "gaps.csv" not in names  # there were none
    assert "bid_10,bid_size_10" in (report.parent / "depth.csv").read_text().splitlines()[0]
    page = report.read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert "the ledger balances" in page
    assert len((report.parent / "depth.csv").read_text().splitlines()) == 1 + len(
        session.frame("depth")
    )
    session.save(tmp_path / "out")


def test_a_session_looks_good_as_the_value_of_a_cell(session):
    html = session._repr_html_()
    assert "<table" in html
    assert "AAPL.US" in html
    assert "received" in html
    assert "balances" in session.receipt._repr_html_()
