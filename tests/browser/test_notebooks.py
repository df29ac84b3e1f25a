"""The notebooks in JupyterLab, run through its menu."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lab import ROOT, Page

pytestmark = pytest.mark.browser

BOOKS = "m => m.store.rings.books?.length > 5"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_through_the_menu(browser, lab, path):
    number = dashboard_cell(path)
    with Page.open(browser, lab, lab.copy(path)) as page:
        before = page.run("Run All Cells")
        if number is not None:
            page.wait_for_pictures(10)
            page.wait_for_board(BOOKS)
            page.save(path.stem)
        page.wait_until_ran(before)
        if number is not None:
            page.wait_for_last_picture()
        page.save(f"{path.stem}-done")
        if number is not None:
            # Once more up to the dashboard, which now lives until it is told to stop.
            # What later cells have left goes: the last picture of an explorer among it.
            page.page.evaluate(
                "() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')"
            )
            page.select_cell(number + 1)
            before = page.run("Run All Above Selected Cell")
            page.wait_until_ran(before[: number + 1])
            page.wait_for_pictures(10)
            page.wait_for_board(BOOKS)
            page.check_controls()
            page.save(f"{path.stem}-stopped")
        page.assert_clean()


def dashboard_cell(path: Path) -> int | None:
    """Which code cell of a notebook shows the dashboard, or None."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return next((n for n, source in enumerate(code) if "dashboard()" in source), None)
