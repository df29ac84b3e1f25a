"""The canvas in JupyterLab: what it shows is what the session holds, and hands can move it."""

from __future__ import annotations

import base64
import io
import json
import re

import pytest
from lab import BOARD, Page

pytestmark = pytest.mark.browser

LIVE = """
import mdkit as md

session = md.live(
    ["AAPL.US", "MSFT.US", "NVDA.US"], channels=["depth", "trade"], name="{name}",
    source=md.Simulated(["AAPL.US", "MSFT.US", "NVDA.US"], rate=300),
    strategies=[md.strategies.pressure],
).start()
session.dashboard()
"""
# Trades of no more prices than a bar of the canvas has cells for, should they all be of one bar.
SEEDED = """
import mdkit as md

session = md.live(
    ["AAPL.US"], channels=["depth", "trade"], strategies=[md.strategies.pressure],
    source=md.Simulated(["AAPL.US"], seed=5, rate=150, count=450),
)
print(session.run_blocking())
"""
EXPECTED = """
import json

depth = session.frame("depth", "AAPL.US")
flow = session.cvd("AAPL.US", every="50ms")
json.dump(
    {
        "depth": [
            [at, *row] for at, row in zip(
                depth.index.asi8.tolist(),
                depth[["bid", "ask", "mid", "pressure", "bid_size"]].to_numpy().tolist(),
            )
        ],
        "micro": md.microprice(depth).tolist(),
        "cvd": list(zip(flow.index.asi8.tolist(), flow["cvd"].tolist())),
        "footprint": [
            [start.value, price, *row] for (start, price), row in zip(
                session.footprint("5s", "AAPL.US").index,
                session.footprint("5s", "AAPL.US")[["sell", "buy", "neutral"]].to_numpy().tolist(),
            )
        ],
        "profile": session.volume_profile("AAPL.US").reset_index()[
            ["price", "sell", "buy", "neutral"]
        ].to_numpy().tolist(),
    },
    open("expected.json", "w"),
)
session.dashboard()
"""
STEP = 50_000_000


def hover(page, share, height=0.5, pane="heat"):
    """Put the mouse into a pane; return where, and the values that the page reads out."""
    box = page.page.locator(f"{BOARD} canvas").bounding_box()
    rect = page.board(f"m => m.board.panes.rects['{pane}']")
    x = box["x"] + rect["x"] + share * rect["w"]
    y = box["y"] + rect["y"] + height * rect["h"]
    page.page.mouse.move(x, y)
    page.wait_for(lambda: page.board("m => m.values"), 10, "a read-out")
    return (x, y), page.board("m => m.values")


def times(page):
    return page.board("m => m.board.times")


