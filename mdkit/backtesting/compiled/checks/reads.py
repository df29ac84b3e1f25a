"""What the code of a strategy reads, by value: the key under which compiled code is kept.

numba takes globals, closed-over names, defaults and attributes of classes and modules for
constants. So compiled code may be used again only while all of them have the values that they had
when it was compiled. `Reads` collects them: numbers, text, tuples and arrays by value, functions
by their code and by what that reads in turn. Nothing here needs numba.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np


class Reads:
    """Collects what functions read, into one hash that changes with any value among them."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._seen: dict[Any, int] = {}

    def digest(self) -> str:
        """Return the hash of all that was added, in hexadecimal."""
        return self._hash.hexdigest()

    def note(self, *words: Any) -> None:
        """Add plain words: names, sizes, kinds."""
        for word in words:
            text = str(word).encode("utf-8", "surrogatepass")
            self._hash.update(b"%d:" % len(text) + text)

    def cls(self, cls: type) -> None:
        """Add a class: its name, and all functions and values that instances find on it."""
        self.note("class", cls.__name__)
        for base in cls.__mro__[:-1]:
            self.note("base", base.__name__)
            for name, found in sorted(vars(base).items()):
                # Of the names that Python itself calls, compiled code calls this one alone.
                if name.startswith("__") and name.endswith("__") and name != "__call__":
                    continue
                for part in _parts(found):
                    self.note("member", name, type(found).__name__)
                    self.value(part)

    def function(self, function: Any) -> None:
        """Add a function: its code, defaults, closed-over values and globals."""
        if self._met(id(function)):
            return
        code = function.__code__
        self.code(code)
        self.value(function.__defaults__)
        self.value(tuple(sorted((function.__kwdefaults__ or {}).items())))
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self.note("closed over", name)
            try:
                self.value(cell.cell_contents)
            except ValueError:
                self.note("not yet set")
        names = sorted(names_in(code))
        for name in names:
            if name in function.__globals__:
                self.note("global", name)
                self.value(function.__globals__[name], names)

    def code(self, code: types.CodeType) -> None:
        """Add the instructions of a code object and of those within it; not where they stand."""
        self.note("code", code.co_name, code.co_code.hex(), code.co_flags)
        self.note(code.co_varnames, code.co_freevars, code.co_cellvars, code.co_names)
        self.note(getattr(code, "co_exceptiontable", b""))
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self.code(constant)
            else:
                self.value(constant)

    def value(self, value: Any, names: Iterable[str] = ()) -> None:
        """Add a value; of a module, the attributes that have one of these names."""
        kind = type(value)
        self.note(kind.__name__)
        if value is None or kind in (bool, int, str, bytes):
            self.note(value if kind is not bytes else value.hex())
        elif kind is float:
            self.note(value.hex())
        elif isinstance(value, tuple | frozenset):
            items = sorted(value, key=repr) if isinstance(value, frozenset) else value
            self.note(len(value))
            for item in items:
                self.value(item)
        elif isinstance(value, np.ndarray):
            self.note(value.dtype.str, value.shape)
            if not value.dtype.hasobject:
                self._hash.update(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, np.generic):
            self.note(value.dtype.str, value.tobytes().hex())
        elif isinstance(value, types.FunctionType):
            self.function(value)
        elif isinstance(value, types.ModuleType):
            self._module(value, names)
        elif isinstance(value, types.BuiltinFunctionType | type):
            self.note(str(getattr(value, "__module__", "")), value.__qualname__)
        # Anything else is nothing that compiled code could read: see `subset`.

    def _module(self, module: types.ModuleType, names: Iterable[str]) -> None:
        self.note(module.__name__)
        # Public names may be loaded when they are first used.
        public = vars(module).get("__all__", ())
        for name in names:
            if name in vars(module) or name in public:
                self.note("attribute", name)
                if not self._met((id(module), name)):
                    self.value(getattr(module, name), names)

    def _met(self, key: Any) -> bool:
        """Add the number of a function or attribute; return whether it was met before."""
        before = key in self._seen
        self.note("number", self._seen.setdefault(key, len(self._seen)))
        return before


def names_in(code: types.CodeType) -> set[str]:
    """Return the names of globals and attributes in a code object and those within it."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= names_in(constant)
    return names


def _parts(found: Any) -> Iterator[Any]:
    """Yield what of a class's member can be read by compiled code."""
    if isinstance(found, property):
        yield from (part for part in (found.fget, found.fset) if part is not None)
    elif isinstance(found, staticmethod | classmethod):
        yield found.__func__
    elif isinstance(found, types.FunctionType | bool | int | float | str | tuple):
        yield found
