"""Arithmetic in compiled code that gives what Python gives, or raises.

numba's whole numbers wrap at 64 bits, a power of a constant is a row of multiplications, and
`math.log(0.0)` goes on with -inf. The operations here take the place of numba's own: each gives
the very bits that Python gives, and where it cannot (a result beyond 64 bits, a float that is no
neighbour of the whole number) or where Python raises, it raises too. A run that raises is handed
to the Python engine, which says what is wrong, or computes on. Needs numba.
"""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

_WORD = ir.IntType(64)
_DOUBLE = ir.DoubleType()
_EXACT = 1 << 53
"""Up to here every whole number is a float."""


class Checked:
    """An operation of compiled code: one object for each, named as numba's `operator` names it."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, *arguments: Any) -> Any:
        """Raise: only compiled code can call it."""
        raise NotImplementedError(f"{self.__name__} is for compiled code alone")


def fail(context: Any, builder: Any, when: Any, error: type[Exception], text: str) -> None:
    """Raise an error where a condition holds."""
    with builder.if_then(when, likely=False):
        context.call_conv.return_user_exc(builder, error, (text,))


def _beyond(context: Any, builder: Any, when: Any) -> None:
    fail(context, builder, when, OverflowError, "a whole number is too large for 64 bits")


def _is_inexact(builder: Any, value: Any) -> Any:
    """Return whether a whole number is beyond those that floats hold exactly."""
    shifted = builder.add(value, ir.Constant(_WORD, _EXACT))
    return builder.icmp_unsigned(">", shifted, ir.Constant(_WORD, 2 * _EXACT))


def declare(operation: Checked, kinds: tuple[Any, ...], result: Any, given: Any = None) -> Any:
    """Give an operation a type: its arguments' kinds are classes, its result a type.

    `given` is the type that every argument is put into, where there is one.
    """

    class Template(AbstractTemplate):
        key = operation

        def generic(self, args: Any, kws: Any) -> Any:
            if kws or len(args) != len(kinds):
                raise TypingError(f"{operation.__name__} takes {len(kinds)} numbers")
            return signature(result, *([given] * len(args) if given else args))

    infer_global(operation, types.Function(Template))
    return lower_builtin(operation, *kinds)


def _overflowing(name: str) -> Checked:
    """Return +, - or * on whole numbers that raises where the result is beyond 64 bits."""
    operation = Checked(name)

    @declare(operation, (types.Integer, types.Integer), types.int64)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        intrinsic = getattr(builder, f"s{name}_with_overflow")
        both = intrinsic(*args)
        _beyond(context, builder, builder.extract_value(both, 1))
        return builder.extract_value(both, 0)

    return operation


add, sub, mul = (_overflowing(name) for name in ("add", "sub", "mul"))
neg, absolute = Checked("neg"), Checked("abs")
floordiv, mod, truediv = Checked("floordiv"), Checked("mod"), Checked("truediv")
lshift, rshift = Checked("lshift"), Checked("rshift")
exact = Checked("exact")
"""A whole number as a float, where a float holds it exactly."""


@declare(neg, (types.Integer,), types.int64)
def _neg(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    both = builder.ssub_with_overflow(ir.Constant(_WORD, 0), args[0])
    _beyond(context, builder, builder.extract_value(both, 1))
    return builder.extract_value(both, 0)


@declare(absolute, (types.Integer,), types.int64)
def _absolute(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    negative = builder.icmp_signed("<", args[0], ir.Constant(_WORD, 0))
    return builder.select(negative, _neg(context, builder, sig, args), args[0])


@declare(exact, (types.Integer,), types.float64)
def _exact(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    _beyond(context, builder, _is_inexact(builder, args[0]))
    return builder.sitofp(args[0], _DOUBLE)


def _floored(context: Any, builder: Any, args: Any) -> tuple[Any, Any]:
    """Return quotient and remainder of whole numbers, rounded down as Python does."""
    one, other = args
    zero = ir.Constant(_WORD, 0)
    none = builder.icmp_signed("==", other, zero)
    fail(context, builder, none, ZeroDivisionError, "division by zero")
    least = builder.icmp_signed("==", one, ir.Constant(_WORD, -(1 << 63)))
    minus = builder.icmp_signed("==", other, ir.Constant(_WORD, -1))
    _beyond(context, builder, builder.and_(least, minus))
    quotient, rest = builder.sdiv(one, other), builder.srem(one, other)
    signs = builder.icmp_signed("<", builder.xor(rest, other), zero)
    down = builder.and_(builder.icmp_signed("!=", rest, zero), signs)
    quotient = builder.select(down, builder.sub(quotient, ir.Constant(_WORD, 1)), quotient)
    return quotient, builder.select(down, builder.add(rest, other), rest)


@declare(floordiv, (types.Integer, types.Integer), types.int64)
def _floordiv(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _floored(context, builder, args)[0]


@declare(mod, (types.Integer, types.Integer), types.int64)
def _mod(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _floored(context, builder, args)[1]


@declare(truediv, (types.Integer, types.Integer), types.float64)
def _truediv(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    one, other = (_exact(context, builder, sig, (value,)) for value in args)
    none = builder.fcmp_ordered("==", other, ir.Constant(_DOUBLE, 0.0))
    fail(context, builder, none, ZeroDivisionError, "division by zero")
    return builder.fdiv(one, other)


def _check_shift(context: Any, builder: Any, by: Any) -> None:
    _beyond(context, builder, builder.icmp_unsigned(">", by, ir.Constant(_WORD, 62)))


@declare(lshift, (types.Integer, types.Integer), types.int64)
def _lshift(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    _check_shift(context, builder, args[1])
    result = builder.shl(*args)
    back = builder.ashr(result, args[1])
    _beyond(context, builder, builder.icmp_signed("!=", back, args[0]))
    return result


@declare(rshift, (types.Integer, types.Integer), types.int64)
def _rshift(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    _check_shift(context, builder, args[1])
    return builder.ashr(*args)


def _comparing(name: str, predicate: str) -> Checked:
    """Return a comparison of a whole number with a float that is as exact as Python's."""
    operation = Checked(name)
    compare = "fcmp_unordered" if name == "ne" else "fcmp_ordered"

    def floats(context: Any, builder: Any, sig: Any, args: Any) -> list[Any]:
        return [
            _exact(context, builder, sig, (value,)) if isinstance(kind, types.Integer) else value
            for kind, value in zip(sig.args, args, strict=True)
        ]

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, compare)(predicate, *floats(context, builder, sig, args))

    declare(operation, (types.Integer, types.Float), types.boolean)(lower)
    lower_builtin(operation, types.Float, types.Integer)(lower)
    return operation


