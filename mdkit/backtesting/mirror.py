"""A numba type for a strategy's state: attributes are memory, methods are compiled as they are.

numba's own jitclasses count references to every nested object, which costs more than the
arithmetic of a moving average. Here a `Mirror` is a plain address into the block that
`layout.Memory` made: an attribute is a load or a store at a fixed offset, a nested object is an
address within its owner, and LLVM inlines the methods. Needs numba; imported by `native` alone.
"""

from __future__ import annotations

import functools
import types as python_types
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing import signature
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

from mdkit.backtesting.layout import CannotCompile, Field, Layout

_SCALARS = {"float": types.float64, "int": types.int64, "bool": types.boolean}
_ITEMS = {"float64": types.float64, "int64": types.int64, "bool": types.boolean}
_OPTIONS = {"nogil": True, "boundscheck": True, "error_model": "python"}


class Mirror(types.Type):  # type: ignore[misc]
    """The state of one class at one place. Never shared between two compilations."""

    def __init__(self, layout: Layout, path: str, translate: Translator) -> None:
        self.layout = layout
        self.path = path
        self.translate = translate
        self.members: dict[str, tuple[Field, Any]] = {}
        for field in layout.fields:
            self.members[field.name] = (field, self._type_of(field))
        super().__init__(name=f"{layout.cls.__name__}({path or 'strategy'} at {id(self):#x})")

    def _type_of(self, field: Field) -> Any:
        if field.kind == "object":
            path = f"{self.path}.{field.name}" if self.path else field.name
            return Mirror(field.detail, path, self.translate)
        if field.kind == "maybe":
            return types.Optional(types.float64)
        if field.kind == "array":
            dtype, dimensions = field.detail
            return types.Array(_ITEMS[dtype], dimensions, "C")
        if field.kind == "constant":
            return numba.typeof(field.detail)
        return _SCALARS[field.kind]

    def method(self, name: str) -> Any:
        """Return the compiled form of a method, or None if the class has none of that name."""
        found = getattr(self.layout.cls, name, None)
        if isinstance(found, python_types.FunctionType):
            return self.translate(found)
        return None

    def getter(self, name: str) -> Any:
        """Return the compiled getter of a property, or None."""
        found = getattr(self.layout.cls, name, None)
        if isinstance(found, property) and isinstance(found.fget, python_types.FunctionType):
            return self.translate(found.fget)
        return None


register_model(Mirror)(models.OpaqueModel)


class Translator:
    """Turns Python functions into compiled ones, once each, with the helpers that they call."""

    def __init__(self) -> None:
        self._done: dict[Any, Any] = {}

    def __call__(self, function: python_types.FunctionType) -> Any:
        """Return the numba dispatcher of a plain function."""
        if function not in self._done:
            self._done[function] = None  # a function that calls itself finds this, and is refused
            compiled = numba.njit(**_OPTIONS)(self._with_compiled_helpers(function))
            self._done[function] = compiled
        if self._done[function] is None:
            raise CannotCompile(f"{function.__name__} calls itself")
        return self._done[function]

    @property
    def dispatchers(self) -> list[Any]:
        """All that was translated."""
        return [done for done in self._done.values() if done is not None]

    def _with_compiled_helpers(self, function: Any) -> Any:
        """Return a copy of `function` whose global and closed-over helpers are compiled."""

        def prepared(value: Any) -> Any:
            return self(value) if isinstance(value, python_types.FunctionType) else value

        code = function.__code__
        scope = dict(function.__globals__)
        for name in _names(code):
            if name in scope:
                scope[name] = prepared(scope[name])
        cells = function.__closure__
        if cells is not None:
            cells = tuple(python_types.CellType(prepared(cell.cell_contents)) for cell in cells)
        copy = python_types.FunctionType(
            code, scope, function.__name__, function.__defaults__, cells
        )
        copy.__kwdefaults__ = function.__kwdefaults__
        copy.__qualname__ = function.__qualname__
        copy.__module__ = function.__module__
        return copy


def _names(code: Any) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, python_types.CodeType):
            names |= _names(constant)
    return names


def view(mirror: Mirror) -> Callable[..., Any]:
    """Return an intrinsic that turns an address into an object of this type."""

    @intrinsic  # type: ignore[untyped-decorator]
    def at(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], cgutils.voidptr_t)

        return mirror(types.uintp), generate

    function: Callable[..., Any] = at
    return function


@infer_getattr
class _MirrorAttributes(AttributeTemplate):  # type: ignore[misc]
    key = Mirror

    def generic_resolve(self, mirror: Mirror, name: str) -> Any:
        if name in mirror.members:
            return mirror.members[name][1]
        method = mirror.method(name)
        if method is not None:
            dispatcher = types.Dispatcher(method)
            _lower_method(name)

            class Method(AbstractTemplate):  # type: ignore[misc]
                key = (Mirror, name)

                def generic(self, args: Any, kws: Any) -> Any:
                    whole = (mirror, *args)
                    return dispatcher.get_call_type(self.context, whole, kws).as_method()

            return types.BoundFunction(Method, mirror)
        getter = mirror.getter(name)
        if getter is not None:
            return types.Dispatcher(getter).get_call_type(self.context, (mirror,), {}).return_type
        constant = getattr(mirror.layout.cls, name, None)
        if isinstance(constant, (bool, int, float, str)):
            return types.unliteral(numba.typeof(constant))
        return None


