"""What a started strategy holds, as a flat block of memory that compiled code can work on.

A strategy and its indicators are ordinary objects. `describe` reads the types of their
attributes off a started instance; `Memory` copies the values into one block of bytes, nested
objects laid out inside their owners, lists and arrays beside it; `Memory.read` reads the state
back under the names it has in Python. Every list, array and object must stand in one place only:
what is reached in two ways would become two. Nothing here needs numba.
"""

from __future__ import annotations

import copy
import hashlib
import math
import pickle
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from mdkit.errors import MdkitError
from mdkit.events import Bar

Kind = Literal[
    "float",
    "int",
    "bool",
    "word",
    "maybe",
    "maybe int",
    "maybe word",
    "bar",
    "array",
    "object",
    "constant",
]
_SLOT = 8
_LARGEST = 1 << 62
_CALLED = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, type)
_ARRAY_KINDS = ("float64", "int64")


_TEXTS: dict[int, str] = {}


def code_of(text: str) -> int:
    """Return the number that stands for a text in compiled code; the same in every process."""
    data = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    code = int.from_bytes(data, "little", signed=True)
    if _TEXTS.setdefault(code, text) != text:
        raise CannotCompile(f"the texts {text!r} and {_TEXTS[code]!r} have the same hash")
    return code


def texts() -> list[str]:
    """Return all texts that have a number."""
    return list(_TEXTS.values())


