"""`mdkit doctor` looks at everything that mdkit needs."""

import re
import tomllib
from pathlib import Path

from mdkit.cli.doctor import _CORE


def test_no_dependency_is_forgotten():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    needed = {re.match(r"[\w-]+", line)[0] for line in project["project"]["dependencies"]}
    assert set(_CORE) == needed
