"""An ordinary Python made like a browser's: `python tests/pyodide/absent.py FOLDER`.

Libraries that do not exist there cannot be imported, and no thread, process or socket can be had.
Prints the answers of `checks.py`, and says "all is well" once everything else has been checked.
"""

import _thread
import asyncio
import importlib.abc
import runpy
import socket
import subprocess
import sys
import threading
from pathlib import Path

# They exist there, and are loaded while this is still the system that they were built for.
import anywidget  # noqa: F401
import ipywidgets  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import msgspec  # noqa: F401
import numpy  # noqa: F401
import pandas  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pydantic_settings  # noqa: F401

ABSENT = {
    *("isal", "loky", "numba", "uvloop", "zstandard", "websockets", "requests", "urllib3"),
    *("filelock", "nest_asyncio", "nest_asyncio2", "dask", "distributed", "_multiprocessing"),
    *("psutil", "resource", "_posixshmem"),
}


class _Without(importlib.abc.MetaPathFinder):
    """Finds what another finder finds, but for what is absent."""

    def __init__(self, finder):
        self._finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            return None
        return self._finder.find_spec(name, path, target)

    def find_distributions(self, context=None):
        found = getattr(self._finder, "find_distributions", None)
        for distribution in found(context) if found is not None and context is not None else ():
            if distribution.name.replace("-", "_") not in ABSENT:
                yield distribution


def _no_thread(*_, **__):
    raise RuntimeError("can't start new thread")


def _nothing(*_, **__):
    raise AssertionError("a socket or a process, which a browser's Python has not")


def _become_a_browsers():
    for name in list(sys.modules):
        if name.partition(".")[0] in ABSENT:
            del sys.modules[name]
    sys.meta_path[:] = [_Without(finder) for finder in sys.meta_path]
    for module, name in ((threading, "_start_new_thread"), (_thread, "start_new_thread")):
        setattr(module, name, _no_thread)
    threading.Thread.start = _no_thread
    if hasattr(threading, "_start_joinable_thread"):  # from Python 3.13 on
        threading._start_joinable_thread = _no_thread
    for name in ("bind", "connect", "listen"):
        setattr(socket.socket, name, _nothing)
    subprocess.Popen.__init__ = _nothing
    sys.platform = "emscripten"


async def main(folder):
    _become_a_browsers()  # the loop has its own pair of sockets by now
    checks = runpy.run_path(str(Path(__file__).with_name("checks.py")))
    import mdkit as md

    for name in md.__all__:
        getattr(md, name)
    print(checks["printed"](await checks["sample_answers"](folder)))
    await checks["check_simulated"](folder)
    checks["check_refusals"](folder)
    checks["check_default_is_simulated"]()
    from mdkit.cli.doctor import examine

    # How mdkit is installed is no matter of the browser's.
    bad = [str(finding) for finding in examine() if finding.is_bad and finding.name != "mdkit"]
    assert not bad, bad
    print("all is well")


asyncio.run(main(Path(sys.argv[1])))
