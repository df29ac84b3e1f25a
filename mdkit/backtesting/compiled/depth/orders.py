"""Answers to a book as numba types: a target, a `md.Limit` or a `md.Quote`. Needs numba."""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model

from mdkit.backtesting.account.book_run import TARGET

_FIELDS = (
    ("kind", types.int64), ("bid", types.float64), ("ask", types.float64),
    ("size", types.float64), ("most", types.float64), ("life", types.int64),
)  # fmt: skip
ROW = types.Tuple([kind for _, kind in _FIELDS])
SILENT = -1
"""The kind of an answer that is None."""


class OrderType(types.Type):
    """An order that a strategy answers with; it can be made and returned, and no more."""

    def __init__(self) -> None:
        super().__init__("order")


ORDER = OrderType()


@register_model(OrderType)
class _OrderModel(models.StructModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, list(_FIELDS))


@intrinsic
def order(typing: Any, kind: Any, bid: Any, ask: Any, size: Any, most: Any, life: Any) -> Any:
    """Return an order: the numbers of a row of `books.columns.SentColumns`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        made = cgutils.create_struct_proxy(ORDER)(context, builder)
        for (name, _), value in zip(_FIELDS, args, strict=True):
            setattr(made, name, value)
        return made._getvalue()

    return ORDER(*ROW.types), generate


def _constant(number: float) -> Any:
    return ir.Constant(ir.DoubleType(), number)


@intrinsic
def answer_row(typing: Any, value: Any) -> Any:
    """Return the numbers of an answer: an order, a float, an int or None."""
    inner = value.type if isinstance(value, types.Optional) else value
    if not isinstance(inner, types.NoneType | types.Integer | types.Float | OrderType):
        raise TypingError(
            f"it returns {value}, where a float, an order or None is expected, and one of them "
            "alone"
        )

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        silent = ir.Constant(ir.IntType(64), SILENT)
        nothing = [_constant(math.nan)] * 3 + [_constant(math.inf), ir.Constant(silent.type, 0)]
        if isinstance(inner, types.NoneType):
            return context.make_tuple(builder, ROW, [silent, *nothing])
        raw, said = args[0], None
        if isinstance(value, types.Optional):
            optional = context.make_helper(builder, value, value=raw)
            raw, said = optional.data, optional.valid
        if isinstance(inner, OrderType):
            made = cgutils.create_struct_proxy(ORDER)(context, builder, value=raw)
            parts = [getattr(made, name) for name, _ in _FIELDS]
        else:
            number = context.cast(builder, raw, inner, types.float64)
            parts = [ir.Constant(silent.type, TARGET), number, *nothing[1:]]
        if said is not None:
            parts[0] = builder.select(said, parts[0], silent)
        return context.make_tuple(builder, ROW, parts)

    return ROW(value), generate
