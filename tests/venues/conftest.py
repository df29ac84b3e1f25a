"""Every public venue in turn, and what is asked of it; lets this folder's tests import helpers."""

import sys
from pathlib import Path

import pytest

from mdkit.venues.registry import VENUES

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=sorted(VENUES))
def venue(request):
    return VENUES[request.param]


@pytest.fixture
def pair(venue):
    """Return two symbols, in the common form."""
    bitcoin = venue.names.common(venue.names.example)
    return bitcoin, bitcoin.replace("BTC", "ETH")
