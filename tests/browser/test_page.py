"""The page by itself: a golden picture, slow and lossy links, and what is left over."""

from __future__ import annotations

import io
import os
import threading
import time
from collections import deque
from pathlib import Path

import numpy as np
import pytest
from bare import BarePage
from lab import ROOT, SCREENSHOTS

import mdkit as md
from mdkit.canvas.widget import CanvasWidget
from mdkit.views.dashboard.sender import PictureSender

pytestmark = pytest.mark.browser

GOLDEN = Path(__file__).parent / "golden"
ROWS = """m => Object.fromEntries(["books", "trades", "flow"].map((name) => {
    const ring = m.store.rings[name];
    return [name, ring ? [...ring.data.subarray(ring.offset(0), ring.offset(ring.length))] : []];
}))"""


# Frames that are asked for; waiting for a condition asks for some itself, in a turn of its own.
FRAMES = """() => {
    const ask = window.requestAnimationFrame.bind(window);
    window.asked = 0;
    window.drawn = document.querySelector(".mdkit-canvas").mdkit.board.draws;
    window.requestAnimationFrame = (call) => {
        if (call.name === "turn") window.asked++;
        return ask(call);
    };
}"""


def only_picture(session, symbol):
    """Return the one message that shows all of a session that has ended."""
    widget, sent = CanvasWidget(), []
    widget.greeted = True
    widget.send = lambda message, buffers: sent.append((message, buffers[0]))
    sender = PictureSender(
        session, widget, hz=30, levels=5, symbol=symbol, player=None, at_end=lambda: None
    )
    sender.send_last()
    widget.close()
    return sent[0]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_book_of_a_seeded_market_looks_as_it_did(browser, theme):
    """Sizes, best prices, trades and profile of 15 recorded seconds, without any text.

    Colours may differ by 6 of 255 where lines and circles are smoothed, and one pixel in a hundred
    by more. MDKIT_GOLDEN=write in the environment takes what is drawn now as golden.
    """
    from PIL import Image

    session = md.live(
        source=md.replay(ROOT / "data" / "sample.jsonl.gz", speed=None),
        strategies=[md.strategies.pressure],
    )
    session.run_blocking()
    message, buffer = only_picture(session, "AAPL.US")
    with BarePage.open(browser, width=700, height=620, theme=theme) as page:
        page.deliver(message, buffer)
        first, last = page.board("m => [m.store.rings.books.at(0, 0), m.store.head.now]")
        begin, end = page.board("m => m.view.times(m.board.now)")
        assert begin <= first, "all of it is shown"
        assert end - begin < 1.1 * (last - first), "and not much more"
        page.board("m => { m.board.title = () => {}; m.board.dirty = true; }")
        page.page.wait_for_function(
            "(n) => document.querySelector('.mdkit-canvas').mdkit.board.draws > n",
            arg=page.board("m => m.board.draws") + 2,
        )
        box = page.page.locator("canvas").bounding_box()
        rect = page.board("m => m.board.panes.rects.heat")
        clip = {
            "x": box["x"] + rect["x"], "y": box["y"] + rect["y"],
            "width": rect["w"], "height": rect["h"],
        }  # fmt: skip
        drawn = Image.open(io.BytesIO(page.page.screenshot(clip=clip))).convert("RGB")
    path = GOLDEN / f"heat-{theme}.png"
    if os.environ.get("MDKIT_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        drawn.save(path, optimize=True)
    golden = np.asarray(Image.open(path).convert("RGB"), int)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    drawn.save(SCREENSHOTS / f"heat-{theme}.png")
    found = np.asarray(drawn, int)
    assert found.shape == golden.shape
    off = np.abs(found - golden).max(axis=2)
    assert len(np.unique(found.reshape(-1, 3), axis=0)) > 50, "there is something in it"
    assert (off > 6).mean() < 0.01


class Link:
    """Takes pictures from a session to the page and its answers back, each after a while."""

    def __init__(self, dashboard, page, delay, lost=frozenset()):
        self.widget, self.page = dashboard.widget, page
        self.delay, self.lost = delay, lost
        self._lock = threading.Lock()
        self._there, self._back = deque(), deque()
        self.widget.send = self._send

    def _send(self, message, buffers):
        with self._lock:
            self._there.append((time.monotonic() + self.delay, message, buffers[0]))

    def turn(self):
        """Pass on what is due; return whether anything is under way."""
        now = time.monotonic()
        while self._there and self._there[0][0] <= now:
            with self._lock:
                _, message, buffer = self._there.popleft()
            if message["n"] not in self.lost:
                self.page.deliver(message, buffer)
        self._back += [(time.monotonic() + self.delay, said) for said in self.page.said()]
        while self._back and self._back[0][0] <= now:
            self.widget._on_message(self.widget, self._back.popleft()[1], [])
        return bool(self._there)


@pytest.mark.parametrize(
    ("delay", "lost"), [(0.3, frozenset()), (0.0, frozenset({3, 4, 9}))], ids=["slow", "lossy"]
)
def test_a_slow_or_lossy_link_loses_nothing_that_matters(browser, delay, lost):
    session = md.live(
        ["AAPL.US"],
        channels=["depth", "trade"],
        source=md.Simulated(["AAPL.US"], seed=5, rate=150, count=900),
        runner="thread",
    )
    with BarePage.open(browser) as page:
        dashboard = session.dashboard()
        link = Link(dashboard, page, delay, lost)
        session.start()
        deadline = time.monotonic() + 90
        while link.turn() or session.receipt is None or dashboard.ticker.running:
            assert time.monotonic() < deadline
            page.page.wait_for_timeout(10)
        link.turn()
        kept = {name: dashboard.collector.ring(name).rows for name in ("books", "trades", "flow")}
        shown = page.board(ROWS)
        for name, rows in kept.items():
            assert len(rows) > 50
            assert shown[name] == rows.ravel().tolist(), name
        counters = page.board("m => m.store.counters")
        assert (counters["holes"] > 0) == bool(lost)


# Sizes are looked at behind the page's own observer, which was there first: what is painted next.
RESIZE = """() => new Promise((done) => {
    const root = document.querySelector(".mdkit-canvas"), canvas = root.querySelector("canvas");
    const empty = [];
    let width = 900;
    new ResizeObserver(() => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        if (width < 900) empty.push(!data.some((value) => value));
        if (empty.length === 10) return done(empty);
        requestAnimationFrame(() => { root.parentElement.style.width = `${width -= 9}px`; });
    }).observe(root);
})"""
COMPARE = """m => {
    const { board } = m, { rects } = board.panes, g = board.g, at = performance.now();
    const [w, h] = [rects.heat.w, rects.times.y].map((size) => Math.ceil(size * board.ratio));
    const looks = [board.heat.looks, board.heat.bubbles.looks];
    const take = () => {
        for (const one of looks) one.age = 0; // colours and bubbles are those of before
        board.draw(at);
        return g.getImageData(0, 0, w, h).data;
    };
    const kept = take();
    for (const film of [board.heat.film, board.pressure.film]) film.key = null;
    board.heat.image.key = "";
    const whole = take();
    let off = 0;
    for (let i = 0; i < kept.length; i++) off += Math.abs(kept[i] - whole[i]) > 30;
    const { drawn, canvas } = board.heat.film;
    return { off: off / kept.length, share: drawn / canvas.width / board.draws };
}"""


@md.strategy("depth")
def seldom(book):
    """Speaks once in many books, while others speak all the time."""
    second, part = divmod(book.received_ns, 1_000_000_000)
    return float(second % 7 - 3) if second % 3 == 0 and part < 100_000_000 else None


@pytest.mark.parametrize(
    ("ratio", "rate", "count"),
    [(1, 150, 1_200), (1.25, 150, 1_200), (1.1, 3_000, 24_000)],
    ids=["plain", "zoomed", "crowded"],
)
def test_what_is_kept_from_picture_to_picture_is_what_drawing_all_would_give(
    browser, ratio, rate, count
):
    session = md.live(
        ["AAPL.US"],
        channels=["depth", "trade"],
        strategies=[md.strategies.pressure, seldom],
        source=md.Simulated(["AAPL.US"], seed=5, rate=rate, count=count),
        runner="thread",
    )
    with BarePage.open(browser, ratio=ratio) as page:
        dashboard = session.dashboard()
        link = Link(dashboard, page, 0.0)
        session.start()
        deadline = time.monotonic() + 90
        found, next_, theme = [], 60, "light"
        while link.turn() or session.receipt is None or dashboard.ticker.running:
            assert time.monotonic() < deadline
            page.page.wait_for_timeout(10)
            if dashboard.widget.acked >= next_:
                found.append(page.board(COMPARE))
                next_ += 60
                theme = "dark" if theme == "light" else "light"
                page.board(f"m => m.act.theme('{theme}')")
        link.turn()
        found.append(page.board(COMPARE))
        assert max(one["off"] for one in found) < 2e-5, found
        assert found[-1]["share"] < 0.5, "most of it is kept"


def test_a_canvas_that_is_resized_is_never_shown_empty(browser):
    session = md.live(
        ["AAPL.US"],
        channels=["depth", "trade"],
        source=md.Simulated(["AAPL.US"], speed=0, count=2_000),
    )
    session.run_blocking()
    with BarePage.open(browser) as page:
        page.deliver(*only_picture(session, "AAPL.US"))
        empty = page.page.evaluate(RESIZE)
    assert empty == [False] * 10


def test_a_page_to_which_nothing_comes_asks_for_no_frames(browser):
    """It is drawn twice a second, for its axis of time, and rests in between."""
    session = md.live(
        ["AAPL.US"],
        channels=["depth", "trade"],
        source=md.Simulated(["AAPL.US"], speed=0, count=2_000),
    )
    session.run_blocking()
    with BarePage.open(browser) as page:
        page.deliver(*only_picture(session, "AAPL.US"))
        page.page.wait_for_function(
            "() => { const m = document.querySelector('.mdkit-canvas').mdkit;"
            " return m.board.draws > 0 && !m.board.moving; }"
        )
        page.page.evaluate(FRAMES)
        drawn = page.board("m => m.board.draws")
        page.page.wait_for_function(
            "(n) => document.querySelector('.mdkit-canvas').mdkit.board.draws >= n", arg=drawn + 4
        )
        asked, drawn = page.board("m => [window.asked, m.board.draws - window.drawn]")
    assert asked <= drawn + 2


def test_twenty_runs_leave_as_much_in_the_page_as_one(browser):
    with BarePage.open(browser) as page:
        devtools = page.page.context.new_cdp_session(page.page)
        session = md.live(
            ["AAPL.US"],
            channels=["depth", "trade"],
            source=md.Simulated(["AAPL.US"], speed=0, count=2_000),
        )
        session.run_blocking()
        message, buffer = only_picture(session, "AAPL.US")

        def run():
            page.deliver(message, buffer)
            drawn = page.board("m => m.board.draws")
            page.page.wait_for_function(
                "(n) => document.querySelector('.mdkit-canvas').mdkit.board.draws > n", arg=drawn
            )
            page.page.evaluate("() => window.shut()")
            devtools.send("HeapProfiler.collectGarbage")
            left = devtools.send("Memory.getDOMCounters")
            heap = devtools.send("Runtime.getHeapUsage")["usedSize"]
            page.page.evaluate("() => window.open(900)")
            return left, heap

        runs = [run() for _ in range(21)]
        (first, _), (last, _) = runs[1], runs[-1]
        assert last["jsEventListeners"] == first["jsEventListeners"]
        assert last["nodes"] <= first["nodes"] + 5
        # A canvas's rings alone take megabytes.
        assert runs[-1][1] < runs[1][1] + 1_500_000
