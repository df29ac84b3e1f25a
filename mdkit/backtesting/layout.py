"""What a started strategy holds, as a flat block of memory that compiled code can work on.

A strategy and its indicators are ordinary objects. `describe` reads the types of their
attributes off a started instance; `Memory` copies the values into one block of bytes, nested
objects laid out inside their owners, lists and arrays beside it; `Memory.read` reads the state
back under the names it has in Python. Nothing here needs numba.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from mdkit.errors import MdkitError

Kind = Literal["float", "int", "bool", "maybe", "array", "object", "constant"]
_SLOT = 8
_LARGEST = 1 << 62
_ARRAY_KINDS = {"float64": "float", "int64": "int", "bool": "bool"}


class CannotCompile(MdkitError):  # noqa: N818 - a verdict on code, not a failure
    """A strategy holds or does something that cannot be compiled; `str()` is the reason."""


@dataclass(frozen=True)
class Field:
    """One attribute: where it lies and what it holds.

    `maybe` is a float or None. For an array, `detail` is (dtype name, dimensions); for an
    object its `Layout`; for a constant (a string or a tuple of numbers) its value.
    """

    name: str
    kind: Kind
    offset: int
    detail: Any = None


@dataclass(frozen=True)
class Layout:
    """The attributes of one class, in order, and the bytes they take."""

    cls: type
    fields: tuple[Field, ...]
    size: int

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the attributes."""
        return frozenset(field.name for field in self.fields)


def attributes(thing: Any) -> dict[str, Any]:
    """Return an object's own attributes by name, those in `__slots__` included."""
    found: dict[str, Any] = {}
    for base in reversed(type(thing).__mro__):
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(thing, name):
                found[name] = getattr(thing, name)
    found.update(getattr(thing, "__dict__", {}))
    return found


Wider = Mapping[tuple[type, str], Kind]
"""By class and attribute: what it must hold besides what it starts with."""


def describe(thing: Any, wider: Wider = MappingProxyType({})) -> Layout:
    """Return the layout of an object; raise `CannotCompile` that names what does not fit."""
    return _describe(thing, wider, "", {})


def _describe(thing: Any, wider: Wider, path: str, seen: dict[int, str]) -> Layout:
    if id(thing) in seen:
        raise CannotCompile(
            f"{path or 'the strategy'} and {seen[id(thing)] or 'the strategy'} are the same object"
        )
    seen[id(thing)] = path
    fields = []
    offset = 0
    for name, value in attributes(thing).items():
        where = f"{path}.{name}" if path else name
        kind, detail = _kind(value, where, wider, seen)
        field = Field(name, wider.get((type(thing), name), kind), offset, detail)
        fields.append(field)
        offset += _size(field)
    return Layout(type(thing), tuple(fields), offset)


def _kind(value: Any, where: str, wider: Wider, seen: dict[int, str]) -> tuple[Kind, Any]:
    if isinstance(value, bool):
        return "bool", None
    if isinstance(value, float):
        return "float", None
    if isinstance(value, int):
        if abs(value) > _LARGEST:
            raise CannotCompile(f"{where} is too large a whole number for 64 bits")
        return "int", None
    if value is None:
        return "maybe", None
    if isinstance(value, str) or _is_numbers(value):
        return "constant", value
    if isinstance(value, list):
        return "array", (_list_kind(value, where), 1)
    if isinstance(value, np.ndarray):
        if value.dtype.name not in _ARRAY_KINDS or not value.flags.c_contiguous or not value.ndim:
            raise CannotCompile(f"{where} is an array of {value.dtype}, or not contiguous")
        return "array", (value.dtype.name, value.ndim)
    if type(value).__module__ in ("builtins", "collections", "itertools", "functools"):
        cure = "; use a list of fixed length or an indicator" if hasattr(value, "append") else ""
        raise CannotCompile(f"{where} holds a {type(value).__name__}{cure}")
    if hasattr(value, "__dict__") or hasattr(type(value), "__slots__"):
        return "object", _describe(value, wider, where, seen)
    raise CannotCompile(f"{where} holds a {type(value).__name__}")


