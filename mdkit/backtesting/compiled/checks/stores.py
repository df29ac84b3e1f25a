"""What compiled code puts where: variables, attributes, lists. Needs numba."""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

from numba.core import ir, types

from mdkit.backtesting.compiled.checks.arithmetic import exact
from mdkit.backtesting.compiled.checks.flow import ITEMS, Flow, Node
from mdkit.backtesting.compiled.checks.kinds import (
    bare_type,
    is_bar,
    is_book,
    is_bool,
    is_float,
    is_number,
    is_side,
    is_whole,
    operation,
    refuse,
    said_of,
)
from mdkit.backtesting.compiled.checks.words import WORD
from mdkit.backtesting.compiled.layout import CannotCompile

_OWN = "mdkit.strategies."
"""Where code is mdkit's own, whose counters are known to stay small."""


class Stores:
    """The part of a look at one function that is about where values go."""

    def __init__(self, state: Any) -> None:
        self.typing = state.typingctx
        self.typemap = state.typemap
        self.calltypes = state.calltypes
        self.returns = state.return_type
        self.flow: Flow = state.flow
        self.mirror = state.mirror
        self.key = state.func_id.func.__code__
        self.is_own = str(state.func_id.func.__module__).startswith(_OWN)
        self.before: list[Any] = []
        """Statements to go before the one that is looked at."""

    def kind(self, var: Any) -> Any:
        """Return a variable's type."""
        return self.typemap[var.name]

    def node(self, var: Any) -> Node:
        """Return a variable's place in the flow of values."""
        return ("variable", self.key, var.name)

    def put(self, var: Any, target: Any, node: Node, what: str, loc: Any) -> Any:
        """Let a value go where a type of `target` is held; return the variable to take for it."""
        kind = self.kind(var)
        if is_bool(kind) != is_bool(target) and is_number(kind) and is_number(target):
            raise refuse(f"{what} is True or False at one time and a number at another", loc)
        if is_float(target) and is_whole(kind):
            self.flow.whole(node)
            return self.exact(var, loc)
        if is_float(target):
            self.flow.copy(self.node(var), node)
        return var

    def exact(self, var: Any, loc: Any) -> Any:
        """Return a variable that holds a whole number as a float, checked to be that number."""
        kind = self.kind(var)
        if isinstance(kind, types.IntegerLiteral) and abs(kind.literal_value) <= 2**53:
            return var
        target = ir.Var(var.scope, f"{var.name}.exact{len(self.typemap)}", loc)
        self.typemap[target.name] = types.float64
        expr = self.operation(exact, [var], [bare_type(kind)], loc)
        self.before.append(ir.Assign(expr, target, loc))
        return target

    def set_attribute(self, statement: Any) -> None:
        """Let a value go to an attribute, or note what kind that would have to be."""
        mirror = self.kind(statement.target)
        if not isinstance(mirror, self.mirror):
            raise refuse(f"it sets an attribute of {mirror}", statement.loc)
        field, target = mirror.members[statement.attr]
        cls = mirror.layout.cls
        where = f"{cls.__name__}.{statement.attr}"
        wanted = self.wanted(field, statement.value, where, statement.loc)
        key = (cls, statement.attr)
        if wanted != field.kind:
            self.flow.wider[key] = wanted
            return
        node = ("attribute", *key)
        statement.value = self.put(statement.value, target, node, where, statement.loc)

    def wanted(self, field: Any, var: Any, where: str, loc: Any) -> str:
        """Return the kind that an attribute must have to hold a value too."""
        has, kind = field.kind, self.kind(var)
        inner = bare_type(kind)
        none = isinstance(kind, types.Optional | types.NoneType)
        if has in ("array", "object", "constant"):
            raise CannotCompile(
                f"self.{where.partition('.')[2]} is replaced by something else while it runs; "
                "only numbers, texts and the bar can be"
            )
        if none and not (has.startswith("maybe") or has == "bar"):
            raise CannotCompile(
                f"self.{where.partition('.')[2]} becomes None while it runs; let it be None in "
                "start() too"
            )
        if isinstance(kind, types.NoneType):
            return has
        if is_book(inner) or is_side(inner):
            raise refuse(f"{where} keeps {said_of(inner)}; keep its numbers", loc)
        fits = {
            "float": is_float(inner) or is_whole(inner),
            "int": is_whole(inner),
            "bool": is_bool(inner),
            "word": inner == WORD,
            "maybe": is_float(inner) or is_whole(inner),
            "maybe int": is_whole(inner),
            "maybe word": inner == WORD,
            "bar": is_bar(inner),
        }[has]
        if has == "maybe" and not field.whole:
            other = {"maybe int": is_whole(inner), "maybe word": inner == WORD}
            other["bar"] = is_bar(inner)
            for kind_of_state, is_it in other.items():
                if is_it:
                    return kind_of_state
        if fits:
            return has
        if has in ("int", "maybe int") and is_float(inner):
            return "float" if has == "int" else "maybe"
        raise refuse(f"{where} holds values of several types", loc)

    def set_item(self, statement: Any) -> None:
        """Let a number go into a list or array."""
        array = self.kind(statement.target)
        if not isinstance(array, types.Array | types.List):
            raise refuse(f"it sets an item of {array}", statement.loc)
        var = getattr(statement, "index_var", None) or statement.index
        self.index(array, var, statement.loc)
        value = self.kind(statement.value)
        if is_whole(array.dtype) and is_float(value):
            raise CannotCompile(
                "a list of whole numbers takes a float; start it with floats, as [0.0]"
            )
        if not is_number(value) or isinstance(value, types.Optional):
            raise refuse(f"it puts {value} into a list", statement.loc)
        statement.value = self.put(statement.value, array.dtype, ITEMS, "a list", statement.loc)

    def index(self, container: Any, var: Any, loc: Any) -> None:
        """Refuse all indexes but whole numbers, for arrays several of them."""
        kind = self.kind(var) if isinstance(var, ir.Var) else None
        if is_whole(kind) and not isinstance(kind, types.Optional):
            return
        several = isinstance(kind, types.BaseTuple) and len(kind) > 1
        if several and isinstance(container, types.Array) and all(map(is_whole, kind)):
            return
        raise refuse("it takes a part of a list other than by one whole number", loc)

    def replace(self, statement: Any, fn: Any, variables: list[Any], given: Any = None) -> None:
        """Put an operation of mdkit's in place of an expression."""
        kinds = [given or bare_type(self.kind(var)) for var in variables]
        statement.value = self.operation(fn, variables, kinds, statement.loc)

    def operation(self, fn: Any, variables: list[Any], kinds: list[Any], loc: Any) -> Any:
        """Return the expression of one of mdkit's operations, with its type."""
        expr = operation(fn, variables, loc)
        # Asked for by its type, numba notes which implementation to take.
        function = self.typing.resolve_value_type(fn)
        self.calltypes[expr] = function.get_call_type(self.typing, tuple(kinds), {})
        return expr
