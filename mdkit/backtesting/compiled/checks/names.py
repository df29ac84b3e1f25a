"""What a strategy reads and calls by name: the first look, before types are known. Needs numba."""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

import math
import types as python_types
from typing import Any

import numpy as np
from numba.core import ir
from numba.core.compiler_machinery import FunctionPass, register_pass

from mdkit.backtesting.compiled.checks.functions import ONE_FLOAT, TWO_FLOATS
from mdkit.backtesting.compiled.checks.kinds import NeedsWider, bare_type, is_bar, refuse
from mdkit.backtesting.compiled.checks.words import Word
from mdkit.backtesting.compiled.layout import BarRow

_PLAIN_CALLS = (range, len, enumerate, zip, min, max, abs, float, bool, slice)
_CALLED = {*_PLAIN_CALLS, *ONE_FLOAT, *TWO_FLOATS, pow}
_CURES = {
    "str": "it makes a text while it runs",
    "math.fsum": "it calls math.fsum, which has no compiled form; add up in a loop",
    "sum": "it calls sum, which adds up differently from Python to Python; add up in a loop",
    "print": "it calls print, which has no compiled form",
}


@register_pass(mutates_CFG=False, analysis_only=True)
class Lengths(FunctionPass):
    """Refuses the length of a bar, which to numba is a tuple of constant length."""

    _name = "mdkit_lengths"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Look at one function's calls."""
        for block in state.func_ir.blocks.values():
            for call in block.find_exprs("call"):
                if _definition(state, call.func) is not len or len(call.args) != 1:
                    continue
                value = _definition(state, call.args[0])
                if isinstance(value, ir.Arg) and is_bar(bare_type(state.args[value.index])):
                    raise refuse("it asks for the length of a bar", call.loc)
        return False


@register_pass(mutates_CFG=False, analysis_only=False)
class Names(FunctionPass):
    """Looks at what a function reads and calls by name; turns texts into words."""

    _name = "mdkit_names"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Look at one function's statements; return that they may have changed."""
        if state.func_ir.is_generator:
            raise refuse("it has a yield", state.func_ir.loc)
        for block in state.func_ir.blocks.values():
            for statement in block.body:
                if isinstance(statement, ir.SetAttr):
                    _kind_of_state(state, statement)
                if isinstance(statement, ir.Assign):
                    self._look_at(state, statement)
        if state.flow.wider:
            raise NeedsWider
        return True

    def _look_at(self, state: Any, statement: Any) -> None:
        value, loc = statement.value, statement.loc
        if isinstance(value, ir.Const) and type(value.value) is str:
            statement.value = ir.Const(Word(value.value), loc)
        elif isinstance(value, ir.Global | ir.FreeVar):
            if type(value.value) is str:
                statement.value = ir.Const(Word(value.value), loc)
            else:
                _check_global(value, loc)
        elif isinstance(value, ir.Expr) and value.op == "phi":
            if any(x is ir.UNDEFINED for x in value.incoming_values):
                name = statement.target.unversioned_name
                raise refuse(f"{name} may be read before it is set", loc)
        elif isinstance(value, ir.Expr) and value.op == "call":
            _check_call(state, value)
        elif isinstance(value, ir.Expr) and value.op == "getattr":
            member = _member(state, value)
            twin = None if member is None else state.twin(member[0])
            if twin is not None:
                statement.value = ir.Global(member[1], twin, loc)
            elif member is not None:
                _check_member(*member, loc)


def _check_global(value: Any, loc: Any) -> None:
    kind = type(value.value)
    if value.value is None or kind in (bool, int, float, np.ndarray, Word):
        return
    if isinstance(value.value, python_types.ModuleType | BaseException):
        return
    if isinstance(value.value, type) and issubclass(value.value, BaseException):
        return
    if kind is tuple and all(type(item) in (bool, int, float) for item in value.value):
        return
    if hasattr(value.value, "py_func") or value.value is BarRow:
        return
    if isinstance(value.value, type | python_types.BuiltinFunctionType):
        if value.value in _CALLED:
            return
        name = value.value.__name__
        raise refuse(_CURES.get(name, f"it uses {name}, which has no compiled form"), loc)
    if "try_block" in value.name:
        raise refuse("it catches exceptions", loc)
    article = "an" if kind.__name__[0] in "aeiou" else "a"
    raise refuse(
        f"it reads {value.name} from outside, {article} {kind.__name__}; compiled code reads "
        "numbers, texts, tuples of numbers and arrays",
        loc,
    )


def _definition(state: Any, var: Any) -> Any:
    """Return what a variable is set to, where that is one thing, followed through copies."""
    try:
        found = state.func_ir.get_definition(var)
    except KeyError:
        return None
    return found.value if isinstance(found, ir.Const | ir.Global | ir.FreeVar) else found


def _member(state: Any, expr: Any) -> tuple[Any, str] | None:
    """Return what an attribute of a module is, and its whole name; None for other attributes."""
    owner = _definition(state, expr.value)
    if isinstance(owner, ir.Expr) and owner.op == "getattr":
        above = _member(state, owner)
        owner = None if above is None else above[0]
    if not isinstance(owner, python_types.ModuleType):
        return None
    name = f"{owner.__name__}.{expr.attr}"
    if not hasattr(owner, expr.attr):
        raise refuse(f"there is no {name}", expr.loc)
    return getattr(owner, expr.attr), name


def _check_member(value: Any, name: str, loc: Any) -> None:
    """Refuse an attribute of a module that compiled code does not have."""
    if isinstance(value, python_types.ModuleType) or type(value) in (bool, int, float, np.ndarray):
        return
    try:
        if value in _CALLED:
            return
    except TypeError:
        pass
    cure = ""
    plain = name.rpartition(".")[2]
    if name.startswith("numpy") and getattr(math, plain, None) in _CALLED:
        cure = f"; use math.{plain}"
    raise refuse(_CURES.get(name, f"it uses {name}, which has no compiled form{cure}"), loc)


def _check_call(state: Any, expr: Any) -> None:
    called = _definition(state, expr.func)
    if called is round and len(expr.args) + len(expr.kws) > 1:
        raise refuse("it rounds to digits, which compiled code does in another way", expr.loc)
    if called is float and any(
        type(_definition(state, arg)) in (str, Word) for arg in expr.args
    ):  # float("inf")
        raise refuse("it turns a text into a number; use math.inf or math.nan", expr.loc)


def _kind_of_state(state: Any, statement: Any) -> None:
    """Note an attribute that starts as None and becomes a bar or a text."""
    owner = _definition(state, statement.target)
    if not isinstance(owner, ir.Arg) or not isinstance(state.args[owner.index], state.mirror):
        return
    mirror = state.args[owner.index]
    if statement.attr not in mirror.members:
        name = mirror.layout.cls.__name__
        raise refuse(
            f"{name}.{statement.attr} is first set while it runs; make it in start()",
            statement.loc,
        )
    field = mirror.members[statement.attr][0]
    value = _definition(state, statement.value)
    key = (mirror.layout.cls, statement.attr)
    if field.kind == "maybe":
        if isinstance(value, ir.Arg) and is_bar(state.args[value.index]):
            state.flow.wider[key] = "bar"
        elif type(value) in (str, Word):
            state.flow.wider[key] = "maybe word"
