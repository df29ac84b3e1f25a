"""Every notebook runs top to bottom without an error, a warning or a key, and keeps its picture.

Running them takes a minute or two: python -m pytest -m slow tests/notebook/test_notebooks.py
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from traitlets.config import Config

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent.parent / "notebooks").glob("*.ipynb"))


def outputs(notebook):
    return [output for cell in notebook["cells"] for output in cell.get("outputs", [])]


@pytest.fixture
def nbformat():
    """Import what only some tests need: it takes two seconds, in each worker."""
    return pytest.importorskip("nbformat")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_without_errors_and_warnings(path, tmp_path, nbformat):
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    # Not over TCP: a port that was free when it was chosen may be taken when the kernel binds it.
    sockets = {"transport": "ipc", "ip": str(tmp_path / "kernel")}
    client = nbclient.NotebookClient(
        notebook,
        timeout=180,
        config=Config(KernelManager=sockets),
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    complaints = [
        output.get("text", output.get("evalue", ""))
        for output in outputs(notebook)
        if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert complaints == []
    boards = [o for o in outputs(notebook) if "mdkit-dashboard-still" in str(o.get("data", ""))]
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    # A session that has started shows its canvas as a cell's last line, too.
    shown = any("dashboard()" in source or source.endswith("start()") for source in code)
    assert bool(boards) is shown, "a dashboard leaves its picture"
    for board in boards:
        assert "data:image/png;base64," in board.data["text/html"]
        assert "image/png" in board.data
        assert "the ledger balances" in board.data["text/html"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_saved_with_its_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = [c for c in notebook["cells"] if c["cell_type"] == "code" and c["source"]]
    assert cells
    assert all(cell["execution_count"] for cell in cells)
    assert not [o for o in outputs(notebook) if o["output_type"] == "error"]
    assert notebook["cells"][0]["cell_type"] == "markdown"


@pytest.mark.outer
def test_an_exported_notebook_shows_the_last_picture(tmp_path, nbformat):
    nbconvert = pytest.importorskip("nbconvert")
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    notebook.metadata.pop("widgets", None)
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    assert "mdkit-dashboard-still" in page
    assert "data:image/png;base64," in page
