"""Make the README's pictures of the canvas: data/pictures/dashboard.png and dashboard-dark.png.

    python tests/browser/pictures.py [--seconds 62]

Needs what the browser tests need. A simulated market of a fixed seed is shown for about a minute.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from lab import BOARD, CHROMIUM, ROOT, Lab, Page

CELL = """
import mdkit as md

session = md.live(
    ["AAPL.US", "MSFT.US", "NVDA.US"], channels=["depth", "trade"],
    source=md.Simulated(["AAPL.US", "MSFT.US", "NVDA.US"], rate=24, seed=11),
    strategies=[md.strategies.pressure],
).start()
session.dashboard()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=62)
    seconds = parser.parse_args().seconds
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for theme, name in (("Light", "dashboard"), ("Dark", "dashboard-dark")):
            with tempfile.TemporaryDirectory() as folder:
                lab = Lab(Path(folder), theme)
                try:
                    shoot(browser, lab, seconds, ROOT / "data" / "pictures" / f"{name}.png")
                finally:
                    lab.close()
        browser.close()


def shoot(browser, lab: Lab, seconds: float, target: Path) -> None:
    """Show the canvas for a while with the mouse on it, and save it as a picture."""
    with Page.open(browser, lab, lab.write("x.ipynb", CELL), size=(1320, 800)) as page:
        page.run("Run All Cells")
        page.wait_for_pictures(5)
        page.page.evaluate(f"document.querySelector('{BOARD}').scrollIntoView()")
        page.page.wait_for_timeout(seconds * 1000)
        box = page.page.locator(f"{BOARD} canvas").bounding_box()
        page.page.mouse.move(box["x"] + 0.52 * box["width"], box["y"] + 0.2 * box["height"])
        page.page.wait_for_timeout(600)
        page.page.locator(BOARD).screenshot(path=target)


if __name__ == "__main__":
    main()
