"""Strategies made at random of what compiled code supports, and of some that it does not."""

import math

import numpy as np

from mdkit.strategies import strategy
from mdkit.strategies.indicators import EMA, SMA, RollingMax

SCALE = 1.5
STEPS = 3
MODE = "trend"
WEIGHTS = (0.25, 0.5, 2.0)
TABLE = np.array([1.0, -2.0, 0.0, 1e300])


def blend(x, y, share=0.5):
    return x * share + y * (1.0 - share)


def side(x, up="up", down="down"):
    return up if x > 0.0 else down


def count_up(n, by=1):
    return n + by


FLOATS = ("0.0", "-0.0", "1.0", "0.1", "3.0", "-2.5", "12.75", "1e-300", "1e200", "math.nan")
WHOLES = ("0", "1", "-1", "2", "3", "7", "-5", "63", "100", "9007199254740993", "2**62")
TEXTS = ('"up"', '"down"', '"flat"', "MODE")
ONE = ("sqrt", "exp", "log", "log10", "log1p", "expm1", "sin", "atan", "tanh", "fabs", "cosh")


class Maker:
    """Writes the source of one strategy; every choice comes from `choose`."""

    def __init__(self, choose):
        self.choose = choose
        self.lines = []
        self.local = {"f": ["bar.close", "bar.open"], "i": ["bar.start_ns"], "b": []}

    def pick(self, *options):
        return options[self.choose(len(options))]

    def f(self, deep):
        if deep <= 0:
            return self.pick(
                "bar.close", "bar.open", "bar.high - bar.low", "bar.volume", "self.x", "self.y",
                "self.window[0]", "self.window[-1]", "self.total", "SCALE", "self.rate",
                "TABLE[1]", "WEIGHTS[2]", "cfg.RATE", "self.LEVEL", "self.grid[1, 0]",
                "self.entry", "self.grid[0, 1]", self.pick(*FLOATS), self.pick(*self.local["f"]),
            )  # fmt: skip
        d = deep - 1
        return self.pick(
            lambda: f"({self.f(d)} {self.pick('+', '-', '*', '/')} {self.f(d)})",
            lambda: f"({self.f(d)} {self.pick('+', '-', '*', '/', '%', '//')} {self.n(d)})",
            lambda: f"({self.f(d)} ** {self.pick('2', '3', '-1', '0.5', self.f(0), '7')})",
            lambda: f"({self.i(d)} / {self.i(d)})",
            lambda: f"(-{self.f(d)})",
            lambda: f"abs({self.f(d)})",
            lambda: f"{self.pick('min', 'max')}({self.n(d)}, {self.f(d)})",
            lambda: f"max(-1, min(1, {self.f(d)}))",
            lambda: f"math.{self.pick(*ONE)}({self.n(d)})",
            lambda: f"math.{self.pick('atan2', 'copysign', 'pow')}({self.f(d)}, {self.f(d)})",
            lambda: f"({self.n(d)} if {self.b(d)} else {self.f(d)})",
            lambda: f"blend({self.f(d)}, {self.f(d)}{self.pick('', f', share={self.f(0)}')})",
            lambda: f"self.average.update({self.n(d)})",
            lambda: f"self.window[{self.i(0)} % 4]",
            lambda: f"float({self.n(d)})",
            lambda: "(self.last.close if self.last is not None else 0.5)",
            lambda: f"self.remember({self.f(d)})",
        )()

    def i(self, deep):
        if deep <= 0:
            return self.pick(
                "self.n", "self.n % 5", "STEPS", "self.steps[1]", "self.size", "self.counts[1]",
                "bar.start_ns", "len(self.window)", self.pick(*WHOLES),
                self.pick(*self.local["i"]),
            )  # fmt: skip
        d = deep - 1
        return self.pick(
            lambda: f"({self.i(d)} {self.pick('+', '-', '*', '//', '%')} {self.i(d)})",
            lambda: f"({self.i(d)} {self.pick('<< 3', '<< 40', '>> 2', '& 7', '| 8', '^ 3')})",
            lambda: f"({self.i(d)} ** {self.pick('2', '3', '0', '-1', 'self.n % 5')})",
            lambda: f"(-{self.i(d)})",
            lambda: f"abs({self.i(d)})",
            lambda: f"{self.pick('int', 'round', 'math.floor', 'math.ceil')}({self.f(d)})",
            lambda: f"{self.pick('min', 'max')}({self.i(d)}, {self.i(d)})",
            lambda: f"({self.i(d)} if {self.b(d)} else {self.i(d)})",
            lambda: f"count_up({self.i(d)}{self.pick('', f', {self.i(0)}')})",
        )()

    def n(self, deep):
        return self.pick(self.f, self.f, self.i)(deep)

    def b(self, deep):
        d = deep - 1
        return self.pick(
            lambda: f"{self.n(d)} {self.pick('<', '<=', '>', '>=', '==', '!=')} {self.n(d)}",
            lambda: f"{self.f(d)} > {self.f(d)}",
            lambda: f"self.state {self.pick('==', '!=')} {self.t()}",
            lambda: f"self.state in ({self.t()}, {self.t()})",
            lambda: f"{self.i(0)} in (1, 2, 3)",
            lambda: "self.on",
            lambda: f"not {self.b(d)}" if deep > 0 else "self.marks[1]",
            lambda: (
                f"({self.b(d)} {self.pick('and', 'or')} {self.b(d)})" if deep > 0 else "self.on"
            ),
            lambda: "self.entry is None",
            lambda: "self.since is not None",
            lambda: f"math.isnan({self.f(d)})",
            lambda: f"0.0 < {self.f(d)} <= {self.n(d)}",
        )()

    def t(self):
        return self.pick(*TEXTS, "self.state", "self.mode", f"side({self.f(0)})")

    def statement(self, indent, deep):
        pad = "    " * indent
        new = f"v{len(self.lines)}"

        def put(kind, value):
            if indent == 2:
                self.local[kind].append(new)
            return f"{new} = {value}"

        self.lines.append(
            pad
            + self.pick(
                lambda: put("f", self.f(2)),
                lambda: put("i", self.i(2)),
                lambda: f"self.x {self.pick('=', '+=', '-=', '*=')} {self.f(2)}",
                lambda: f"self.total += {self.pick(self.f(0), self.i(0))}",
                # Squared at every bar, a whole number would soon fill the memory.
                lambda: f"self.n {self.pick('+=', '-=')} {self.i(0)}",
                lambda: f"self.n = {self.i(1)} % 1009",
                lambda: f"self.on = {self.b(1)}",
                lambda: f"self.state = {self.t()}",
                lambda: f"self.entry = {self.pick('None', self.f(1), self.f(1))}",
                lambda: f"self.since = {self.pick('None', 'bar.start_ns', 'self.n')}",
                lambda: "self.last = bar",
                lambda: f"self.window[{self.i(0)} % 4] = {self.n(1)}",
                lambda: f"self.counts[{self.pick('0', '1', 'self.n % 2')}] += {self.i(0)}",
                lambda: f"self.grid[0, self.n % 3] = {self.n(1)}",
                lambda: f"self.marks[0] = {self.b(1)}",
                lambda: f"self.y = self.rolling.update({self.f(1)})",
            )()
        )
        if deep and self.choose(4) == 0:
            head = self.pick(
                lambda: f"if {self.b(2)}:",
                lambda: f"for k{indent} in range({self.pick('3', 'STEPS', 'self.n % 4')}):",
                lambda: f"for w{indent} in self.window:",
            )()
            self.lines.append(pad + head)
            for _ in range(1 + self.choose(2)):
                self.statement(indent + 1, deep - 1)

    def source(self):
        for _ in range(2 + self.choose(4)):
            self.statement(2, 2)
        last = self.pick(
            lambda: f"return {self.f(2)}",
            lambda: f"return {self.n(1)} if {self.b(1)} else None",
            lambda: f"return {self.i(1)}",
            lambda: f"if {self.b(1)}:\n            return {self.f(1)}",
        )()
        body = "\n".join([*self.lines, "        " + last])
        if self.choose(4):
            body = body.replace("        return", "        self.last = bar\n        return", 1)
        return HEAD + body + "\n"


