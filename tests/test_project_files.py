"""What stands beside the code: links lead somewhere, and versions and systems agree."""

import json
import re
import tomllib
from pathlib import Path

import pytest

import mdkit as md

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob(".github/*.md"), *ROOT.glob("data/*.md")]


def _text(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_within_the_project_lead_to_files(document):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8"))
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    missing = [link for link in local if not (document.parent / link).exists()]
    assert not missing


def test_the_citation_names_the_version_and_the_licence_of_the_package():
    citation = _text("CITATION.cff")
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == md.__version__
    assert re.search(r"^license: (.+)$", citation, re.MULTILINE)[1] == PROJECT["license"]


def test_the_workflow_checks_every_python_and_system_that_is_claimed():
    workflow = _text(".github/workflows/checks.yml")
    pythons = re.findall(r"Programming Language :: Python :: (3\.\d+)", str(PROJECT["classifiers"]))
    assert re.search(r"python: \[(.+)\]", workflow)[1] == ", ".join(f'"{p}"' for p in pythons)
    for system in ("ubuntu", "macos", "windows"):
        assert workflow.count(f"{system}-latest") >= 3
    for extra in re.findall(r'"\.\[([\w,]+)\]"', workflow):
        assert set(extra.split(",")) <= set(PROJECT["optional-dependencies"])
    named = re.findall(r"tests/[\w/.]+", workflow)
    assert named
    assert all((ROOT / name).exists() for name in named)


def test_a_report_of_a_fault_asks_for_what_doctor_prints():
    form = _text(".github/ISSUE_TEMPLATE/bug_report.yml")
    assert "python -m mdkit doctor" in form


def test_the_page_in_the_browser_brings_a_notebook_that_installs_this_distribution():
    home = ROOT / "docs" / "lite"
    config = json.loads((home / "jupyter_lite_config.json").read_text(encoding="utf-8"))
    contents = [home / name for name in config["LiteBuildConfig"]["contents"]]
    assert contents
    for path in contents:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = ["".join(cell["source"]) for cell in notebook["cells"]]
        (install,) = (cell for cell in cells if "%pip install" in cell)
        assert f"%pip install -q {PROJECT['name']}" in install
        assert 'sys.platform == "emscripten"' in install


def test_the_top_of_the_project_holds_little():
    allowed = {"mdkit", "tests", "notebooks", "data", "docs", "pyproject.toml"}
    allowed |= {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "PKG-INFO"}
    ignored = {line.strip("/") for line in _text(".gitignore").splitlines()}
    ignored = {name for name in ignored if "*" not in name}
    there = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert {name for name in there - allowed - ignored if not name.endswith(".egg-info")} == set()
