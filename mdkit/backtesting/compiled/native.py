"""The native engine: a strategy's own code, compiled by numba.

The same object that runs live is compiled as it is: types are read off a started instance,
methods translated one by one, no fastmath. Nothing is rewritten, so nothing can differ. The
first run of a strategy takes about a second; what was compiled is kept while the process lives
and found again by the strategy's code, the types of its state and the globals that it reads.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from mdkit.backtesting.account.fills import Account
from mdkit.backtesting.compiled.checks.reads import Reads
from mdkit.backtesting.compiled.layout import (
    CannotCompile,
    Kind,
    Layout,
    Memory,
    check_own,
    code_of,
    describe,
    is_numbers,
    texts,
)
from mdkit.extras import install_hint
from mdkit.strategies.contract import FunctionStrategy, InstanceStrategy, Strategy

Floats = npt.NDArray[np.float64]
Events = Literal["bar", "depth"]
"""What a strategy's compiled loop goes through."""
_FLOATS = ("float", "maybe")
_KEPT = 64
_PARAMETERS = (bool, int, float, str)
_compiled: OrderedDict[str, NativeStrategy] = OrderedDict()
_single_kernel: Any = None
_account_kernels: dict[str, tuple[Layout, Any]] = {}
"""Compiled accounts, and the layout that each was compiled for."""


class NativeError(CannotCompile):
    """Compiled code failed while it ran."""


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
    kinds: tuple[str, ...] = ()
    """The types of a function's parameters."""

    def start(self, strategy: Strategy) -> Any:
        """Return a fresh state for this strategy, perhaps with other parameters.

        A `Memory`, or a function's parameters. Raises `CannotCompile` when the strategy needs
        code of its own, because its parameters or its state are of other types.
        """
        if self.layout is None:
            if _kinds(strategy) != self.kinds:
                raise CannotCompile("its parameters are of other types")
            return _parameters(strategy)
        return Memory(self.layout, strategy.instance())

    def answer(
        self, state: Any, levels: Floats, which: Any, books: Sequence[Any], answers: Sequence[Any]
    ) -> int:
        """Write the answers to the books of numbers `which`; the state goes along.

        `levels` are of shape (n, 2); the other columns are those of `depth.loops`. Returns the
        number of an event to which nan was said, else -1. Raises whatever the strategy raises; the
        state is then that before.
        """
        levels = np.ascontiguousarray(levels)
        handle = state.address if isinstance(state, Memory) else state
        return int(self.kernel(handle, levels.ctypes.data, which, *books, *answers))

    def run(self, state: Any, bars: Columns, begin: int, end: int, signals: Floats) -> int:
        """Write the signals of bars [begin, end), nan for None; the state goes along.

        Returns the index of a bar on which nan was returned, else -1. Raises whatever the
        strategy raises; the state is then that before `begin`.
        """
        handle = state.address if isinstance(state, Memory) else state
        return int(self.kernel(handle, *bars, begin, end, signals))


def compile_strategy(strategy: Strategy, on: Events = "bar") -> NativeStrategy:
    """Return a strategy's compiled form; raise `CannotCompile` with the reason if there is none."""
    _check(strategy)
    layout, key = _read(strategy, on)
    if key not in _compiled:
        _compiled[key] = _load(key, strategy, layout, on) or _compile(key, strategy, layout, on)
        if len(_compiled) > _KEPT:
            _compiled.popitem(last=False)
    _compiled.move_to_end(key)
    return _compiled[key]


def need_numba() -> None:
    """Raise `CannotCompile` where numba is not installed."""
    try:
        import numba  # noqa: F401
    except ImportError:
        raise CannotCompile(f"numba is not installed ({install_hint('numba')})") from None


def _check(strategy: Strategy) -> None:
    need_numba()
    if strategy.is_async:
        raise CannotCompile("the strategy is async")
    if not isinstance(strategy, (FunctionStrategy, InstanceStrategy)):
        raise CannotCompile("it is a plain function of a dict")


def is_compiled(strategy: Strategy, on: Events = "bar") -> bool:
    """Whether a strategy's compiled form is at hand, in memory or on disk.

    Raises `CannotCompile` where it can be told already that there is none.
    """
    _check(strategy)
    _, key = _read(strategy, on)
    if key in _compiled:
        return True
    from mdkit.backtesting.compiled import store

    return store.has(key)


def run_account(account: Account, *arguments: Any) -> bool:
    """Run `account.run(*arguments)` compiled, over flat arrays; fills go to `account.fills`."""
    return _run_account("account", account, ("count",), *arguments)


def run_bar_account(account: Any) -> bool:
    """Run a `bars.account.BarAccount` compiled, over its own arrays; return what `go` does."""
    return _run_account("bars", account, ("count",))


def run_book_account(account: Any) -> bool:
    """Run a `books.account.BookAccount` compiled, over its own arrays; return what `run` does."""
    return _run_account("books", account, ("fill_count", "order_count"))


def has_book_kernel(account: Any) -> bool:
    """Whether the code of such accounts over books is at hand, in memory or on disk."""
    if "books" in _account_kernels:
        return True
    from mdkit.backtesting.compiled import kernels, store

    return store.has(kernels.account_key("books", describe(account)))