@functools.cache
def _lower_method(name: str) -> None:
    """Teach numba to call methods of this name, of whatever class."""

    def call(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        dispatcher = types.Dispatcher(sig.args[0].method(name))
        compiled = context.get_function(dispatcher, sig)
        return _linked(context, compiled, compiled(builder, args))

    lower_builtin((Mirror, name), Mirror, types.VarArg(types.Any))(call)


def _linked(context: Any, compiled: Any, result: Any) -> Any:
    for library in getattr(compiled, "libs", ()):
        context.active_code_library.add_linking_library(library)
    return result


def _pointer(builder: Any, base: Any, kind: Any, offset: int) -> Any:
    place = builder.gep(base, [ir.Constant(ir.IntType(64), offset)], inbounds=True)
    return builder.bitcast(place, kind.as_pointer())


@lower_getattr_generic(Mirror)  # type: ignore[untyped-decorator]
def _get(context: Any, builder: Any, mirror: Mirror, base: Any, name: str) -> Any:
    if name not in mirror.members:
        getter = mirror.getter(name)
        if getter is None:
            constant = getattr(mirror.layout.cls, name)
            kind = types.unliteral(numba.typeof(constant))
            return context.get_constant_generic(builder, kind, constant)
        dispatcher = types.Dispatcher(getter)
        sig = dispatcher.get_call_type(context.typing_context, (mirror,), {})
        compiled = context.get_function(dispatcher, sig)
        return _linked(context, compiled, compiled(builder, [base]))
    field, kind = mirror.members[name]
    at = field.offset - _start(mirror)
    word, number = ir.IntType(64), ir.DoubleType()
    if field.kind == "float":
        return builder.load(_pointer(builder, base, number, at))
    if field.kind == "int":
        return builder.load(_pointer(builder, base, word, at))
    if field.kind == "bool":
        return builder.trunc(builder.load(_pointer(builder, base, word, at)), ir.IntType(1))
    if field.kind == "object":
        return builder.gep(base, [ir.Constant(word, at)], inbounds=True)
    if field.kind == "constant":
        return context.get_constant_generic(builder, kind, field.detail)
    if field.kind == "maybe":
        optional = context.make_helper(builder, kind)
        flag = builder.load(_pointer(builder, base, word, at))
        optional.valid = builder.trunc(flag, ir.IntType(1))
        optional.data = builder.load(_pointer(builder, base, number, at + 8))
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


@lower_setattr_generic(Mirror)  # type: ignore[untyped-decorator]
def _set(context: Any, builder: Any, sig: Any, args: Any, name: str) -> None:
    mirror, base, value = sig.args[0], args[0], args[1]
    if name not in mirror.members:
        raise CannotCompile(f"{name} is no attribute made in start()")
    field, kind = mirror.members[name]
    at = field.offset - _start(mirror)
    word, number = ir.IntType(64), ir.DoubleType()
    if field.kind == "float":
        builder.store(value, _pointer(builder, base, number, at))
    elif field.kind == "int":
        builder.store(value, _pointer(builder, base, word, at))
    elif field.kind == "bool":
        builder.store(builder.zext(value, word), _pointer(builder, base, word, at))
    elif field.kind == "maybe":
        optional = context.make_helper(builder, kind, value=value)
        builder.store(builder.zext(optional.valid, word), _pointer(builder, base, word, at))
        builder.store(optional.data, _pointer(builder, base, number, at + 8))
    else:
        where = f"{mirror.path}.{name}" if mirror.path else name
        raise CannotCompile(f"{where} is replaced while running; only numbers can be")


def _start(mirror: Mirror) -> int:
    return min((field.offset for field in mirror.layout.fields), default=0)


def stores(translator: Translator) -> list[tuple[Mirror, str, Any]]:
    """Return every (object, attribute, type) that the compiled code assigns.

    numba casts what is stored to the attribute's type without a word; a float that would be
    cut to a whole number must be found here.
    """
    from numba.core import ir as numba_ir

    found = []
    for dispatcher in translator.dispatchers:
        for result in dispatcher.overloads.values():
            notes = result.type_annotation
            for block in notes.blocks.values():
                for statement in block.find_insts(numba_ir.SetAttr):
                    target = notes.typemap[statement.target.name]
                    if isinstance(target, Mirror):
                        kind = notes.typemap[statement.value.name]
                        found.append((target, statement.attr, kind))
    return found


def returns(dispatcher: Any) -> Any:
    """Return the numba type that a compiled method or function returns."""
    (result,) = dispatcher.overloads.values()
    return result.signature.return_type


__all__ = ["Mirror", "Translator", "returns", "signature", "stores", "view"]
