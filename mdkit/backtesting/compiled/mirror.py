"""A numba type for a strategy's state: attributes are memory, methods are compiled as they are.

numba's own jitclasses count references to every nested object, which costs more than the
arithmetic of a moving average. Here a `StateType` is a plain address into the block that
`layout.Memory` made: an attribute is a load or a store at a fixed offset, a nested object is an
address within its owner, and LLVM inlines the methods. Needs numba; imported by `native` alone.
"""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

import functools
import inspect
import itertools
import types as python_types
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.typing.templates import AbstractTemplate, AttributeTemplate
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_builtin,
    lower_getattr_generic,
    lower_setattr_generic,
    models,
    register_model,
)
from numba.np.arrayobj import make_array, populate_array

from mdkit.backtesting.compiled.checks.flow import Flow
from mdkit.backtesting.compiled.checks.reads import names_in
from mdkit.backtesting.compiled.checks.subset import pipeline_for
from mdkit.backtesting.compiled.checks.words import WORD, Word
from mdkit.backtesting.compiled.layout import BarRow, CannotCompile, Field, Layout

BAR = types.NamedTuple([*(types.float64,) * 5, types.int64], BarRow)
_SCALARS = {
    "float": types.float64, "int": types.int64, "bool": types.boolean, "word": WORD,
    "maybe": types.Optional(types.float64), "maybe int": types.Optional(types.int64),
    "maybe word": types.Optional(WORD), "bar": types.Optional(BAR),
}  # fmt: skip
_ITEMS = {"float64": types.float64, "int64": types.int64, "bool": types.boolean}
_OPTIONS = {
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
_OWN = ("mdkit.strategies.", "mdkit.backtesting.")
_NUMBERS = itertools.count(1)


class StateType(types.Type):
    """The state of one layout. Made by a `Translator`, once for each layout."""

    def __init__(self, layout: Layout, translate: Translator) -> None:
        self.layout = layout
        self.translate = translate
        self.members: dict[str, tuple[Field, Any]] = {}
        for field in layout.fields:
            self.members[field.name] = (field, self._type_of(field))
        super().__init__(name=f"{layout.cls.__name__} #{next(_NUMBERS)}")

    def _type_of(self, field: Field) -> Any:
        if field.kind == "object":
            return self.translate.mirror(field.detail)
        if field.kind == "array":
            dtype, dimensions = field.detail
            return types.Array(_ITEMS[dtype], dimensions, "C")
        if field.kind == "constant":
            return numba.typeof(field.detail)
        return _SCALARS[field.kind]

    def method(self, name: str) -> Any:
        """Return the compiled form of a method, or None if the class has none of that name."""
        found = inspect.getattr_static(self.layout.cls, name, None)
        if isinstance(found, staticmethod | classmethod):
            raise CannotCompile(f"{name} is a {type(found).__name__}; make it a function")
        if isinstance(found, python_types.FunctionType):
            return self.translate(found)
        return None

    def getter(self, name: str) -> Any:
        """Return the compiled getter of a property, or None."""
        found = inspect.getattr_static(self.layout.cls, name, None)
        if isinstance(found, property) and isinstance(found.fget, python_types.FunctionType):
            return self.translate(found.fget)
        return None


register_model(StateType)(models.OpaqueModel)


class Translator:
    """Turns Python functions into compiled ones, once each, with the helpers that they call.

    Strategies are `checked`: they may do only what gives the same bits as in Python, see
    `compiled.subset`; what their values could become is noted in `flow`. `twin_of` returns what is
    compiled, unchecked, in place of a function or class of mdkit's own, or None.
    """

    def __init__(
        self, *, checked: bool = True, inline: bool = False,
        twin_of: Callable[[Any], Any] | None = None,
    ) -> None:  # fmt: skip
        # The account's trades are rare and their code is large: inlined everywhere it would only
        # take longer to compile.
        self._options: dict[str, Any] = {**_OPTIONS, "forceinline": checked or inline}
        self.flow = Flow()
        if checked:
            self._options["pipeline_class"] = pipeline_for(self.flow, StateType, self.twin)
        self._twin_of = twin_of
        self._twins = Translator(checked=False, inline=True) if twin_of is not None else None
        self._done: dict[Any, Any] = {}
        self._mirrors: dict[Layout, StateType] = {}

    def mirror(self, layout: Layout) -> StateType:
        """Return the type of a layout."""
        if layout not in self._mirrors:
            self._mirrors[layout] = StateType(layout, self)
        return self._mirrors[layout]

    def twin(self, value: Any) -> Any:
        """Return the dispatcher that takes the place of a function or class, or None."""
        found = None if self._twin_of is None else self._twin_of(value)
        return None if found is None or self._twins is None else self._twins(found)

    def __call__(self, function: python_types.FunctionType) -> Any:
        """Return the numba dispatcher of a plain function."""
        if function not in self._done:
            self._done[function] = None  # a function that calls itself finds this, and is refused
            # An index beyond its list and a division by zero must raise as in Python; mdkit's
            # own code is known to do neither.
            own = self._twins is None and str(function.__module__).startswith(_OWN)
            compiled = numba.njit(
                boundscheck=not own, error_model="numpy" if own else "python", **self._options
            )(self._with_compiled_helpers(function))
            self._done[function] = compiled
        if self._done[function] is None:
            raise CannotCompile(f"{function.__name__} calls itself")
        return self._done[function]

    def _with_compiled_helpers(self, function: Any) -> Any:
        """Return a copy of `function` whose global and closed-over helpers are compiled."""

        def prepared(value: Any) -> Any:
            if (twin := self.twin(value)) is not None:
                return twin
            if isinstance(value, python_types.FunctionType):
                return self(value)
            if hasattr(value, "py_func"):
                name = value.py_func.__name__
                raise CannotCompile(f"{name} is compiled by numba already; give the plain function")
            return Word(value) if type(value) is str else value

        code = function.__code__
        scope = dict(function.__globals__)
        for name in names_in(code):
            if name in scope:
                scope[name] = prepared(scope[name])
        cells = function.__closure__
        if cells is not None:
            cells = tuple(python_types.CellType(prepared(cell.cell_contents)) for cell in cells)
        defaults = tuple(prepared(value) for value in function.__defaults__ or ()) or None
        copy = python_types.FunctionType(code, scope, function.__name__, defaults, cells)
        named = function.__kwdefaults__
        copy.__kwdefaults__ = named and {name: prepared(value) for name, value in named.items()}
        copy.__qualname__ = function.__qualname__
        copy.__module__ = function.__module__
        return copy


def loader(mirror: StateType) -> Any:
    """Return an intrinsic that copies the state at an address into the stack.

    There nothing else can point to it, so that LLVM keeps it in registers. `saver` copies back.
    """

    @intrinsic
    def load(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            size = max(8, mirror.layout.size)
            there = builder.inttoptr(args[0], cgutils.voidptr_t)
            block = cgutils.alloca_once(builder, ir.ArrayType(ir.IntType(64), size // 8))
            here = builder.bitcast(block, cgutils.voidptr_t)
            cgutils.raw_memcpy(builder, here, there, ir.Constant(ir.IntType(64), size), 1)
            return here

        return mirror(types.uintp), generate

    return load


@intrinsic
def save(typing: Any, address: Any, state: Any) -> Any:
    """Copy a state back to its address."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        size = ir.Constant(ir.IntType(64), max(8, state.layout.size))
        there = builder.inttoptr(args[0], cgutils.voidptr_t)
        cgutils.raw_memcpy(builder, there, args[1], size, 1)
        return context.get_dummy_value()

    return types.void(types.uintp, state), generate


@intrinsic
def answer(typing: Any, value: Any) -> Any:
    """Return (whether something was said, what as a float) for a float, an int or None."""
    inner = value.type if isinstance(value, types.Optional) else value
    if not isinstance(inner, (types.NoneType, types.Integer, types.Float)):
        raise TypingError(f"it returns {value}, where a float or None is expected")

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if isinstance(inner, types.NoneType):
            said, number = (
                context.get_constant(types.boolean, False),
                cgutils.get_null_value(ir.DoubleType()),
            )
        else:
            said, raw = context.get_constant(types.boolean, True), args[0]
            if isinstance(value, types.Optional):
                optional = context.make_helper(builder, value, value=raw)
                said, raw = optional.valid, optional.data
            number = context.cast(builder, raw, inner, types.float64)
        return context.make_tuple(builder, sig.return_type, [said, number])

    return types.Tuple((types.boolean, types.float64))(value), generate


@infer_getattr
class _MirrorAttributes(AttributeTemplate):
    key = StateType

    def generic_resolve(self, mirror: StateType, name: str) -> Any:
        if name in mirror.members:
            return mirror.members[name][1]
        method = mirror.method(name)
        if method is not None:
            dispatcher = types.Dispatcher(method)
            _lower_method(name)

            class Method(AbstractTemplate):
                key = (StateType, name)

                def generic(self, args: Any, kws: Any) -> Any:
                    whole = (mirror, *args)
                    return dispatcher.get_call_type(self.context, whole, kws).as_method()

            return types.BoundFunction(Method, mirror)
        getter = mirror.getter(name)
        if getter is not None:
            return types.Dispatcher(getter).get_call_type(self.context, (mirror,), {}).return_type
        constant = _class_constant(mirror, name)
        return None if constant is None else types.unliteral(numba.typeof(constant))


def _class_constant(mirror: StateType, name: str) -> Any:
    """Return a value that stands on the class itself, a text as a word; None if there is none."""
    constant = inspect.getattr_static(mirror.layout.cls, name, None)
    if type(constant) is str:
        return Word(constant)
    return constant if type(constant) in (bool, int, float) else None


@functools.cache
def _lower_method(name: str) -> None:
    """Teach numba to call methods of this name, of whatever class."""

    def call(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        dispatcher = types.Dispatcher(sig.args[0].method(name))
        compiled = context.get_function(dispatcher, sig)
        return _linked(context, compiled, compiled(builder, args))

    lower_builtin((StateType, name), StateType, types.VarArg(types.Any))(call)


def _linked(context: Any, compiled: Any, result: Any) -> Any:
    for library in getattr(compiled, "libs", ()):
        context.active_code_library.add_linking_library(library)
    return result


def _pointer(builder: Any, base: Any, kind: Any, offset: int) -> Any:
    place = builder.gep(base, [ir.Constant(ir.IntType(64), offset)], inbounds=True)
    return builder.bitcast(place, kind.as_pointer())


@lower_getattr_generic(StateType)
def _get(context: Any, builder: Any, mirror: StateType, base: Any, name: str) -> Any:
    if name not in mirror.members:
        getter = mirror.getter(name)
        if getter is None:
            constant = _class_constant(mirror, name)
            kind = types.unliteral(numba.typeof(constant))
            return context.get_constant_generic(builder, kind, constant)
        dispatcher = types.Dispatcher(getter)
        sig = dispatcher.get_call_type(context.typing_context, (mirror,), {})
        compiled = context.get_function(dispatcher, sig)
        return _linked(context, compiled, compiled(builder, [base]))
    field, kind = mirror.members[name]
    at = field.offset
    word, number = ir.IntType(64), ir.DoubleType()
    if field.kind == "float":
        return builder.load(_pointer(builder, base, number, at))
    if field.kind in ("int", "word"):
        return builder.load(_pointer(builder, base, word, at))
    if field.kind == "bool":
        return builder.trunc(builder.load(_pointer(builder, base, word, at)), ir.IntType(1))
    if field.kind == "object":
        return builder.gep(base, [ir.Constant(word, at)], inbounds=True)
    if field.kind == "constant":
        return context.get_constant_generic(builder, kind, field.detail)
    if isinstance(kind, types.Optional):
        optional = context.make_helper(builder, kind)
        flag = builder.load(_pointer(builder, base, word, at))
        optional.valid = builder.trunc(flag, ir.IntType(1))
        optional.data = _load(context, builder, kind.type, base, at + 8)
        return optional._getvalue()
    dimensions = kind.ndim
    item_size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    shape = [builder.load(_pointer(builder, base, word, at + 8 + 8 * d)) for d in range(dimensions)]
    strides = [ir.Constant(word, item_size)]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    array = make_array(kind)(context, builder)
    items = context.get_data_type(kind.dtype)
    address = builder.load(_pointer(builder, base, word, at))
    populate_array(
        array,
        data=builder.inttoptr(address, items.as_pointer()),
        shape=shape,
        strides=strides,
        itemsize=ir.Constant(word, item_size),
        meminfo=None,
        parent=None,
    )
    return array._getvalue()


@lower_setattr_generic(StateType)
def _set(context: Any, builder: Any, sig: Any, args: Any, name: str) -> None:
    mirror, base, value = sig.args[0], args[0], args[1]
    if name not in mirror.members:
        raise CannotCompile(f"{name} is no attribute made in start()")
    field, kind = mirror.members[name]
    at = field.offset
    word, number = ir.IntType(64), ir.DoubleType()
    if field.kind == "float":
        builder.store(value, _pointer(builder, base, number, at))
    elif field.kind in ("int", "word"):
        builder.store(value, _pointer(builder, base, word, at))
    elif field.kind == "bool":
        builder.store(builder.zext(value, word), _pointer(builder, base, word, at))
    else:
        optional = context.make_helper(builder, kind, value=value)
        builder.store(builder.zext(optional.valid, word), _pointer(builder, base, word, at))
        parts = [(kind.type, optional.data)]
        if kind.type == BAR:
            parts = list(zip(BAR, cgutils.unpack_tuple(builder, optional.data), strict=True))
        for i, (part, data) in enumerate(parts, 1):
            llvm = number if isinstance(part, types.Float) else word
            builder.store(data, _pointer(builder, base, llvm, at + 8 * i))


def _load(context: Any, builder: Any, kind: Any, base: Any, at: int) -> Any:
    """Load a number, a word or a bar."""
    if kind == BAR:
        parts = [_load(context, builder, part, base, at + 8 * i) for i, part in enumerate(BAR)]
        return context.make_tuple(builder, BAR, parts)
    llvm = ir.DoubleType() if isinstance(kind, types.Float) else ir.IntType(64)
    return builder.load(_pointer(builder, base, llvm, at))
