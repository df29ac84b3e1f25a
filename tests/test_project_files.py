"""What stands beside the code: links lead somewhere, and versions and systems agree."""

import json
import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

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


HOSTS = {
    "anywidget.dev",
    "keepachangelog.com",
    "semver.org",
    "prometheus.io",
    "tickdb.ai",
    "api.tickdb.ai",
    # Public venues: where they are reached, and where they say how.
    "api.kraken.com",
    "ws.kraken.com",
    "docs.kraken.com",
    "data-api.binance.vision",
    "data-stream.binance.vision",
    "api.binance.us",
    "stream.binance.us",
    "fapi.binance.com",
    "fstream.binance.com",
    "developers.binance.com",
    "api.coinbase.com",
    "advanced-trade-ws.coinbase.com",
    "docs.cdp.coinbase.com",
    "api.hyperliquid.xyz",
    "hyperliquid.gitbook.io",
    "www.okx.com",
    "ws.okx.com",
}
"""All that the project points to. To add one is to have looked whether it is what it says."""
PROSE = [
    *DOCUMENTS,
    ROOT / "CITATION.cff",
    *ROOT.glob(".github/**/*.yml"),
    *ROOT.glob("docs/**/*.md"),
]
ADDRESS = re.compile(r"\b(?:https?|wss?)://[^\s\"'`<>(){}\\|]*")


def _addresses(path):
    """Yield addresses of other machines that a file names, without a sentence's punctuation."""
    for found in ADDRESS.findall(path.read_text(encoding="utf-8")):
        address = found.rstrip(".,;:!?*")
        host = urlsplit(address).hostname or ""
        # Left open, as http://{host}; on this machine; or a name that is kept for examples.
        if "." in host and host != "127.0.0.1" and not host.endswith((".example", "example.com")):
            yield address


def test_addresses_of_other_machines_are_well_formed_and_of_hosts_that_are_known():
    files = [*PROSE, *ROOT.glob("mdkit/**/*.py"), *ROOT.glob("mdkit/**/*.js")]
    named = {(address, path) for path in files for address in _addresses(path)}
    assert len(named) > 30
    for address, path in named:
        parts = urlsplit(address)
        where = f"{address} in {path.relative_to(ROOT)}"
        assert parts.scheme in ("https", "wss"), f"{where} is not encrypted"
        assert parts.hostname in HOSTS, f"{where}: look whether it is right, and add its host"
        assert parts.username is None, where
        assert "//" not in parts.path, where
        assert re.fullmatch(r"[\w\-./~%#?=&+:@]*", address.partition("://")[2]), where
    unused = HOSTS - {urlsplit(address).hostname for address, _ in named}
    assert not unused, "which nothing names any more"


@pytest.mark.parametrize("document", PROSE, ids=lambda path: path.name)
def test_links_in_markdown_are_closed_and_say_where_to(document):
    text = document.read_text(encoding="utf-8")
    targets = re.findall(
        r"\]\(([^)]*)\)?", re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    )
    assert all(target.strip() and " " not in target.strip().split(' "')[0] for target in targets)
    assert not re.search(r"\]\([^)\n]*$", text, re.MULTILINE), "a link that does not end"


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


def test_no_module_has_more_than_450_lines():
    modules = [*(ROOT / "mdkit").rglob("*.py"), *(ROOT / "mdkit").rglob("*.js")]
    lengths = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").count("\n")
        for path in modules
    }
    assert len(lengths) > 100
    assert {name: length for name, length in lengths.items() if length > 450} == {}