class BarRow(NamedTuple):
    """A bar as compiled code sees it: `events.Bar` without its strings."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    start_ns: int


class CannotCompile(MdkitError):  # noqa: N818 - a verdict on code, not a failure
    """A strategy holds or does something that cannot be compiled; `str()` is the reason."""


@dataclass(frozen=True)
class Field:
    """One attribute: where it lies and what it holds.

    A `word` is a text. `maybe` is a float or None, likewise with int and word; `bar` is a bar or
    None. For an array, `detail` is (dtype name, dimensions); for an object its `Layout`; for a
    constant (a tuple of numbers) its value. `whole` tells of a float that is
    a whole number at times.
    """

    name: str
    kind: Kind
    offset: int
    detail: Any = None
    whole: bool = False


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

    def classes(self) -> set[type]:
        """Return the class and those of all objects within."""
        return {self.cls}.union(*(f.detail.classes() for f in self.fields if f.kind == "object"))


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


def describe(thing: Any, wider: Wider = types.MappingProxyType({})) -> Layout:
    """Return the layout of an object; raise `CannotCompile` that names what does not fit."""
    return _describe(thing, wider, "", {})


def _describe(thing: Any, wider: Wider, path: str, seen: Seen) -> Layout:
    _see(thing, path, seen)
    for name in ("__getattr__", "__getattribute__", "__setattr__"):
        if getattr(type(thing), name, None) is not getattr(object, name, None):
            raise CannotCompile(f"{path or 'the strategy'} has a {name} of its own")
    fields = []
    offset = 0
    for name, value in attributes(thing).items():
        where = f"{path}.{name}" if path else name
        if isinstance(getattr(type(thing), name, None), property):
            raise CannotCompile(f"{where} is an attribute and a property")
        kind, detail = _kind(value, where, wider, seen)
        wanted = wider.get((type(thing), name), kind)
        whole = wanted in ("float", "maybe") and (type(thing), name) in wider
        field = Field(name, wanted, offset, detail, whole)
        fields.append(field)
        offset += _size(field)
    return Layout(type(thing), tuple(fields), offset)


Seen = dict[int, tuple[str, Any]]
"""Where each list, array and object was seen, by its id."""


def _see(thing: Any, where: str, seen: Seen) -> None:
    """Note where an object that can change stands; raise where it stands elsewhere too."""
    arrays = isinstance(thing, np.ndarray)
    for path, other in seen.values():
        if other is thing:
            raise CannotCompile(
                f"{where or 'the strategy'} and {path or 'the strategy'} are the same object"
            )
        if arrays and isinstance(other, np.ndarray) and np.may_share_memory(thing, other):
            raise CannotCompile(f"{where} and {path} are arrays over the same memory")
    seen[id(thing)] = where, thing


def check_own(one: Any, other: Any) -> None:
    """Raise `CannotCompile` where two fresh instances share what can change.

    Compiled code gives each symbol a state of its own, where Python would share it.
    """
    mutable: list[Seen] = [{}, {}]
    for thing, seen in zip((one, other), mutable, strict=True):
        _describe(thing, types.MappingProxyType({}), "", seen)
    for key in mutable[0].keys() & mutable[1].keys():
        raise CannotCompile(f"{mutable[0][key][0]} is one object that all instances share")


def _kind(value: Any, where: str, wider: Wider, seen: Seen) -> tuple[Kind, Any]:
    if type(value) is bool:
        return "bool", None
    if type(value) is float:
        return "float", None
    if type(value) is str:
        return "word", None
    if type(value) is int:
        if abs(value) > _LARGEST:
            raise CannotCompile(f"{where} is too large a whole number for 64 bits")
        return "int", None
    if value is None:
        return "maybe", None
    if is_numbers(value):
        return "constant", value
    if type(value) is list:
        _see(value, where, seen)
        return "array", (_list_kind(value, where), 1)
    if type(value) is np.ndarray:
        if value.dtype.name not in _ARRAY_KINDS or not value.flags.c_contiguous or not value.ndim:
            raise CannotCompile(f"{where} is an array of {value.dtype}, or not contiguous")
        if not value.flags.writeable:
            raise CannotCompile(f"{where} is an array that cannot be written to")
        _see(value, where, seen)
        return "array", (value.dtype.name, value.ndim)
    if isinstance(value, (bool, int, float, str, list, np.ndarray, np.generic)):
        raise CannotCompile(
            f"{where} is a {type(value).__module__}.{type(value).__name__}; make it a plain "
            "number, text or list"
        )
    if isinstance(value, _CALLED):
        raise CannotCompile(f"{where} holds something to be called; make it a method")
    if type(value).__module__ in ("builtins", "collections", "itertools", "functools"):
        cure = "; use a list of fixed length or an indicator" if hasattr(value, "append") else ""
        raise CannotCompile(f"{where} holds a {type(value).__name__}{cure}")
    if hasattr(value, "__dict__") or hasattr(type(value), "__slots__"):
        return "object", _describe(value, wider, where, seen)
    raise CannotCompile(f"{where} holds a {type(value).__name__}")


def is_numbers(value: Any) -> bool:
    """Whether a value is a tuple of numbers, at least one."""
    return isinstance(value, tuple) and bool(value) and all(type(x) in (int, float) for x in value)


def _is_array(value: Any, dtype: str, dimensions: int) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype == dtype and value.ndim == dimensions
    return isinstance(value, list) and _list_kind(value, "a list") == dtype


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
    if field.kind.startswith("maybe"):
        return 2 * _SLOT
    if field.kind == "bar":
        return (1 + len(BarRow._fields)) * _SLOT
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
        if attributes(thing).keys() != layout.names:
            raise CannotCompile("its state has other attributes with these parameters")
        for field in layout.fields:
            value = getattr(thing, field.name)
            at = start + field.offset // _SLOT
            kind = field.kind
            if kind == "object" and type(value).__name__ == field.detail.cls.__name__:
                self._fill(field.detail, value, at)
            elif kind == "float" and (type(value) is float or (field.whole and type(value) is int)):
                self._floats[at] = value
            elif (kind == "bool" and type(value) is bool) or (kind == "int" and type(value) is int):
                self._words[at] = value
            elif kind == "word" and type(value) is str:
                self._words[at] = code_of(value)
            elif kind == "array" and _is_array(value, *field.detail):
                items = np.asarray(value, field.detail[0])
                self._arrays[at] = items
                self._words[at] = items.ctypes.data
                self._words[at + 1 : at + 1 + items.ndim] = items.shape
            elif kind == "constant" and is_numbers(value) and repr(value) == repr(field.detail):
                pass
            elif not (value is None and (kind == "bar" or kind.startswith("maybe"))):
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
            elif field.kind == "word":
                yield where, _TEXTS[int(self._words[at])]
            elif field.kind == "bar":
                if not self._words[at]:
                    yield where, None
                else:
                    for i, name in enumerate(BarRow._fields, at + 1):
                        words = self._words if name == "start_ns" else self._floats
                        yield f"{where}.{name}", words[i].item()
            elif field.kind.startswith("maybe"):
                yield where, self._maybe(field.kind, at) if self._words[at] else None
            elif field.kind == "constant":
                yield where, field.detail
            else:
                items = self._arrays[at].ravel().tolist()
                yield from ((f"{where}[{i}]", item) for i, item in enumerate(items))

    def _maybe(self, kind: Kind, at: int) -> Any:
        if kind == "maybe":
            return float(self._floats[at + 1])
        whole = int(self._words[at + 1])
        return whole if kind == "maybe int" else _TEXTS[whole]


def state_of(thing: Any, path: str = "") -> dict[str, Any]:
    """Return every part of an object's state by its dotted name, as `Memory.read` names it.

    What is neither a number, None, a string nor a container of such is given by a hash of its
    pickle, or where it has none by its type.
    """
    state: dict[str, Any] = {}
    _collect(thing, path, state, set())
    return state


def _collect(thing: Any, path: str, state: dict[str, Any], seen: set[int]) -> None:
    for name, value in attributes(thing).items():
        _collect_value(value, f"{path}.{name}" if path else name, state, seen)


def _collect_value(value: Any, where: str, state: dict[str, Any], seen: set[int]) -> None:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)) or is_numbers(value):
        state[where] = value
    elif type(value) is Bar:
        for name in BarRow._fields:
            state[f"{where}.{name}"] = getattr(value, name)
    elif isinstance(value, np.ndarray):
        for i, item in enumerate(value.ravel().tolist()):
            _collect_value(item, f"{where}[{i}]", state, seen)
    elif isinstance(value, dict):
        for key, item in value.items():
            _collect_value(item, f"{where}[{key!r}]", state, seen)
    elif isinstance(value, set | frozenset):
        # Their order differs from process to process.
        for i, item in enumerate(sorted(value, key=repr)):
            _collect_value(item, f"{where}[{i}]", state, seen)
    elif hasattr(value, "__iter__") and hasattr(value, "__len__"):
        for i, item in enumerate(value):
            _collect_value(item, f"{where}[{i}]", state, seen)
    elif id(value) not in seen and attributes(value):
        seen.add(id(value))
        _collect(value, where, state, seen)
    else:
        state[where] = _digest(value)


def _digest(value: Any) -> str:
    """Return what tells an object's state from another, wherever it lies in memory."""
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    try:
        return f"{name} {hashlib.sha256(pickle.dumps(value, 4)).hexdigest()[:16]}"
    except Exception:
        return name


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
