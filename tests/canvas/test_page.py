"""The page's side of the canvas: its pure modules under Node, and how they are joined."""

import os
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from mdkit.canvas.module import page_module, page_style

STATIC = Path(str(files("mdkit.canvas") / "static"))
PAGE = Path(__file__).parent / "page"


def node():
    found = shutil.which("node")
    if found is None:
        told = "the page's modules are tested under Node, which is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    return found


@pytest.mark.outer
def test_the_pure_modules_do_what_their_tests_say(tmp_path):
    shutil.copytree(STATIC, tmp_path / "static")
    shutil.copytree(PAGE, tmp_path / "page")
    (tmp_path / "package.json").write_text('{"type": "module"}')  # they are ES modules
    done = subprocess.run(
        [node(), "--test", *sorted(map(str, (tmp_path / "page").glob("*.test.js")))],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert int(re.search(r"# pass (\d+)", done.stdout)[1]) > 20


@pytest.mark.outer
def test_the_joined_module_is_one_that_a_browser_can_load(tmp_path):
    joined = tmp_path / "joined.mjs"
    joined.write_text(page_module(), "utf-8")
    check = 'import("./joined.mjs").then(m => console.log(typeof m.default.render))'
    done = subprocess.run(
        [node(), "-e", check], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout == "function\n", done.stderr


def test_every_module_is_in_it_once_and_nothing_is_left_to_import():
    joined = page_module()
    for path in STATIC.glob("*.js"):
        if path.stem != "main":
            assert joined.count(f"const mdkit_{path.stem} = ") == 1, path.stem
    assert re.findall(r"^\s*import\b", joined, re.MULTILINE) == []
    assert re.findall(r"^export ", joined, re.MULTILINE) == ["export "]
    assert "http" not in joined.replace("http://www.w3.org", "")
    assert "url(" not in page_style()
    assert "@import" not in page_style()
