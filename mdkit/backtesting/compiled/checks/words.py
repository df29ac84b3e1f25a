"""Text in compiled code: a word is a number that can be compared, kept and handed on.

Strategies keep states such as "long" and "flat". numba's own strings are objects in memory; a
`Word` is one whole number (see `layout.code_of`), and takes as much room as a float. Needs numba.
"""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.imputils import lower_constant
from numba.extending import (
    NativeValue,
    lower_builtin,
    models,
    register_model,
    type_callable,
    typeof_impl,
    unbox,
)

from mdkit.backtesting.compiled.layout import code_of


class Word:
    """A text where compiled code has its number."""

    __slots__ = ("code", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.code = code_of(text)

    def __repr__(self) -> str:
        return repr(self.text)

    def __reduce__(self) -> tuple[Any, ...]:
        return Word, (self.text,)


class WordType(types.Type):
    """numba's type of a `Word`."""

    def __init__(self) -> None:
        super().__init__(name="text")


WORD = WordType()
register_model(WordType)(
    type("WordModel", (models.PrimitiveModel,), {
        "__init__": lambda self, manager, kind: models.PrimitiveModel.__init__(
            self, manager, kind, manager[types.int64].get_value_type()
        )
    })
)  # fmt: skip


@typeof_impl.register(Word)
def _typeof(value: Any, context: Any) -> Any:
    return WORD


@lower_constant(WordType)
def _constant(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.get_constant(types.int64, value.code)


@unbox(WordType)
def _unbox(kind: Any, obj: Any, c: Any) -> Any:
    code = c.pyapi.object_getattr_string(obj, "code")
    value = c.pyapi.long_as_longlong(code)
    c.pyapi.decref(code)
    return NativeValue(value)


def _is_text(kind: Any) -> bool:
    return (kind.type if isinstance(kind, types.Optional) else kind) == WORD


def _parts(context: Any, builder: Any, kind: Any, value: Any) -> tuple[Any, Any]:
    """Return whether a text is there, and its number."""
    if not isinstance(kind, types.Optional):
        return context.get_constant(types.boolean, True), value
    optional = context.make_helper(builder, kind, value=value)
    return builder.trunc(optional.valid, ir.IntType(1)), optional.data


def _comparison(operation: Any, *, equal: bool) -> None:
    @type_callable(operation)
    def resolve(context: Any) -> Any:
        def typer(one: Any, other: Any) -> Any:
            return types.boolean if _is_text(one) and _is_text(other) else None

        return typer

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        one, other = (
            _parts(context, builder, kind, value)
            for kind, value in zip(sig.args, args, strict=True)
        )
        both = builder.and_(one[0], other[0])
        neither = builder.not_(builder.or_(one[0], other[0]))
        alike = builder.and_(both, builder.icmp_signed("==", one[1], other[1]))
        alike = builder.or_(alike, neither)
        return alike if equal else builder.not_(alike)

    for kinds in ((WordType, WordType), (types.Optional, WordType), (WordType, types.Optional)):
        lower_builtin(operation, *kinds)(lower)


_comparison(operator.eq, equal=True)
_comparison(operator.ne, equal=False)
