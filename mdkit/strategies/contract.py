"""What a strategy is: one event in, one number or None out.

A strategy is written as a function (no memory) or as a class (memory in its attributes) and
marked with `@strategy("depth")`; its parameters are keywords with defaults. Whoever runs
strategies calls `as_strategy` on what the user passed, and `Strategy.instance()` once per
symbol: what comes back is called with each event. Nothing here does I/O or knows who calls.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import math
import numbers
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol, TypeVar, dataclass_transform, overload

from mdkit.errors import SettingsError, StrategyError
from mdkit.events import Event
from mdkit.strategies.parameters import (
    checked_values,
    field_parameters,
    listing,
    parameters_of,
    same_value,
    shown_defaults,
)

KINDS = ("depth", "trade", "ticker", "bar")
"""The kinds of event that a strategy can ask for."""

Per = Literal["symbol", "session"]
Value = float | None
"""What a strategy says about one event."""
Runner = Callable[[Any], Value | Awaitable[Value]]
"""What is called with each event: a bare function, a partial of one, or a started instance."""

_C = TypeVar("_C", bound=type)
_CURE = (
    'decorate your function or class with @md.strategy("depth"), '
    "or wrap a plain function of a dict with md.messages(fn)"
)


class Strategy(ABC):
    """A strategy with its parameters set, ready to be run any number of times.

    `kinds` are the events it wants; `per` says whether each symbol has an instance of its own
    or the whole session shares one; `is_async` whether calls must be awaited. A Strategy is
    immutable and holds no state, and can be pickled whenever its function or class can.
    """

    name: str
    kinds: tuple[str, ...]
    per: Per
    is_async: bool

    @property
    @abstractmethod
    def params(self) -> dict[str, Any]:
        """The values of all parameters, by name."""

    @abstractmethod
    def with_params(self, **changes: Any) -> Strategy:
        """Return a copy with some parameters changed.

        Raises `SettingsError` that lists the parameters there are when a name is unknown, and
        one that says what would fit when a value is of the wrong type.
        """

    @abstractmethod
    def instance(self) -> Runner:
        """Return a callable with fresh state, to be called with each event.

        It has an `on_gap(gap)` where the strategy defines one. Send the Strategy, not this, to
        another process.
        """

    def __repr__(self) -> str:
        return f"{self.name}({listing(self.params)})"


class FunctionStrategy(Strategy):
    """A decorated function. It can still be called: `pressure(book, levels=3)`.

    Called without an event, `pressure(levels=3)`, it is a strategy with that parameter, as
    `SmaCross(fast=5)` is.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        kinds: tuple[str, ...],
        per: Per,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.name = _name_of(function)
        self.kinds = kinds
        self.per = per
        self.is_async = is_async(function)
        self.function = function
        self._parameters = parameters_of(function, self.name)
        self._event = next(iter(inspect.signature(function).parameters))
        self._changes = {
            name: value
            for name, value in checked_values(self.name, self._parameters, changes or {}).items()
            if not same_value(value, self._parameters[name].default)
        }

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate the function on one event; keywords override the parameters.

        Without an event, return `with_params` of the keywords.
        """
        if not args and self._event not in kwargs:
            return self.with_params(**kwargs)
        return self.function(*args, **{**self._changes, **kwargs})

    @property
    def params(self) -> dict[str, Any]:
        """The values of all parameters, by name."""
        return {
            name: self._changes.get(name, parameter.default)
            for name, parameter in self._parameters.items()
        }

    def with_params(self, **changes: Any) -> FunctionStrategy:
        """Return a copy with some parameters changed; see `Strategy.with_params`."""
        return FunctionStrategy(self.function, self.kinds, self.per, {**self._changes, **changes})

    def instance(self) -> Runner:
        """Return the function, or where parameters were changed a partial of it."""
        # The bare function where possible: a partial costs every event another 50 ns.
        return functools.partial(self.function, **self._changes) if self._changes else self.function

    def __reduce__(self) -> tuple[Any, ...]:
        module, path = self.function.__module__, self.function.__qualname__
        # Decorating took the function's place in its module, so pickle would look up the name
        # and find a Strategy: send the name of that. A notebook's own functions cannot be found
        # by name elsewhere and go as they are, which cloudpickle knows how to do.
        found = _lookup(module, path)
        named = isinstance(found, FunctionStrategy) and found.function is self.function
        if named and (module != "__main__" or hasattr(sys.modules[module], "__file__")):
            return _restore, (module, path, self._changes)
        return self.by_value()

    def by_value(self) -> tuple[Any, ...]:
        """Return what `__reduce__` does, for a reader that cannot import the function."""
        return FunctionStrategy, (self.function, self.kinds, self.per, self._changes)


class InstanceStrategy(Strategy):
    """An instance of a decorated class. Runs are copies of it: it never changes itself."""

    def __init__(self, configured: Any) -> None:
        self.kinds, self.per = type(configured).__strategy__
        self.name = type(configured).__name__
        self.is_async = is_async(type(configured).__call__)
        self.configured = configured

    @property
    def params(self) -> dict[str, Any]:
        """The values of all parameters, by name."""
        names = [f.name for f in dataclasses.fields(self.configured) if f.init]
        return {name: getattr(self.configured, name) for name in names}

    def with_params(self, **changes: Any) -> InstanceStrategy:
        """Return a copy with some parameters changed; see `Strategy.with_params`."""
        return InstanceStrategy(type(self.configured)(**{**self.params, **changes}))

    def instance(self) -> Runner:
        """Return a deep copy of the configured instance, started."""
        fresh = copy.deepcopy(self.configured)
        if hasattr(fresh, "start"):
            fresh.start()
        runner: Runner = fresh
        return runner


class MessageStrategy(Strategy):
    """A plain function of a flat dict, made into a strategy by `messages`."""

    per: Per = "symbol"

    def __init__(self, function: Callable[[dict[str, Any]], Any], kinds: tuple[str, ...]) -> None:
        self.name = _name_of(function)
        self.kinds = kinds
        self.is_async = is_async(function)
        self.function = function

    def __call__(self, event: Event) -> Any:
        """Evaluate the function on one event; the result is awaitable if it is async."""
        return self.instance()(event)

    @property
    def params(self) -> dict[str, Any]:
        """Always empty: a plain function has no parameters that mdkit could vary."""
        return {}

    def with_params(self, **changes: Any) -> MessageStrategy:
        """Return this strategy; raise `SettingsError` when any parameter is given."""
        checked_values(self.name, {}, changes)
        return self

    def instance(self) -> Runner:
        """Return a callable that hands each event's dict to the function."""
        function, name = self.function, self.name

        def run(event: Event) -> Value:
            value = function(event.as_dict())
            if inspect.isawaitable(value):
                if inspect.iscoroutine(value):
                    value.close()
                raise StrategyError(
                    f"{name} returned something to await, which nobody does: pass md.messages "
                    "the async function itself, or write it with `async def`"
                )
            return _number(value)

        async def run_async(event: Event) -> Value:
            return _number(await function(event.as_dict()))

        return run_async if self.is_async else run


