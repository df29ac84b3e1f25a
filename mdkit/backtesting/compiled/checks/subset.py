"""What of Python compiled code may use: only what is known to give the same bits as in Python.

numba compiles more of Python than it computes as Python does. So every statement of a strategy
is looked at, twice. `names`, before types are known, looks at the names that are read and
called, and turns texts into words. Here, once they are known, what stands in the tables passes,
checked arithmetic takes the place of numba's own, it is noted how values flow, and all else is
refused in a sentence. Needs numba.
"""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

import operator
from typing import Any

from numba.core import ir, types
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.typed_passes import PreLowerStripPhis
from numba.core.untyped_passes import InlineClosureLikes, ReconstructSSA

from mdkit.backtesting.compiled.checks.arithmetic import MIXED, WHOLE, neg
from mdkit.backtesting.compiled.checks.flow import ITEMS, Flow
from mdkit.backtesting.compiled.checks.functions import (
    EXTREMES,
    ONE_FLOAT,
    ONE_WHOLE,
    POWERS,
    ROUNDING,
    TWO_FLOATS,
    power,
    whole_power,
)
from mdkit.backtesting.compiled.checks.kinds import (
    NeedsWider,
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
from mdkit.backtesting.compiled.checks.names import Lengths, Names
from mdkit.backtesting.compiled.checks.sides import SideType
from mdkit.backtesting.compiled.checks.stores import Stores
from mdkit.backtesting.compiled.checks.words import WORD

_ARITHMETIC = {
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow,
}  # fmt: skip
_BITS = {operator.and_, operator.or_, operator.xor}
_COMPARISONS = set(MIXED)
_STEPS = (operator.add, operator.sub)
_INNER = ("getiter", "iternext", "pair_first", "pair_second", "exhaust_iter")
_SILENT = (ir.Del, ir.Jump, ir.StaticRaise, ir.DynamicRaise, ir.Raise, ir.Return)


def pipeline_for(flow: Flow, mirror: type, twin: Any) -> type[CompilerBase]:
    """Return the compiler that checks what it compiles; `mirror` is the type of states.

    `twin` returns the dispatcher that takes the place of a function or class, or None.
    """

    class Pipeline(CompilerBase):
        def define_pipelines(self) -> list[Any]:
            self.state.flow, self.state.mirror, self.state.twin = flow, mirror, twin
            manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
            manager.add_pass_after(Lengths, InlineClosureLikes)
            manager.add_pass_after(Names, ReconstructSSA)
            manager.add_pass_after(_Types, PreLowerStripPhis)
            manager.finalize()
            return [manager]

    return Pipeline


@register_pass(mutates_CFG=False, analysis_only=False)
class _Types(FunctionPass):
    """Looks at every statement with its types; puts checked arithmetic in place of numba's."""

    _name = "mdkit_types"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        check = _Check(state)
        for block in state.func_ir.blocks.values():
            body = []
            for statement in block.body:
                check.before = []
                check.statement(statement)
                body += [*check.before, statement]
            block.body = body
        if state.flow.wider:
            raise NeedsWider
        return True


def _is_step(one: Any, other: Any) -> bool:
    """Whether a counter goes up or down by a number that stands in the code."""
    return any(isinstance(kind, types.IntegerLiteral) for kind in (one, other))


class _Check(Stores):
    """The look at one function's statements and expressions."""

    def statement(self, statement: Any) -> None:
        if isinstance(statement, ir.Assign):
            self.assign(statement)
        elif isinstance(statement, ir.SetAttr):
            self.set_attribute(statement)
        elif isinstance(statement, ir.SetItem | ir.StaticSetItem):
            self.set_item(statement)
        elif isinstance(statement, ir.Branch):
            self.truth(statement.cond, statement.loc)
        elif isinstance(statement, ir.Return):
            self.flow.copy(self.node(statement.value), ("result", self.key))
        elif not isinstance(statement, _SILENT):
            raise refuse(f"it uses {type(statement).__name__.lower()}", statement.loc)

    def assign(self, statement: Any) -> None:
        value, target, loc = statement.value, statement.target, statement.loc
        kind = self.kind(target)
        name = getattr(target, "unversioned_name", target.name)
        if isinstance(value, ir.Var):
            statement.value = self.put(value, kind, self.node(target), name, loc)
        elif isinstance(value, ir.Arg):
            self.flow.copy(("argument", self.key, value.name), self.node(target))
        elif isinstance(value, ir.Expr):
            method = getattr(self, f"do_{value.op}", None)
            if method is None:
                if value.op not in _INNER:
                    raise refuse(f"it uses {value.op.replace('_', ' ')}", loc)
                self.flow.copy(ITEMS, self.node(target))
                if value.op == "getiter":
                    self.iterable(value)
            else:
                method(statement, value, kind)
        elif isinstance(value, ir.Yield):
            raise refuse("it has a yield", loc)

    def do_binop(self, statement: Any, expr: Any, kind: Any) -> None:
        self.operate(statement, expr, expr.fn)

    def do_inplace_binop(self, statement: Any, expr: Any, kind: Any) -> None:
        self.operate(statement, expr, expr.immutable_fn)

    def operate(self, statement: Any, expr: Any, fn: Any) -> None:
        one, other = self.kind(expr.lhs), self.kind(expr.rhs)
        nones = [isinstance(x, types.NoneType) for x in (one, other)]
        if fn in (operator.is_, operator.is_not) and any(nones):
            return
        if fn in (operator.eq, operator.ne) and bare_type(one) == WORD and bare_type(other) == WORD:
            return
        if fn is operator.contains:
            if isinstance(one, types.BaseTuple) and (
                all(x == WORD for x in (*one, other)) or all(is_whole(x) for x in (*one, other))
            ):
                return
        elif is_number(one) and is_number(other):
            self.numbers(statement, expr, fn, one, other)
            return
        symbol = getattr(fn, "__name__", str(fn)).strip("_")
        raise refuse(f"it uses {symbol} on {said_of(one)} and {said_of(other)}", expr.loc)

    def numbers(self, statement: Any, expr: Any, fn: Any, one: Any, other: Any) -> None:
        wholes = is_whole(one) and is_whole(other)
        bools = is_bool(one) or is_bool(other)
        if fn in _COMPARISONS:
            if (is_whole(one) and is_float(other)) or (is_float(one) and is_whole(other)):
                self.replace(statement, MIXED[fn], [expr.lhs, expr.rhs])
            return
        if fn in _BITS and (wholes or (is_bool(one) and is_bool(other))):
            return
        if (bools and fn not in (operator.add, operator.sub, operator.mul)) or (
            is_bool(one) and is_bool(other)
        ):
            raise refuse("it computes with True and False", expr.loc)
        if fn in POWERS:
            operation = whole_power if wholes else power
            if is_float(self.kind(statement.target)) and wholes:
                raise refuse("it raises whole numbers to a negative power", expr.loc)
            self.replace(statement, operation, [expr.lhs, expr.rhs])
            self.both(expr, one, other)
        elif self.is_own and wholes and fn in _STEPS and _is_step(one, other):
            return
        elif fn in WHOLE and (wholes or (bools and not (is_float(one) or is_float(other)))):
            self.replace(statement, WHOLE[fn], [expr.lhs, expr.rhs], types.int64)
        elif fn in _ARITHMETIC and not bools:
            self.both(expr, one, other)
        elif not (fn in _ARITHMETIC and bools):
            raise refuse(f"it uses {getattr(fn, '__name__', fn)} on floats", expr.loc)

    def both(self, expr: Any, one: Any, other: Any) -> None:
        """Note arithmetic of a float with what may be whole, or is."""
        nodes = tuple(
            None if is_whole(kind) else self.node(var)
            for kind, var in ((one, expr.lhs), (other, expr.rhs))
        )
        if nodes != (None, None):
            self.flow.use(nodes, f"an operand in line {expr.loc.line}")

    def do_unary(self, statement: Any, expr: Any, kind: Any) -> None:
        inner = self.kind(expr.value)
        fn = expr.fn
        if fn is operator.not_:
            self.truth(expr.value, expr.loc)
        elif fn is operator.neg and is_whole(inner):
            self.replace(statement, neg, [expr.value])
        elif fn is operator.neg and is_float(inner):
            self.flow.use((self.node(expr.value),), f"what is negated in line {expr.loc.line}")
        elif fn is operator.pos and (is_whole(inner) or is_float(inner)):
            self.flow.copy(self.node(expr.value), self.node(statement.target))
        elif not (fn is operator.invert and is_whole(inner)):
            raise refuse(f"it uses {getattr(fn, '__name__', fn)} on {said_of(inner)}", expr.loc)

    def truth(self, var: Any, loc: Any) -> None:
        kind = self.kind(var)
        if not (is_number(kind) or is_side(kind) or isinstance(kind, types.NoneType)):
            raise refuse(f"it asks whether {said_of(kind)} is true", loc)

    def do_cast(self, statement: Any, expr: Any, kind: Any) -> None:
        node = self.node(statement.target)
        expr.value = self.put(expr.value, kind, node, "what it returns", statement.loc)

    def do_phi(self, statement: Any, expr: Any, kind: Any) -> None:
        for var in expr.incoming_values:
            self.put(var, kind, self.node(statement.target), "a value", statement.loc)

    def do_getattr(self, statement: Any, expr: Any, kind: Any) -> None:
        owner = self.kind(expr.value)
        inner = bare_type(owner)
        if isinstance(owner, self.mirror):
            if expr.attr in owner.members:
                field = owner.members[expr.attr][0]
                node = ("attribute", owner.layout.cls, expr.attr)
                if field.whole:
                    self.flow.whole(node)
                self.flow.copy(node, self.node(statement.target))
            elif (getter := owner.getter(expr.attr)) is not None:
                key = getter.py_func.__code__
                self.flow.copy(("result", key), self.node(statement.target))
        elif isinstance(owner, types.List) and expr.attr == "append":
            pass
        elif not (is_bar(inner) or is_book(inner) or isinstance(owner, types.Module)):
            raise refuse(f"it uses {expr.attr} of {said_of(owner)}", expr.loc)

    def do_getitem(self, statement: Any, expr: Any, kind: Any) -> None:
        self.item(statement, expr, expr.index)

    def do_static_getitem(self, statement: Any, expr: Any, kind: Any) -> None:
        if expr.index_var is not None:
            self.item(statement, expr, expr.index_var)
        else:  # a tuple that is taken apart
            self.item(statement, expr, None)

    def item(self, statement: Any, expr: Any, index: Any) -> None:
        container = self.kind(expr.value)
        part = index is not None and isinstance(self.kind(index), types.SliceType)
        if part and not is_side(container):
            raise refuse(
                "it takes a slice of a list; go through its items by their numbers", expr.loc
            )
        if part:
            return
        if is_bar(bare_type(container)) or not isinstance(
            container, types.Array | types.List | types.BaseTuple | SideType
        ):
            raise refuse(f"it takes an item of {said_of(container)}", expr.loc)
        if index is not None:
            self.index(container, index, expr.loc)
        self.flow.copy(ITEMS, self.node(statement.target))

    def iterable(self, expr: Any) -> None:
        kind = self.kind(expr.value)
        if is_bar(bare_type(kind)) or (isinstance(kind, types.Array) and kind.ndim != 1):
            raise refuse(f"it goes through {said_of(kind)}", expr.loc)

    def do_build_tuple(self, statement: Any, expr: Any, kind: Any) -> None:
        for var in expr.items:
            self.flow.copy(self.node(var), ITEMS)

    def do_build_list(self, statement: Any, expr: Any, kind: Any) -> None:
        for number, var in enumerate(expr.items):
            if not is_number(self.kind(var)):
                raise refuse(f"it makes a list of {said_of(self.kind(var))}", expr.loc)
            expr.items[number] = self.put(var, kind.dtype, ITEMS, "a list", expr.loc)

    def do_call(self, statement: Any, expr: Any, kind: Any) -> None:
        function = self.kind(expr.func)
        if isinstance(function, types.Dispatcher):
            self.helper(statement, expr, function.dispatcher, [])
        elif isinstance(function, types.BoundFunction):
            owner = function.this
            name = function.template.key[1] if isinstance(owner, self.mirror) else ""
            if name:
                self.helper(statement, expr, owner.method(name), [None])
            else:
                self.append(expr, owner)
        elif isinstance(function, types.ExceptionClass):
            pass
        else:
            self.builtin(statement, expr, getattr(function, "typing_key", function), kind)

    def append(self, expr: Any, owner: Any) -> None:
        if not isinstance(owner, types.List) or len(expr.args) != 1:
            raise refuse(f"it calls a method of {said_of(owner)}", expr.loc)
        kind = self.kind(expr.args[0])
        if not is_number(kind) or isinstance(kind, types.Optional):
            raise refuse(f"it puts {said_of(kind)} into a list", expr.loc)
        expr.args = [self.put(expr.args[0], owner.dtype, ITEMS, "a list", expr.loc)]

    def helper(self, statement: Any, expr: Any, dispatcher: Any, before: list[Any]) -> None:
        """Note what goes into a function of the user's own, and what comes out."""
        key = dispatcher.py_func.__code__
        names = key.co_varnames[: key.co_argcount + key.co_kwonlyargcount]
        given = [*zip(names[len(before) :], expr.args, strict=False), *expr.kws]
        if expr.vararg is not None or expr.varkwarg is not None:
            raise refuse("it calls a function with * or **", expr.loc)
        for name, var in given:
            self.flow.copy(self.node(var), ("argument", key, name))
        self.flow.copy(("result", key), self.node(statement.target))

    def builtin(self, statement: Any, expr: Any, function: Any, kind: Any) -> None:
        if isinstance(function, types.NumberClass):
            function = float if isinstance(function.dtype, types.Float) else int
        arguments, loc = expr.args, expr.loc
        kinds = [self.kind(var) for var in arguments]
        if expr.kws or expr.vararg is not None:
            raise refuse("it calls a function of Python's by keyword or with *", loc)
        if function is bool and len(kinds) == 1:
            self.truth(arguments[0], loc)
        elif function in (range, len, enumerate, zip):
            pass
        elif function is slice:
            if len(kinds) != 2 or not all(
                is_whole(kind) or isinstance(kind, types.NoneType) for kind in kinds
            ):
                raise refuse("it takes a slice in steps, or by other than whole numbers", loc)
        elif (
            function in EXTREMES
            and len(kinds) == 1
            and isinstance(kinds[0], types.Array | types.List)
        ):
            if (isinstance(kinds[0], types.Array) and kinds[0].ndim != 1) or is_bool(
                kinds[0].dtype
            ):
                raise refuse(f"it calls {function.__name__} on an array of several rows", loc)
            self.replace(statement, EXTREMES[function], arguments)
            self.flow.copy(ITEMS, self.node(statement.target))
        elif function in (min, max) and len(kinds) > 1 and all(map(is_number, kinds)):
            for number, var in enumerate(arguments):
                node = self.node(statement.target)
                arguments[number] = self.put(var, kind, node, f"{function.__name__}()", loc)
        elif function is float and len(kinds) == 1 and is_number(kinds[0]):
            pass
        elif function is abs and len(kinds) == 1 and is_float(kinds[0]):
            self.flow.copy(self.node(arguments[0]), self.node(statement.target))
        elif function in ONE_WHOLE and len(kinds) == 1 and is_whole(kinds[0]):
            self.replace(statement, ONE_WHOLE[function], arguments)
        elif function in ROUNDING and len(kinds) == 1 and is_whole(kinds[0]):
            statement.value = arguments[0]
        elif function in ROUNDING and len(kinds) == 1 and is_float(kinds[0]):
            self.replace(statement, ONE_FLOAT[function], arguments)
        elif function is pow and len(kinds) == 2:
            self.operate(statement, operation(operator.pow, arguments, loc), operator.pow)
        elif function in ONE_FLOAT and len(kinds) == 1 and is_number(kinds[0]):
            self.replace(statement, ONE_FLOAT[function], arguments, types.float64)
        elif function in TWO_FLOATS and len(kinds) == 2 and all(map(is_number, kinds)):
            self.replace(statement, TWO_FLOATS[function], arguments, types.float64)
        else:
            name = getattr(function, "__name__", str(function))
            said = " and ".join(map(said_of, kinds)) or "nothing"
            raise refuse(f"it calls {name} on {said}, which has no compiled form", loc)
