"""What the tests of this folder share."""

import pytest

from mdkit.stream.transports import TRANSPORTS


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    """Each transport in turn; those that are not installed are skipped, and it is said."""
    if request.param != "websockets":
        pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return request.param
