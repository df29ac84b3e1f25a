"""The soak command, for a moment: `python -m tests.soak --minutes 10` is the real thing."""

import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.outer, pytest.mark.xdist_group("idle machine")]

_spec = importlib.util.spec_from_file_location(
    "mdkit_soak", Path(__file__).parent.parent / "soak.py"
)
soak = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = soak
_spec.loader.exec_module(soak)


def test_a_short_soak(tmp_path, capsys):
    plot = tmp_path / "soak.png"
    options = ["--minutes", "0.05", "--every", "1", "--rate", "500", "--seed", "3", "--record"]
    assert soak.main([*options, "--plot", str(plot)]) == 0
    out = capsys.readouterr().out
    assert "the ledger balances" in out
    assert "memory" in out
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_growth_is_a_complaint():
    def look(n, **changes):
        plain = dict.fromkeys((field.name for field in soak.fields(soak.Look)), 0)
        return soak.Look(**{**plain, "seconds": n, **changes})

    flat = [look(n, memory=100.0, handles=10) for n in range(10)]
    assert soak.complaints(flat, True) == []
    assert soak.complaints(flat, False) == ["the ledger did not balance"]
    leaking = [look(n, memory=100.0 + 20 * n, handles=10 + 5 * n) for n in range(10)]
    assert len(soak.complaints(leaking, True)) == 2
