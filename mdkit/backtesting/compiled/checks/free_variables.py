"""What a strategy takes from outside of its event and its state: found in its code, not by running.

A strategy's answers should follow from the events that it was called with. Two things break that
without a sign: data that stand ready in a global array, frame, list or dict, where the future is
one index away; and whatever differs from process to process or from day to day.
"""

from __future__ import annotations

import builtins
import datetime
import dis
import functools
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

_ABSENT = object()
_DIFFERS = {
    "builtins.hash": "hash() of a text differs from process to process",
    "builtins.id": "id() differs from process to process",
    "builtins.open": "open() reads a file that may change between runs",
    "builtins.input": "input() asks somebody",
    "os.environ": "the environment differs from machine to machine",
    "os.getenv": "the environment differs from machine to machine",
    "os.getpid": "the process id differs from run to run",
    "os.urandom": "its answers differ from run to run",
}
_MODULES = {
    "time": "the clock differs from run to run; use the event's own time",
    "random": "it draws from a generator that everything shares; seed one of your own in start()",
    "numpy.random": "it draws from a generator that everything shares; seed one of your own in "
    "start()",
    "uuid": "its answers differ from run to run",
    "secrets": "its answers differ from run to run",
    "socket": "the network differs from run to run",
    "platform": "the machine differs",
}
_CALENDAR = ("now", "today", "utcnow")
_SEEDED = ("Random", "default_rng", "Generator", "RandomState", "SeedSequence", "sleep")


def outside(functions: Iterator[Any] | list[Any], root: str) -> Iterator[str]:
    """Yield a sentence for each thing that the functions read from outside.

    Helpers are looked into where they are of the package `root`, others are taken as they are.
    """
    waiting, met = list(functions), set()
    while waiting:
        function = waiting.pop(0)
        if isinstance(function, property):
            function = function.fget
        if isinstance(function, staticmethod | classmethod):
            function = function.__func__
        if not isinstance(function, types.FunctionType) or function.__code__ in met:
            continue
        met.add(function.__code__)
        for line, name, value in _reads(function, function.__code__):
            if isinstance(value, types.FunctionType):
                if str(value.__module__).partition(".")[0] == root:
                    waiting.append(value)
            elif told := _told(name, value):
                yield f"line {line}: {told}"


def _reads(function: Any, code: types.CodeType) -> Iterator[tuple[int, str, Any]]:
    """Yield (line, name, value) of what code reads by name, attributes of modules resolved."""
    cells = function.__closure__ or ()
    closed = dict(zip(function.__code__.co_freevars, cells, strict=True))
    line, name, value = code.co_firstlineno, "", _ABSENT
    for step in dis.get_instructions(code):
        is_part = step.opname in ("LOAD_ATTR", "LOAD_METHOD") and value is not _ABSENT
        if is_part and isinstance(value, types.ModuleType | type):
            name, value = f"{name}.{step.argval}", getattr(value, step.argval, _ABSENT)
        elif value is not _ABSENT and step.opname not in ("PUSH_NULL", "CACHE"):
            yield line, name, value
            value = _ABSENT
        if step.positions is not None and step.positions.lineno is not None:
            line = step.positions.lineno
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            name = step.argval
            value = function.__globals__.get(name, getattr(builtins, name, _ABSENT))
        elif step.opname in ("LOAD_DEREF", "LOAD_CLASSDEREF") and step.argval in closed:
            name = step.argval
            try:
                value = closed[name].cell_contents
            except ValueError:
                value = _ABSENT
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _reads(function, constant)
    if code is function.__code__:
        defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        for default in defaults:
            if isinstance(default, list | dict | set):
                yield code.co_firstlineno, "a default", default


def _told(name: str, value: Any) -> str:
    """Return what is to be said about a value that is read from outside, or nothing."""
    if kind := _container(value):
        return (
            f"reads {name} from outside, {kind}: what it holds may be of the future, or of an "
            "earlier run; data should come with the event"
        )
    if isinstance(value, functools._lru_cache_wrapper):
        return f"calls {name}, which remembers earlier runs"
    owner = getattr(value, "__self__", None)
    if isinstance(owner, type) and issubclass(owner, datetime.date) and name.endswith(_CALENDAR):
        return f"{name}: the date differs from run to run; use the event's own time"
    module = str(getattr(value, "__module__", None) or "")
    if isinstance(owner, types.ModuleType):
        module = owner.__name__
    own = getattr(value, "__name__", name.rpartition(".")[2])
    if name.partition(".")[0] == "os" and name.endswith("environ"):
        module, own = "os", "environ"
    if module in ("posix", "nt"):
        module = "os"
    found = _DIFFERS.get(f"{module}.{own}")
    if found is None and own not in _SEEDED:
        # Bound methods of the generators that `random` and numpy share have those as modules.
        kind = _module_of(owner) if owner is not None else ""
        for place in (module, kind.removesuffix(".mtrand"), name.rpartition(".")[0]):
            if place in _MODULES and callable(value) and not isinstance(value, type):
                found = _MODULES[place]
    return "" if found is None else f"{name}: {found}"


def _container(value: Any) -> str:
    """Return an array, frame, list, dict or set in words, or nothing for anything else."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.size:,} items" if value.size else ""
    if isinstance(value, list | dict | set | bytearray):
        return f"a {type(value).__name__} of {len(value):,} items"
    if _module_of(value).partition(".")[0] in ("pandas", "polars") and hasattr(value, "shape"):
        return f"a {type(value).__name__} of {len(value):,} rows"
    return ""


def _module_of(value: Any) -> str:
    """Return the module of a value's type; functions that Cython has compiled may have no text."""
    return str(type(value).__module__)
