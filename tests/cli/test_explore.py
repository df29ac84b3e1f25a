"""`python -m mdkit explore` up to the point where JupyterLab would start."""

import json
import re
import subprocess
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import mdkit as md
from mdkit.cli.main import app
from mdkit.errors import MdkitError

pytestmark = pytest.mark.outer  # it imports JupyterLab


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "today.jsonl.gz"
    md.live(source=md.Simulated(["A"], count=20), record=path, name="explored").run_blocking()
    return path


@pytest.fixture
def started(monkeypatch):
    pytest.importorskip("jupyterlab", reason="JupyterLab is an extra: .[lab]")
    commands = []

    def run(command, **options):
        commands.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_it_writes_a_notebook_and_opens_it(recording, started):
    found = CliRunner().invoke(app, ["explore", str(recording), "--strategy", "pressure"])
    assert found.exit_code == 0, found.output
    notebook = recording.parent / "explore_today.ipynb"
    source = json.loads(notebook.read_text())["cells"][0]["source"]
    assert f"md.explore({str(recording)!r}, strategies=[md.strategies.pressure])" in source
    compile(source, "cell", "exec")
    assert started[0][-1].endswith("/lab/tree/explore_today.ipynb")


def test_a_notebook_that_is_there_is_left_alone(recording, started):
    notebook = recording.parent / "explore_today.ipynb"
    notebook.write_text("mine")
    found = CliRunner().invoke(app, ["explore", str(recording), "--no-browser"])
    assert notebook.read_text() == "mine"
    assert "explore_today.ipynb was there already" in found.output.replace("\n", "")
    assert "--no-browser" in started[0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--strategy", "presure"], "did you mean 'pressure'"),
        ([], "no recording|not exist|no file"),
    ],
)
def test_what_cannot_be_explored_is_told_before_anything_is_written(
    recording, started, arguments, told
):
    path = recording if arguments else recording.parent / "tomorrow.jsonl"
    found = CliRunner().invoke(app, ["explore", str(path), *arguments])
    assert isinstance(found.exception, MdkitError)
    assert re.search(told, str(found.exception))
    assert not started
    assert not list(recording.parent.glob("*.ipynb"))
