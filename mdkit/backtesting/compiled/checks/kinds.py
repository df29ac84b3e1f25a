"""Types as the checks of compiled code look at them, and in a user's words. Needs numba."""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from numba.core import ir, types

from mdkit.backtesting.compiled.checks.sides import BookType, SideType
from mdkit.backtesting.compiled.checks.words import WORD
from mdkit.backtesting.compiled.layout import BarRow, CannotCompile


class NeedsWider(Exception):  # noqa: N818 - asks for another attempt
    """An attribute needs another kind, which is noted in the flow; compile again."""


def refuse(what: str, loc: Any) -> CannotCompile:
    """Return the verdict on a line of a strategy."""
    return CannotCompile(f"{what} (line {loc.line})")


def is_bar(kind: Any) -> bool:
    """Whether a type is a bar's."""
    return isinstance(kind, types.NamedTuple) and kind.instance_class is BarRow


def is_book(kind: Any) -> bool:
    """Whether a type is an order book's."""
    return isinstance(kind, BookType)


def is_side(kind: Any) -> bool:
    """Whether a type is that of a side of an order book, or of a part of one."""
    return isinstance(kind, SideType)


def bare_type(kind: Any) -> Any:
    """Return a type without None, and of a literal the type of its kind."""
    kind = kind.type if isinstance(kind, types.Optional) else kind
    return types.unliteral(kind)


def is_float(kind: Any) -> bool:
    """Whether a type is a float, or a float or None."""
    return isinstance(bare_type(kind), types.Float)


def is_whole(kind: Any) -> bool:
    """Whether a type is a whole number, or one or None."""
    return isinstance(bare_type(kind), types.Integer)


def is_bool(kind: Any) -> bool:
    """Whether a type is True or False, or those or None."""
    return isinstance(bare_type(kind), types.Boolean)


def is_number(kind: Any) -> bool:
    """Whether a type is a float, a whole number or a bool."""
    return is_float(kind) or is_whole(kind) or is_bool(kind)


def operation(fn: Any, variables: list[Any], loc: Any) -> Any:
    """Return the expression of an operator on one variable or two."""
    if len(variables) == 1:
        return ir.Expr("unary", loc, fn=fn, value=variables[0])
    one, other = variables
    none = ir.UNDEFINED
    return ir.Expr("binop", loc, fn=fn, lhs=one, rhs=other, static_lhs=none, static_rhs=none)


def said_of(kind: Any) -> str:
    """Return a type in a user's words."""
    bare = bare_type(kind)
    for test, words in (
        (is_bool, "True or False"), (is_whole, "a whole number"), (is_float, "a float"),
        (is_bar, "a bar"), (is_book, "a book"), (is_side, "a side of a book"),
    ):  # fmt: skip
        if test(bare):
            return words + (" or None" if isinstance(kind, types.Optional) else "")
    if isinstance(bare, types.Array | types.List):
        return "a list or array"
    if isinstance(bare, types.BaseTuple):
        return "a tuple"
    return str(bare) if bare != WORD else "a text"
