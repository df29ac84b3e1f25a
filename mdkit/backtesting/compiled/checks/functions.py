"""The functions of `math`, and powers, in compiled code: the bits that Python gives, or an error.

Python's `math` calls the C library and raises where an argument is outside a function's domain or
the result is too large. numba computes powers by repeated multiplication and goes on with nan or
inf. Here compiled code calls the very same C library, under names of its own, so that LLVM cannot
take its own mathematics for it, and makes Python's checks. Functions that Python computes by
itself (`fsum`, `hypot`, `gamma`, ...) have no compiled form. Needs numba.
"""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

import ctypes
import ctypes.util
import math
import operator
import sys
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin

from mdkit.backtesting.compiled.checks.arithmetic import (
    Checked,
    absolute,
    ceiled,
    declare,
    fail,
    floored,
    rounded,
    truncated,
)

_DOUBLE = ir.DoubleType()
_LARGEST = (1 << 63) - 1
_SMALLEST_NORMAL = sys.float_info.min


def _c_library() -> Any:
    name = "ucrtbase" if sys.platform == "win32" else None
    return ctypes.CDLL(name)


def _call(builder: Any, name: str, args: Any) -> Any:
    """Call a function of the C library on floats, under a name that LLVM does not know."""
    kind = ir.FunctionType(_DOUBLE, [_DOUBLE] * len(args))
    function = cgutils.get_or_insert_function(builder.module, kind, f"mdkit_c_{name}")
    return builder.call(function, args)


def _load(names: tuple[str, ...]) -> tuple[str, ...]:
    """Make functions of the C library known to compiled code; return those that there are."""
    library = _c_library()
    found = []
    for name in names:
        function = getattr(library, name, None)
        if function is not None and hasattr(math, name):
            address = ctypes.cast(function, ctypes.c_void_p).value
            binding.add_symbol(f"mdkit_c_{name}", address)
            found.append(name)
    return tuple(found)


_ONE = _load((
    "exp", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos",
    "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
))  # fmt: skip
_TWO = _load(("atan2",))
_load(("pow",))


def _is_nan(builder: Any, value: Any) -> Any:
    return builder.fcmp_unordered("uno", value, value)


def _is_infinite(builder: Any, value: Any) -> Any:
    infinite = ir.Constant(_DOUBLE, math.inf)
    return builder.fcmp_ordered("==", _absolute(builder, value), infinite)


def _absolute(builder: Any, value: Any) -> Any:
    return builder.call(builder.module.declare_intrinsic("llvm.fabs", [_DOUBLE]), [value])


def _check(context: Any, builder: Any, result: Any, args: Any) -> None:
    """Raise where Python does: a nan or an infinity that the arguments do not account for."""
    new_nan, new_infinity = _is_nan(builder, result), _is_infinite(builder, result)
    for value in args:
        new_nan = builder.and_(new_nan, builder.not_(_is_nan(builder, value)))
        odd = builder.or_(_is_infinite(builder, value), _is_nan(builder, value))
        new_infinity = builder.and_(new_infinity, builder.not_(odd))
    fail(context, builder, new_nan, ValueError, "math domain error")
    fail(context, builder, new_infinity, OverflowError, "math range error")


def _from_c(name: str, count: int) -> Checked:
    operation = Checked(f"math.{name}")

    @declare(operation, (types.Float,) * count, types.float64, types.float64)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        result = _call(builder, name, args)
        _check(context, builder, result, args)
        return result

    return operation


def _by_llvm(name: str, count: int, *, checked: bool = False) -> Checked:
    """Return a function that every processor computes exactly."""
    operation = Checked(f"math.{name}")

    @declare(operation, (types.Float,) * count, types.float64, types.float64)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(_DOUBLE, [_DOUBLE] * count)
        function = builder.module.declare_intrinsic(f"llvm.{name}", [_DOUBLE], kind)
        result = builder.call(function, args)
        if checked:
            _check(context, builder, result, args)
        return result

    return operation


def _scaled(name: str, factor: float) -> Checked:
    operation = Checked(f"math.{name}")

    @declare(operation, (types.Float,), types.float64, types.float64)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fmul(args[0], ir.Constant(_DOUBLE, factor))

    return operation


def _test(name: str, test: Any) -> Checked:
    operation = Checked(f"math.{name}")

    @declare(operation, (types.Float,), types.boolean, types.float64)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return test(builder, args[0])

    return operation


