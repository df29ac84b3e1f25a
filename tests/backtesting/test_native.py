"""Compiled strategies: the same bits as in Python, or a reason why there is no compiled form."""

import math
from collections import deque

import numpy as np
import pytest

from mdkit.backtesting.compiled import native
from mdkit.backtesting.compiled.layout import CannotCompile, Memory, describe, same, state_of
from mdkit.backtesting.engine import backtest
from mdkit.backtesting.verify.parity import verify
from mdkit.errors import SettingsError, StrategyError
from mdkit.strategies import SmaCross, as_strategy, strategy
from mdkit.strategies.indicators import INDICATORS, SMA

pytestmark = [pytest.mark.outer, pytest.mark.usefixtures("numba")]
LIMIT = 1.0


def clipped(x):
    return max(-LIMIT, min(LIMIT, x))


@strategy("bar")
def function(bar, scale=50.0, steps=3):
    total = 0.0
    for _ in range(steps):
        total += (bar.close - bar.open) / bar.open
    return clipped(scale * total)


@strategy("bar")
class Everything:
    """All that state may be: floats, ints that turn floats, bools, None, lists, arrays, tuples."""

    size: int = 5
    mode: str = "trend"
    steps: tuple = (1, 2)

    LIMIT = 0.75

    def start(self):
        self.average = SMA(self.size)
        self.total = 0
        self.seen = 0
        self.on = False
        self.entry = None
        self.window = [0.0] * self.size
        self.grid = np.zeros((2, 3))
        self.marks = [False] * 3

    @property
    def distance(self):
        return 0.0 if self.entry is None else self.window[-1] - self.entry

    def remember(self, x, at=0):
        self.window[at % self.size] = x
        self.grid[self.seen % 2, self.seen % 3] += x
        self.marks[self.seen % 3] = x > 100.0

    def __call__(self, bar):
        self.seen += 1
        self.total += bar.close - bar.open
        self.remember(bar.close, at=self.seen)
        value = self.average.update(bar.close)
        if not self.average.ready:
            return None
        if self.mode == "trend" and bar.close > value and not self.on:
            self.on = True
            self.entry = bar.close
            return self.LIMIT
        if self.on and (self.distance < -0.5 or self.seen % (self.steps[1] * 7) == 0):
            self.on = False
            self.entry = None
            return 0
        return None


@pytest.mark.parametrize("found", [function, function.with_params(steps=1), Everything(size=4)])
def test_outputs_and_all_state_have_the_same_bits(seeded_bars, found):
    checked = verify(found, seeded_bars(700, 8, volatility=0.01))
    assert checked, str(checked)
    assert checked.engines == ("python", "native", "live", "another process")
    assert checked.outputs > 50


def _body(indicators, random):
    """Return the source of a strategy made of these indicators."""
    lines = ["@strategy('bar')", "class Made:", "    def start(self):"]
    calls = []
    for number, name in enumerate(indicators):
        period = int(random.integers(2, 12))
        lines.append(f"        self.i{number} = {name}({'' if name == 'Crossover' else period})")
        given = {
            "ATR": "bar.high, bar.low, bar.close",
            "VWAP": "bar.close, bar.volume",
            "Crossover": "bar.close, bar.open",
        }.get(name, str(random.choice(["bar.close", "bar.high", "bar.close - bar.open"])))
        calls.append(f"        x{number} = self.i{number}.update({given})")
        calls.append(f"        if self.i{number}.ready:")
        sign = random.choice(["+", "-"])
        calls.append(f"            self.score {sign}= (x{number} - self.score) / 7.0")
    lines += ["        self.score = 0.0", "    def __call__(self, bar):", *calls]
    lines += ["        return self.score if bar.close > bar.open else None"]
    return "\n".join(lines)


