"""The account over bars written a second time, as a fixture."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def naive():
    path = Path(__file__).with_name("naive.py")
    spec = importlib.util.spec_from_file_location("backtesting_bars_naive", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.Naive
