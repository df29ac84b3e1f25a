"""Numbers of compiled code are Python's, to the last bit, or the run is handed to Python."""

import pytest

from mdkit.backtesting.engine import backtest
from mdkit.backtesting.verify.parity import verify
from mdkit.errors import StrategyError
from mdkit.strategies import strategy

pytestmark = [pytest.mark.outer, pytest.mark.usefixtures("numba")]

RETURNS = {
    "sum of times": "float((self.n * bar.start_ns + self.n) % 7) / 7.0",
    "product": "float((self.n + 3) * 4611686018427387904 % 7) / 7.0",
    "shift": "(3 << (self.n + 62)) % 1000 / 1000.0",
    "negative power": "2 ** -(self.n + 2)",
    "power": "float((self.n + 3) ** 60 % 7) / 7.0",
    "whole of a float": "float(int(bar.close * 1e30) % 7) / 7.0",
    "rounded": "float(round(bar.close * 1e30) % 7) / 7.0",
    "floor": "float(math.floor(bar.close * 1e30) % 7) / 7.0",
    "largest negative": "1.0 if -(-9223372036854775807 - self.n) > 0 else -1.0",
    "absolute": "1.0 if abs(-9223372036854775807 - self.n) > 0 else -1.0",
    "compared": "1.0 if bar.start_ns + 1 > float(bar.start_ns) else 0.0",
    "divided": "(bar.start_ns * 3 + 1) / (bar.start_ns * 3) - 1.0",
    "kept as a float": "1.0 if (bar.start_ns + 1 if bar.close > 0 else 0.5) % 2.0 == 1 else 0.0",
    "least of a time": "min(bar.start_ns + 1, 1.8e18) % 10.0 / 10.0",
    "root": "math.sqrt(bar.volume - 2.0)",
    "logarithm": "math.log(bar.volume - bar.volume)",
    "logarithm of less": "math.log1p(-bar.volume)",
    "exponential": "math.exp(bar.close * 1000.0) * 0.0",
    "sine": "math.asin(bar.close)",
    "hyperbolic": "math.cosh(bar.close * 100.0) * 0.0",
    "complex": "(bar.volume - 2.0) ** 0.5",
    "zero to minus one": "(bar.volume - bar.volume) ** -1.0",
    "large power": "(bar.close * 1e200) ** 2.0 * 0.0",
    "math.pow": "math.pow(bar.volume - 2.0, 0.5)",
    "floor of nan": "float(math.floor(bar.close * math.nan))",
    "zero": "bar.close / (bar.volume - bar.volume)",
    "rest": "bar.close % (bar.volume - bar.volume)",
    "no such item": "self.w[self.n + 9]",
    "zeros": "math.copysign(1.0, min(0.0, -0.0)) * math.copysign(0.5, max(-0.0, 0.0))",
    "squares": "bar.close ** 2 / 1e9",
    "cubes": "bar.close ** 3 / 1e9",
    "powers": "bar.close ** 0.3 / 1e9",
    "remainders": "(bar.close * 1e9 % 7.3 + -bar.close % 0.7) / 10.0",
    "whole quotients": "((-7 - self.n) // 3 + (-7 % 3) + bar.close // 0.3) / 1000.0",
}


def made(body):
    import math

    import numpy as np

    scope = {"strategy": strategy, "math": math, "np": np}
    exec("@strategy('bar')\nclass Odd:\n" + body, scope)
    return scope["Odd"]


def said(chosen, bars, engine):
    try:
        return backtest(chosen, bars, engine=engine, trade=False).signals.iloc[:, 0].tolist()
    except StrategyError:
        return "StrategyError"


@pytest.mark.parametrize("what", RETURNS)
def test_a_number_is_pythons(seeded_bars, what):
    odd = made(
        "    def start(self):\n        self.n = 0\n        self.w = [0.0, 1.0]\n"
        f"    def __call__(self, bar):\n        self.n += 1\n        return {RETURNS[what]}\n"
    )
    bars = seeded_bars(20, volatility=0.01)
    bars["volume"] = 1.0
    assert said(odd, bars, "auto") == said(odd, bars, "python")


STATES = {
    "the last bar": (
        "    def start(self):\n        self.last = None\n    def __call__(self, bar):\n"
        "        up = self.last is not None and bar.close > self.last.close\n"
        "        self.last = bar\n        return 1.0 if up else 0.0"
    ),
    "texts": (
        "    state: str = 'flat'\n    def start(self):\n        self.why = None\n"
        "    def __call__(self, bar):\n"
        "        self.state = 'long' if bar.close > bar.open else 'flat'\n"
        "        if self.state == 'long' and self.why != 'rose':\n            self.why = 'rose'\n"
        "            return 1.0\n        return 0.0 if self.state in ('flat', 'out') else None"
    ),
    "the time of entry": (
        "    def start(self):\n        self.since = None\n    def __call__(self, bar):\n"
        "        if self.since is None:\n            self.since = bar.start_ns\n"
        "        return (bar.start_ns - self.since) / 60_000_000_000 / 1000.0"
    ),
    "extremes of a list": (
        "    def start(self):\n        self.w = [0.0] * 5\n        self.n = 0\n"
        "    def __call__(self, bar):\n        self.w[self.n % 5] = bar.close\n"
        "        self.n += 1\n        return (max(self.w) - min(self.w)) / 1000.0"
    ),
}


@pytest.mark.parametrize("what", STATES)
def test_common_states_compile(seeded_bars, what):
    checked = verify(made(STATES[what]), seeded_bars(50, volatility=0.01))
    assert checked, str(checked)
    assert "native" in checked.engines, checked.skipped
