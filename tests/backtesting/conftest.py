"""Bars from a seed, as a fixture; `plain_account` is an account written a second time."""

import importlib.util
import sys
from pathlib import Path

import pytest


def _load(name):
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"backtesting_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def seeded_bars():
    return _load("seeded").seeded_bars


@pytest.fixture(scope="session")
def plain_account():
    return _load("plain").plain_account


@pytest.fixture(scope="session")
def numba():
    return pytest.importorskip("numba", reason="the native engine needs numba")
