"""Scripts that no test runs, benchmarks above all, use names that mdkit has."""

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
SCRIPTS = sorted(
    path
    for path in HERE.rglob("*.py")
    if not path.name.startswith(("test_", "conftest", "__init__")) and "mdkit" in path.read_text()
)


def names_in(tree):
    """Yield (what, name) of each name that is taken from mdkit or one of its modules."""
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "mdkit":
            for alias in node.names:
                yield importlib.import_module(node.module), alias.name
                found = taken(importlib.import_module(node.module), alias.name)
                if isinstance(found, ModuleType):
                    modules[alias.asname or alias.name] = found
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "mdkit":
                    module = importlib.import_module(alias.name)
                    modules[alias.asname or "mdkit"] = (
                        module if alias.asname else importlib.import_module("mdkit")
                    )
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            if module is not None:
                yield module, node.attr


def taken(module, name):
    """Return what a module has under a name, a module below it included; None for nothing."""
    if hasattr(module, name):
        return getattr(module, name)
    try:
        return importlib.import_module(f"{module.__name__}.{name}")
    except ModuleNotFoundError:
        return None


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.relative_to(HERE).as_posix())
def test_what_a_script_takes_from_mdkit_is_there(path):
    missing = [
        f"{module.__name__}.{name}"
        for module, name in names_in(ast.parse(path.read_text()))
        if taken(module, name) is None
    ]
    assert not missing
