"""Warnings about code that is known to give other bits on another engine, or in another run."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Sequence
from typing import Any

from mdkit.backtesting.compiled.checks.free_variables import outside
from mdkit.strategies.contract import FunctionStrategy, InstanceStrategy, as_strategy

_REDUCTIONS = ("sum", "mean", "std", "var", "dot", "prod", "average", "cumsum", "nansum", "nanmean")
_TRANSCENDENTAL = ("pow", "exp", "log", "sin", "cos", "tan", "tanh", "log10", "log2", "fsum")


def lint(strategy: Any) -> tuple[str, ...]:
    """Return a sentence for each thing in a strategy's source that may differ between engines.

    Looks for `**`, `sum()`, NumPy reductions, the functions of `math` that are not rounded
    exactly, pandas rolling windows and fastmath; and for what is read from outside, see
    `outside`. It reads code only, so it can miss things and it can warn of what does no harm;
    `verify` measures.
    """
    chosen = as_strategy(strategy)
    if isinstance(chosen, InstanceStrategy):
        target: Any = type(chosen.configured)
    elif isinstance(chosen, FunctionStrategy):
        target = chosen.function
    else:
        return ()
    found: list[str] = []
    sources: Sequence[Any] = (target,)
    if isinstance(target, type):
        sources = [cls for cls in target.__mro__[:-1] if cls.__module__ != "abc"]
    for source in sources:
        try:
            lines, first = inspect.getsourcelines(source)
            tree = ast.parse(textwrap.dedent("".join(lines)))
        except (OSError, TypeError, SyntaxError):
            continue
        for node in ast.walk(tree):
            told = _warning(node)
            if told:
                found.append(f"line {first + node.lineno - 1}: {told}")  # type: ignore[attr-defined]
    root = str(target.__module__).partition(".")[0]
    functions = [x for source in sources for x in _functions(source)]
    found += outside(functions, root)
    return tuple(dict.fromkeys(found))


def _functions(source: Any) -> list[Any]:
    if not isinstance(source, type):
        return [source]
    # What Python and dataclasses add is not the user's.
    return [x for name, x in vars(source).items() if name == "__call__" or name[:2] != "__"]


def _warning(node: ast.AST) -> str:
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Pow):
        return "** is computed differently by engines; multiply, or use math.sqrt"
    if isinstance(node, ast.keyword) and node.arg == "fastmath":
        return "fastmath lets the compiler reorder sums"
    if not isinstance(node, ast.Call):
        return ""
    name = node.func
    if isinstance(name, ast.Name) and name.id == "sum":
        return "sum() compensates rounding from Python 3.12 on; add up in a loop"
    if isinstance(name, ast.Name) and name.id == "pow":
        return "pow() is computed differently by engines; multiply"
    if isinstance(name, ast.Attribute):
        owner = name.value
        if name.attr == "rolling":
            return "pandas' rolling windows depend on where the data begin; use an indicator"
        if isinstance(owner, ast.Name) and owner.id == "math":
            if name.attr in _TRANSCENDENTAL:
                return f"math.{name.attr} may differ in the last bit between platforms and engines"
            return ""
        if name.attr in _REDUCTIONS:
            return f"{name.attr} adds up in an order of its own in NumPy; add up in a loop"
    return ""
