"""Every contender of the throughput benchmark handles every message; the figures are printed.

Nothing here asserts a time: see throughput.py for a measurement worth quoting.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.outer, pytest.mark.xdist_group("idle machine")]

_FILE = Path(__file__).with_name("throughput.py")
_spec = importlib.util.spec_from_file_location("mdkit_throughput", _FILE)
throughput = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = throughput
_spec.loader.exec_module(throughput)


def test_contenders_take_every_message(capsys):
    costs = throughput.measure(4000, rounds=1, encoded=4000)
    assert set(costs) == set(throughput.CONTENDERS)
    with capsys.disabled():
        print(f"\n{throughput.table(costs)}")
