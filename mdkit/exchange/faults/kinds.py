"""A kind of fault: what it does, its parameters, and where it has a meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from mdkit.exchange.config import Fault
from mdkit.exchange.faults.targets import FaultTargets


class FaultKind(NamedTuple):
    """A kind of fault: what it does, its parameters with their defaults, and how.

    `wrong` says what is wrong with values of the right types; an empty text is nothing.
    `venues` are those in whose dialects it has a meaning; none: in all.
    """

    description: str
    params: dict[str, Any]
    apply: Callable[[FaultTargets, Fault, dict[str, Any]], None]
    wrong: Callable[[dict[str, Any]], str] = lambda params: ""
    venues: tuple[str, ...] = ()
