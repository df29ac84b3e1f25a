"""What mdkit relies on inside of other packages: a version that breaks it fails here, by name."""

import pickle
import re
import tomllib
from pathlib import Path

import pytest

from mdkit.extras import DISTRIBUTION, PACKAGES, install_hint

ROOT = Path(__file__).parents[1]


def test_cloudpickle_lets_code_keep_the_name_of_its_file():
    """Dead letters and the watchdog of worker processes name the line of a strategy."""
    from mdkit.processes.process import dumps

    scope = {"__name__": "__main__"}
    source = "def outer(x):\n    def inner(y):\n        return y\n    return inner(x)\n"
    exec(compile(source, "/somewhere/mine.py", "exec"), scope)
    function = pickle.loads(dumps(scope["outer"]))
    assert function(3) == 3
    assert function.__code__.co_filename == "/somewhere/mine.py"
    (inner,) = (x for x in function.__code__.co_consts if hasattr(x, "co_filename"))
    assert inner.co_filename == "/somewhere/mine.py"


def test_numba_has_the_passes_and_the_results_that_compiled_strategies_use():
    pytest.importorskip("numba")
    from numba.core.compiler import CompileResult, DefaultPassBuilder
    from numba.core.typed_passes import PreLowerStripPhis
    from numba.core.untyped_passes import InlineClosureLikes, ReconstructSSA

    assert hasattr(CompileResult, "_reduce")
    assert hasattr(CompileResult, "_rebuild")
    assert hasattr(DefaultPassBuilder, "define_nopython_pipeline")
    assert all((PreLowerStripPhis, InlineClosureLikes, ReconstructSSA))


def test_hints_name_the_packages_of_the_extras():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for extra, packages in PACKAGES.items():
        wanted = " ".join(extras[extra])
        assert all(package in wanted for package in packages)
        assert install_hint(extra) == "python -m pip install " + " ".join(packages)


def test_the_distribution_has_the_name_that_the_project_file_gives_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == DISTRIBUTION


def test_no_hint_names_a_package_called_mdkit():
    """Another project owns that name on the index."""
    files = [*ROOT.glob("mdkit/**/*.py"), *ROOT.glob("notebooks/*.ipynb"), ROOT / "README.md"]
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not re.search(
            r"mdkit\[(fast|cluster|lab|zstd|test)|pip install .?mdkit(?!-live)", text
        ), file