def test_what_is_read_out_is_what_the_frames_hold(browser, lab):
    name = lab.write("seeded.ipynb", SEEDED, EXPECTED)
    with Page.open(browser, lab, name) as page:
        page.wait_until_ran(page.run("Run All Cells"))
        page.wait_for_board("m => m.store.rings.books && m.store.rings.flow && m.store.bars.size")
        expected = json.loads((lab.folder / "expected.json").read_text())
        sampled = {row[0] // STEP: n for n, row in enumerate(expected["depth"])}
        rows = sorted(sampled.values())
        first, last = (expected["depth"][n][0] / 1e6 for n in (rows[0], rows[-1]))
        page.board(f"m => {{ m.view.setSpan({last - first + 200}); m.act.changed(); }}")
        seen = 0
        for share in (0.1, 0.2, 0.35, 0.5, 0.61, 0.77, 0.9):
            _, values = hover(page, share)
            before = [n for n in rows if expected["depth"][n][0] / 1e6 <= values["time"]]
            if not before:
                assert "bid" not in values
                continue
            n = before[-1]
            at, bid, ask, mid, pressure, bid_size = expected["depth"][n]
            assert abs(values["received"] - at / 1e6) < 0.001
            assert (values["bid"], values["ask"], values["mid"]) == (bid, ask, mid)
            assert (values["pressure"], values["bid_size"]) == (pressure, bid_size)
            assert values["microprice"] == expected["micro"][n]
            past = [total for end, total in expected["cvd"] if end / 1e6 <= values["time"]]
            assert values.get("cvd", 0.0) == (past[-1] if past else 0.0)
            seen += 1
        assert seen >= 5
        cells = (
            "m => [...m.store.bars.values()].flatMap(b => b.cells.map("
            "c => [b.start, c.price, c.sell, c.buy, c.neutral]))"
        )
        bars = [[row[0] / 1e6, *row[1:]] for row in expected["footprint"]]
        page.wait_for(lambda: page.board(cells) == bars, 10, "the footprint of all trades")
        page.wait_for_board("m => m.store.profile && m.store.profile.rows")
        page.board("m => m.act.changed()")
        sizes = "m => [...m.store.profile.data].filter((_, i) => i % m.store.profile.width < 4)"
        page.wait_for(
            lambda: page.board(sizes) == [x for row in expected["profile"] for x in row],
            10,
            "the profile of all trades",
        )
        page.board("m => { m.view.prices = null; }")
        page.save("canvas-seeded")
        # The colour under the mouse is that of the size that rests there.
        colour = page.board(
            """m => {
                const { store, board, options } = m, ring = store.rings.books;
                const o = ring.offset(ring.length - 2), price = ring.data[o + 2];
                const y = board.scales.heat, rect = board.panes.rects.heat;
                const heat = board.heat.image;
                const px = Math.floor((board.x.px(ring.data[o]) + 1 - heat.left)
                    / heat.width * heat.image.width);
                const py = Math.round((y.px(price) - rect.y) / rect.h * heat.image.height);
                return [heat.pixels[py * heat.image.width + px], heat.pixels[0]];
            }"""
        )
        assert colour[0] not in (0, colour[1])
        page.assert_clean()


def test_hands_move_the_picture_and_a_double_click_brings_it_back(browser, lab):
    with Page.open(browser, lab, lab.write("hands.ipynb", LIVE.format(name="hands"))) as page:
        page.run("Run All Cells")
        page.wait_for_pictures(20)
        # Shorter than what has come: a longer one would yet grow meanwhile.
        page.board("m => m.act.window(2)")
        mouse = page.page.mouse
        (x, y), values = hover(page, 0.5)
        begin, end = times(page)
        mouse.wheel(0, -300)
        page.wait_for_board(f"m => m.view.span < {0.7 * (end - begin)}")
        assert page.board("m => m.view.follow"), "the newest stays at the edge"
        span = page.board("m => m.view.span")
        mouse.down()
        mouse.move(x + 60, y, steps=4)
        mouse.up()
        page.wait_for_board("m => !m.view.follow")
        stands = times(page)
        page.wait_for_pictures(5)
        assert times(page) == stands, "what does not follow stands still"
        assert page.board("m => m.view.span") == span
        # The moment under the pointer stays there while time is zoomed.
        _, values = hover(page, 0.25)
        mouse.wheel(0, -200)
        page.wait_for_board(f"m => m.view.span < {0.9 * span}")
        begin, end = times(page)
        assert abs(begin + 0.25 * (end - begin) - values["time"]) < 0.02 * (end - begin)
        low, high = page.board("m => [m.board.scales.heat.to, m.board.scales.heat.from]")
        page.page.keyboard.down("Shift")
        mouse.wheel(0, -300)
        page.page.keyboard.up("Shift")
        page.wait_for_board(f"m => m.view.prices && m.view.prices[1] - m.view.prices[0] < "
                            f"{0.8 * (high - low)}")  # fmt: skip
        mouse.dblclick(x, y)
        page.wait_for_board("m => m.view.follow && !m.view.prices")
        canvas = page.page.locator(f"{BOARD} canvas")
        canvas.focus()
        span = page.board("m => m.view.span")
        page.page.keyboard.press("+")
        page.wait_for_board(f"m => m.view.span < {span}")
        page.page.keyboard.press("ArrowLeft")
        page.wait_for_board("m => !m.view.follow")
        page.page.keyboard.press("0")
        page.wait_for_board("m => m.view.follow")
        page.page.keyboard.press(" ")
        page.wait_for_board("m => m.store.paused")
        page.page.keyboard.press("f")
        page.wait_for_board("m => !m.store.paused")
        page.assert_clean()


@pytest.mark.parametrize("lab", ["Light", "Dark"], indirect=True)
def test_symbol_window_panes_theme_pause_and_stop(browser, lab, request):
    theme = request.node.callspec.params["lab"].lower()
    with Page.open(
        browser, lab, lab.write("board.ipynb", LIVE.format(name="board")), size=(1280, 720)
    ) as page:
        page.run("Run All Cells")
        page.wait_for_pictures(150)
        assert page.board("m => m.board.theme.name") == theme
        page.save(f"canvas-{theme}")
        inside = page.page.evaluate(
            f"""() => {{
                const view = document.querySelector('.jp-WindowedPanel-outer, .jp-Notebook');
                const board = document.querySelector('{BOARD}');
                board.scrollIntoView();
                const [a, b] = [view, board].map(node => node.getBoundingClientRect());
                return b.bottom <= a.bottom + 1 && b.top >= a.top - 1 && b.right <= a.right;
            }}"""
        )
        assert inside, "at 1280 x 720 all is seen without scrolling"
        page.page.select_option(f"{BOARD} select[aria-label=symbol]", "MSFT.US")
        page.wait_for_board("m => m.store.head.symbol === 'MSFT.US' && m.store.rings.books?.length")
        bid = page.board("m => m.store.rings.books.at(m.store.rings.books.length - 1, 2)")
        assert bid > 400, "the other symbol's prices"
        page.page.select_option(f"{BOARD} select[aria-label=window]", "300")
        page.wait_for_board("m => m.view.span === 300000")
        begin, end = times(page)
        assert end - begin < 300_000, "no more is shown than there is"
        page.board("m => { m.view.leave(m.board.now); m.act.window(300); }")
        page.wait_for_board("m => m.store.head.level === 1 && m.store.head.step === 500")
        page.board("m => m.act.follow()")
        page.page.select_option(f"{BOARD} select[aria-label=interval]", "15s")
        page.wait_for_board("m => m.store.head.interval_ms === 15000 && m.store.bars.size")
        page.page.click(f"{BOARD} .mdkit-more summary")
        page.page.uncheck(f"{BOARD} label:has-text('Footprint') input")
        page.wait_for_board("m => !m.board.panes.rects.footprint && m.board.panes.rects.heat")
        other = {"light": "dark", "dark": "light"}[theme]
        page.page.select_option(f"{BOARD} select[aria-label=theme]", other)
        page.wait_for_board(f"m => m.board.theme.name === '{other}'")
        page.page.keyboard.press("Escape")
        page.wait_for(
            lambda: page.page.evaluate(f"!document.querySelector('{BOARD} .mdkit-more').open"),
            10,
            "the menu to close",
        )
        page.check_controls()
        page.save(f"canvas-stopped-{theme}")
        page.assert_clean()


def test_what_is_hidden_or_lost_on_the_way_is_made_good(browser, lab):
    with Page.open(browser, lab, lab.write("lost.ipynb", LIVE.format(name="lost"))) as page:
        page.run("Run All Cells")
        page.wait_for_pictures(30)
        oldest = page.board("m => m.store.rings.books.at(0, 0)")
        page.board("m => { m.store.n -= 7; }")  # as if messages had been dropped
        page.wait_for_board("m => m.store.counters.holes >= 1")
        page.wait_for_pictures(5)
        assert page.board("m => m.store.rings.books.at(0, 0)") == oldest, "all is there again"
        assert page.board("m => m.store.counters.holes") <= 3
        # Out of sight: nothing is sent, and nothing is missing afterwards.
        page.page.evaluate(f"document.querySelector('{BOARD}').style.display = 'none'")
        page.wait_for(page.is_still, 30, "pictures to cease")
        newest = page.board("m => m.store.rings.books.at(m.store.rings.books.length - 1, 0)")
        holes = page.board("m => m.store.counters.holes")
        page.page.evaluate(f"document.querySelector('{BOARD}').style.display = ''")
        page.wait_for_pictures(3)
        later = page.board(
            f"m => {{ const r = m.store.rings.books; return r.at(r.find({newest}) + 1, 0); }}"
        )
        assert later - newest < 500, "the time out of sight is filled in"
        assert page.board("m => m.store.counters.holes") == holes
        page.assert_clean()


def test_a_canvas_docked_beside_the_notebook_goes_on_when_the_first_is_out_of_sight(browser, lab):
    with Page.open(browser, lab, lab.write("docked.ipynb", LIVE.format(name="docked"))) as page:
        page.run("Run All Cells")
        page.wait_for_pictures(10)
        page.select_cell(0)
        page.page.evaluate(
            "() => window.jupyterapp.commands.execute('notebook:create-output-view')"
        )
        page.wait_for(lambda: page.page.locator(BOARD).count() == 2, 30, "a second canvas")
        page.wait_for_board("m => m.store.views.size === 2")
        of_notebook = f".jp-Notebook {BOARD}"
        page.page.evaluate(f"document.querySelector('{of_notebook}').style.display = 'none'")
        page.wait_for_board("m => m.store.watched.size === 1")
        began = page.board("m => m.store.counters.pictures")
        page.wait_for_board(f"m => m.store.counters.pictures > {began + 20}")
        page.save("canvas-docked")
        page.page.evaluate(
            f"document.querySelectorAll('{BOARD}').forEach(node => node.style.display = 'none')"
        )
        page.wait_for(page.is_still, 30, "pictures to cease when nobody can see any")
        page.assert_clean()


KEPT = "[data-mdkit-kept] img"


def test_a_notebook_that_is_saved_meanwhile_has_the_page_s_own_picture(browser, lab):
    import nbformat
    from nbconvert import HTMLExporter
    from PIL import Image

    with Page.open(browser, lab, lab.write("saved.ipynb", LIVE.format(name="saved"))) as page:
        page.run("Run All Cells")
        page.wait_for_pictures(10)
        page.page.wait_for_selector(KEPT, state="attached", timeout=60_000)
        assert not page.page.is_visible(KEPT), "beside the canvas nobody needs it"
        page.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

        def saved():
            notebook = nbformat.read(lab.folder / "saved.ipynb", as_version=4)
            html, _ = HTMLExporter().from_notebook_node(notebook)
            return re.search(r'data:image/webp;base64,([^"]+)"', html)

        picture = Image.open(io.BytesIO(base64.b64decode(page.wait_for(saved, 30, "it")[1])))
        size = page.board("m => [m.board.canvas.width, m.board.canvas.height]")
        assert list(picture.size) == size or picture.width == 1100
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 500, "there is something in it"
        # Where the canvas is not, as in a notebook opened another day, the picture is seen.
        page.page.evaluate(f"() => document.querySelector('{BOARD} style').remove()")
        assert page.page.is_visible(KEPT)
        page.press("Stop")
        page.wait_for_last_picture()
        page.wait_for(lambda: not page.page.query_selector(KEPT), 10, "one picture to be left")
        page.assert_clean()


def test_a_busy_cell_holds_up_no_session_of_its_own_thread(browser, lab):
    cells = (
        LIVE.format(name="busy").replace("strategies=", "runner='thread', strategies="),
        "import time\ntime.sleep(8)",
        "print(session.state)",
    )
    with Page.open(browser, lab, lab.write("busy.ipynb", *cells)) as page:
        page.select_cell(0)
        page.run("Run Selected Cell")
        page.wait_for_pictures(10)
        page.run("Run Selected Cell")
        page.wait_for(lambda: page.prompts()[1] == "[*]:", 30, "the busy cell")
        page.wait_for_pictures(8)
        assert page.prompts()[1] == "[*]:", "pictures came while it was busy"
        page.assert_clean()


def test_two_sessions_have_a_canvas_each_and_a_dead_kernel_is_told(browser, lab):
    name = lab.write("two.ipynb", LIVE.format(name="one"), LIVE.format(name="two"))
    with Page.open(browser, lab, name) as page:
        page.wait_until_ran(page.run("Run All Cells"))
        for number in (0, 1):
            page.page.evaluate(f"document.querySelectorAll('{BOARD}')[{number}].scrollIntoView()")
            began = page.wait_for_board("m => m.store.counters.pictures", number=number)
            page.wait_for_board(f"m => m.store.counters.pictures > {began + 5}", number=number)
        for _ in range(3):  # run again: no canvas is left over
            page.wait_until_ran(page.run("Run All Cells"))
        page.wait_for(lambda: page.page.locator(BOARD).count() == 2, 30, "two canvases")
        page.page.evaluate(f"document.querySelectorAll('{BOARD}')[1].scrollIntoView()")
        page.wait_for_board("m => m.store.counters.pictures > 5", number=1)
        assert page.errors == []
        page.choose("Kernel", "Restart Kernel…")
        page.wait_for(
            lambda: (
                page.accept_what_is_suggested()
                or "no picture for" in page.page.locator(f"{BOARD} .mdkit-late").last.inner_text()
            ),
            60,
            "the page to say that no picture comes",
        )
        page.save("canvas-dead-kernel")
        assert page.outside == []
