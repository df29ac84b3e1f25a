"""The exchange serves its owner's programs, and no web page that is open."""

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mdkit.exchange import Exchange, Fault

pytestmark = pytest.mark.outer


@pytest.fixture(scope="module")
def exchange():
    with Exchange(["AAPL.US"]) as running:
        yield running


@pytest.mark.parametrize(
    "path",
    ["/v1/market/depth?symbol=AAPL.US", "/_exchange/statistics", "/_exchange/fault?kind=drop"],
)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.test"},
        {"Host": "evil.test:80", "X-Mdkit-Control": "1"},
        {"Origin": "https://evil.test", "X-Mdkit-Control": "1"},
        {"Origin": "null", "X-Mdkit-Control": "1"},
        {"Origin": "http://127.0.0.1:8888", "X-Mdkit-Control": "1"},
    ],
)
def test_pages_and_other_names_are_refused(exchange, path, headers):
    answer = requests.get(f"http://127.0.0.1:{exchange.port}{path}", headers=headers, timeout=5)
    assert answer.status_code in (403, 421)


def test_a_page_opens_no_socket(exchange):
    with pytest.raises(InvalidStatus) as caught:
        connect(exchange.ws_url, origin="https://evil.test")
    assert caught.value.response.status_code == 403


def test_control_needs_a_header_that_no_page_can_set(exchange):
    url = f"http://127.0.0.1:{exchange.port}/_exchange/statistics"
    assert requests.get(url, timeout=5).status_code == 403
    assert requests.get(url, headers={"X-Mdkit-Control": "1"}, timeout=5).status_code == 200


def test_control_needs_the_key_where_there_is_one():
    with Exchange(["AAPL.US"], api_key="the key of a test") as guarded:
        url = f"http://127.0.0.1:{guarded.port}/_exchange/statistics"
        headers = {"X-Mdkit-Control": "1"}
        assert requests.get(url, headers=headers, timeout=5).json()["code"] == 1002
        headers["X-API-Key"] = "another"
        assert requests.get(url, headers=headers, timeout=5).json()["code"] == 1001
        guarded.inject(Fault("drop"))  # its owner's own object knows the key


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "127.0.0.1:80"])
def test_its_own_addresses_are_served(exchange, name):
    url = f"http://127.0.0.1:{exchange.port}/v1/market/depth?symbol=AAPL.US"
    assert requests.get(url, headers={"Host": name}, timeout=5).status_code == 200
