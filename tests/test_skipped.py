"""What is skipped for want of a library is noted, so that it runs where the library is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.outer

MODULE = """
import pytest
pytest.importorskip("no_such_library")
def test_it(): pass
"""
TESTS = """
import pytest
def test_that_needs_it(): pytest.importorskip("no_such_library")
@pytest.mark.xfail
def test_that_fails(): assert False
def test_that_runs(): pass
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_tests_and_whole_modules_that_are_skipped_are_named(tmp_path, workers):
    pytest.importorskip("xdist")
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_module.py").write_text(MODULE)
    (tmp_path / "test_tests.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = inner\n")
    told = tmp_path / "told"
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, f"--skipped-to={told}", "."]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False
    )
    assert "1 passed, 2 skipped, 1 xfailed" in done.stdout, done.stdout + done.stderr
    named = sorted(told.read_text().splitlines())
    assert named == ["test_module.py", "test_tests.py::test_that_needs_it"]
