"""What compiled code reads from outside of a strategy is read as it is now."""

import types

import numpy as np
import pytest

from mdkit.backtesting.engine import backtest
from mdkit.strategies import strategy

pytestmark = [pytest.mark.outer, pytest.mark.usefixtures("numba")]

HELPERS = """
def scaled(x, k=1.0):
    return x * k
def named(x, *, k=1.0):
    return x * k
def inner(x):
    return x
def outer(x):
    return inner(x)
"""
READS = {
    "class attribute": (
        "class Odd:\n    level = 1.0\n    def __call__(self, bar):\n        return self.level",
        "Odd.level = 5.0",
    ),
    "text on the class": (
        "class Odd:\n    word = 'a'\n    def __call__(self, bar):\n"
        "        return 1.0 if self.word == 'a' else 5.0",
        "Odd.word = 'b'",
    ),
    "method": (
        "class Odd:\n    def f(self):\n        return 1.0\n    def __call__(self, bar):\n"
        "        return self.f()",
        "Odd.f = lambda self: 5.0",
    ),
    "property": (
        "class Odd:\n    p = property(lambda self: 1.0)\n    def __call__(self, bar):\n"
        "        return self.p",
        "Odd.p = property(lambda self: 5.0)",
    ),
    "module": ("def Odd(bar):\n    return cfg.K", "cfg.K = 5.0"),
    "module in a module": ("def Odd(bar):\n    return top.cfg.K", "cfg.K = 5.0"),
    "second attribute of a module": (
        "def Odd(bar):\n    return cfg.K * other(cfg.K)\ndef other(x):\n    return x * cfg.L",
        "cfg.L = 5.0",
    ),
    "array": ("def Odd(bar):\n    return TABLE[0]", "TABLE[0] = 5.0"),
    "tuple": ("def Odd(bar):\n    return PAIR[0]", "PAIR = (5.0, 1.0)"),
    "kind of a number": ("def Odd(bar):\n    return 7 // NUMBER / 7", "NUMBER = 1.5"),
    "default": ("def Odd(bar):\n    return scaled(1.0)", "scaled.__defaults__ = (5.0,)"),
    "named default": (
        "def Odd(bar):\n    return named(1.0)",
        "named.__kwdefaults__ = {'k': 5.0}",
    ),
    "helper of a helper": (
        "def Odd(bar):\n    return outer(1.0)",
        "inner.__code__ = (lambda x: x * 5.0).__code__",
    ),
    "comprehension": (
        "def Odd(bar):\n    total = 0.0\n    for x in [y * H for y in (1.0,)]:\n"
        "        total += x\n    return total",
        "H = 5.0",
    ),
    "nested function": (
        "def Odd(bar):\n    def f(x):\n        return x * H\n    return f(1.0)",
        "H = 5.0",
    ),
    "closed over": (
        "def Odd(bar):\n    return kept()\n"
        "def make():\n    k = 1.0\n    def change(x):\n        nonlocal k\n        k = x\n"
        "    def kept():\n        return k\n    return kept, change\nkept, change = make()",
        "change(5.0)",
    ),
}


def said(scope, bars, engine):
    return backtest(scope["Odd"], bars, engine=engine, trade=False).signals.iloc[:, 0].tolist()


@pytest.mark.parametrize("what", READS)
def test_a_change_is_seen_by_the_next_run(seeded_bars, what):
    body, change = READS[what]
    cfg, top = types.ModuleType("cfg"), types.ModuleType("top")
    cfg.K = cfg.L = 1.0
    top.cfg = cfg
    scope = {"strategy": strategy, "cfg": cfg, "top": top, "H": 1.0, "NUMBER": 1}
    scope |= {"TABLE": np.array([1.0, 2.0]), "PAIR": (1.0, 2.0)}
    exec(HELPERS + "@strategy('bar')\n" + body, scope)
    bars = seeded_bars(5)
    engine = "auto" if what == "named default" else "native"  # which numba cannot compile
    assert said(scope, bars, engine) == [1.0] * 5
    exec(change, scope)
    after = said(scope, bars, "python")
    assert after != [1.0] * 5
    assert said(scope, bars, engine) == after