def _is_numbers(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(type(x) in (int, float) for x in value)


def _is_array(value: Any, dtype: str, dimensions: int) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.name == dtype and value.ndim == dimensions
    # Whole numbers fit among floats; anything else would be cut to fit.
    return isinstance(value, list) and (dtype == "float64" or _list_kind(value, "a list") == dtype)


def _list_kind(value: list[Any], where: str) -> str:
    kinds = {type(x) for x in value}
    if kinds == {float}:
        return "float64"
    if kinds == {int} and all(abs(x) <= _LARGEST for x in value):
        return "int64"
    if kinds == {bool}:
        return "bool"
    if not value:
        raise CannotCompile(f"{where} is a list that starts empty; give it its length in start()")
    raise CannotCompile(f"{where} is a list of {', '.join(sorted(k.__name__ for k in kinds))}")


def _size(field: Field) -> int:
    if field.kind == "object":
        return int(field.detail.size)
    if field.kind == "constant":
        return 0
    if field.kind == "maybe":
        return 2 * _SLOT
    if field.kind == "array":
        return int((1 + field.detail[1]) * _SLOT)
    return _SLOT


class Memory:
    """The state of one instance as bytes: `address` is what compiled code is given.

    A None is a flag word of 0 before the float. An array is the address of its items and its
    lengths. A list's items are copied; an array is used in place, so the instance must be one
    that nobody else runs.
    """

    def __init__(self, layout: Layout, thing: Any) -> None:
        """Raise `CannotCompile` when `thing` does not fit the layout."""
        self.layout = layout
        self._words = np.zeros(max(1, layout.size // _SLOT), np.int64)
        self._floats = self._words.view(np.float64)
        self._arrays: dict[int, Any] = {}
        self.address = int(self._words.ctypes.data)
        self._fill(layout, thing, 0)

    def _fill(self, layout: Layout, thing: Any, start: int) -> None:
        if type(thing) is not layout.cls or attributes(thing).keys() != layout.names:
            raise CannotCompile("its state has other attributes with these parameters")
        for field in layout.fields:
            value = getattr(thing, field.name)
            at = start + field.offset // _SLOT
            kind = field.kind
            if kind == "object":
                self._fill(field.detail, value, at)
            elif kind == "float" and type(value) in (float, int):
                self._floats[at] = value
            elif type(value) is bool or (kind == "int" and type(value) is int):
                self._words[at] = value
            elif kind == "array" and _is_array(value, *field.detail):
                items = np.asarray(value, field.detail[0])
                self._arrays[at] = items
                self._words[at] = items.ctypes.data
                self._words[at + 1 : at + 1 + items.ndim] = items.shape
            elif not (kind == "maybe" and value is None) and value != field.detail:
                raise CannotCompile(f"{field.name} has another type with these parameters")

    def copy(self) -> Memory:
        """Return the same state in memory of its own."""
        twin = copy.copy(self)
        twin._words = self._words.copy()
        twin._floats = twin._words.view(np.float64)
        twin._arrays = {at: items.copy() for at, items in self._arrays.items()}
        for at, items in twin._arrays.items():
            twin._words[at] = items.ctypes.data
        twin.address = int(twin._words.ctypes.data)
        return twin

    def read_one(self, name: str) -> Any:
        """Return one whole number or float of the outermost object."""
        field = next(field for field in self.layout.fields if field.name == name)
        words = self._floats if field.kind == "float" else self._words
        return words[field.offset // _SLOT].item()

    def read(self) -> dict[str, Any]:
        """Return every part of the state by its dotted name, as `state_of` does."""
        return dict(self._read(self.layout, "", 0))

    def _read(self, layout: Layout, path: str, start: int) -> Iterator[tuple[str, Any]]:
        for field in layout.fields:
            where = f"{path}{field.name}"
            at = start + field.offset // _SLOT
            if field.kind == "object":
                yield from self._read(field.detail, f"{where}.", at)
            elif field.kind == "float":
                yield where, float(self._floats[at])
            elif field.kind == "int":
                yield where, int(self._words[at])
            elif field.kind == "bool":
                yield where, bool(self._words[at])
            elif field.kind == "maybe":
                yield where, float(self._floats[at + 1]) if self._words[at] else None
            elif field.kind == "constant":
                yield where, field.detail
            else:
                items = self._arrays[at].ravel().tolist()
                yield from ((f"{where}[{i}]", item) for i, item in enumerate(items))


def state_of(thing: Any, path: str = "") -> dict[str, Any]:
    """Return every part of an object's state by its dotted name, as `Memory.read` names it.

    What is neither a number, None, a string nor a container of such is given by its repr.
    """
    state: dict[str, Any] = {}
    _collect(thing, path, state, set())
    return state


def _collect(thing: Any, path: str, state: dict[str, Any], seen: set[int]) -> None:
    for name, value in attributes(thing).items():
        _collect_value(value, f"{path}.{name}" if path else name, state, seen)


def _collect_value(value: Any, where: str, state: dict[str, Any], seen: set[int]) -> None:
    if value is None or isinstance(value, (bool, int, float, str)) or _is_numbers(value):
        state[where] = value
    elif isinstance(value, np.ndarray):
        for i, item in enumerate(value.ravel().tolist()):
            _collect_value(item, f"{where}[{i}]", state, seen)
    elif isinstance(value, dict):
        for key, item in value.items():
            _collect_value(item, f"{where}[{key!r}]", state, seen)
    elif hasattr(value, "__iter__") and hasattr(value, "__len__"):
        for i, item in enumerate(value):
            _collect_value(item, f"{where}[{i}]", state, seen)
    elif id(value) not in seen and attributes(value):
        seen.add(id(value))
        _collect(value, where, state, seen)
    else:
        state[where] = repr(value)


def same(one: Any, other: Any) -> bool:
    """Return whether two values are the same bits; any nan is the same as any other.

    A whole number equals the float of its value, since compiled code keeps one type per
    attribute; 0.0 and -0.0 differ.
    """
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        if one != one or other != other:
            return one != one and other != other
        return one == other and (one != 0 or math.copysign(1.0, one) == math.copysign(1.0, other))
    return type(one) is type(other) and bool(one == other)
