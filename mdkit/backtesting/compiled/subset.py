"""What of Python compiled code may use: only what is known to give the same bits as in Python.

numba compiles more of Python than it computes as Python does. So every statement of a strategy
is looked at, twice. `_Names`, before types are known, looks at the names that are read and
called, and turns texts into words. `_Types`, once they are known, lets pass what stands in its
tables, puts checked arithmetic in place of numba's own, notes how values flow, and refuses all
else in a sentence. Needs numba.
"""

# numba's own types say little about what it takes, and differ between its versions.
# mypy: ignore-errors

from __future__ import annotations

import math
import operator
import types as python_types
from typing import Any

import numpy as np
from numba.core import ir, types
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.typed_passes import PreLowerStripPhis
from numba.core.untyped_passes import InlineClosureLikes, ReconstructSSA

from mdkit.backtesting.compiled.arithmetic import MIXED, WHOLE, exact, neg
from mdkit.backtesting.compiled.flow import ITEMS, Flow, Node
from mdkit.backtesting.compiled.functions import (
    EXTREMES,
    ONE_FLOAT,
    ONE_WHOLE,
    POWERS,
    ROUNDING,
    TWO_FLOATS,
    power,
    whole_power,
)
from mdkit.backtesting.compiled.words import WORD, Word
from mdkit.backtesting.layout import BarRow, CannotCompile

_PLAIN_CALLS = (range, len, enumerate, zip, min, max, abs, float, bool)
_CALLED = {*_PLAIN_CALLS, *ONE_FLOAT, *TWO_FLOATS, pow}
_CURES = {
    "slice": "it takes a slice of a list; go through its items by their numbers",
    "str": "it makes a text while it runs",
    "math.fsum": "it calls math.fsum, which has no compiled form; add up in a loop",
    "sum": "it calls sum, which adds up differently from Python to Python; add up in a loop",
    "print": "it calls print, which has no compiled form",
}
_ARITHMETIC = {
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow,
}  # fmt: skip
_BITS = {operator.and_, operator.or_, operator.xor}
_SHIFTS = {operator.lshift, operator.rshift}
_COMPARISONS = set(MIXED)
_INNER = ("getiter", "iternext", "pair_first", "pair_second", "exhaust_iter")
_SILENT = (ir.Del, ir.Jump, ir.StaticRaise, ir.DynamicRaise, ir.Raise, ir.Return)


class NeedsWider(Exception):  # noqa: N818 - asks for another attempt
    """An attribute needs another kind, which is noted in the flow; compile again."""


def pipeline_for(flow: Flow, mirror: type) -> type[CompilerBase]:
    """Return the compiler that checks what it compiles; `mirror` is the type of states."""

    class Pipeline(CompilerBase):
        def define_pipelines(self) -> list[Any]:
            self.state.flow, self.state.mirror = flow, mirror
            manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
            manager.add_pass_after(_Lengths, InlineClosureLikes)
            manager.add_pass_after(_Names, ReconstructSSA)
            manager.add_pass_after(_Types, PreLowerStripPhis)
            manager.finalize()
            return [manager]

    return Pipeline


def _refuse(what: str, loc: Any) -> CannotCompile:
    return CannotCompile(f"{what} (line {loc.line})")


@register_pass(mutates_CFG=False, analysis_only=True)
class _Lengths(FunctionPass):
    """Refuses the length of a bar, which to numba is a tuple of constant length."""

    _name = "mdkit_lengths"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        for block in state.func_ir.blocks.values():
            for call in block.find_exprs("call"):
                if _definition(state, call.func) is not len or len(call.args) != 1:
                    continue
                value = _definition(state, call.args[0])
                if isinstance(value, ir.Arg) and _is_bar(_inner(state.args[value.index])):
                    raise _refuse("it asks for the length of a bar", call.loc)
        return False


