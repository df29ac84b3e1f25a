"""Where a float of compiled code may be a whole number in Python.

Python keeps whole numbers whole: after `total = 0` and `total += x` in one branch, `total` may be
either. Compiled code has one type for each variable, here a float. As long as such a value meets
floats alone, the bits are the same; among whole numbers they need not be (`-0` is 0, `-0.0` is
not; beyond 2**53 floats have gaps). So the check of each function notes how values flow, and
when all is compiled, `check` looks whether a whole number reaches a place where that matters.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from mdkit.backtesting.compiled.layout import CannotCompile, Kind

Node = tuple[Any, ...]
"""A place that holds a float: a variable, an attribute, an argument, a result, or any item."""
ITEMS: Node = ("items",)
"""What lists, arrays and tuples hold, of all of them together."""


class Flow:
    """How floats flow through the functions of one strategy, and what attributes must hold."""

    def __init__(self) -> None:
        self.wider: dict[tuple[type, str], Kind] = {}
        """Attributes that need another kind than what they start with gives them."""
        self._whole: set[Node] = set()
        self._to: dict[Node, set[Node]] = defaultdict(set)
        self._uses: list[tuple[tuple[Node | None, ...], str]] = []

    def whole(self, node: Node) -> None:
        """Note that a place receives whole numbers."""
        self._whole.add(node)

    def copy(self, origin: Node, target: Node) -> None:
        """Note that what one place holds reaches another."""
        self._to[origin].add(target)

    def use(self, nodes: tuple[Node | None, ...], where: str) -> None:
        """Note arithmetic that differs where all its operands are whole; None is one that is."""
        self._uses.append((nodes, where))

    def check(self) -> None:
        """Raise `CannotCompile` where a float that may be whole takes part in such arithmetic."""
        reached: set[Node] = set()
        waiting = list(self._whole)
        while waiting:
            node = waiting.pop()
            if node not in reached:
                reached.add(node)
                waiting.extend(self._to[node])
        for nodes, where in self._uses:
            if all(node is None or node in reached for node in nodes):
                raise CannotCompile(
                    f"{where} is a whole number at one time and a float at another; write its "
                    "whole numbers as floats, such as 0.0"
                )