@pytest.mark.parametrize("seed", range(4))
def test_random_strategies_have_the_same_bits_on_every_engine(seeded_bars, seed):
    random = np.random.default_rng(seed)
    names = list(INDICATORS)
    chosen = [*names[3 * seed : 3 * seed + 4], str(random.choice(names))]
    scope = {"strategy": strategy, **INDICATORS}
    exec(_body(chosen, random), scope)
    checked = verify(scope["Made"], seeded_bars(400, seed, volatility=0.01), seed=seed)
    assert checked, str(checked)
    assert "native" in checked.engines, checked.skipped


def _uses(body, **state):
    scope = {"strategy": strategy, "np": np, "deque": deque, "math": math, "SMA": SMA, **state}
    scope |= {"TABLE": {"a": 1.0}, "COMMON": [0.5]}
    exec("@strategy('bar')\nclass Odd:\n" + body, scope)
    return scope["Odd"]


CALL = "    def __call__(self, bar):\n"
STATE = "    def start(self):\n        self.w = [0.0, 0.0]\n" + CALL
REFUSED = {
    "queue": ("    def start(self):\n        self.window = deque()\n    def __call__(self, bar):\n"
              "        self.window.append(bar.close)", "window holds a deque; use a list of fixed"),
    "empty": ("    def start(self):\n        self.window = []\n    def __call__(self, bar):\n"
              "        self.window.append(bar.close)", "starts empty; give it its length"),
    "late": ("    def __call__(self, bar):\n        self.late = bar.close",
             r"Odd.late is first set while it runs; make it in start\(\)"),
    "symbol": ("    def __call__(self, bar):\n        return 1.0 if bar.symbol == 'A' else 0.0",
               "it uses bar.symbol; compiled code sees"),
    "shared": ("    def start(self):\n        self.a = SMA(3)\n        self.b = self.a\n"
               "    def __call__(self, bar):\n        self.a.update(bar.close)",
               "b and a are the same object"),
    "whole": ("    def start(self):\n        self.window = [0, 0]\n    def __call__(self, bar):\n"
              "        self.window[0] = bar.close", "list of whole numbers takes a float"),
    "replaced": ("    def start(self):\n        self.a = [0.0]\n    def __call__(self, bar):\n"
                 "        self.a = [bar.close]", "self.a is replaced by something else"),
    "none": (
        "    def start(self):\n        self.a = 0.0\n    def __call__(self, bar):\n"
        "        self.a = None",
        "self.a becomes None while it runs",
    ),
    "slice": (STATE + "        return self.w[1:][0]", "takes a slice of a list"),
    "lists": (STATE + "        return len(self.w + self.w) / 9", "uses add on a list or array"),
    "import": (CALL + "        import math\n        return math.sqrt(0.2)",
               "imports within a function; import at the top"),
    "dict": (CALL + "        return TABLE['a']",
             "reads TABLE from outside, a dict; compiled code reads numbers"),
    "fsum": (CALL + "        return math.fsum([bar.close]) * 0.0",
             "calls math.fsum, which has no compiled form; add up in a loop"),
    "sum": (CALL + "        return sum([bar.close]) * 0.0", "it calls sum"),
    "view": ("    def start(self):\n        self.view = 0.0\n" + CALL + "        self.view += 1.0",
             "an attribute called view"),
    "numpy": (CALL + "        return np.exp(-bar.close)",
              "uses numpy.exp, which has no compiled form; use math.exp"),
    "digits": (CALL + "        return round(bar.close / 1e9, 2)", "rounds to digits"),
    "caught": (CALL + "        try:\n            return 1.0 / bar.close\n"
               "        except Exception:\n            return 0.0", "it catches exceptions"),
    "unset": (CALL + "        if bar.close > 0.0:\n            x = 1.0\n        return x",
              "x may be read before it is set"),
    "static": ("    @staticmethod\n    def f(a, b=1.0):\n        return b\n" + CALL
               + "        return self.f(bar.close)", "f is a staticmethod; make it a function"),
    "length": (CALL + "        return 0.0 if bar.close > 0.0 else float(len(bar))",
               "asks for the length of a bar"),
    "item": (CALL + "        return bar[0] if bar.close < 0.0 else 0.0", "takes an item of a bar"),
    "mixed": ("    def start(self):\n        self.x = 0\n" + CALL
              + "        if bar.close > 1e9:\n            self.x = 0.5\n        return -self.x",
              "is a whole number at one time and a float at another"),
    "alias": ("    def start(self):\n        self.a = [0.0]\n        self.b = self.a\n" + CALL
              + "        return self.b[0]", "b and a are the same object"),
    "views": ("    def start(self):\n        self.a = np.zeros(3)\n        self.b = self.a[1:]\n"
              + CALL + "        return self.b[0]", "b and a are arrays over the same memory"),
    "common": ("    def start(self):\n        self.a = COMMON\n" + CALL
               + "        return self.a[0]", "a is one object that all instances share"),
    "bool": ("    def __call__(self, bar):\n        return bar.close > 1.0", "returns bool"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_compiled_says_why_and_runs_in_python(seeded_bars, what):
    body, says = REFUSED[what]
    odd = _uses(body)
    with pytest.raises(CannotCompile, match=says):
        native.compile_strategy(as_strategy(odd))
    with pytest.raises(SettingsError, match=r'cannot run natively: .*Use engine="python"'):
        backtest(odd, seeded_bars(20), engine="native")
    if what == "bool":
        with pytest.raises(StrategyError, match="returned a bool"):
            backtest(odd, seeded_bars(20))
        return
    result = backtest(odd, seeded_bars(20))
    assert result.engine == "python"


def test_an_index_beyond_a_list_raises_as_in_python(seeded_bars):
    odd = _uses(
        "    def start(self):\n        self.window = [0.0, 0.0]\n    def __call__(self, bar):\n"
        "        return self.window[5]"
    )
    with pytest.raises(StrategyError, match=r"2024-01-01T00:00:00Z: IndexError"):
        backtest(odd, seeded_bars(5), engine="native")


def test_a_changed_global_is_seen(seeded_bars, monkeypatch):
    bars = seeded_bars(50, volatility=0.05)
    before = backtest(function, bars, engine="native").signals
    monkeypatch.setitem(globals(), "LIMIT", 0.25)
    after = backtest(function, bars, engine="native").signals
    assert before.max().item() == 1.0
    assert after.max().item() == 0.25


def test_other_parameters_of_the_same_types_compile_nothing(seeded_bars):
    first = native.compile_strategy(as_strategy(SmaCross(fast=2, slow=5)))
    assert native.compile_strategy(as_strategy(SmaCross(fast=7, slow=90))) is first


def test_state_of_other_types_gets_code_of_its_own(seeded_bars):
    @strategy("bar")
    class Turning:
        use: bool = False

        def start(self):
            self.parts = [0.5] if self.use else [1, 2]

        def __call__(self, bar):
            return self.parts[0] / 2.0

    code = native.compile_strategy(as_strategy(Turning))
    with pytest.raises(CannotCompile, match="parts has another type with these parameters"):
        code.start(as_strategy(Turning(use=True)))
    assert verify(Turning(use=True), seeded_bars(20))


def test_without_numba_it_says_what_to_install(seeded_bars, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "numba", None)
    result = backtest(SmaCross, seeded_bars(50))
    assert result.engine == "python"
    assert result.engine_reason == (
        "native cannot: numba is not installed (python -m pip install numba)"
    )


def test_memory_holds_what_the_object_holds():
    instance = as_strategy(Everything(size=3)).instance()
    memory = Memory(describe(instance), instance)
    read, expected = memory.read(), state_of(instance)
    assert read.keys() == expected.keys()
    assert all(same(read[name], expected[name]) for name in read)
    twin = memory.copy()
    assert twin.address != memory.address
    assert all(same(value, read[name]) for name, value in twin.read().items())


@pytest.mark.parametrize(
    ("one", "two", "alike"),
    [(1, 1.0, True), (0.0, -0.0, False), (math.nan, -math.nan, True), (None, 0.0, False),
     (True, 1, True), (0.1 + 0.2, 0.3, False), ("a", "a", True)],
)  # fmt: skip
def test_same_means_the_same_bits(one, two, alike):
    assert same(one, two) is alike