@intrinsic
def _c_pow(typing: Any, base: Any, exponent: Any) -> Any:
    """Return C's `pow` of two floats, unchecked."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _call(builder, "pow", args)

    return signature(types.float64, types.float64, types.float64), generate


def _float_power(v: float, w: float) -> float:
    """Return v ** w case by case as CPython's `float_pow` does."""
    if w == 0.0:
        return 1.0
    if v != v:
        return v
    if w != w:
        return 1.0 if v == 1.0 else w
    odd = abs(w) % 2.0 == 1.0
    if abs(w) == math.inf:
        if abs(v) == 1.0:
            return 1.0
        return math.inf if (w > 0.0) == (abs(v) > 1.0) else 0.0
    if abs(v) == math.inf:
        if w > 0.0:
            return v if odd else abs(v)
        return math.copysign(0.0, v) if odd else 0.0
    if v == 0.0:
        if w < 0.0:
            raise ZeroDivisionError("0.0 cannot be raised to a negative power")
        return v if odd else 0.0
    negative = v < 0.0
    if negative:
        if w != math.floor(w):
            raise ValueError("the power is a complex number")
        v = -v
    if v == 1.0:
        return -1.0 if negative and odd else 1.0
    result = _c_pow(v, w)
    # The C library may call a result below the normal numbers an error, or not.
    if abs(result) == math.inf or 0.0 < result < _SMALLEST_NORMAL:
        raise OverflowError("the power is out of range")
    return -result if negative and odd else result


def _whole_power(a: int, b: int) -> int:
    """Return a ** b, or raise where it is no whole number of 64 bits."""
    if b < 0:
        raise OverflowError("a whole number to a negative power is a float")
    if b == 0 or a == 1:
        return 1
    if a == 0:
        return 0
    if a == -1:
        return -1 if b % 2 else 1
    if b > 62 or a < -_LARGEST:
        raise OverflowError("a whole number is too large for 64 bits")
    result = 1
    for _ in range(b):
        if abs(result) > _LARGEST // abs(a):
            raise OverflowError("a whole number is too large for 64 bits")
        result *= a
    return result


def _internal(name: str, function: Any, kind: Any) -> Checked:
    operation = Checked(name)

    @declare(operation, (type(kind), type(kind)), kind, kind)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.compile_internal(builder, function, signature(kind, kind, kind), args)

    return operation


power, whole_power = (
    _internal("power", _float_power, types.float64),
    _internal("whole power", _whole_power, types.int64),
)


def _least(items: Any) -> Any:
    best = items[0]
    for item in items:
        if item < best:
            best = item
    return best


def _most(items: Any) -> Any:
    best = items[0]
    for item in items:
        if item > best:
            best = item
    return best


def _of_list(name: str, function: Any) -> Checked:
    """Return min or max of a list, in Python's order of comparisons; raises for an empty one."""
    operation = Checked(name)

    class Template(AbstractTemplate):
        key = operation

        def generic(self, args: Any, kws: Any) -> Any:
            return signature(args[0].dtype, *args)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        counted = signature(types.intp, *sig.args)
        size = context.compile_internal(builder, lambda items: len(items), counted, args)
        empty = builder.icmp_signed("==", size, ir.Constant(size.type, 0))
        fail(context, builder, empty, ValueError, f"{name}() of an empty list")
        return context.compile_internal(builder, function, sig, args)

    infer_global(operation, types.Function(Template))
    for kind in (types.Array, types.List):
        lower_builtin(operation, kind)(lower)
    return operation


EXTREMES = {min: _of_list("min", _least), max: _of_list("max", _most)}
"""What takes the place of min and max of one list."""
ONE_FLOAT = {
    **{getattr(math, name): _from_c(name, 1) for name in _ONE},
    math.sqrt: _by_llvm("sqrt", 1, checked=True),
    math.fabs: _by_llvm("fabs", 1),
    math.degrees: _scaled("degrees", 180.0 / math.pi),
    math.radians: _scaled("radians", math.pi / 180.0),
    math.isnan: _test("isnan", _is_nan),
    math.isinf: _test("isinf", _is_infinite),
    math.isfinite: _test(
        "isfinite",
        lambda builder, value: builder.not_(
            builder.or_(_is_nan(builder, value), _is_infinite(builder, value))
        ),
    ),
    math.floor: floored, math.ceil: ceiled, math.trunc: truncated, int: truncated, round: rounded,
}  # fmt: skip
"""What takes the place of a function of one float."""
ROUNDING = (math.floor, math.ceil, math.trunc, int, round)
"""Of those, the ones that give a whole number as it is."""
TWO_FLOATS = {
    **{getattr(math, name): _from_c(name, 2) for name in _TWO},
    math.copysign: _by_llvm("copysign", 2),
    math.pow: power,
}
"""What takes the place of a function of two floats."""
ONE_WHOLE = {abs: absolute}
POWERS = (operator.pow, operator.ipow)
