"""Without threads, processes, sockets and compiled extras, mdkit gives the same answers."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pyodide.checks import printed, sample_answers

pytestmark = pytest.mark.outer
HERE = Path(__file__).parent


def test_everything_but_the_network_works_in_a_browsers_python(tmp_path):
    browsers = tmp_path / "browser"
    browsers.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", str(HERE / "absent.py"), str(browsers)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers, *_, last = done.stdout.splitlines()
    assert last == "all is well"
    assert "this session reads the simulated market, in this page" in done.stdout
    ours = asyncio.run(sample_answers(tmp_path))
    assert json.loads(answers) == json.loads(printed(ours))
    assert ours["messages"] == ours["processed"] == ours["recorded"] == 1859
    assert ours["same"]
