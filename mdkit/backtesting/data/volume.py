"""Bars without a volume: fine for strategies that do not read it."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mdkit.errors import SettingsError
from mdkit.events import Event

if TYPE_CHECKING:
    from mdkit.backtesting.data.panel import Panel
    from mdkit.strategies.contract import Strategy

_NAME = "volume"


def check_volume(strategy: Strategy, panel: Panel) -> None:
    """Raise `SettingsError` where bars have no volume and the strategy's code reads one.

    The missing volume is nan, which no frame can hold, so that what reads it in a roundabout way
    does not mistake it for none traded.
    """
    missing = [
        symbol
        for symbol, columns in zip(panel.symbols, panel.bars, strict=True)
        if len(columns.volume) and columns.volume[0] != columns.volume[0]
    ]
    if missing and reads_volume(strategy):
        raise SettingsError(
            f"bars of {', '.join(missing[:3])}: no column volume, which strategy {strategy.name} "
            "reads; add it"
        )


def reads_volume(strategy: Strategy) -> bool:
    """Whether the word is in the code of a strategy, of what it calls, or of what it is made of."""
    function = getattr(strategy, "function", None)
    waiting: list[Any] = [function if function is not None else strategy.instance()]
    seen: set[int] = set()
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, types.CodeType):
            if _NAME in thing.co_names or _NAME in thing.co_consts:
                return True
            waiting += [part for part in thing.co_consts if isinstance(part, types.CodeType)]
        else:
            waiting += _parts(thing)
    return False


def _parts(thing: Any) -> Iterator[Any]:
    """Yield the code and the objects that a function, a class or an instance leads to."""
    thing = getattr(thing, "func", thing)  # of a partial
    if isinstance(thing, types.MethodType):
        thing = thing.__func__
    if isinstance(thing, types.FunctionType):
        yield thing.__code__
        yield from (cell.cell_contents for cell in thing.__closure__ or () if _is_set(cell))
        names = thing.__code__.co_names
        yield from (thing.__globals__[name] for name in names if name in thing.__globals__)
    elif isinstance(thing, type):
        # To name the class of an event, as `isinstance(event, Bar)` does, reads none of its fields.
        if thing.__module__ != "builtins" and not issubclass(thing, Event):
            for base in thing.__mro__[:-1]:
                yield from vars(base).values()
    elif not isinstance(thing, types.ModuleType | str | bytes | int | float | None):
        yield type(thing)
        yield from getattr(thing, "__dict__", {}).values()


def _is_set(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
