"""Compiled code is kept on disk, where nobody else can write."""

import os

import pytest

from mdkit.backtesting.compiled import native
from mdkit.backtesting.engine import backtest
from mdkit.strategies import strategy

pytestmark = [pytest.mark.outer, pytest.mark.usefixtures("numba")]


@strategy("bar")
class Kept:
    state: str = "flat"

    def start(self):
        self.entry = None
        self.total = 0

    def __call__(self, bar):
        self.total += bar.close - bar.open
        self.entry = bar if bar.close > bar.open else None
        self.state = "long" if self.entry is not None else "flat"
        return 0.5 if self.state == "long" else 0.0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MDKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(native, "_compiled", type(native._compiled)())
    return tmp_path / "compiled"


def test_what_was_compiled_is_found_by_the_next_process(seeded_bars, folder, monkeypatch):
    from mdkit.backtesting.compiled import kernels  # which imports numba

    bars = seeded_bars(50, volatility=0.01)
    first = backtest(Kept, bars, engine="native").signals
    compiling = kernels.instance_kernel

    def only_loading(layout, *, stub=False):
        assert stub, "it was compiled again"
        return compiling(layout, stub=stub)

    native._compiled.clear()
    monkeypatch.setattr(kernels, "instance_kernel", only_loading)
    assert backtest(Kept, bars, engine="native").signals.equals(first)

    # Cut off, as by a full disk: compiled again.
    for file in folder.glob("*.code"):
        file.write_bytes(file.read_bytes()[:1000])
    native._compiled.clear()
    monkeypatch.setattr(kernels, "instance_kernel", compiling)
    assert backtest(Kept, bars, engine="native").signals.equals(first)


@pytest.mark.skipif(os.name != "posix", reason="permissions are of POSIX")
def test_a_folder_that_others_may_write_to_is_not_used(seeded_bars, folder):
    folder.mkdir()
    folder.chmod(0o777)
    assert backtest(Kept, seeded_bars(9), engine="native").engine == "native"
    assert not list(folder.iterdir())
