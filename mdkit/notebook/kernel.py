"""What is known about the kernel a notebook runs in."""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module, metadata
from importlib.util import find_spec

from mdkit.errors import SessionError

BAD_IPYKERNELS = ("7.0.0", "7.0.1")
"""Setting a widget's traits from a thread fails in these."""

_LOSES_CELLS_FROM = (7, 3)
_warned = False


def version_of(package: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def in_notebook() -> bool:
    """Whether this code runs in a Jupyter kernel."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def in_voila() -> bool:
    """Whether this kernel runs a notebook for Voilà, which makes the page once it has run."""
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")


class Cells:
    """Knows whether a cell is being run; made in one that is."""

    def __init__(self) -> None:
        from IPython.core.getipython import get_ipython

        self.running = True
        self._shell = get_ipython()
        if self._shell is not None:
            self._shell.events.register("pre_execute", self._begin)
            self._shell.events.register("post_execute", self._end)

    def close(self) -> None:
        """Look no more."""
        if self._shell is not None:
            self._shell.events.unregister("pre_execute", self._begin)
            self._shell.events.unregister("post_execute", self._end)
            self._shell = None

    def _begin(self) -> None:
        self.running = True

    def _end(self) -> None:
        self.running = False


def loses_cells(ipykernel: str | None) -> bool:
    """Whether nest_asyncio 1.6.0 makes Run All skip cells in this ipykernel (7.3 and later)."""
    parts = (ipykernel or "0.0").split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit()) >= _LOSES_CELLS_FROM


def check_kernel() -> None:
    """Warn once about a kernel in which widgets are known to fail."""
    global _warned
    version = version_of("ipykernel")
    if not _warned and in_notebook() and version in BAD_IPYKERNELS:
        _warned = True
        warnings.warn(
            f"ipykernel {version} fails when widgets change in the background: live views will "
            "stand still. Install ipykernel 7.1 or later and restart the kernel.",
            RuntimeWarning,
            stacklevel=3,
        )


def load_what_notebooks_show() -> None:
    """In a notebook, import what tables and dashboards are made with, before anything streams.

    That takes the better part of a second. Later it would be taken from a loop that reads a
    feed, by the first cell that looks.
    """
    if in_notebook():
        for name in ("pandas", "mdkit.views.dashboard.dashboard", "mdkit.views.dashboard.still"):
            import_module(name)


def enable_nested() -> str:
    """Let blocking calls such as `asyncio.run` work inside this notebook's running loop.

    Rarely needed: `session.run_blocking()` blocks a cell without it. Patches asyncio through
    nest_asyncio2 where that is installed, else nest_asyncio, and returns which. Raises
    `SessionError` where nest_asyncio is known to make Run All skip cells.
    """
    if find_spec("nest_asyncio2") is not None:
        import nest_asyncio2

        nest_asyncio2.apply()
        return "nest_asyncio2"
    version = version_of("ipykernel")
    if in_notebook() and loses_cells(version):
        raise SessionError(
            f"nest_asyncio 1.6.0 makes Run All skip cells with ipykernel {version}: "
            "pip install nest-asyncio2, or use session.run_blocking() or runner='thread', which "
            "need neither."
        )
    import nest_asyncio

    nest_asyncio.apply()
    return "nest_asyncio"
