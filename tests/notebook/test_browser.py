"""The notebooks in a real JupyterLab in a real browser; screenshots go to out/screenshots.

    python -m pytest -m browser

Needs JupyterLab, Playwright's Python package and a Chromium on the path. On a machine without
them these tests are skipped; with CI=true in the environment that is a failure.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = ROOT / "notebooks"
SCREENSHOTS = Path(os.environ.get("MDKIT_SCREENSHOTS", ROOT / "out" / "screenshots"))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
PICTURE = ".mdkit-dashboard img"
BOARD = """
import mdkit as md

session = md.live(
    ["AAPL.US", "MSFT.US", "NVDA.US"], channels=["depth", "trade"],
    source=md.Exchange(["AAPL.US", "MSFT.US", "NVDA.US"], rate=500),
    strategies=[md.strategies.pressure],
).start()
session.dashboard()
"""


def require() -> None:
    missing = []
    for package in ("jupyterlab", "playwright"):
        try:
            __import__(package)
        except ImportError:
            missing.append(package)
    if CHROMIUM is None:
        missing.append("a Chromium on the path")
    if missing:
        told = f"browser tests need {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)


class Lab:
    """A JupyterLab server on a free port, with a folder and settings of its own."""

    def __init__(self, folder: Path, theme: str) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        settings = folder / "config" / "lab" / "user-settings" / "@jupyterlab"
        for name, value in {
            "apputils-extension/themes": {"theme": f"JupyterLab {theme}"},
            "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        }.items():
            path = settings / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = (folder / "server.log").open("wb")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *(f"--port={self.port}", "--ip=127.0.0.1"),
                *("--IdentityProvider.token=", f"--ServerApp.root_dir={self.folder}"),
            ],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "JUPYTER_CONFIG_DIR": str(folder / "config"),
                "JUPYTER_DATA_DIR": str(folder / "data"),
                "IPYTHONDIR": str(folder / "ipython"),
            },
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api", timeout=5).close()
                return
            except OSError:
                assert self.process.poll() is None, (folder / "server.log").read_text()
                assert time.monotonic() < deadline, "JupyterLab did not start within 60 s"
                time.sleep(0.1)

    def write(self, name: str, *cells: str) -> str:
        import nbformat

        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        notebook.cells = [nbformat.v4.new_code_cell(cell.strip()) for cell in cells]
        nbformat.write(notebook, self.folder / name)
        return name

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def browser():
    require()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
                *("--disable-component-update", "--disable-sync", "--no-first-run"),
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def lab(tmp_path, request):
    require()
    lab = Lab(tmp_path, getattr(request, "param", "Light"))
    yield lab
    lab.close()


class Page:
    """A notebook open in the browser, and everything the browser complained of."""

    def __init__(self, browser, lab: Lab, notebook: str) -> None:
        self.errors: list[str] = []
        self.page = browser.new_page(viewport={"width": 1440, "height": 1180})
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._listen)
        self.page.goto(f"http://127.0.0.1:{lab.port}/lab/tree/{notebook}?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
        self.page.wait_for_selector(
            ".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=90_000
        )

    def _listen(self, message) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def run_all(self) -> None:
        """Run all cells by the menu.

        A page that still loads may miss a click, or ask which kernel to use: it is told again,
        and takes the kernel that it suggests.
        """
        trouble = ""
        for _ in range(5):
            try:
                self.choose("Run", "Run All Cells")
                self.wait_for_script(
                    "() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]"
                    r".some(e => /\[[*\d]+\]/.test(e.innerText))",
                    timeout=8,
                )
            except Exception as error:
                if "Timeout" not in str(error):
                    raise
                trouble = str(error)
            else:
                return
        raise AssertionError(f"the menu's Run All Cells does nothing: {trouble}")

    def choose(self, menu: str, item: str) -> None:
        """Choose from a menu, after answering a question that stands in the way."""
        for attempt in range(8):
            for button in self.page.query_selector_all(".jp-Dialog button.jp-mod-accept"):
                button.click()
            try:
                self.page.click(f".lm-MenuBar-itemLabel:text-is('{menu}')", timeout=5000)
                self.page.click(f".lm-Menu-itemLabel:text-is('{item}')", timeout=5000)
            except Exception as error:
                if "Timeout" not in str(error) or attempt == 7:
                    raise
            else:
                return

    def press(self, label: str) -> None:
        self.page.click(f".mdkit-dashboard button:has-text('{label}')")

    def wait_for_script(self, script: str, argument=None, timeout: float = 120) -> None:
        self.page.wait_for_function(script, arg=argument, timeout=timeout * 1000)

    def picture(self) -> str:
        return self.page.get_attribute(PICTURE, "src")

    def wait_for_other_picture(self, than: str) -> None:
        self.wait_for_script(
            "([css, old]) => { const i = document.querySelector(css); "
            "return i && i.src && i.src !== old; }",
            [PICTURE, than],
        )

    def wait_until_all_ran(self) -> None:
        """All cells have run: none shows the star of a cell that waits or runs."""
        self.wait_for_script(
            "() => { const p = [...document.querySelectorAll("
            "'.jp-CodeCell .jp-InputPrompt')].map(e => e.innerText); "
            r"return p.length > 0 && p.every(t => /\[\d+\]/.test(t)); }",
            timeout=180,
        )

    def assert_clean(self) -> None:
        bad = self.page.query_selector_all(
            "[data-mime-type='application/vnd.jupyter.error'], "
            "[data-mime-type='application/vnd.jupyter.stderr']"
        )
        assert [element.inner_text() for element in bad] == []
        assert self.errors == []

    def save(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.mark.parametrize("lab", ["Light", "Dark"], indirect=True)
def test_the_dashboard_moves_pauses_resumes_and_stops(browser, lab, request):
    theme = request.node.callspec.params["lab"].lower()
    page = Page(browser, lab, lab.write("board.ipynb", BOARD, "print(session.state)"))
    page.run_all()
    page.page.wait_for_selector(f"{PICTURE}[src^='blob:']", timeout=120_000)
    page.wait_for_other_picture(page.picture())
    page.wait_for_script(
        "() => /Signals \\([1-9]/.test(document.querySelector('.mdkit-dashboard').innerText)"
    )
    page.page.wait_for_timeout(12_000 if SCREENSHOTS.exists() else 0)  # a fuller picture to look at
    page.save(f"dashboard-{theme}")
    page.press("Pause")
    page.page.wait_for_selector(".mdkit-dashboard button:has-text('Resume'):not([disabled])")
    frozen = page.picture()
    text = page.page.inner_text(".mdkit-dashboard")
    with pytest.raises(Exception, match="Timeout"):
        page.wait_for_script(
            "([css, old]) => document.querySelector(css).src !== old", [PICTURE, frozen], 2
        )
    assert page.page.inner_text(".mdkit-dashboard") == text
    page.press("Resume")
    page.wait_for_other_picture(frozen)
    page.press("Stop")
    page.page.wait_for_selector(".mdkit-dashboard-still img", timeout=30_000)
    still = page.page.inner_text(".mdkit-dashboard-still")
    assert re.search(r"stopped", still)
    assert "the ledger balances" in still
    assert page.page.query_selector(".mdkit-dashboard") is None
    page.save(f"dashboard-stopped-{theme}")
    page.assert_clean()
    page.page.close()


@pytest.mark.parametrize("name", ["01_order_book_pressure", "02_queue_depth_and_backpressure"])
def test_a_notebook_runs_through_the_menu(browser, lab, name):
    shutil.copy(NOTEBOOKS / f"{name}.ipynb", lab.folder)
    page = Page(browser, lab, f"{name}.ipynb")
    page.choose("Edit", "Clear Outputs of All Cells")
    page.run_all()
    page.page.wait_for_selector(f"{PICTURE}[src^='blob:']", timeout=120_000)
    page.wait_for_other_picture(page.picture())
    page.save(name)
    page.wait_until_all_ran()
    page.page.wait_for_selector(".mdkit-dashboard-still img", timeout=30_000)
    page.save(f"{name}-done")
    page.assert_clean()
    page.page.close()
