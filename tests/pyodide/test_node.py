"""Real Pyodide under Node gives the answers of this Python.

Needs Node and the files that `python -m tests.pyodide.fetch FOLDER` brings, with MDKIT_PYODIDE
naming the folder; skips, and says so, where they are absent. Without numpy's wheel only the parts
that need neither numpy nor pandas can run, which `bare` is about: real Python 3.14 in WebAssembly,
real msgspec and zlib.
"""

import asyncio
import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from mdkit import sample
from tests.pyodide.checks import bare_answers, printed, sample_answers

pytestmark = pytest.mark.outer
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HOW = "python -m tests.pyodide.fetch FOLDER brings it, MDKIT_PYODIDE=FOLDER says where it is"


@pytest.fixture(scope="module")
def distribution():
    """The folder of Pyodide and its wheels."""
    if shutil.which("node") is None:
        pytest.skip("Node is not installed, which runs Pyodide here")
    folder = os.environ.get("MDKIT_PYODIDE", "")
    if not (Path(folder) / "pyodide.mjs").is_file():
        pytest.skip(f"Pyodide is not here: {HOW}")
    return Path(folder)


def _answers(distribution, which):
    done = subprocess.run(
        ["node", str(HERE / "run.mjs"), str(distribution), str(ROOT), which],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    assert answers.pop("platform") == "emscripten"
    return answers


def test_what_needs_no_numpy_gives_the_same_answers(distribution, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    theirs, ours = _answers(distribution, "bare"), bare_answers(sample())
    imported, absent = theirs.pop("imported"), theirs.pop("absent")
    assert set(imported) <= set(ours.pop("imported"))
    ours.pop("absent")
    assert theirs == json.loads(printed(ours))
    assert theirs["again"]
    for name in ("mdkit.events", "mdkit.queue.buffer", "mdkit.venues.kraken.parser"):
        assert name in imported
    # Nothing of mdkit failed for another reason than a library that is not in the folder.
    libraries = {"numpy", "pandas", "matplotlib", "PIL", "pyarrow", "ipywidgets", "anywidget"}
    libraries |= {"numba", "llvmlite", "websockets", "requests", "urllib3", "typer", "rich"}
    libraries |= {"cloudpickle", "tqdm", "IPython", "dask", "distributed", "isal", "loky"}
    assert set(absent) <= libraries


def test_pyodide_has_the_compiled_libraries_in_versions_that_are_taken(distribution):
    """What its distribution brings must do: no other wheel of these could be installed there."""
    requirements = pytest.importorskip("packaging.requirements")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = json.loads((distribution / "pyodide-lock.json").read_text(encoding="utf-8"))
    compiled = {
        name: found["version"]
        for name, found in lock["packages"].items()
        if "wasm32" in found["file_name"]
    }
    asked = map(requirements.Requirement, project["dependencies"])
    there = {"sys_platform": "emscripten"}
    met = {
        one.name: one.specifier.contains(compiled[one.name])
        for one in asked
        if one.name in compiled and (one.marker is None or one.marker.evaluate(there))
    }
    assert {"numpy", "pandas", "pyarrow", "matplotlib", "msgspec", "pillow"} <= set(met)
    assert all(met.values()), met


def test_everything_gives_the_same_answers(distribution, tmp_path):
    if not list(distribution.glob("numpy-*wasm32.whl")):
        pytest.skip("numpy's wheel for Pyodide is not in the folder, only in its distribution")
    theirs = _answers(distribution, "whole")
    ours = json.loads(printed(asyncio.run(sample_answers(tmp_path))))
    assert theirs == ours