class _Decorator(Protocol):
    # A class is callable too, but the first overload that fits is the one that counts.
    @overload
    def __call__(self, target: _C) -> _C: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[..., Any]) -> FunctionStrategy: ...


@dataclass_transform(kw_only_default=True, eq_default=False)
def strategy(*kinds: str, per: Per = "symbol") -> _Decorator:
    """Mark a function or a class as a strategy for events of these kinds.

    A function `def pressure(book, levels=5, enter=2.0)` takes the event first; everything
    behind it is a parameter and needs a default. A class declares its parameters as annotated
    fields with defaults (`fast: int = 10`), makes its state in `start()`, is called with each
    event, and may have `on_gap(gap)`, called when events were missed. Both return a float or
    None when they have nothing to say, and may be async when run live.

    `per="session"` runs one instance over all symbols in place of one for each.
    Raises `SettingsError` when a kind is unknown or what is decorated cannot be a strategy.

    Example:
        >>> @md.strategy("depth")
        ... def tight(book, ticks=1):
        ...     return float(md.spread(book) <= 0.01 * ticks)
        >>> tight(ticks=2)
        tight(ticks=2)
        >>> result = md.backtest(tight(ticks=2), md.sample(), trade=False)
        >>> result.signals["AAPL.US"].value_counts().to_dict()
        {1.0: 695, 0.0: 60}
    """
    if not kinds or not all(isinstance(kind, str) for kind in kinds):
        raise SettingsError(
            'strategy needs the kinds of event to run on, such as @md.strategy("depth"); '
            f"the kinds are {', '.join(KINDS)}"
        )
    kinds = _checked_kinds(kinds)
    if per not in ("symbol", "session"):
        raise SettingsError(f'per is {per!r}; give "symbol" or "session"')

    def decorate(target: Any) -> Any:
        if isinstance(target, type):
            return _strategy_class(target, kinds, per)
        if not callable(target) or isinstance(target, Strategy):
            raise SettingsError(f"{target!r} is not a function or class; {_CURE}")
        return FunctionStrategy(target, kinds, per)

    return decorate


