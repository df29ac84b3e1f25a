"""The native engine: a strategy's own code, compiled by numba.

The same object that runs live is compiled as it is: types are read off a started instance,
methods translated one by one, no fastmath. Nothing is rewritten, so nothing can differ. The
first run of a strategy takes about a second; what was compiled is kept while the process lives
and found again by the strategy's code, the types of its state and the globals that it reads.
"""

from __future__ import annotations

import types as python_types
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mdkit.backtesting.fills import Account
from mdkit.backtesting.layout import (
    CannotCompile,
    Kind,
    Layout,
    Memory,
    attributes,
    describe,
)
from mdkit.strategies.contract import FunctionStrategy, InstanceStrategy, Strategy

Floats = npt.NDArray[np.float64]
_KEPT = 64
_compiled: OrderedDict[Any, NativeStrategy] = OrderedDict()
_account_kernel: Any = None
_single_kernel: Any = None


class NativeError(CannotCompile):
    """Compiled code failed while it ran."""


class BarRow(NamedTuple):
    """A bar as compiled code sees it: `events.Bar` without its strings."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    start_ns: int


class Columns(NamedTuple):
    """The bars of one symbol, one entry each: prices and volume, and starts in ns UTC."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    start_ns: npt.NDArray[np.int64]

    def cut(self, begin: int, end: int) -> Columns:
        """Return the bars [begin, end)."""
        return Columns._make(column[begin:end] for column in self)


@dataclass(frozen=True)
class NativeStrategy:
    """A compiled strategy. `run` may be called from several threads, each with its own state."""

    kernel: Any
    layout: Layout | None
    """Of the state that the code works on; None for a function, which has none."""

    def start(self, strategy: Strategy) -> Any:
        """Return a fresh state for this strategy, perhaps with other parameters.

        A `Memory`, or a function's parameters. Raises `CannotCompile` when the strategy needs
        code of its own, because its parameters or its state are of other types.
        """
        if self.layout is None:
            return tuple(strategy.params.values())
        return Memory(self.layout, strategy.instance())

    def run(self, state: Any, bars: Columns, begin: int, end: int, signals: Floats) -> int:
        """Write the signals of bars [begin, end), nan for None; the state goes along.

        Returns the index of a bar on which nan was returned, else -1. Raises whatever the
        strategy raises; the state is then that before `begin`.
        """
        handle = state.address if isinstance(state, Memory) else state
        return int(self.kernel(handle, *bars, begin, end, signals))


def compile_strategy(strategy: Strategy) -> NativeStrategy:
    """Return a strategy's compiled form; raise `CannotCompile` with the reason if there is none."""
    try:
        import numba  # noqa: F401
    except ImportError:
        raise CannotCompile("numba is not installed (pip install 'mdkit[fast]')") from None
    if strategy.is_async:
        raise CannotCompile("the strategy is async")
    if not isinstance(strategy, (FunctionStrategy, InstanceStrategy)):
        raise CannotCompile("it is a plain function of a dict")
    shape = _shape(strategy)
    if shape not in _compiled:
        _compiled[shape] = _compile(strategy, shape[0])
        if len(_compiled) > _KEPT:
            _compiled.popitem(last=False)
    _compiled.move_to_end(shape)
    return _compiled[shape]


def run_account(account: Account, *arguments: Any) -> bool:
    """Run `account.run(*arguments)` compiled, over flat arrays; fills go to `account.fills`."""
    global _account_kernel
    layout = describe(account)
    if _account_kernel is None:
        from mdkit.backtesting import kernels

        _account_kernel = kernels.account_kernel(layout)
    memory = Memory(layout, account)
    done = bool(_account_kernel(memory.address, *arguments))
    account.count = memory.read_one("count")
    return done


def run_single(*arguments: Any) -> int:
    """Run `fills.run_single(*arguments)` compiled."""
    global _single_kernel
    if _single_kernel is None:
        from mdkit.backtesting import kernels

        _single_kernel = kernels.single_kernel()
    return int(_single_kernel(*arguments))


def _shape(strategy: Strategy) -> tuple[Layout | None, Any]:
    """Return the layout of a strategy's state (None for a function) and what its code reads."""
    if isinstance(strategy, FunctionStrategy):
        kinds = tuple(type(value) for value in strategy.params.values())
        return None, (strategy.function, kinds, _frozen(_reads(strategy.function)))
    instance: Any = strategy.instance()
    layout = describe(instance)
    functions = [
        found
        for cls in _classes(instance)
        for base in cls.__mro__
        for found in vars(base).values()
        if isinstance(found, (python_types.FunctionType, property))
    ]
    return layout, _frozen(read for function in functions for read in _reads(function))


def _classes(thing: Any) -> Iterator[type]:
    yield type(thing)
    for value in attributes(thing).values():
        if hasattr(value, "__slots__") or hasattr(value, "__dict__"):
            yield from _classes(value)


def _reads(function: Any) -> Iterator[tuple[Any, ...]]:
    """Yield a function's code and every global that it reads, helpers and their globals too.

    numba takes globals for constants, so a changed one asks for a new compilation.
    """
    if isinstance(function, property):
        function = function.fget
    if not isinstance(function, python_types.FunctionType):
        return
    yield (function.__code__,)
    values = {name: function.__globals__.get(name) for name in function.__code__.co_names}
    for cell, name in zip(function.__closure__ or (), function.__code__.co_freevars, strict=True):
        values[name] = cell.cell_contents
    for name, value in values.items():
        if isinstance(value, python_types.FunctionType) and value is not function:
            yield from _reads(value)
        elif value is not None:
            yield name, value


def _frozen(reads: Any) -> tuple[Any, ...]:
    return tuple(
        tuple(
            x if isinstance(x, (bool, int, float, str, python_types.CodeType)) else id(x) for x in r
        )
        for r in reads
    )


def _compile(strategy: Strategy, layout: Layout | None) -> NativeStrategy:
    from mdkit.backtesting import kernels

    try:
        if isinstance(strategy, FunctionStrategy):
            params = tuple(strategy.params.values())
            return NativeStrategy(kernels.function_kernel(strategy.function, params), None)
        assert layout is not None
        wider: dict[tuple[type, str], Kind] = {}
        while True:
            kernel, more = kernels.instance_kernel(layout)
            if not more:
                return NativeStrategy(kernel, layout)
            wider |= more
            layout = describe(strategy.instance(), wider)
    except CannotCompile:
        raise
    except Exception as error:
        # numba raises errors of many kinds, some of them not its own.
        raise CannotCompile(kernels.reason(error)) from error
