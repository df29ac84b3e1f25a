"""What `mdkit doctor` looks at: what a report of a fault needs, and nothing that is private.

What is printed may be posted where everyone reads it. It names no user, host, folder or key, and
of the environment's variables that they are set but not what to; errors are shown without the paths
and addresses that they may hold.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mdkit import __version__
from mdkit.extras import DISTRIBUTION, install_hint
from mdkit.history.cache import cache_folder
from mdkit.machine import cores, in_browser
from mdkit.notebook.kernel import BAD_IPYKERNELS, loses_cells, version_of
from mdkit.settings import Settings

NOT_IN_BROWSERS = (
    *("filelock", "isal", "loky", "nest-asyncio", "requests", "urllib3", "websockets"),
)
"""Packages that Python in a browser has no use for, or has not."""
_CORE = (
    "websockets",
    "pandas",
    "numpy",
    "requests",
    "ipywidgets",
    "anywidget",
    "matplotlib",
    "pillow",
    "msgspec",
    "pyarrow",
    "pydantic-settings",
    "nest-asyncio",
    "cloudpickle",
    "filelock",
    "isal",
    "lazy-loader",
    "loky",
    "rich",
    "tqdm",
    "typer",
    "urllib3",
)
_OPTIONAL = {
    "numba": "compiled backtests",
    "uvloop": "a faster loop in threads",
    "zstandard": "recordings as .zst",
    "databento-dbn": "Databento's archives",
    "jupyterlab": "mdkit lab",
    "dask": "many machines",
    "distributed": "many machines",
    "optuna": "sweeps that learn",
    "nest-asyncio2": "in-loop blocking on new ipykernels",
}
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_LITTLE_DISK = 1 << 30
_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `is_bad` means that something is known not to work."""

    name: str
    value: str
    is_bad: bool = False

    def __str__(self) -> str:
        mark = "!" if self.is_bad else " "
        return f"{mark} {self.name:<20} {self.value}"


def examine() -> list[Finding]:
    """Return what this machine has, a finding a line. Shows whether a key is set, never it."""
    return list(_examine())


def _examine() -> Iterator[Finding]:
    python = platform.python_version()
    made = platform.python_implementation()
    yield Finding("python", f"{python} ({made})", sys.version_info < (3, 11))
    yield Finding("system", f"{_system()}, {platform.machine()}")
    yield from _mdkit()
    yield Finding("cores", f"{cores()} of {os.cpu_count()} may be used")
    yield _disk("disk for spills", lambda: Path(tempfile.gettempdir()))
    yield _disk("disk for caches", cache_folder)
    yield _loopback()
    loop = asyncio.new_event_loop()
    yield Finding("event loop", type(loop).__name__)
    loop.close()
    for name in _CORE:
        if in_browser() and name in NOT_IN_BROWSERS:
            continue
        version = version_of(name)
        yield Finding(name, version or f"missing: {install_hint(name)}", version is None)
    for name, use in _OPTIONAL.items():
        yield Finding(name, version_of(name) or f"not installed; gives {use}")
    yield from _kernel()
    found = next((path for name in _CHROMIUMS if (path := shutil.which(name))), None)
    yield Finding("chromium", "found" if found else "not found; only browser tests need it")
    key = bool(os.environ.get("TICKDB_API_KEY"))
    yield Finding(
        "TICKDB_API_KEY", "set" if key else "not set: the embedded exchange is the default"
    )
    ours = [name.upper() for name in Settings.model_fields if name != "tickdb_api_key"]
    for what, names in (("settings", ours), ("proxies", [*_PROXIES])):
        given = [name for name in names if os.environ.get(name) or os.environ.get(name.lower())]
        yield Finding(what, f"set: {', '.join(given)}" if given else "none set")


def _system() -> str:
    """Return the system's name and version, such as "Linux (debian 12)" or "macOS 15.1"."""
    name = platform.system()
    if name == "Darwin":
        return f"macOS {platform.mac_ver()[0]}"
    if name == "Windows":
        return f"Windows {platform.version()}"
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return name
    told = f"{release.get('ID', '')} {release.get('VERSION_ID', '')}".strip()
    return f"{name} ({told})"


def _mdkit() -> Iterator[Finding]:
    installed = version_of(DISTRIBUTION)
    if installed is None:
        yield Finding("mdkit", f"{__version__}, run from a folder without being installed")
    elif installed != __version__:
        # A clone that was updated since `pip install -e`: its requirements may be other ones.
        cure = "install it again"
        yield Finding("mdkit", f"{__version__}, but installed as {installed}: {cure}", True)
    else:
        yield Finding("mdkit", __version__)
    other = version_of("mdkit")
    if other is not None:
        cure = "python -m pip uninstall mdkit, and install this one again"
        yield Finding("mdkit", f"a distribution called mdkit is there too ({other}): {cure}", True)


def _disk(name: str, find: Callable[[], Path]) -> Finding:
    """Return how much is free where a folder is, or would be made."""
    try:
        folder = find()
        there = next(place for place in (folder, *folder.parents) if place.is_dir())
        free = shutil.disk_usage(there).free
    except (OSError, StopIteration, RuntimeError) as error:  # RuntimeError: there is no home
        return Finding(name, f"cannot be used ({_why(error)})", True)
    little = free < _LITTLE_DISK
    return Finding(name, f"{free / 1e9:,.1f} GB free" + ("; that is little" if little else ""))


def _loopback() -> Finding:
    """Return whether this machine can talk to itself, as the embedded exchange needs."""
    if in_browser():
        return Finding("loopback", 'none in a browser; source="simulated" works without')
    try:
        with socket.socket() as server, socket.socket() as client:
            for end in (server, client):
                end.settimeout(2.0)
            server.bind(("127.0.0.1", 0))
            server.listen(1)
            client.connect(server.getsockname())
            accepted, _ = server.accept()
            with accepted:
                accepted.settimeout(2.0)
                client.sendall(b"mdkit")
                arrived = accepted.recv(5)
    except OSError as error:
        cure = 'source="simulated" works without'
        return Finding("loopback", f"does not work ({_why(error)}); {cure}", True)
    if arrived != b"mdkit":
        return Finding("loopback", "does not bring what was sent: is a proxy between?", True)
    return Finding("loopback", "works")


def _why(error: Exception) -> str:
    """Return what an error says, without the file or address that it names."""
    return getattr(error, "strerror", None) or type(error).__name__


def _kernel() -> Iterator[Finding]:
    version = version_of("ipykernel")
    if version is None:
        yield Finding("ipykernel", "not installed; notebooks need it")
        return
    bad = version in BAD_IPYKERNELS
    cure = ": widgets fail in threads; install 7.1 or later" if bad else ""
    yield Finding("ipykernel", version + cure, bad)
    if in_browser():
        return
    if loses_cells(version) and importlib.util.find_spec("nest_asyncio2") is None:
        yield Finding(
            "nest-asyncio",
            f"loses cells under Run All with ipykernel {version}: pip install nest-asyncio2",
            True,
        )
