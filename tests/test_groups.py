"""Modules whose tests share what is dear run in one worker."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.outer

TESTS = Path(__file__).parent
MODULE = """
import os, pytest
pytestmark = [pytest.mark.xdist_group("dear")]
@pytest.mark.parametrize("number", range(6))
def test_it(number, request):
    with open({name!r}, "a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
"""


CRASH = """
import os, pytest, time
@pytest.mark.parametrize("number", range(40))
def test_it(number):
    time.sleep(0.02)
    if number == 8:
        os._exit(1)
"""


def run(folder):
    """Run the tests of a folder in two workers, as those of this one are."""
    pytest.importorskip("xdist")
    shutil.copy(TESTS / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = inner\n xdist_group\n")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", str(folder)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        command, cwd=folder, env=clean, capture_output=True, text=True, check=False, timeout=180
    )
    return done.stdout + done.stderr


def test_a_group_stays_in_one_worker(tmp_path):
    text = MODULE.format(name=str(tmp_path / "ran"))
    for name in ("one", "two"):
        (tmp_path / f"test_{name}.py").write_text(text)
    said = run(tmp_path)
    assert "12 passed" in said, said
    assert len(set((tmp_path / "ran").read_text().split())) == 1


def test_a_worker_that_dies_is_replaced_by_one_that_does_its_share(tmp_path):
    (tmp_path / "test_crash.py").write_text(CRASH)
    said = run(tmp_path)
    assert "1 failed, 39 passed" in said, said


def test_every_group_is_written_where_it_is_looked_for():
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        if path != Path(__file__) and "xdist_group" in text:
            found = re.search(
                r"^pytestmark = .*pytest\.mark\.xdist_group\(\"[^\"]+\"\)", text, re.M
            )
            assert found, path