HEAD = """
@strategy("bar")
class Made:
    size: int = 4
    rate: float = 0.75
    mode: str = "trend"
    steps: tuple = (1, 2)

    LEVEL = 0.5

    def start(self):
        self.average = SMA(2)
        self.rolling = EMA(3)
        self.x = 0.0
        self.y = 1.0
        self.total = 0
        self.n = 0
        self.on = False
        self.state = "flat"
        self.entry = None
        self.since = None
        self.last = None
        self.window = [0.0] * 4
        self.counts = [0, 1]
        self.marks = [True, False]
        self.grid = np.zeros((2, 3))

    def remember(self, value, at=1):
        self.window[at] = value
        return self.window[0] + value

    def __call__(self, bar):
        self.n += 1
"""


def made(choose):
    """Return a strategy class and its source, every choice in it made by `choose(n)`."""
    import types

    module = types.ModuleType("cfg")
    module.RATE = 0.125
    source = Maker(choose).source()
    scope = {
        "strategy": strategy, "math": math, "np": np, "SMA": SMA, "EMA": EMA, "cfg": module,
        "RollingMax": RollingMax, "SCALE": SCALE, "STEPS": STEPS, "MODE": MODE, "TABLE": TABLE,
        "WEIGHTS": WEIGHTS, "blend": blend, "side": side, "count_up": count_up,
    }  # fmt: skip
    exec(source, scope)
    return scope["Made"], source
