"""Text in compiled code: a word is a number that can be compared, kept and handed on.

Strategies keep states such as "long" and "flat". numba's own strings are objects in memory; a
`Word` is one whole number (see `layout.code_of`), and takes as much room as a float. Needs numba.
"""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

import operator
from typing import Any

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

from mdkit.backtesting.layout import code_of

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


def _comparison(operation: Any, predicate: str) -> None:
    @type_callable(operation)
    def resolve(context: Any) -> Any:
        def typer(one: Any, other: Any) -> Any:
            if one == WORD and other == WORD:
                return types.boolean
            return None

        return typer

    @lower_builtin(operation, WordType, WordType)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.icmp_signed(predicate, *args)


_comparison(operator.eq, "==")
_comparison(operator.ne, "!=")
