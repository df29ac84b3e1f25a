"""The reference of `verify`: a strategy called with one event after the other, and what it says.

Run as a module, it does the same for a strategy and events from its standard input, see
`elsewhere`; it imports little, so that such a process starts fast.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterable
from typing import Any

from mdkit.backtesting.compiled.layout import state_of
from mdkit.backtesting.verify.verification import Trace
from mdkit.events import Event, Gap
from mdkit.strategies.contract import Strategy, as_signal


def python_traces(strategy: Strategy, events: Iterable[Any]) -> dict[str, Trace]:
    """Tell the strategy one event after the other: what every engine is compared with."""
    tap = Tap(strategy)
    calls: dict[str, Callable[[Any], Any]] = {}
    for event in events:
        kind = event.channel.partition(":")[0] if isinstance(event, Gap) else event.kind
        if kind not in strategy.kinds:
            continue
        key = key_of(strategy, event)
        if key not in calls:
            calls[key] = tap.instance()
        if not isinstance(event, Gap):
            calls[key](event)
        elif (on_gap := getattr(calls[key], "on_gap", None)) is not None:
            on_gap(event)
    return tap.traces()


def key_of(strategy: Strategy, event: Event) -> str:
    """Return the name of the instance that an event goes to: its symbol, or one for all."""
    symbol: str = event.symbol  # type: ignore[attr-defined]
    return symbol if strategy.per == "symbol" else "(session)"


class Tap(Strategy):
    """A strategy that keeps what its instances say, and the instances."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.name, self.kinds = strategy.name, strategy.kinds
        self.per, self.is_async = strategy.per, strategy.is_async
        self.taken: list[tuple[Any, list[tuple[Any, Any]]]] = []

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the strategy."""
        return self.strategy.params

    def with_params(self, **changes: Any) -> Strategy:
        """Return a copy with some parameters changed."""
        return Tap(self.strategy.with_params(**changes))

    def instance(self) -> Callable[[Any], Any]:
        """Return a fresh instance that keeps what it is told and says."""
        call = self.strategy.instance()
        said: list[tuple[Any, Any]] = []
        self.taken.append((call, said))

        def tapped(event: Any) -> Any:
            value = call(event)
            said.append((event, value))
            return value

        if hasattr(call, "on_gap"):
            tapped.on_gap = call.on_gap  # type: ignore[attr-defined]
        return tapped

    def traces(self) -> dict[str, Trace]:
        """Return what the instances said, by symbol, those never called left out."""
        found = {}
        for call, said in self.taken:
            if said:
                values = [as_signal(value, self.name) for _, value in said]
                found[key_of(self.strategy, said[0][0])] = Trace(values, state_of(call))
        return found


def _main() -> None:
    sys.path[:] = pickle.load(sys.stdin.buffer)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the strategy prints is no answer
    strategy, events = pickle.load(sys.stdin.buffer)
    found: Any
    try:
        traces = python_traces(strategy, events)
        found = {symbol: (trace.outputs, trace.state) for symbol, trace in traces.items()}
    except Exception as error:
        found = f"{strategy.name} failed with {type(error).__name__}: {error}"
    with answers:
        pickle.dump(found, answers)


if __name__ == "__main__":
    _main()
