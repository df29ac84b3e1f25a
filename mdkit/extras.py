"""What mdkit can use besides what it needs, and how to install it.

Hints name the packages themselves: they work in any environment, whether mdkit came from a clone
or from a wheel, and whoever else owns a name on a package index.
"""

from __future__ import annotations

DISTRIBUTION = "mdkit-live"
"""The name under which mdkit is installed; another project owns the name of the import."""

PACKAGES = {
    "fast": ("numba", "uvloop"),
    "cluster": ("dask", "distributed"),
    "lab": ("jupyterlab",),
    "zstd": ("zstandard",),
    "databento": ("databento-dbn",),
    "search": ("optuna",),
}
"""The packages of each extra in `pyproject.toml`."""


def install_hint(*packages: str) -> str:
    """Return the command that installs packages, or those of an extra that is named."""
    found = [name for given in packages for name in PACKAGES.get(given, (given,))]
    return "python -m pip install " + " ".join(found)
