"""`mdkit doctor` looks at everything that mdkit needs, and names nothing private."""

import getpass
import platform
import re
import shutil
import socket
import tomllib
from pathlib import Path

import pytest

import mdkit as md
from mdkit.cli import doctor
from mdkit.cli.doctor import _CORE, _OPTIONAL, NOT_IN_BROWSERS, examine
from mdkit.extras import PACKAGES

SECRET = "zaphodbeeblebrox"


@pytest.fixture
def findings():
    """`findings()` is what doctor reports, a text by name."""
    return lambda: {finding.name: finding for finding in examine()}


def test_no_dependency_is_forgotten():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    needed = {re.match(r"[\w-]+", line)[0] for line in project["project"]["dependencies"]}
    assert set(_CORE) == needed


def test_what_a_browser_has_not_is_what_the_project_file_leaves_out_there():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    lines = project["project"]["dependencies"]
    left_out = {re.match(r"[\w-]+", line)[0] for line in lines if "!= 'emscripten'" in line}
    brought = {re.match(r"[\w-]+", line)[0] for line in lines if "== 'emscripten'" in line}
    assert set(NOT_IN_BROWSERS) == left_out - brought


def test_no_package_of_an_extra_is_forgotten():
    assert {package for packages in PACKAGES.values() for package in packages} <= set(_OPTIONAL)


@pytest.mark.outer
def test_it_says_what_a_report_of_a_fault_needs(findings):
    told = findings()
    assert told["python"].value == f"{platform.python_version()} (CPython)"
    assert platform.machine() in told["system"].value
    assert md.__version__ in told["mdkit"].value
    assert re.fullmatch(r"\d+ of \d+ may be used", told["cores"].value)
    assert re.match(r"[\d,.]+ GB free", told["disk for spills"].value)
    assert re.match(r"[\d,.]+ GB free", told["disk for caches"].value)
    assert told["loopback"].value == "works"
    assert told["numpy"].value


def _private(monkeypatch, tmp_path):
    """Put one secret word into everything private that a program can look at."""
    home = tmp_path / SECRET
    home.mkdir()
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME", "MDKIT_CACHE"):
        monkeypatch.setenv(name, str(home / name))
    for name in ("USER", "LOGNAME", "USERNAME", "HOSTNAME", "COMPUTERNAME", "TICKDB_API_KEY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("TICKDB_WS_URL", f"wss://{SECRET}/feed")
    monkeypatch.setenv("SUBSCRIBED_SYMBOLS", SECRET)
    monkeypatch.setenv("HTTPS_PROXY", f"http://{SECRET}:{SECRET}@{SECRET}:8080")
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.setattr(getpass, "getuser", lambda: SECRET)
    monkeypatch.setattr(socket, "gethostname", lambda: SECRET)
    monkeypatch.setattr(platform, "node", lambda: SECRET)
    monkeypatch.chdir(home)


@pytest.mark.outer
def test_it_names_no_user_host_folder_or_key(monkeypatch, tmp_path, findings):
    _private(monkeypatch, tmp_path)
    told = findings()
    text = "\n".join(map(str, told.values()))
    assert SECRET not in text
    assert str(Path(__file__).parents[2]) not in text
    assert told["TICKDB_API_KEY"].value == "set"
    assert told["settings"].value == "set: TICKDB_WS_URL, SUBSCRIBED_SYMBOLS"
    assert told["proxies"].value == "set: HTTPS_PROXY"


def test_what_does_not_work_is_marked_and_still_names_nothing(monkeypatch, tmp_path, findings):
    _private(monkeypatch, tmp_path)

    def refuse(*_):
        raise PermissionError(13, "Permission denied", f"/home/{SECRET}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", lambda *_: None)
    monkeypatch.setattr(socket.socket, "listen", lambda *_: None)
    monkeypatch.setattr(socket.socket, "getsockname", lambda *_: ("127.0.0.1", 9))
    monkeypatch.setattr(shutil, "disk_usage", refuse)
    told = findings()
    assert SECRET not in "\n".join(map(str, told.values()))
    assert told["loopback"].is_bad
    assert 'Permission denied); source="simulated" works without' in told["loopback"].value
    assert told["disk for spills"].is_bad
    assert told["disk for caches"].is_bad
    assert "cannot be used (Permission denied)" in told["disk for caches"].value


@pytest.mark.parametrize(
    ("installed", "said", "is_bad"),
    [
        ({}, "run from a folder without being installed", False),
        ({"mdkit-live": md.__version__}, md.__version__, False),
        ({"mdkit-live": "0.0.1"}, "but installed as 0.0.1: install it again", True),
        ({"mdkit-live": md.__version__, "mdkit": "9.9"}, "called mdkit is there too (9.9)", True),
    ],
)
def test_it_knows_how_mdkit_is_installed(monkeypatch, installed, said, is_bad):
    monkeypatch.setattr(doctor, "version_of", installed.get)
    *_, last = doctor._mdkit()
    assert said in last.value
    assert last.is_bad is is_bad
