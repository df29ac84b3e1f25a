"""A real JupyterLab in a real browser; screenshots go to out/screenshots.

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
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SCREENSHOTS = Path(os.environ.get("MDKIT_SCREENSHOTS", ROOT / "out" / "screenshots"))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
STILL = ".mdkit-dashboard-still"
BOARD = ".mdkit-canvas"
# A page may look idle before it has a kernel; a cell that runs then asks for one of its own.
READY = """
    () => {
        const notebook = window.jupyterapp?.shell.currentWidget;
        const context = notebook?.sessionContext;
        const kernel = context?.isReady ? context.session?.kernel : null;
        if (kernel?.connectionStatus !== 'connected' || kernel.status !== 'idle') return false;
        const cells = document.querySelectorAll('.jp-Notebook .jp-Cell').length;
        return cells > 0 && cells === notebook.content.widgets.length;
    }
"""
PROMPTS = """
    () => [...document.querySelectorAll('.jp-CodeCell')]
        .filter(cell => cell.querySelector('.cm-content').textContent.trim())
        .map(cell => cell.querySelector('.jp-InputPrompt').textContent.trim())
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Lab:
    """A server of JupyterLab or Notebook 7 on a free port, with folder and settings of its own."""

    def __init__(self, folder: Path, theme: str, app: str = "jupyterlab") -> None:
        self.app = app
        self.folder = folder / "work"
        self.folder.mkdir()
        settings = folder / "config" / "lab" / "user-settings" / "@jupyterlab"
        for name, value in {
            "apputils-extension/themes": {"theme": f"JupyterLab {theme}"},
            "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
            # Otherwise cells out of view are not in the page, or without text.
            "notebook-extension/tracker": {"windowingMode": "none"},
        }.items():
            path = settings / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value))
        self.port = free_port()
        name = {"jupyterlab": "LabApp", "notebook": "JupyterNotebookApp"}[app]
        self.log = (folder / "server.log").open("wb")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", app, "--no-browser", "--allow-root"),
                *(f"--port={self.port}", "--ip=127.0.0.1"),
                *("--IdentityProvider.token=", f"--ServerApp.root_dir={self.folder}"),
                f"--{name}.expose_app_in_browser=True",
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
                assert time.monotonic() < deadline, f"{app} did not start within 60 s"
                time.sleep(0.1)

    def url(self, notebook: str) -> str:
        path = {"jupyterlab": "lab/tree", "notebook": "notebooks"}[self.app]
        return f"http://127.0.0.1:{self.port}/{path}/{notebook}?reset"

    def write(self, name: str, *cells: str) -> str:
        import nbformat

        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        notebook.cells = [nbformat.v4.new_code_cell(cell.strip()) for cell in cells]
        nbformat.write(notebook, self.folder / name)
        return name

    def copy(self, path: Path) -> str:
        """Put a copy of a notebook that has never run into the folder."""
        import nbformat

        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.update(outputs=[], execution_count=None)
        nbformat.write(notebook, self.folder / path.name)
        return path.name

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Page:
    """A notebook open in the browser, and everything the browser complained of."""

    def __init__(self, browser, lab: Lab, notebook: str, size=(1440, 1180)) -> None:
        self.errors: list[str] = []
        self.outside: list[str] = []
        self.page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._listen)
        self.page.on("request", self._note)
        self.page.goto(lab.url(notebook))
        self.name = Path(notebook).stem

    @classmethod
    @contextmanager
    def open(cls, browser, lab: Lab, notebook: str, **options):
        """Open a notebook and wait for its kernel; a failure leaves a screenshot."""
        page = cls(browser, lab, notebook, **options)
        try:
            page.wait_for(page._ready, 120, "the notebook and its kernel")
            yield page
        except BaseException:
            page.save(f"failed-{page.name}")
            print("the browser complained of:", *page.errors or ["nothing"], sep="\n  ")
            raise
        finally:
            page.page.close()

    def _ready(self) -> bool:
        self.accept_what_is_suggested()
        return self.page.evaluate(READY)

    def _listen(self, message) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _note(self, request) -> None:
        local = request.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))
        if not local:
            self.outside.append(request.url)

    def wait_for(self, condition, timeout: float, what: str):
        """Poll a condition until it holds, and return its value."""
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            assert time.monotonic() < deadline, f"waited {timeout} s in vain for {what}"
            self.page.wait_for_timeout(50)
        return value

    # -- cells ------------------------------------------------------------------------------

    def prompts(self) -> list[str]:
        """The prompts of all code cells: [ ]: before a cell runs, [*]: meanwhile, [7]: after."""
        return self.page.evaluate(PROMPTS)

    def run(self, item: str) -> list[str]:
        """Run cells by the menu's item; return the prompts before.

        A page that is busy may miss a click: it is told again.
        """
        before = self.wait_for(self.prompts, 30, "cells")

        def begun():
            changes = set(zip(self.prompts(), before, strict=False))
            return any(new not in (old, "[ ]:") for new, old in changes)

        for attempt in range(5):
            self.choose("Run", item)
            try:
                self.wait_for(begun, 20, f"the menu's {item} to begin")
            except AssertionError:
                if attempt == 4:
                    raise
            else:
                break
        return before

    def wait_until_ran(self, before: list[str]) -> None:
        """Wait until every cell has run since its prompt was as in `before`."""

        def ran():
            self.assert_no_failed_cell()
            now = self.prompts()[: len(before)]
            return all(
                re.fullmatch(r"\[\d+\]:", new) and new != old
                for new, old in zip(now, before, strict=True)
            )

        try:
            self.wait_for(ran, 240, "all cells to run")
        except AssertionError:
            print("prompts before and after:", before, self.prompts())
            raise

    def choose(self, menu: str, item: str) -> None:
        """Choose from a menu, after answering a question that stands in the way."""
        for attempt in range(8):
            self.accept_what_is_suggested()
            try:
                self.page.click(f".lm-MenuBar-itemLabel:text-is('{menu}')", timeout=5000)
                self.page.click(f".lm-Menu-itemLabel:text-is('{item}')", timeout=5000)
            except Exception as error:
                if "Timeout" not in str(error) or attempt == 7:
                    raise
            else:
                return

    def accept_what_is_suggested(self) -> None:
        for button in self.page.query_selector_all(".jp-Dialog button.jp-mod-accept"):
            button.click()

    def select_cell(self, number: int) -> None:
        """Make a code cell, counted from 0 and empty ones left out, the selected one."""
        self.page.locator(".jp-CodeCell .jp-InputPrompt").nth(number).click()

    # -- the dashboard ----------------------------------------------------------------------

    def board(self, script: str, number: int = 0):
        """What a function of a dashboard's own object gives: store, view, options, board, act."""
        return self.page.evaluate(
            f"() => ({script})(document.querySelectorAll('{BOARD}')[{number}].mdkit)"
        )

    def wait_for_board(self, script: str, timeout: float = 60, number: int = 0):
        """Wait until a function of a dashboard's own object gives something true."""
        ready = (
            f"(() => {{ const b = document.querySelectorAll('{BOARD}')[{number}];"
            f" return b && b.mdkit.store.head && ({script})(b.mdkit); }})()"
        )
        return self.wait_for(lambda: self.page.evaluate(ready), timeout, script)

    def press(self, label: str) -> None:
        self.page.click(f"{BOARD} .mdkit-bar button:has-text('{label}')")

    def wait_for_pictures(self, count: int) -> None:
        """Wait until that many more pictures have come, with the canvas in sight."""
        began = self._pictures_in_sight()
        self.wait_for(
            lambda: self._pictures_in_sight() >= began + count, 120, f"{count} more pictures"
        )

    def _pictures_in_sight(self) -> int:
        """How many pictures have come to the canvas, 0 before there is one; brings it in sight.

        Running all cells scrolls on, and to a canvas that nobody sees no pictures are sent.
        """
        assert not self.page.query_selector(STILL), "the canvas has given way to its last picture"
        return self.page.evaluate(
            f"""() => {{
                const board = document.querySelector('{BOARD}');
                board?.scrollIntoView({{block: 'center'}});
                return board?.mdkit?.store.counters.pictures ?? 0;
            }}"""
        )

    def is_still(self) -> bool:
        """Whether no picture comes for a while."""
        before = self.board("m => m.store.n")
        self.page.wait_for_timeout(700)
        return self.board("m => m.store.n") == before

    def check_controls(self) -> None:
        """Pause keeps the picture, Resume moves it, Stop ends the feed."""
        self.press("Pause")
        self.wait_for(self.is_still, 30, "the picture to stand still")
        assert re.search(r"paused at \d\d:\d\d:\d\d", self.page.inner_text(f"{BOARD} .mdkit-age"))
        self.press("Resume")
        self.wait_for_pictures(3)
        self.press("Stop")
        self.wait_for_last_picture()

    def wait_for_last_picture(self) -> None:
        """Wait until the dashboard has given way to its last picture, which tells the end."""
        self.page.wait_for_selector(f"{STILL} img", timeout=60_000)
        still = self.page.inner_text(STILL)
        assert "stopped" in still
        assert "the ledger balances" in still
        assert self.page.query_selector(BOARD) is None

    # -- judging ----------------------------------------------------------------------------

    def assert_no_failed_cell(self) -> None:
        bad = self.page.query_selector_all(
            "[data-mime-type='application/vnd.jupyter.error'], "
            "[data-mime-type='application/vnd.jupyter.stderr']"
        )
        said = [element.inner_text() for element in bad]
        assert not said, "\n".join(said)

    def assert_clean(self) -> None:
        self.assert_no_failed_cell()
        assert self.errors == []
        assert self.outside == [], "nothing is asked of the network"

    def save(self, name: str) -> None:
        """Save a screenshot, of the dashboard where there is one."""
        self.page.evaluate(
            "document.querySelector('.mdkit-canvas, .mdkit-dashboard-still')?.scrollIntoView()"
        )
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")