@register_pass(mutates_CFG=False, analysis_only=False)
class _Names(FunctionPass):
    """Looks at what a function reads and calls by name; turns texts into words."""

    _name = "mdkit_names"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        if state.func_ir.is_generator:
            raise _refuse("it has a yield", state.func_ir.loc)
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
                raise _refuse(f"{name} may be read before it is set", loc)
        elif isinstance(value, ir.Expr) and value.op == "call":
            _check_call(state, value)
        elif isinstance(value, ir.Expr) and value.op == "getattr":
            _check_module(state, value)


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
        raise _refuse(_CURES.get(name, f"it uses {name}, which has no compiled form"), loc)
    if "try_block" in value.name:
        raise _refuse("it catches exceptions", loc)
    article = "an" if kind.__name__[0] in "aeiou" else "a"
    raise _refuse(
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
        raise _refuse(f"there is no {name}", expr.loc)
    return getattr(owner, expr.attr), name


def _check_module(state: Any, expr: Any) -> None:
    member = _member(state, expr)
    if member is None:
        return
    value, name = member
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
    raise _refuse(_CURES.get(name, f"it uses {name}, which has no compiled form{cure}"), expr.loc)


def _check_call(state: Any, expr: Any) -> None:
    called = _definition(state, expr.func)
    if called is round and len(expr.args) + len(expr.kws) > 1:
        raise _refuse("it rounds to digits, which compiled code does in another way", expr.loc)
    if called is float and any(
        type(_definition(state, arg)) in (str, Word) for arg in expr.args
    ):  # float("inf")
        raise _refuse("it turns a text into a number; use math.inf or math.nan", expr.loc)


def _kind_of_state(state: Any, statement: Any) -> None:
    """Note an attribute that starts as None and becomes a bar or a text."""
    owner = _definition(state, statement.target)
    if not isinstance(owner, ir.Arg) or not isinstance(state.args[owner.index], state.mirror):
        return
    mirror = state.args[owner.index]
    if statement.attr not in mirror.members:
        name = mirror.layout.cls.__name__
        raise _refuse(
            f"{name}.{statement.attr} is first set while it runs; make it in start()",
            statement.loc,
        )
    field = mirror.members[statement.attr][0]
    value = _definition(state, statement.value)
    key = (mirror.layout.cls, statement.attr)
    if field.kind == "maybe":
        if isinstance(value, ir.Arg) and _is_bar(state.args[value.index]):
            state.flow.wider[key] = "bar"
        elif type(value) in (str, Word):
            state.flow.wider[key] = "maybe word"


def _is_bar(kind: Any) -> bool:
    return isinstance(kind, types.NamedTuple) and kind.instance_class is BarRow


def _inner(kind: Any) -> Any:
    kind = kind.type if isinstance(kind, types.Optional) else kind
    return types.unliteral(kind)


def _is_float(kind: Any) -> bool:
    return isinstance(_inner(kind), types.Float)


def _is_whole(kind: Any) -> bool:
    return isinstance(_inner(kind), types.Integer)


def _is_bool(kind: Any) -> bool:
    return isinstance(_inner(kind), types.Boolean)


def _is_number(kind: Any) -> bool:
    return _is_float(kind) or _is_whole(kind) or _is_bool(kind)


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


class _Check:
    """The look at one function's statements."""

    def __init__(self, state: Any) -> None:
        self.typing = state.typingctx
        self.typemap = state.typemap
        self.calltypes = state.calltypes
        self.returns = state.return_type
        self.flow: Flow = state.flow
        self.mirror = state.mirror
        self.key = state.func_id.func.__code__
        self.before: list[Any] = []
        """Statements to go before the one that is looked at."""

    def kind(self, var: Any) -> Any:
        return self.typemap[var.name]

    def node(self, var: Any) -> Node:
        return ("variable", self.key, var.name)

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
            raise _refuse(f"it uses {type(statement).__name__.lower()}", statement.loc)

    # What values are put where.

    def put(self, var: Any, target: Any, node: Node, what: str, loc: Any) -> Any:
        """Let a value go where a type of `target` is held; return the variable to take for it."""
        kind = self.kind(var)
        if _is_bool(kind) != _is_bool(target) and _is_number(kind) and _is_number(target):
            raise _refuse(f"{what} is True or False at one time and a number at another", loc)
        if _is_float(target) and _is_whole(kind):
            self.flow.whole(node)
            return self.exact(var, loc)
        if _is_float(target):
            self.flow.copy(self.node(var), node)
        return var

    def exact(self, var: Any, loc: Any) -> Any:
        """Return a variable that holds a whole number as a float, checked to be that number."""
        kind = self.kind(var)
        if isinstance(kind, types.IntegerLiteral) and abs(kind.literal_value) <= 2**53:
            return var
        target = ir.Var(var.scope, f"{var.name}.exact{len(self.typemap)}", loc)
        self.typemap[target.name] = types.float64
        expr = self.operation(exact, [var], [_inner(kind)], loc)
        self.before.append(ir.Assign(expr, target, loc))
        return target

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
                    raise _refuse(f"it uses {value.op.replace('_', ' ')}", loc)
                self.flow.copy(ITEMS, self.node(target))
                if value.op == "getiter":
                    self.iterable(value)
            else:
                method(statement, value, kind)
        elif isinstance(value, ir.Yield):
            raise _refuse("it has a yield", loc)

    def set_attribute(self, statement: Any) -> None:
        mirror = self.kind(statement.target)
        if not isinstance(mirror, self.mirror):
            raise _refuse(f"it sets an attribute of {mirror}", statement.loc)
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
        inner = _inner(kind)
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
        fits = {
            "float": _is_float(inner) or _is_whole(inner),
            "int": _is_whole(inner),
            "bool": _is_bool(inner),
            "word": inner == WORD,
            "maybe": _is_float(inner) or _is_whole(inner),
            "maybe int": _is_whole(inner),
            "maybe word": inner == WORD,
            "bar": _is_bar(inner),
        }[has]
        if has == "maybe" and not field.whole:
            other = {"maybe int": _is_whole(inner), "maybe word": inner == WORD}
            other["bar"] = _is_bar(inner)
            for kind_of_state, is_it in other.items():
                if is_it:
                    return kind_of_state
        if fits:
            return has
        if has in ("int", "maybe int") and _is_float(inner):
            return "float" if has == "int" else "maybe"
        raise _refuse(f"{where} holds values of several types", loc)

    def set_item(self, statement: Any) -> None:
        array = self.kind(statement.target)
        if not isinstance(array, types.Array | types.List):
            raise _refuse(f"it sets an item of {array}", statement.loc)
        var = getattr(statement, "index_var", None) or statement.index
        self.index(array, var, statement.loc)
        value = self.kind(statement.value)
        if _is_whole(array.dtype) and _is_float(value):
            raise CannotCompile(
                "a list of whole numbers takes a float; start it with floats, as [0.0]"
            )
        if not _is_number(value) or isinstance(value, types.Optional):
            raise _refuse(f"it puts {value} into a list", statement.loc)
        statement.value = self.put(statement.value, array.dtype, ITEMS, "a list", statement.loc)

    def index(self, container: Any, var: Any, loc: Any) -> None:
        """Refuse all indexes but whole numbers, for arrays several of them."""
        kind = self.kind(var) if isinstance(var, ir.Var) else None
        if _is_whole(kind) and not isinstance(kind, types.Optional):
            return
        several = isinstance(kind, types.BaseTuple) and len(kind) > 1
        if several and isinstance(container, types.Array) and all(map(_is_whole, kind)):
            return
        raise _refuse("it takes a part of a list other than by one whole number", loc)

    # Expressions.

    def do_binop(self, statement: Any, expr: Any, kind: Any) -> None:
        self.operate(statement, expr, expr.fn)

    def do_inplace_binop(self, statement: Any, expr: Any, kind: Any) -> None:
        self.operate(statement, expr, expr.immutable_fn)

    def operate(self, statement: Any, expr: Any, fn: Any) -> None:
        one, other = self.kind(expr.lhs), self.kind(expr.rhs)
        nones = [isinstance(x, types.NoneType) for x in (one, other)]
        if fn in (operator.is_, operator.is_not) and any(nones):
            return
        if fn in (operator.eq, operator.ne) and _inner(one) == WORD and _inner(other) == WORD:
            return
        if fn is operator.contains:
            if isinstance(one, types.BaseTuple) and (
                all(x == WORD for x in (*one, other)) or all(_is_whole(x) for x in (*one, other))
            ):
                return
        elif _is_number(one) and _is_number(other):
            self.numbers(statement, expr, fn, one, other)
            return
        symbol = getattr(fn, "__name__", str(fn)).strip("_")
        raise _refuse(f"it uses {symbol} on {_said(one)} and {_said(other)}", expr.loc)

    def numbers(self, statement: Any, expr: Any, fn: Any, one: Any, other: Any) -> None:
        wholes = _is_whole(one) and _is_whole(other)
        bools = _is_bool(one) or _is_bool(other)
        if fn in _COMPARISONS:
            if (_is_whole(one) and _is_float(other)) or (_is_float(one) and _is_whole(other)):
                self.replace(statement, MIXED[fn], [expr.lhs, expr.rhs])
            return
        if fn in _BITS and (wholes or (_is_bool(one) and _is_bool(other))):
            return
        if (bools and fn not in (operator.add, operator.sub, operator.mul)) or (
            _is_bool(one) and _is_bool(other)
        ):
            raise _refuse("it computes with True and False", expr.loc)
        if fn in POWERS:
            operation = whole_power if wholes else power
            if _is_float(self.kind(statement.target)) and wholes:
                raise _refuse("it raises whole numbers to a negative power", expr.loc)
            self.replace(statement, operation, [expr.lhs, expr.rhs])
            self.both(expr, one, other)
        elif fn in WHOLE and (wholes or (bools and not (_is_float(one) or _is_float(other)))):
            self.replace(statement, WHOLE[fn], [expr.lhs, expr.rhs], types.int64)
        elif fn in _ARITHMETIC and not bools:
            self.both(expr, one, other)
        elif not (fn in _ARITHMETIC and bools):
            raise _refuse(f"it uses {getattr(fn, '__name__', fn)} on floats", expr.loc)

    def both(self, expr: Any, one: Any, other: Any) -> None:
        """Note arithmetic of a float with what may be whole, or is."""
        nodes = tuple(
            None if _is_whole(kind) else self.node(var)
            for kind, var in ((one, expr.lhs), (other, expr.rhs))
        )
        if nodes != (None, None):
            self.flow.use(nodes, f"an operand in line {expr.loc.line}")

    def replace(self, statement: Any, fn: Any, variables: list[Any], given: Any = None) -> None:
        """Put an operation of mdkit's in place of an expression."""
        kinds = [given or _inner(self.kind(var)) for var in variables]
        statement.value = self.operation(fn, variables, kinds, statement.loc)

    def operation(self, fn: Any, variables: list[Any], kinds: list[Any], loc: Any) -> Any:
        """Return the expression of one of mdkit's operations, with its type."""
        expr = _operation(fn, variables, loc)
        # Asked for by its type, numba notes which implementation to take.
        function = self.typing.resolve_value_type(fn)
        self.calltypes[expr] = function.get_call_type(self.typing, tuple(kinds), {})
        return expr

    def do_unary(self, statement: Any, expr: Any, kind: Any) -> None:
        inner = self.kind(expr.value)
        fn = expr.fn
        if fn is operator.not_:
            self.truth(expr.value, expr.loc)
        elif fn is operator.neg and _is_whole(inner):
            self.replace(statement, neg, [expr.value])
        elif fn is operator.neg and _is_float(inner):
            self.flow.use((self.node(expr.value),), f"what is negated in line {expr.loc.line}")
        elif fn is operator.pos and (_is_whole(inner) or _is_float(inner)):
            self.flow.copy(self.node(expr.value), self.node(statement.target))
        elif not (fn is operator.invert and _is_whole(inner)):
            raise _refuse(f"it uses {getattr(fn, '__name__', fn)} on {_said(inner)}", expr.loc)

    def truth(self, var: Any, loc: Any) -> None:
        kind = self.kind(var)
        if not (_is_number(kind) or isinstance(kind, types.NoneType)):
            raise _refuse(f"it asks whether {_said(kind)} is true", loc)

    def do_cast(self, statement: Any, expr: Any, kind: Any) -> None:
        node = self.node(statement.target)
        expr.value = self.put(expr.value, kind, node, "what it returns", statement.loc)

    def do_phi(self, statement: Any, expr: Any, kind: Any) -> None:
        for var in expr.incoming_values:
            self.put(var, kind, self.node(statement.target), "a value", statement.loc)

    def do_getattr(self, statement: Any, expr: Any, kind: Any) -> None:
        owner = self.kind(expr.value)
        inner = _inner(owner)
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
        elif not (_is_bar(inner) or isinstance(owner, types.Module)):
            raise _refuse(f"it uses {expr.attr} of {_said(owner)}", expr.loc)

    def do_getitem(self, statement: Any, expr: Any, kind: Any) -> None:
        self.item(statement, expr, expr.index)

    def do_static_getitem(self, statement: Any, expr: Any, kind: Any) -> None:
        if expr.index_var is not None:
            self.item(statement, expr, expr.index_var)
        else:  # a tuple that is taken apart
            self.item(statement, expr, None)

    def item(self, statement: Any, expr: Any, index: Any) -> None:
        container = self.kind(expr.value)
        if _is_bar(_inner(container)) or not isinstance(
            container, types.Array | types.List | types.BaseTuple
        ):
            raise _refuse(f"it takes an item of {_said(container)}", expr.loc)
        if index is not None:
            self.index(container, index, expr.loc)
        self.flow.copy(ITEMS, self.node(statement.target))

    def iterable(self, expr: Any) -> None:
        kind = self.kind(expr.value)
        if _is_bar(_inner(kind)) or (isinstance(kind, types.Array) and kind.ndim != 1):
            raise _refuse(f"it goes through {_said(kind)}", expr.loc)

    def do_build_tuple(self, statement: Any, expr: Any, kind: Any) -> None:
        for var in expr.items:
            self.flow.copy(self.node(var), ITEMS)

    def do_build_list(self, statement: Any, expr: Any, kind: Any) -> None:
        for number, var in enumerate(expr.items):
            if not _is_number(self.kind(var)):
                raise _refuse(f"it makes a list of {_said(self.kind(var))}", expr.loc)
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
            raise _refuse(f"it calls a method of {_said(owner)}", expr.loc)
        kind = self.kind(expr.args[0])
        if not _is_number(kind) or isinstance(kind, types.Optional):
            raise _refuse(f"it puts {_said(kind)} into a list", expr.loc)
        expr.args = [self.put(expr.args[0], owner.dtype, ITEMS, "a list", expr.loc)]

    def helper(self, statement: Any, expr: Any, dispatcher: Any, before: list[Any]) -> None:
        """Note what goes into a function of the user's own, and what comes out."""
        key = dispatcher.py_func.__code__
        names = key.co_varnames[: key.co_argcount + key.co_kwonlyargcount]
        given = [*zip(names[len(before) :], expr.args, strict=False), *expr.kws]
        if expr.vararg is not None or expr.varkwarg is not None:
            raise _refuse("it calls a function with * or **", expr.loc)
        for name, var in given:
            self.flow.copy(self.node(var), ("argument", key, name))
        self.flow.copy(("result", key), self.node(statement.target))

    def builtin(self, statement: Any, expr: Any, function: Any, kind: Any) -> None:
        if isinstance(function, types.NumberClass):
            function = float if isinstance(function.dtype, types.Float) else int
        arguments, loc = expr.args, expr.loc
        kinds = [self.kind(var) for var in arguments]
        if expr.kws or expr.vararg is not None:
            raise _refuse("it calls a function of Python's by keyword or with *", loc)
        if function is bool and len(kinds) == 1:
            self.truth(arguments[0], loc)
        elif function in (range, len, enumerate, zip):
            pass
        elif (
            function in EXTREMES
            and len(kinds) == 1
            and isinstance(kinds[0], types.Array | types.List)
        ):
            if (isinstance(kinds[0], types.Array) and kinds[0].ndim != 1) or _is_bool(
                kinds[0].dtype
            ):
                raise _refuse(f"it calls {function.__name__} on an array of several rows", loc)
            self.replace(statement, EXTREMES[function], arguments)
            self.flow.copy(ITEMS, self.node(statement.target))
        elif function in (min, max) and len(kinds) > 1 and all(map(_is_number, kinds)):
            for number, var in enumerate(arguments):
                node = self.node(statement.target)
                arguments[number] = self.put(var, kind, node, f"{function.__name__}()", loc)
        elif function is float and len(kinds) == 1 and _is_number(kinds[0]):
            pass
        elif function is abs and len(kinds) == 1 and _is_float(kinds[0]):
            self.flow.copy(self.node(arguments[0]), self.node(statement.target))
        elif function in ONE_WHOLE and len(kinds) == 1 and _is_whole(kinds[0]):
            self.replace(statement, ONE_WHOLE[function], arguments)
        elif function in ROUNDING and len(kinds) == 1 and _is_whole(kinds[0]):
            statement.value = arguments[0]
        elif function in ROUNDING and len(kinds) == 1 and _is_float(kinds[0]):
            self.replace(statement, ONE_FLOAT[function], arguments)
        elif function is pow and len(kinds) == 2:
            self.operate(statement, _operation(operator.pow, arguments, loc), operator.pow)
        elif function in ONE_FLOAT and len(kinds) == 1 and _is_number(kinds[0]):
            self.replace(statement, ONE_FLOAT[function], arguments, types.float64)
        elif function in TWO_FLOATS and len(kinds) == 2 and all(map(_is_number, kinds)):
            self.replace(statement, TWO_FLOATS[function], arguments, types.float64)
        else:
            name = getattr(function, "__name__", str(function))
            said = " and ".join(map(_said, kinds)) or "nothing"
            raise _refuse(f"it calls {name} on {said}, which has no compiled form", loc)


def _operation(fn: Any, variables: list[Any], loc: Any) -> Any:
    """Return the expression of an operator on one variable or two."""
    if len(variables) == 1:
        return ir.Expr("unary", loc, fn=fn, value=variables[0])
    one, other = variables
    none = ir.UNDEFINED
    return ir.Expr("binop", loc, fn=fn, lhs=one, rhs=other, static_lhs=none, static_rhs=none)


def _said(kind: Any) -> str:
    """Return a type in a user's words."""
    inner = _inner(kind)
    for test, words in (
        (_is_bool, "True or False"), (_is_whole, "a whole number"), (_is_float, "a float"),
        (_is_bar, "a bar"),
    ):  # fmt: skip
        if test(inner):
            return words + (" or None" if isinstance(kind, types.Optional) else "")
    if isinstance(inner, types.Array | types.List):
        return "a list or array"
    if isinstance(inner, types.BaseTuple):
        return "a tuple"
    return str(inner) if inner != WORD else "a text"
