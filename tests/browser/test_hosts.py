"""The canvas in hosts other than JupyterLab; skipped where one is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from importlib.util import find_spec

import pytest
from lab import BOARD, SCREENSHOTS, STILL, Lab, Page, free_port

pytestmark = pytest.mark.browser

LIVE = """
import mdkit as md

session = md.live(
    ["AAPL.US", "MSFT.US"], channels=["depth", "trade"], levels=20,
    source=md.Simulated(["AAPL.US", "MSFT.US"], rate=100, levels=20{more}),
    strategies=[md.strategies.pressure],
).start()
"""
MARIMO = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
    {cell}
    mo.ui.anywidget(session.dashboard().widget)
    return


if __name__ == "__main__":
    app.run()
"""
# marimo puts widgets into shadow roots, which `document.querySelector` does not look into.
BOARD_ANYWHERE = f"""() => {{
    const find = (root) => {{
        for (const node of root.querySelectorAll('*')) {{
            if (node.matches('{BOARD}')) return node.mdkit;
            const found = node.shadowRoot && find(node.shadowRoot);
            if (found) return found;
        }}
        return null;
    }};
    const m = find(document);
    return m && m.store.head && {{
        pictures: m.store.counters.pictures, holes: m.store.counters.holes, draws: m.board.draws,
        books: m.store.rings.books?.length ?? 0, over: m.store.head.over,
        sentence: m.store.head.sentence, width: m.board.width,
    }};
}}"""


def installed(package: str) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install {package}")


@contextmanager
def server(arguments, folder, port):
    """Run a program until it serves, and end it afterwards."""
    log = (folder / "server.log").open("wb")
    environment = {**os.environ, "JUPYTER_DATA_DIR": str(folder / "data")}
    environment |= {"HOME": str(folder), "IPYTHONDIR": str(folder / "ipython")}
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=folder, stdout=log, stderr=subprocess.STDOUT,
        env=environment,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "server.log").read_text()
                assert time.monotonic() < deadline, "the server did not start within 90 s"
                time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


@contextmanager
def opened(browser, url):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(url, timeout=120_000)
    yield page
    page.close()


def wait_for(page, ready, what):
    deadline = time.monotonic() + 90
    while not (found := page.evaluate(BOARD_ANYWHERE)) or not ready(found):
        assert time.monotonic() < deadline, f"waited in vain for {what}; there is {found}"
        page.wait_for_timeout(100)
    return found


def shoot(page, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def test_notebook_7_shows_it_live_and_leaves_its_last_picture(browser, tmp_path):
    installed("notebook")
    lab = Lab(tmp_path, "Light", "notebook")
    try:
        name = lab.write("live.ipynb", LIVE.format(more="") + "session.dashboard()")
        with Page.open(browser, lab, name) as page:
            page.run("Run All Cells")
            page.wait_for_pictures(30)
            page.save("canvas-notebook-7")
            page.press("Stop")
            page.wait_for_last_picture()
            page.assert_no_failed_cell()
            assert page.outside == [], "nothing is asked of the network"
    finally:
        lab.close()


def test_marimo_shows_the_widget_live(browser, tmp_path):
    installed("marimo")
    cell = LIVE.format(more="").strip().replace("\n", "\n    ")
    (tmp_path / "app.py").write_text(MARIMO.format(cell=cell))
    port = free_port()
    run = ("marimo", "run", "app.py", "--headless", "--no-token", "--port", str(port))
    with (
        server(run, tmp_path, port),
        opened(browser, f"http://127.0.0.1:{port}/") as page,
    ):
        found = wait_for(page, lambda m: m["pictures"] > 30 and m["books"], "pictures in marimo")
        shoot(page, "canvas-marimo")
        assert found["holes"] == 0
        assert found["width"] > 400


@pytest.mark.parametrize("end", ["before the page", "in a cell"])
def test_voila_shows_a_session_that_has_ended(browser, tmp_path, end):
    """Voilà makes the page cell by cell: what a cell has shown before cannot be replaced."""
    installed("voila")
    import nbformat

    cells = [LIVE.format(more=", count=200") + "session.dashboard()"]
    cells.append("import asyncio\nwhile session.receipt is None:\n    await asyncio.sleep(0.05)")
    if end == "in a cell":
        cells[1] = "import asyncio\nawait asyncio.sleep(1)\nawait session.stop()"
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(notebook, tmp_path / "ended.ipynb")
    port = free_port()
    run = ("voila", "ended.ipynb", "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1")
    with (
        server(run, tmp_path, port),
        opened(browser, f"http://127.0.0.1:{port}/") as page,
    ):
        found = wait_for(page, lambda m: m["over"] and m["books"] and m["draws"], "how it ended")
        assert "the ledger balances" in found["sentence"]
        assert not page.query_selector(STILL)
        assert "model not found" not in page.inner_text("body")
        shoot(page, "canvas-voila")
