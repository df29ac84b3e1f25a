"""Whether an API key may travel over a cluster's connections."""

import pytest

from mdkit.cluster.clients import check_key_travels
from mdkit.errors import SettingsError

pytestmark = pytest.mark.outer

# Addresses that no machine here has (RFC 5737, RFC 3849).
FAR = (
    "tcp://192.0.2.7:8786",
    "ws://192.0.2.7:8786",
    "tcp://[2001:db8::7]:8786",
    "ucx://192.0.2.7:1",
)
FINE = (
    "tcp://127.0.0.1:8786",
    "tls://192.0.2.7:8786",
    "wss://192.0.2.7:8786",
    "inproc://10.0.0.1/5/1",
)


@pytest.mark.parametrize("address", FAR)
def test_a_key_does_not_cross_a_network_in_clear_unless_that_is_allowed(address):
    with pytest.raises(SettingsError, match=r"unencrypted to .*dask_plain_key=True") as caught:
        check_key_travels([FINE[0], address], plain_allowed=False)
    assert address in str(caught.value)
    check_key_travels([FINE[0], address], plain_allowed=True)


@pytest.mark.parametrize("address", FINE)
def test_it_goes_over_encryption_and_within_this_machine(address):
    check_key_travels([address], plain_allowed=False)