_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

WHOLE = {
    operator.add: add, operator.sub: sub, operator.mul: mul, operator.floordiv: floordiv,
    operator.mod: mod, operator.truediv: truediv, operator.lshift: lshift,
    operator.rshift: rshift,
}  # fmt: skip
"""What takes the place of an operator on two whole numbers."""
MIXED = {getattr(operator, name): _comparing(name, sign) for name, sign in _COMPARISONS.items()}
"""What takes the place of a comparison of a whole number with a float."""


def _to_whole(name: str, rounding: str) -> Checked:
    """Return a float rounded to a whole number; raises for nan and what is too large."""
    operation = Checked(name)

    @declare(operation, (types.Float,), types.int64)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_DOUBLE, [_DOUBLE]), f"llvm.{rounding}.f64"
        )
        rounded = builder.call(function, args)
        # Ordered: nan fits nowhere.
        fits = builder.and_(
            builder.fcmp_ordered(">=", rounded, ir.Constant(_DOUBLE, -(2.0**63))),
            builder.fcmp_ordered("<", rounded, ir.Constant(_DOUBLE, 2.0**63)),
        )
        _beyond(context, builder, builder.not_(fits))
        return builder.fptosi(rounded, _WORD)

    return operation


truncated, floored = _to_whole("int", "trunc"), _to_whole("floor", "floor")
ceiled, rounded = _to_whole("ceil", "ceil"), _to_whole("round", "rint")
