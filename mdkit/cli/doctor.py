"""What `mdkit doctor` looks at."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from mdkit.extras import install_hint
from mdkit.notebook.kernel import BAD_IPYKERNELS, loses_cells, version_of

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
    "jupyterlab": "mdkit lab",
    "distributed": "many machines",
    "nest-asyncio2": "in-loop blocking on new ipykernels",
}
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
    yield Finding("python", f"{python} on {platform.system()}", sys.version_info < (3, 11))
    yield Finding("mdkit", version_of("mdkit") or "not installed (running from a folder)")
    loop = asyncio.new_event_loop()
    yield Finding("event loop", type(loop).__name__)
    loop.close()
    for name in _CORE:
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


def _kernel() -> Iterator[Finding]:
    version = version_of("ipykernel")
    if version is None:
        yield Finding("ipykernel", "not installed; notebooks need it")
        return
    bad = version in BAD_IPYKERNELS
    cure = ": widgets fail in threads; install 7.1 or later" if bad else ""
    yield Finding("ipykernel", version + cure, bad)
    if loses_cells(version) and importlib.util.find_spec("nest_asyncio2") is None:
        yield Finding(
            "nest-asyncio",
            f"loses cells under Run All with ipykernel {version}: pip install nest-asyncio2",
            True,
        )
