"""A book and its sides as numba types: a side is an address and a length. Needs numba."""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import RefType, iternext_impl
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    infer_getattr,
    intrinsic,
    lower_builtin,
    lower_getattr_generic,
    models,
    overload,
    register_model,
)

from mdkit.backtesting.compiled.checks.arithmetic import fail
from mdkit.backtesting.compiled.checks.words import WORD

_WORD = ir.IntType(64)
_WIDTH = 16
"""Bytes of a level: price and size."""
LEVEL = types.UniTuple(types.float64, 2)


class SideIterator(types.SimpleIteratorType):
    """Goes through the levels of a side."""

    def __init__(self) -> None:
        super().__init__("levels of a side of a book", LEVEL)


class SideType(types.Sized, types.IterableType):
    """`book.bids` or `book.asks`, or a slice of one."""

    def __init__(self) -> None:
        super().__init__("side of a book")

    @property
    def iterator_type(self) -> Any:
        """What goes through it."""
        return SideIterator()


class BookType(types.Type):
    """A book: `events.Depth` in compiled code."""

    def __init__(self) -> None:
        super().__init__("book")


SIDE, BOOK = SideType(), BookType()
MEMBERS = {
    "bids": SIDE, "asks": SIDE, "exchange_ns": types.int64, "received_ns": types.int64,
    "symbol": WORD,
}  # fmt: skip
"""What compiled code sees of a book."""


def _model(members: list[tuple[str, Any]]) -> type:
    class Model(models.StructModel):
        def __init__(self, manager: Any, kind: Any) -> None:
            super().__init__(manager, kind, members)

    return Model


register_model(SideType)(_model([("address", types.int64), ("count", types.int64)]))
register_model(BookType)(_model(list(MEMBERS.items())))
register_model(SideIterator)(
    _model([
        ("address", types.int64), ("count", types.int64),
        ("place", types.EphemeralPointer(types.int64)),
    ])
)  # fmt: skip


@infer_getattr
class _BookAttributes(AttributeTemplate):
    key = BookType

    def generic_resolve(self, kind: Any, name: str) -> Any:
        return MEMBERS.get(name)


@lower_getattr_generic(BookType)
def _member(context: Any, builder: Any, kind: Any, value: Any, name: str) -> Any:
    return getattr(cgutils.create_struct_proxy(kind)(context, builder, value=value), name)


def _side(context: Any, builder: Any, address: Any, count: Any) -> Any:
    side = cgutils.create_struct_proxy(SIDE)(context, builder)
    side.address, side.count = address, count
    return side._getvalue()


def _beyond(builder: Any, address: Any, levels: Any) -> Any:
    return builder.add(address, builder.mul(levels, ir.Constant(_WORD, _WIDTH)))


def _level(context: Any, builder: Any, address: Any, place: Any) -> Any:
    pointer = builder.inttoptr(_beyond(builder, address, place), ir.DoubleType().as_pointer())
    parts = [
        builder.load(builder.gep(pointer, [ir.Constant(_WORD, k)], inbounds=True)) for k in (0, 1)
    ]
    return context.make_tuple(builder, LEVEL, parts)


@intrinsic
def book_at(
    typing: Any, levels: Any, first: Any, bids: Any, asks: Any, exchange: Any, received: Any,
    symbol: Any,
) -> Any:  # fmt: skip
    """Return the book whose bids and then asks begin at level `first` of a table's address."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address, first, bids, asks, exchange, received, symbol = args
        begin = _beyond(builder, address, first)
        book = cgutils.create_struct_proxy(BOOK)(context, builder)
        book.bids = _side(context, builder, begin, bids)
        book.asks = _side(context, builder, _beyond(builder, begin, bids), asks)
        book.exchange_ns, book.received_ns, book.symbol = exchange, received, symbol
        return book._getvalue()

    return BOOK(*(types.int64,) * 7), generate


@intrinsic
def _count(typing: Any, side: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return cgutils.create_struct_proxy(SIDE)(context, builder, value=args[0]).count

    return types.int64(SIDE), generate


@intrinsic
def _at(typing: Any, side: Any, place: Any) -> Any:
    """Return a level, by a number as Python counts; raise IndexError where there is none."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        side = cgutils.create_struct_proxy(SIDE)(context, builder, value=args[0])
        zero = ir.Constant(_WORD, 0)
        place = context.cast(builder, args[1], sig.args[1], types.int64)
        from_end = builder.icmp_signed("<", place, zero)
        place = builder.select(from_end, builder.add(place, side.count), place)
        below = builder.icmp_signed("<", place, zero)
        above = builder.icmp_signed(">=", place, side.count)
        fail(context, builder, builder.or_(below, above), IndexError, "tuple index out of range")
        return _level(context, builder, side.address, place)

    return LEVEL(SIDE, place), generate


@intrinsic
def _part(typing: Any, side: Any, begin: Any, end: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        side = cgutils.create_struct_proxy(SIDE)(context, builder, value=args[0])
        count = builder.sub(args[2], args[1])
        some = builder.icmp_signed(">", count, ir.Constant(_WORD, 0))
        count = builder.select(some, count, ir.Constant(_WORD, 0))
        return _side(context, builder, _beyond(builder, side.address, args[1]), count)

    return SIDE(SIDE, types.int64, types.int64), generate


@overload(len, strict=False)
def _len(side: Any) -> Any:
    if isinstance(side, SideType):
        return lambda side: _count(side)
    return None


@overload(bool, strict=False)
def _bool(side: Any) -> Any:
    if isinstance(side, SideType):
        return lambda side: _count(side) > 0
    return None


@overload(operator.not_, strict=False)
def _not(side: Any) -> Any:
    if isinstance(side, SideType):
        return lambda side: _count(side) == 0
    return None


@overload(operator.getitem, strict=False)
def _getitem(side: Any, index: Any) -> Any:
    if not isinstance(side, SideType):
        return None
    if isinstance(index, types.Integer):
        return lambda side, index: _at(side, index)
    if isinstance(index, types.SliceType) and not index.has_step:

        def sliced(side: Any, index: Any) -> Any:
            begin, end, _ = index.indices(_count(side))
            return _part(side, begin, end)

        return sliced
    return None


@lower_builtin("getiter", SideType)
def _getiter(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    side = cgutils.create_struct_proxy(SIDE)(context, builder, value=args[0])
    found = cgutils.create_struct_proxy(SideIterator())(context, builder)
    found.address, found.count = side.address, side.count
    place = cgutils.alloca_once_value(builder, ir.Constant(_WORD, 0))
    found.place = place
    return found._getvalue()


@lower_builtin("iternext", SideIterator)
@iternext_impl(RefType.UNTRACKED)
def _iternext(context: Any, builder: Any, sig: Any, args: Any, result: Any) -> None:
    found = cgutils.create_struct_proxy(SideIterator())(context, builder, value=args[0])
    place = builder.load(found.place)
    valid = builder.icmp_signed("<", place, found.count)
    result.set_valid(valid)
    with builder.if_then(valid):
        result.yield_(_level(context, builder, found.address, place))
        builder.store(builder.add(place, ir.Constant(_WORD, 1)), found.place)
