"""Strategies made at random: compiled code gives Python's bits, or hands over, or is refused."""

import random
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdkit.backtesting.compiled import native
from mdkit.backtesting.compiled.layout import CannotCompile, same, state_of
from mdkit.backtesting.data.panel import make_panel
from mdkit.backtesting.runs import bar_events
from mdkit.strategies import as_strategy
from mdkit.strategies.contract import as_signal
from tests.backtesting.generated import made
from tests.backtesting.seeded import seeded_bars

pytestmark = pytest.mark.outer

COLUMNS = make_panel(seeded_bars(60, 3, volatility=0.01)).bars[0]
# Each example takes a compilation of a second; the thorough profile asks for more.
EXAMPLES = 10 if settings().max_examples <= 100 else 400


def python_answers(chosen):
    """Return what the strategy says, whether it fails, and its instance."""
    instance, answers = chosen.instance(), []
    for bar in bar_events("A", COLUMNS, "1m"):
        try:
            answers.append(as_signal(instance(bar), "made"))
        except Exception:
            return answers, True, instance
    return answers, False, instance


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.integers(0, 2**32))
def test_compiled_strategies_give_pythons_bits_or_say_why_not(numba, seed):
    cls, source = made(random.Random(seed).randrange)
    chosen = as_strategy(cls)
    try:
        code = native.compile_strategy(chosen)
    except CannotCompile:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of arrays' own arithmetic
        answers, failed, instance = python_answers(chosen)
    signals, state = np.empty(len(COLUMNS.close)), code.start(chosen)
    try:
        stopped = code.run(state, COLUMNS, 0, len(signals), signals)
    except Exception:
        return  # handed to Python
    assert failed == (stopped >= 0), source
    if failed:
        return
    got = [None if value != value else float(value) for value in signals]
    assert all(same(*pair) for pair in zip(answers, got, strict=True)), source
    expected, found = state_of(instance), state.read()
    assert expected.keys() == found.keys(), source
    assert all(same(expected[name], found[name]) for name in expected), source


def test_some_of_them_compile_and_run_to_their_end(numba):
    """Otherwise the test above would prove little."""
    ran = 0
    for seed in range(100, 110):
        chosen = as_strategy(made(random.Random(seed).randrange)[0])
        try:
            code = native.compile_strategy(chosen)
            signals = np.empty(len(COLUMNS.close))
            ran += code.run(code.start(chosen), COLUMNS, 0, len(signals), signals) < 0
        except (CannotCompile, ArithmeticError, ValueError, TypeError):
            continue
    assert ran >= 3
