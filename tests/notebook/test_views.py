"""Views and their clock, drawn from a real pipeline without a browser."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import time
from collections import deque
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from PIL import Image

import mdkit as md
from mdkit.errors import SettingsError
from mdkit.events import DROPPED, Depth, Gap
from mdkit.notebook import kernel
from mdkit.views.clock import Clock
from mdkit.views.gaps import Gaps, RecentGaps
from mdkit.views.health import HealthView
from mdkit.views.ladder import DepthCurveView, LadderView, ladder_html
from mdkit.views.png import encode
from mdkit.views.pressure import PressureView
from mdkit.views.queue import QueueView
from mdkit.views.raster import count_label, nice_ceiling
from mdkit.views.tables import FrameView, SignalsView, TapeView
from mdkit.views.view import PictureView, View

VIEWS = {
    "queue": QueueView,
    "pressure": PressureView,
    "ladder": LadderView,
    "depth": DepthCurveView,
    "tape": TapeView,
    "signals": SignalsView,
    "health": HealthView,
    "frame": lambda: FrameView("depth", "AAPL.US", 3),
}
SECOND = 1_000_000_000
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


def pixels(view):
    return np.asarray(Image.open(io.BytesIO(view.picture)))


def drawn(view, data):
    """The pixels of the picture of these data."""
    view.draw(data)
    return pixels(view)


def where(changed):
    """The rows and the columns of a picture in which something is True."""
    changed = changed.any(axis=2)
    return np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))


@pytest.mark.outer
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_shows_what_the_session_saw(session, name):
    view = VIEWS[name]()
    view.draw(view.look(session.pipeline))
    still = view.still()
    if isinstance(view, PictureView):
        assert "data:image/png;base64," in still
        assert pixels(view)[..., 3].any()  # transparent but for what is drawn
    else:
        assert {"health": "the ledger balances", "tape": "sell", "signals": "pressure"}.get(
            name, "AAPL.US"
        ) in still
    view.draw(view.look(session.pipeline))  # again, over the kept background


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_of_nothing_is_drawn_as_well(name, list_source):
    async def main():
        from mdkit.pipeline.pipeline import Pipeline

        return Pipeline(list_source([]))

    view = VIEWS[name]()
    view.draw(view.look(asyncio.run(main())))
    view.still()


def test_a_new_point_moves_the_picture(session):
    view = PressureView()
    data = view.look(session.pipeline)
    view.draw(data._replace(ratios={"A": 1.0}))
    first = pixels(view)
    view.draw(data._replace(ratios={"A": 8.0}, now_ns=data.now_ns + 10_000_000_000))
    assert (pixels(view) != first).any()


def test_what_was_not_seen_is_shaded(session):
    view = PressureView(seconds=60)
    data = view.look(session.pipeline)._replace(ratios={}, history={})
    now = data.now_ns
    clean = drawn(view, data._replace(gaps=Gaps()))
    stretch = (now - 40 * SECOND, now - 20 * SECOND)
    rows, columns = where(drawn(view, data._replace(gaps=Gaps(unseen=(stretch,)))) != clean)
    assert 0.3 * 560 < columns.min() < columns.max() < 0.75 * 560
    assert columns.size > 0.2 * 560
    assert rows.size > 0.6 * 190


def test_a_gap_of_a_moment_is_a_pixel_wide(session):
    view = PressureView(seconds=60)
    data = view.look(session.pipeline)._replace(ratios={}, history={})
    now = data.now_ns
    clean = drawn(view, data._replace(gaps=Gaps()))
    stretch = (now - 30 * SECOND, now - 30 * SECOND + 1)
    _, columns = where(drawn(view, data._replace(gaps=Gaps(unseen=(stretch,)))) != clean)
    assert 1 <= columns.size <= 2


def test_drops_are_a_strip_at_the_top_and_leave_the_line(session):
    view = PressureView(seconds=60)
    data = view.look(session.pipeline)._replace(ratios={"A": 2.0}, history={}, gaps=Gaps())
    now = data.now_ns
    for ago in (40, 20, 5):
        clean = drawn(view, data._replace(now_ns=now - ago * SECOND))
    clean = drawn(view, data._replace(ratios={}))
    stretch = (now - 30 * SECOND, now - 10 * SECOND)
    rows, _ = where(drawn(view, data._replace(ratios={}, gaps=Gaps(dropped=(stretch,)))) != clean)
    assert 1 <= rows.size < 0.05 * 190
    assert rows.max() < 0.2 * 190
    assert np.isfinite(view._chart.lines["A"].get_ydata()).all()


def test_the_queue_view_shades_what_was_not_seen_too(session):
    view = QueueView()
    data = view.look(session.pipeline)
    clean = drawn(view, data._replace(gaps=Gaps()))
    stretch = (data.now_ns - 40 * SECOND, data.now_ns - 20 * SECOND)
    _, columns = where(drawn(view, data._replace(gaps=Gaps(unseen=(stretch,)))) != clean)
    assert columns.size > 0.2 * 560


def test_a_line_does_not_bridge_a_gap(session):
    view = PressureView(seconds=60)
    now = 100 * SECOND
    data = view.look(session.pipeline)._replace(history={}, gaps=Gaps())
    for ago in (40, 20, 5):
        view.draw(data._replace(ratios={"A": 2.0}, now_ns=now - ago * SECOND))
    gaps = Gaps(unseen=((now - 30 * SECOND, now - 10 * SECOND),))
    view.draw(data._replace(ratios={}, now_ns=now, gaps=gaps))
    x, y = view._chart.lines["A"].get_data()
    assert x.tolist() == [-40.0, -20.0, -5.0]
    assert np.isnan(y).tolist() == [False, True, False]


def feed_of(*gaps):
    """A pipeline as `RecentGaps` sees one."""
    return SimpleNamespace(gaps=deque(gaps, maxlen=100_000), gap_count=len(gaps))


def gap(begin, end, reason="connection lost", lost=None):
    return Gap("A", "depth", reason, begin, end, lost)


def test_neighbouring_gaps_are_one_and_old_ones_are_forgotten():
    recent = RecentGaps(seconds=60, pixels=600)  # a pixel is 0.1 s
    pixel, now = SECOND // 10, 100 * SECOND
    at = now - 10 * SECOND
    feed = feed_of(
        gap(at, at + 5), gap(at + pixel, at + pixel + 5), gap(at + 5 * pixel, at + 6 * pixel)
    )
    joined = ((at, at + pixel + 5), (at + 5 * pixel, at + 6 * pixel))
    assert recent.look(feed, now) == Gaps(unseen=joined)
    assert recent.look(feed, now + 40 * SECOND) == Gaps(unseen=joined)
    assert recent.look(feed, at + 60 * SECOND + 2 * pixel) == Gaps(unseen=joined[1:])


def test_only_new_gaps_are_read_and_late_ones_find_their_place():
    recent = RecentGaps(seconds=60, pixels=600)
    now = 100 * SECOND
    feed = feed_of(gap(now - 10 * SECOND, now - 9 * SECOND))
    recent.look(feed, now)
    feed.gaps.append(gap(now - 30 * SECOND, now - 20 * SECOND))
    feed.gaps.append(gap(now - 5 * SECOND, now - 4 * SECOND, DROPPED))
    feed.gap_count += 2
    feed.gaps.popleft()  # as a full deque does: what was read stays known
    assert recent.look(feed, now) == Gaps(
        unseen=(
            (now - 30 * SECOND, now - 20 * SECOND),
            (now - 10 * SECOND, now - 9 * SECOND),
        ),
        dropped=((now - 5 * SECOND, now - 4 * SECOND),),
    )


def test_what_was_filled_in_is_no_gap():
    now = 100 * SECOND
    feed = feed_of(gap(now - 10 * SECOND, now, lost=0))
    assert RecentGaps(60, 600).look(feed, now) == Gaps()


def test_a_flood_of_gaps_is_at_most_one_a_pixel():
    recent = RecentGaps(seconds=60, pixels=450)
    now, step = 100 * SECOND, SECOND // 1000
    flood = [gap(at, at + 1, DROPPED) for at in range(now - 60 * SECOND, now, step)]
    assert recent.look(feed_of(*flood), now).dropped == ((flood[0].from_ns, flood[-1].to_ns),)
    sparse = [gap(at, at + 1, DROPPED) for at in range(now - 60 * SECOND, now, SECOND)]
    assert len(RecentGaps(60, 450).look(feed_of(*sparse), now).dropped) == 60


@pytest.mark.parametrize("levels", [1, 3, 5])
def test_the_first_picture_of_a_view_made_late_has_all_the_past(session, levels):
    view = PressureView(seconds=1e6, levels=levels)
    data = view.look(session.pipeline)
    assert list(data.history) == ["AAPL.US", "MSFT.US"]
    for symbol, (at, logs) in data.history.items():
        table = session.frame("depth", symbol)
        own = np.log2(md.pressure_ratio(table, levels))
        assert len(at) > 100
        assert set(logs.tolist()) <= set(own.tolist())
    assert PressureView(levels=11).look(session.pipeline).history["AAPL.US"].size == 0


def test_the_past_in_long_tables_is_read_one_symbol_at_a_time(session, monkeypatch):
    monkeypatch.setattr("mdkit.views.pressure._ROWS_A_LOOK", 1)
    view = PressureView(seconds=1e6)
    for number, symbol in enumerate(("AAPL.US", "MSFT.US"), 1):
        data = view.look(session.pipeline)
        assert list(data.history) == [symbol]
        view.draw(data)
        lengths = [len(line.get_xdata()) for line in view._chart.lines.values()]
        assert sum(length > 10 for length in lengths) == number
    assert view.look(session.pipeline).history == {}


# -- drawing in steps ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1, 4), (3, 5, 4), (190, 560, 4)])
def test_a_png_has_the_pixels_it_was_made_of(shape):
    pixels = np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)
    image = Image.open(io.BytesIO(encode(pixels)))
    assert image.mode == "RGBA"
    assert (np.asarray(image) == pixels).all()


@pytest.mark.parametrize("make", [QueueView, PressureView, DepthCurveView])
def test_a_picture_is_shown_with_its_last_step_only(session, make):
    view = make()
    data = view.look(session.pipeline)
    steps = view.steps(data)
    seen = [view.picture for _ in steps]
    assert len(seen) > 5
    assert set(seen) == {b""}
    whole = view.picture
    view = make()
    view.draw(data)
    assert view.picture == whole


@pytest.mark.parametrize("make", [QueueView, PressureView, DepthCurveView])
def test_a_picture_left_at_any_step_does_not_spoil_the_next(session, make):
    view = make()
    data = view.look(session.pipeline)
    whole = drawn(view, data)
    for wanted in range(1, 9):
        view._chart.stale()
        steps = view.steps(data)
        for _ in range(wanted):
            next(steps, None)
        steps.close()
    assert (drawn(view, data)[..., 3] == whole[..., 3]).all()


@pytest.mark.parametrize("make", [QueueView, PressureView, DepthCurveView])
def test_a_background_in_steps_is_what_matplotlib_draws_at_once(session, make):
    view = make()
    view.draw(view.look(session.pipeline))
    chart = view._chart
    for _ in chart._draw_background():
        pass
    ours = np.asarray(chart.canvas.buffer_rgba()).copy()
    with matplotlib.style.context("default"):
        chart.canvas.draw()
    assert (np.asarray(chart.canvas.buffer_rgba()) == ours).all()


def test_between_steps_the_users_settings_hold(session, monkeypatch):
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "pink")
    view = QueueView()
    for _ in view.steps(view.look(session.pipeline)):
        assert matplotlib.rcParams["axes.facecolor"] == "pink"


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


@pytest.mark.parametrize(
    ("value", "ceiling"), [(0, 1), (1, 1), (1.1, 2), (3, 5), (7, 10), (4300, 5000), (99, 100)]
)
def test_limits_are_round(value, ceiling):
    assert nice_ceiling(value) == ceiling


@pytest.mark.parametrize(
    ("value", "label"), [(0, "0"), (2.5, "2.5"), (800, "800"), (1500, "1.5k"), (2e6, "2M")]
)
def test_counts_are_short(value, label):
    assert count_label(value) == label


@pytest.mark.parametrize("make", [QueueView, PressureView, DepthCurveView])
def test_a_picture_is_hidden_until_there_is_one(session, make):
    view = make()
    assert view.widget.layout.visibility == "hidden"
    view.draw(view.look(session.pipeline))
    assert view.widget.layout.visibility == "visible"


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
from mdkit.views.queue import QueueView
from mdkit.views.png import encode
from mdkit.views.pressure import PressureView
from mdkit.views.ladder import DepthCurveView
for make in (QueueView, PressureView, DepthCurveView):
    chart = make()._chart
    for _ in chart.frame():
        pass
    chart.png()
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


def test_a_frozen_clock_draws_nothing_until_it_goes_on(until):
    async def check(clock, pipeline):
        view = Counting()
        clock.frozen = True
        clock.add(view)
        arrive(pipeline)
        other = Counting()
        clock.add(other)
        await asyncio.wait({clock._task}, timeout=0.3)
        assert view.drawn == 0
        clock.frozen = False
        await until(lambda: view.drawn > 0)

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


class Stepping(Counting):
    """A view of ten steps."""

    def __init__(self):
        super().__init__()
        self.taken = 0
        self.begun = asyncio.Event()

    def steps(self, data):
        for _ in range(10):
            self.taken += 1
            self.begun.set()
            yield
        self.draw(data)


def test_the_loop_turns_between_the_steps_of_a_picture(until):
    async def check(clock, pipeline):
        view, seen = Stepping(), set()
        clock.add(view)
        while not view.drawn:
            seen.add(view.taken)
            await asyncio.sleep(0)
        assert len(seen) >= 10

    in_loop(check)


def test_a_pause_amid_a_picture_shows_the_one_before(until):
    async def check(clock, pipeline):
        view, after = Stepping(), Counting()
        clock.add(view, after)
        await view.begun.wait()
        clock.frozen = True
        arrive(pipeline)
        await asyncio.wait({clock._task}, timeout=0.3)
        assert (view.drawn, after.drawn) == (0, 0)
        clock.frozen = False
        clock.touch()
        await until(lambda: view.drawn and after.drawn)

    in_loop(check)


def test_a_view_removed_amid_its_picture_is_left_alone(until):
    async def check(clock, pipeline):
        view, stays = Stepping(), Counting()
        clock.add(view, stays)
        await view.begun.wait()
        clock.remove(view)
        await until(lambda: stays.drawn)
        assert view.drawn == 0

    in_loop(check)


def test_views_are_drawn_one_after_the_other_over_the_interval():
    async def check(clock, pipeline):
        dues = []

        async def note(due):
            dues.append(due)

        views = [Counting() for _ in range(4)]
        clock.add(*views)
        clock.stop()
        clock._sleep_until = note
        await clock.tick()
        assert dues == []  # the first picture does not wait
        arrive(pipeline)
        await clock.tick()
        assert np.diff(dues) == pytest.approx([clock.interval / 4] * 3)
        clock.touch()
        await clock.tick()
        assert len(dues) == 4  # nor one that was asked for
        assert [view.drawn for view in views] == [3] * 4

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