def _run_account(which: str, account: Any, counts: tuple[str, ...], *arguments: Any) -> bool:
    """Run an account compiled, and set its counts.

    Raises `CannotCompile` where it holds what the code was not compiled for.
    """
    if which not in _account_kernels:
        from mdkit.backtesting.compiled import kernels

        layout = describe(account)
        _account_kernels[which] = layout, kernels.account_kernel(which, layout)
    layout, kernel = _account_kernels[which]
    memory = Memory(layout, account)
    done = bool(kernel(memory.address, *arguments))
    for name in counts:
        setattr(account, name, memory.read_one(name))
    return done


def run_single(*arguments: Any) -> int:
    """Run `fills.run_single(*arguments)` compiled."""
    global _single_kernel
    if _single_kernel is None:
        from mdkit.backtesting.compiled import kernels

        _single_kernel = kernels.single_kernel()
    return int(_single_kernel(*arguments))


def _loops(on: Events) -> tuple[Any, Any]:
    """Return what compiles the loop of a class, and that of a function, over such events."""
    if on == "bar":
        from mdkit.backtesting.compiled import kernels

        return kernels.instance_kernel, kernels.function_kernel
    from mdkit.backtesting.compiled.depth import loops

    return loops.instance_loop, loops.function_loop


def _read(strategy: Strategy, on: Events) -> tuple[Layout | None, str]:
    """Return the layout of a strategy's state (None for a function) and the key of its code.

    The key changes with whatever compiled code takes for constant: see `compiled.reads`.
    """
    reads = Reads()
    reads.note(on)
    if isinstance(strategy, FunctionStrategy):
        for value in strategy.params.values():
            if type(value) not in _PARAMETERS and not is_numbers(value):
                raise CannotCompile(f"a parameter is a {type(value).__name__}")
        reads.note(*_kinds(strategy))
        reads.function(strategy.function)
        return None, reads.digest()
    layout = describe(strategy.instance())
    _read_layout(layout, reads)
    return layout, reads.digest()


def _parameters(strategy: Strategy) -> tuple[Any, ...]:
    """Return a function's parameters as compiled code takes them."""
    from mdkit.backtesting.compiled.checks.words import Word

    values = strategy.params.values()
    return tuple(Word(value) if type(value) is str else value for value in values)


def _kinds(strategy: Strategy) -> tuple[str, ...]:
    """Return the types of a function's parameters."""
    return tuple(
        str([type(item).__name__ for item in value])
        if isinstance(value, tuple)
        else type(value).__name__
        for value in strategy.params.values()
    )


def _read_layout(layout: Layout, reads: Reads) -> None:
    reads.cls(layout.cls)
    for field in layout.fields:
        reads.note(field.name, field.kind)
        if field.kind == "object":
            _read_layout(field.detail, reads)
        else:
            reads.value(field.detail)


def _load(key: str, strategy: Strategy, layout: Layout | None, on: Events) -> NativeStrategy | None:
    """Return what an earlier process compiled, or None."""
    from mdkit.backtesting.compiled import store

    of_class, of_function = _loops(on)
    if isinstance(strategy, FunctionStrategy):
        stub = of_function(strategy.function, _parameters(strategy), stub=True)
        kept = store.load(key, stub)
        return None if kept is None else NativeStrategy(stub, None, _kinds(strategy))
    assert layout is not None
    stub, _ = of_class(layout, stub=True)
    kept = store.load(key, stub)
    if kept is None:
        return None
    named, texts = kept[1]
    for text in texts:
        code_of(text)
    classes = {_name_of(cls): cls for cls in layout.classes()}
    wider = {(classes[name], attribute): kind for (name, attribute), kind in named.items()}
    return NativeStrategy(stub, describe(strategy.instance(), wider))


def _compile(key: str, strategy: Strategy, layout: Layout | None, on: Events) -> NativeStrategy:
    from mdkit.backtesting.compiled import kernels, store

    of_class, of_function = _loops(on)
    try:
        if isinstance(strategy, FunctionStrategy):
            kernel = of_function(strategy.function, _parameters(strategy))
            store.save(key, kernel, None)
            return NativeStrategy(kernel, None, _kinds(strategy))
        assert layout is not None
        check_own(strategy.instance(), strategy.instance())
        wider: dict[tuple[type, str], Kind] = {}
        kernel, more = of_class(layout)
        while more:
            # What starts as None is settled first: others may be wider on its account alone.
            wider |= {key: kind for key, kind in more.items() if kind not in _FLOATS} or more
            layout = describe(strategy.instance(), wider)
            kernel, more = of_class(layout)
    except CannotCompile:
        raise
    except Exception as error:
        # numba raises errors of many kinds, some of them not its own.
        raise CannotCompile(kernels.reason(error)) from error
    named = {(_name_of(cls), attribute): kind for (cls, attribute), kind in wider.items()}
    store.save(key, kernel, (named, texts()))
    return NativeStrategy(kernel, layout)


def _name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
