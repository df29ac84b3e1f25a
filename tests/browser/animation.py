"""Make the README's moving picture of the canvas: docs/_static/canvas.webp, and canvas.png.

    python tests/browser/animation.py [--seconds 10] [--theme Dark]

A simulated market of a fixed seed runs in JupyterLab in headless Chromium. The picture stands
still while new books, trades and bars are drawn into it, so that the file stays small; then the
crosshair goes through the panes. Needs what the browser tests need, and Pillow.
"""

from __future__ import annotations

import argparse
import base64
import io
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from lab import BOARD, CHROMIUM, ROOT, Lab, Page
from PIL import Image

CELL = """
import mdkit as md

session = md.live(
    ["AAPL.US", "MSFT.US"], channels=["depth", "trade"], levels=40,
    source=md.Simulated(["AAPL.US", "MSFT.US"], rate=20, levels=40, seed=11),
    strategies=[md.strategies.pressure],
)
session.start().dashboard()
"""
WIDTH, HEIGHT = 1000, 720
FRAMES_PER_SECOND = 8
WINDOW = 60
"""Seconds that the axis of time shows."""
MOST_BYTES = {"canvas.webp": 1_500_000, "canvas.png": 300_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--theme", choices=("Light", "Dark"), default="Dark")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "_static")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        lab = Lab(Path(folder), options.theme)
        try:
            frames = record(browser, lab, options.seconds)
        finally:
            lab.close()
            browser.close()
    options.out.mkdir(parents=True, exist_ok=True)
    save(frames, options.out)


def record(browser, lab: Lab, seconds: float) -> list[tuple[float, Image.Image]]:
    """Return frames and when each was taken, in seconds."""
    notebook = lab.write("canvas.ipynb", CELL)
    with Page.open(browser, lab, notebook, size=(WIDTH + 180, HEIGHT + 140)) as page:
        page.page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
        page.run("Run All Cells")
        page.wait_for_pictures(5)
        page.page.evaluate(
            f"""() => {{
                const board = document.querySelector('{BOARD}');
                board.style.width = '{WIDTH}px';
                board.scrollIntoView({{block: 'start'}});
            }}"""
        )
        ahead = (seconds + 3) * 1000
        span = WINDOW * 1000
        # Enough has come to fill the axis but for what the animation shows.
        page.wait_for_board(
            f"m => m.store.rings.books?.length && "
            f"m.board.now - m.store.rings.books.at(0, 0) > {span - ahead}",
            timeout=2 * WINDOW,
        )
        page.board(
            f"m => {{ m.view.leave(m.board.now); m.view.end = m.board.now + {ahead};"
            f" m.view.setSpan({span}); m.act.changed(); }}"
        )
        page.page.wait_for_timeout(1000)
        return take(page, seconds)


def take(page: Page, seconds: float) -> list[tuple[float, Image.Image]]:
    """Take what the browser shows, each time that it has changed, while the mouse moves."""
    box = page.page.locator(BOARD).bounding_box()
    canvas = page.page.locator(f"{BOARD} canvas").bounding_box()
    frames: list[tuple[float, bytes]] = []
    devtools = page.page.context.new_cdp_session(page.page)

    def keep(event) -> None:
        frames.append((event["metadata"]["timestamp"], base64.b64decode(event["data"])))
        devtools.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    devtools.on("Page.screencastFrame", keep)
    devtools.send("Page.startScreencast", {"format": "png", "everyNthFrame": 1})
    began = time.monotonic()
    while (at := time.monotonic() - began) < seconds:
        share = at / seconds
        if share > 0.5:  # the crosshair, from left to right through the book
            x = canvas["x"] + (0.12 + 0.9 * (share - 0.5)) * canvas["width"]
            y = canvas["y"] + (0.1 + 0.5 * (share - 0.5)) * canvas["height"]
            page.page.mouse.move(x, y)
        page.page.wait_for_timeout(1e3 / FRAMES_PER_SECOND)
    devtools.send("Page.stopScreencast")
    left, top = round(box["x"]), round(box["y"])
    cut = (left, top, left + WIDTH, top + round(box["height"]))
    return [(at, Image.open(io.BytesIO(shot)).convert("RGB").crop(cut)) for at, shot in frames]


def save(frames: list[tuple[float, Image.Image]], folder: Path) -> None:
    frames = sorted(frames, key=lambda frame: frame[0])  # they come in any order
    lasts = [max(20, round(1e3 * (b[0] - a[0]))) for a, b in pairwise(frames)]
    images = [image for _, image in frames]
    images[0].save(
        folder / "canvas.webp", save_all=True, append_images=images[1:], loop=0,
        duration=[*lasts, 1_500], quality=70, method=4, minimize_size=True,
    )  # fmt: skip
    images[len(images) * 3 // 4].save(folder / "canvas.png", optimize=True)
    for name, most in MOST_BYTES.items():
        size = (folder / name).stat().st_size
        print(f"{folder / name}: {size:,} bytes, {len(frames)} frames")
        if size > most:
            raise SystemExit(f"{name} has {size:,} bytes: at most {most:,} belong into the README")


if __name__ == "__main__":
    main()
