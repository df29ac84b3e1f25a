"""What `verify` finds: traces of outputs and state, compared bit by bit and told."""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mdkit.backtesting.compiled.layout import same


@dataclass(frozen=True)
class Difference:
    """Where an engine first differed from the Python engine, and how.

    `number` counts the symbol's own events from 0; `what` is "output" or the dotted name of a
    part of the state, compared after that event.
    """

    engine: str
    symbol: str
    number: int
    what: str
    expected: Any
    got: Any

    def __str__(self) -> str:
        return (
            f"{self.engine} differs on event {self.number:,} of {self.symbol}: {self.what} is "
            f"{_exact(self.got)}, in Python {_exact(self.expected)}"
        )


@dataclass(frozen=True)
class Verification:
    """The outcome of `verify`; true in a condition when every engine agreed.

    Attributes:
        strategy: what ran.
        engines: those that were compared.
        skipped: those that could not run, with the reason.
        events: how many events each engine saw.
        outputs: how many of them were answered.
        digest: SHA-256 over every output and the final state, in hexadecimal: the same wherever
            the same strategy sees the same events. Note it down to see later, after a change or
            on another machine, whether anything came out otherwise.
        difference: the first one found, or None.
        warnings: what `lint` says.
    """

    strategy: str
    engines: tuple[str, ...]
    skipped: dict[str, str]
    events: int
    outputs: int
    digest: str
    difference: Difference | None
    warnings: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.difference is None

    def __str__(self) -> str:
        told = [
            f"{self.strategy}: {' = '.join(self.engines)}, to the last bit, over "
            f"{self.events:,} events, {self.outputs:,} answers.\n"
            f"sha256 {self.digest[:16]} of answers and state: the same on every machine and in "
            "every version where this strategy says the same of these events"
            if self
            else f"{self.strategy}: {self.difference}"
        ]
        told += [f"{engine} not compared: {why}" for engine, why in self.skipped.items()]
        told += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(told)

    __repr__ = __str__


@dataclass
class Trace:
    """What one symbol's instance said, and its state at the end."""

    outputs: list[float | None]
    state: dict[str, Any]


def digest(traces: Iterable[tuple[str, Trace]]) -> str:
    """Return SHA-256 over symbols, outputs and states; every number as its eight bytes."""
    found = hashlib.sha256()
    for symbol, trace in traces:
        found.update(symbol.encode() + b"\0")
        for value in (*trace.outputs, *itertools.chain(*trace.state.items())):
            if value is None:
                found.update(b"none")
            elif isinstance(value, (int, float)) and abs(value) < 2**53:
                found.update(struct.pack("<d", value))
            elif value != value:
                found.update(b"nan")
            elif isinstance(value, int):
                found.update(f"{value:x}".encode())  # decimal digits are limited, and slow
            else:
                found.update(repr(value).encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def compare(engine: str, expected: dict[str, Trace], found: dict[str, Trace]) -> Difference | None:
    """Return where an engine's traces first differ from the expected ones, or None."""
    for symbol, trace in expected.items():
        other = found.get(symbol, Trace([], {}))
        for number, (one, two) in enumerate(
            itertools.zip_longest(trace.outputs, other.outputs, fillvalue="nothing")
        ):
            if not same(one, two):
                return Difference(engine, symbol, number, "output", one, two)
        told = state_difference(trace.state, other.state)
        if told:
            return Difference(engine, symbol, len(trace.outputs) - 1, *told)
    return None


def state_difference(
    expected: dict[str, Any], found: dict[str, Any]
) -> tuple[str, Any, Any] | None:
    """Return the first part of a state that differs, as (name, expected, found), or None."""
    for name in dict.fromkeys((*expected, *found)):
        one, two = expected.get(name, "missing"), found.get(name, "missing")
        if not same(one, two):
            return name, one, two
    return None


def _plain(value: Any) -> Any:
    """Return NumPy's numbers as Python's, which print as numbers and not as calls."""
    if isinstance(value, list | tuple | set | frozenset) and type(value).__module__ == "builtins":
        return type(value)(map(_plain, value))
    if type(value) is dict:
        return {_plain(key): _plain(item) for key, item in value.items()}
    is_number = type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0
    return value.item() if is_number else value


def _exact(value: Any) -> str:
    value = _plain(value)
    if isinstance(value, float):
        return f"{value!r} ({value.hex()})"
    if isinstance(value, int) and abs(value) >= 10**30:
        return f"a whole number of {value.bit_length():,} bits, 0x...{value & (2**64 - 1):016x}"
    return repr(value)
