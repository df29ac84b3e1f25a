"""Every public name's docstring has an example, which runs and prints what it says.

So has that of every strategy that comes along. They run as doctest runs them, with
`md` at hand, each in a folder of its own.
"""

from __future__ import annotations

import doctest
import inspect
import re
from operator import attrgetter

import pytest

import mdkit as md
from mdkit.venues import catalogue

WITHOUT = {
    "enable_nested": "it changes asyncio for as long as the process lives",
}
OUTER = {
    "Exchange": "starts the embedded exchange",
    "klines": "asks the embedded exchange",
    "verify": "runs the strategy once more in another process",
}
CANVAS = ("Explorer", "explore")
LEAVES_TICKER = pytest.mark.leaves_tasks
"""The canvas takes the end of its session's loop as the end."""

LONGEST = 10
"""Lines of code. Nobody reads more than that to see how something is called."""


def _described(name):
    """Return what has the docstring of a public name; of `venues`, a package, its function."""
    return catalogue.venues if name == "venues" else attrgetter(name)(md)


def _example(name):
    doc = inspect.getdoc(_described(name)) or ""
    return doctest.DocTestParser().get_doctest(doc, {"md": md}, name, name, 0)


NAMES = sorted(set(md.__all__) - set(WITHOUT)) + [
    f"strategies.{name}" for name in md.strategies.ALL
]
CASES = [
    pytest.param(n, marks=[*[pytest.mark.outer] * (n in OUTER), *[LEAVES_TICKER] * (n in CANVAS)])
    for n in NAMES
]


@pytest.mark.parametrize("name", CASES)
def test_the_example_runs_and_prints_what_it_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = _example(name)
    said = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(example, out=said.append)
    assert not runner.failures, "".join(said)
    assert runner.tries == len(example.examples)


def test_every_public_name_has_an_example_in_a_section_of_that_name():
    for name in NAMES:
        doc = inspect.getdoc(_described(name)) or ""
        example = _example(name)
        assert example.examples, f"md.{name} has no example; write one into its docstring"
        assert "\nExample:\n    >>> " in doc, f"md.{name}: its example belongs under `Example:`"
        # It calls it, or has it from another function.
        made = rf"\bmd\.{re.escape(name)}\b|^>>> {name.lower()} = "
        code = "".join(f">>> {part.source}" for part in example.examples)
        assert re.search(made, code, re.MULTILINE), f"the example of md.{name} does not use it"


def test_an_example_is_short():
    for name in NAMES:
        lines = sum(part.source.count("\n") for part in _example(name).examples)
        assert lines <= LONGEST, f"{lines} lines of code at md.{name}"


def test_what_is_said_to_be_without_an_example_is_public_and_has_none():
    assert set(WITHOUT) | set(OUTER) <= set(md.__all__)
    assert not any(_example(name).examples for name in WITHOUT)


def test_an_example_that_is_wrong_is_found(monkeypatch):
    monkeypatch.setattr(md.mid, "__doc__", "Example:\n    >>> md.mid\n    100.0\n")
    with pytest.raises(AssertionError, match=r"Expected:\n +100\.0"):
        test_the_example_runs_and_prints_what_it_says("mid", ".", monkeypatch)
