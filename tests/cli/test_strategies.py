"""Strategies as a command line names them: mdkit's own, and those of a file."""

import sys

import pytest

import mdkit as md
from mdkit.cli.strategies import named_strategy, with_parameters
from mdkit.errors import SettingsError
from mdkit.strategies import Strategy

_TEXT = """
import helper_of_mine
import mdkit as md
from mdkit.strategies import pressure

@md.strategy("depth")
def lean(book, levels=3):
    return md.imbalance(book, levels)

@md.strategy("bar")
class Follow:
    n: int = 3
    def __call__(self, bar):
        return 1.0

def plain(book):
    return 1.0
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    (tmp_path / "helper_of_mine.py").write_text("x = 1")
    path = tmp_path / "my_strategies.py"
    path.write_text(_TEXT)
    return path


def test_a_function_or_class_of_a_file_is_found_with_what_lies_beside_it(file):
    lean = named_strategy(f"{file}:lean")
    assert isinstance(lean, Strategy)
    assert with_parameters(lean, {"levels": 5}).params == {"levels": 5}
    follow = named_strategy(f"{file}:Follow")
    assert with_parameters(follow, {"n": 7}).params == {"n": 7}
    assert named_strategy(f"{file}:lean") is lean  # the file is run once
    assert named_strategy("pressure") is md.strategies.pressure


def test_a_file_with_one_strategy_needs_no_name(file):
    only = file.with_name("only.py")
    only.write_text("import mdkit as md\n@md.strategy('depth')\ndef one(book):\n    return 1.0\n")
    assert named_strategy(str(only)).name == "one"
    with pytest.raises(SettingsError, match=r"must say which strategy: there are lean, Follow\."):
        named_strategy(str(file))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("{}:laen", "has no strategy 'laen': did you mean 'lean'"),
        ("{}:plain", r"not a strategy; decorate your function or class with @md\.strategy"),
        ("absent.py:lean", r"There is no file absent\.py"),
        ("n=3", r"--set n=3 \(or -p\)"),
        ("Nope", r"--strategy Nope is unknown; choose from pressure.*my_file\.py:Nope"),
    ],
)
def test_what_is_not_there_is_told(file, name, told):
    with pytest.raises(SettingsError, match=told):
        named_strategy(name.format(file))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\ny = (", r"broken\.py, line 2 cannot be run: SyntaxError"),
        ("x = 1\n\n1 / 0", r"broken\.py, line 3 cannot be run: ZeroDivisionError"),
        ("raise SystemExit(3)", r"broken\.py, line 1 cannot be run: SystemExit: 3"),
        ("import no_such_module", r"line 1 cannot be run: ModuleNotFoundError.*no_such_module"),
    ],
)
def test_a_file_that_cannot_be_run_is_told_with_its_line(file, text, told):
    path = file.with_name("broken.py")
    path.write_text(text)
    with pytest.raises(SettingsError, match=told):
        named_strategy(f"{path}:lean")


def test_a_name_that_another_module_has_does_not_replace_it(file):
    path = file.with_name("json.py")
    path.write_text(file.read_text())
    import json

    assert named_strategy(f"{path}:lean").name == "lean"
    assert sys.modules["json"] is json
