"""Strategies by the names that a command line gives: mdkit's own, or those of a file."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from mdkit.errors import SettingsError
from mdkit.strategies import ALL, Strategy, as_strategy
from mdkit.suggestions import instead


def is_file(text: str) -> bool:
    """Whether a text names a strategy of a file: "my_file.py:lean", or "my_file.py" alone."""
    return text.endswith(".py") or ".py:" in text


def named_strategy(text: str, known: Mapping[str, Any] = ALL) -> Any:
    """Return the strategy that "SmaCross", "my_file.py:lean" or "my_file.py" names.

    A file is run as Python runs a script, with its folder to import from; without a name it must
    have one strategy. What comes back is a Strategy or a decorated class; names without a file
    are those of `known`.

    Raises `SettingsError` for what is not there, with near matches, for a file that cannot be
    run, and for what is no strategy.
    """
    if "=" in text and not is_file(text):
        raise SettingsError(
            f"--strategy {text} is not a strategy's name; a parameter is given by --set {text} "
            "(or -p)."
        )
    if not is_file(text):
        if text not in known:
            raise SettingsError(
                f"--strategy {text} is unknown; choose from {', '.join(known)}, or give one "
                f"of your own as my_file.py:{text}."
            )
        return known[text]
    path, _, name = (text, "", "") if text.endswith(".py") else text.rpartition(":")
    module = _load(Path(path))
    own = _strategies(module)
    if not name:
        if len(own) != 1:
            raise SettingsError(f"{path} must say which strategy: {instead('', own)}.")
        return next(iter(own.values()))
    if not hasattr(module, name):
        raise SettingsError(f"{path} has no strategy {name!r}: {instead(name, own)}.")
    found = getattr(module, name)
    as_strategy(found)  # raises, and says how to make it one
    return found


def with_parameters(strategy: Any, values: dict[str, Any]) -> Strategy:
    """Return a strategy, or one of a decorated class, with some parameters set."""
    return as_strategy(strategy).with_params(**values)


def _strategies(module: ModuleType) -> dict[str, Any]:
    """Return the strategies that a module has made itself, by name."""
    return {
        name: value
        for name, value in vars(module).items()
        if (isinstance(value, Strategy) or hasattr(value, "__strategy__"))
        and getattr(value, "__module__", module.__name__) == module.__name__
    }


def _load(path: Path) -> ModuleType:
    """Return a file as a module; worker processes find it by the same name."""
    if not path.is_file():
        raise SettingsError(f"There is no file {path}.")
    folder = str(path.resolve().parent)
    name = path.stem
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path.resolve()):
        return known
    if known is not None or name in sys.stdlib_module_names:
        name = f"{name}_strategies"
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        line = error.lineno if isinstance(error, SyntaxError) else _line(error, path)
        at = f", line {line}" if line else ""
        raise SettingsError(f"{path}{at} cannot be run: {type(error).__name__}: {error}") from error
    return module


def _line(error: BaseException, path: Path) -> int | None:
    """Return the line of a file that an error went through last."""
    trace, found = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path.resolve()):
            found = trace.tb_lineno
        trace = trace.tb_next
    return found