def messages(function: Callable[[dict[str, Any]], Any], *kinds: str) -> MessageStrategy:
    """Return a strategy that calls `function` with each event as a flat dict.

    For functions written against the feed's JSON, sync or async. No kinds means depth, trade
    and ticker. A real number that comes back is the signal; anything else is taken as nothing
    to say, since such functions often return what they printed or stored. The function is
    shared by all symbols; whatever it remembers is its own affair.

    Example:
        >>> best = md.messages(lambda message: message["bids"][0][0], "depth")
        >>> result = md.backtest(best, md.sample(), trade=False)
        >>> float(result.signals["MSFT.US"].max())
        655.74
    """
    if isinstance(function, Strategy) or hasattr(function, "__strategy__"):
        raise SettingsError(f"{function!r} is a strategy already; pass it without md.messages")
    if not callable(function):
        raise SettingsError(f"md.messages needs a function of a dict, not {function!r}")
    return MessageStrategy(function, _checked_kinds(kinds or KINDS[:3]))


def as_strategy(candidate: Any) -> Strategy:
    """Return what a user passed as a strategy in the one form that runs.

    Takes a Strategy, a decorated class (with its defaults) or an instance of one; anything
    else raises `SettingsError` that says how to make it a strategy.
    """
    if isinstance(candidate, Strategy):
        return candidate
    if hasattr(candidate, "__strategy__"):
        return InstanceStrategy(candidate() if isinstance(candidate, type) else candidate)
    raise SettingsError(f"{candidate!r} is not a strategy; {_CURE}")


def as_signal(value: Any, strategy_name: str) -> Value:
    """Return a strategy's result as a float or None; raise `StrategyError` if it is neither.

    Numbers of any real type are taken, NumPy scalars and infinities included. nan is an error,
    since it would silently turn every later comparison into False.
    """
    if value is None or (type(value) is float and value == value):
        return value
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            raise StrategyError(
                f"strategy {strategy_name} returned an integer too large for a float"
            ) from None
        if math.isnan(number):
            raise StrategyError(
                f"strategy {strategy_name} returned nan; return None when there is nothing to say"
            )
        return number
    if inspect.iscoroutine(value):
        value.close()
        raise StrategyError(
            f"strategy {strategy_name} returned a coroutine that nobody awaits; write the "
            "strategy itself with `async def`"
        )
    # An order is of a package above this one, and is told by the name of that.
    is_order = str(type(value).__module__).startswith("mdkit.backtesting.")
    raise StrategyError(
        f"strategy {strategy_name} returned a {type(value).__name__}; "
        "expected a real number, or None when there is nothing to say"
        f"{'; orders are for md.backtest alone, which trades' if is_order else ''}"
    )


def _strategy_class(cls: type, kinds: tuple[str, ...], per: Per) -> type:
    name = cls.__name__
    if not any("__call__" in base.__dict__ for base in cls.__mro__):
        raise SettingsError(f"strategy {name} needs a method __call__(self, event)")
    if "__init__" in cls.__dict__:
        raise SettingsError(
            f"strategy {name} has an __init__; declare its parameters as annotated fields with "
            "defaults, such as fast: int = 10, and make its state in start()"
        )
    try:
        made: Any = dataclasses.dataclass(kw_only=True, eq=False)(cls)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"strategy {name}: {error}") from None
    parameters = field_parameters(made, name)
    init = made.__init__

    @functools.wraps(init)
    def checked_init(self: Any, *args: Any, **kwargs: Any) -> None:
        if args:
            raise SettingsError(
                f"strategy {name} takes its parameters by keyword: "
                f"{name}({shown_defaults(parameters)})"
            )
        init(self, **checked_values(name, parameters, kwargs))

    made.__init__ = checked_init
    made.__strategy__ = (kinds, per)
    return cls


def _checked_kinds(kinds: tuple[str, ...]) -> tuple[str, ...]:
    for kind in kinds:
        if kind not in KINDS:
            raise SettingsError(f"unknown kind of event {kind!r}; the kinds are {', '.join(KINDS)}")
    return tuple(dict.fromkeys(kinds))


def _number(value: Any) -> Value:
    if type(value) is float:
        return value
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    return None


def is_async(function: Any) -> bool:
    """Return whether calling it gives a coroutine: a coroutine function, or an object of them."""
    # An object's __call__ is looked up on its class, as calling does.
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004 - the method itself is wanted
    )


def _name_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def _lookup(module: str, path: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _restore(module: str, path: str, changes: dict[str, Any]) -> FunctionStrategy:
    __import__(module)
    found: FunctionStrategy = _lookup(module, path)
    return found.with_params(**changes)
