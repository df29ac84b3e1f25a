"""Lets this folder's tests import their helpers, and keeps them out of the user's cache."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or writes the cache of whoever runs it."""
    monkeypatch.setenv("MDKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
