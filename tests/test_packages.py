"""Wheel and source distribution hold what they should and nothing else, and the wheel runs."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import mdkit as md

pytestmark = [pytest.mark.outer, pytest.mark.xdist_group("packages")]

ROOT = Path(__file__).parents[1]
NAME = f"mdkit_live-{md.__version__}"

# Every file of a package must match one of its rules, and every rule a file.
WHEEL = (
    r"mdkit/(\w+/)*\w+\.py",
    r"mdkit/__init__\.pyi",
    r"mdkit/py\.typed",
    r"mdkit/sample\.jsonl\.gz",
    r"mdkit/canvas/static/\w+\.js",
    r"mdkit/canvas/static/\w+\.css",
    rf"{NAME}\.dist-info/(METADATA|WHEEL|RECORD|entry_points\.txt|licenses/LICENSE)",
)
SOURCE = (
    r"mdkit/(\w+/)*\w+\.pyi?",
    r"mdkit/py\.typed",
    r"mdkit/canvas/static/\w+\.(js|css)",
    r"tests/(\w+/)*[\w.]+\.(py|js|mjs|md)",
    r"tests/browser/golden/[\w-]+\.png",
    r"tests/recording/reading/format1/[\w.]+\.(jsonl\.gz|json)",
    r"notebooks/\w+\.ipynb",
    r"data/(README\.md|sample\.jsonl\.gz|pictures/[\w-]+\.(png|webp|gif|svg))",
    r"\.github/(\w+\.md|workflows/\w+\.yml|ISSUE_TEMPLATE/\w+\.yml)",
    r"\.gitignore|README\.md|LICENSE|CHANGELOG\.md|CITATION\.cff|pyproject\.toml|PKG-INFO",
)
# May be there, and need not.
DOCS = r"docs/([\w-]+/)*[\w.-]+"

JUNK = (
    "out/table.csv",
    "notebooks/out/chart.png",
    "notebooks/.ipynb_checkpoints/01-checkpoint.ipynb",
    "docs/_build/html/index.html",
    "docs/lite/pypi/old.whl",
    "mdkit/__pycache__/old.cpython-311.pyc",
    "mdkit/canvas/static/main.js.orig",
    "tests/.pytest_cache/README.md",
    "dist/old.whl",
    "build/lib/mdkit/old.py",
    "mdkit-demo/report.html",
    ".venv/lib/site.py",
    "secret.env",
)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Build both from a copy of the tree in which work has left its traces; return the folder."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("packages")
    tree = folder / "tree"
    copied = [
        *tomllib.loads(_text("pyproject.toml"))["tool"]["hatch"]["build"]["targets"]["sdist"][
            "include"
        ],
        "/pyproject.toml",
        "/.gitignore",
    ]
    ignored = shutil.ignore_patterns("__pycache__", "_build", "out", ".*_cache", ".ipynb_*")
    for name in copied:
        here = ROOT / name.removeprefix("/")
        there = tree / name.removeprefix("/")
        if here.is_dir():
            shutil.copytree(here, there, ignore=ignored)
        elif here.is_file():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(here, there)
    for name in JUNK:
        there = tree / name
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text("not for others")
    _run(sys.executable, "-m", "hatchling", "build", "-d", str(folder / "built"), cwd=tree)
    return folder


def _text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def _run(*command, cwd, **environment):
    known = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "COLUMNS"}}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**known, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _wheel(packages):
    return packages / "built" / f"{NAME}-py3-none-any.whl"


def _hold(names, rules, allowed=None):
    strangers = [name for name in names if not any(re.fullmatch(rule, name) for rule in rules)]
    if allowed:
        strangers = [name for name in strangers if not re.fullmatch(allowed, name)]
    assert not strangers
    unmet = [rule for rule in rules if not any(re.fullmatch(rule, name) for name in names)]
    assert not unmet


def test_the_wheel_holds_the_package_its_page_and_the_sample_and_nothing_else(packages):
    with zipfile.ZipFile(_wheel(packages)) as wheel:
        names = wheel.namelist()
        assert len(names) == len(set(names))
        _hold(names, WHEEL)
        sample = wheel.read("mdkit/sample.jsonl.gz")
    assert sample == md.sample().read_bytes()
    ours = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("mdkit/**/*.py")}
    ours |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob("mdkit/canvas/static/*")}
    assert ours <= set(names), "a module was left behind"


def test_the_source_distribution_holds_what_builds_tests_and_explains_it(packages):
    with tarfile.open(packages / "built" / f"{NAME}.tar.gz") as archive:
        members = [member for member in archive.getmembers() if not member.isdir()]
    names = [member.name.removeprefix(f"{NAME}/") for member in members]
    _hold(names, SOURCE, allowed=DOCS)
    assert not [name for name in names if name in JUNK]


def test_a_wheel_built_from_the_source_distribution_is_the_same(packages, tmp_path):
    with tarfile.open(packages / "built" / f"{NAME}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=tmp_path / NAME)
    with (
        zipfile.ZipFile(tmp_path / NAME / "dist" / _wheel(packages).name) as again,
        zipfile.ZipFile(_wheel(packages)) as wheel,
    ):
        assert sorted(again.namelist()) == sorted(wheel.namelist())


def test_the_metadata_says_what_the_project_file_says_and_invents_no_address(packages):
    with zipfile.ZipFile(_wheel(packages)) as wheel:
        text = wheel.read(f"{NAME}.dist-info/METADATA").decode()
        points = wheel.read(f"{NAME}.dist-info/entry_points.txt").decode()
    said = Parser().parsestr(text)
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    assert said["Name"] == project["name"] == "mdkit-live"
    assert said["Version"] == md.__version__
    assert said["Requires-Python"] == ">=3.11"
    assert said["License-Expression"] == "MIT"
    assert set(said.get_all("Provides-Extra")) == set(project["optional-dependencies"])
    assert said.get_all("Project-URL") is None
    assert "mdkit = mdkit.cli.main:main" in points


def test_the_wheel_runs_by_itself(packages, tmp_path):
    """Nothing of the clone is within reach: another folder, another path."""
    home = tmp_path / "installed"
    options = ["--no-deps", "--no-index", "--no-compile", "--quiet", "--target", str(home)]
    _run(sys.executable, "-m", "pip", "install", *options, str(_wheel(packages)), cwd=tmp_path)

    def python(*arguments):
        return _run(sys.executable, *arguments, cwd=tmp_path, PYTHONPATH=str(home))

    look = "import mdkit as md; from mdkit.canvas.module import page_module, page_style; "
    look += "assert page_module() and page_style(); print(md.__file__); print(md.sample())"
    for line in python("-c", look).splitlines():
        assert Path(line).is_relative_to(home)
    assert python("-m", "mdkit", "--version") == f"mdkit {md.__version__}\n"
    info = python("-m", "mdkit", "info", str(home / "mdkit" / "sample.jsonl.gz"))
    assert "1,859" in info
    said = python("-m", "mdkit", "demo", "--seconds", "3", "--out", "demo")
    assert "the ledger balances" in said
    assert (tmp_path / "demo" / "overview.png").stat().st_size > 10_000
