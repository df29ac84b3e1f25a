"""HTTP: what is tried again, what is not, how long is waited, and what is never said."""

import logging
import socket
import threading
import time
import traceback
from email.utils import formatdate

import pytest
import requests
from services import MINUTE, T0, Service, body, minutes, serve

from mdkit.errors import (
    AuthenticationError,
    FeedError,
    InvalidMessage,
    MdkitError,
    QuotaError,
    RateLimitError,
    RequestError,
    ServerError,
    SettingsError,
)
from mdkit.history.http import budget as module
from mdkit.history.http.budget import Budget, shared_budget
from mdkit.history.http.client import TIMEOUTS, RestClient
from mdkit.history.http.retries import LONGEST_WAIT
from mdkit.history.klines import Loader
from mdkit.history.paging import Pager

pytestmark = pytest.mark.outer

KEY = "sk-very-secret-0123456789"
SERVICE = Service(minutes(T0, 3000))


class Waits(list):
    """In place of sleeping: notes the seconds."""

    def __call__(self, seconds):
        self.append(seconds)


def refusal(code, message="no", status=400, **headers):
    text = f'{{"code":{code},"message":"{message}","data":null}}'
    return (status, headers, text.encode())


def ask(base_url, *, waits=None, limit=10, **options):
    sleep = waits if waits is not None else Waits()
    with RestClient(base_url, sleep=sleep, **options) as client:
        return client.klines("A.US", "1m", start_ms=T0 - 1, end_ms=T0 + 10**9, limit=limit)


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("numbers", [True, False])
@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
def test_bars_come_over_http_in_either_shape(order, bare, numbers):
    service = Service(minutes(T0, 2500), order=order, bounds="neither")
    with serve(service, bare=bare, numbers=numbers) as (url, seen), RestClient(url) as client:
        load = Loader(Pager(client, T0 + 10**10), "A.US", "1m")
        got = load.between(T0, T0 + 2500 * MINUTE)
    assert got.starts.tolist() == [k.time for k in service.all]
    assert got.figures[3].tolist() == [k.close for k in service.all]
    assert [path for path, _, _ in seen] == ["/v1/market/kline"] * 3
    assert {query["limit"] for _, query, _ in seen} == {"1000"}


def test_the_key_travels_in_the_header_only():
    with serve(SERVICE) as (url, seen):
        ask(url, api_key=KEY)
        ask(url)
    (path, query, headers), (_, _, keyless) = seen
    assert headers["X-API-Key"] == KEY
    assert "X-API-Key" not in keyless
    assert KEY not in path + str(query)


def test_429_waits_as_long_as_it_is_told():
    waits = Waits()
    too_many = refusal(3001, "slow down", 429, **{"Retry-After": "7"})
    with serve(SERVICE, too_many, too_many) as (url, seen):
        assert len(ask(url, waits=waits)) == 10
    assert waits == [7, 7]
    assert len(seen) == 3


def test_429_for_ever_is_an_error_and_a_long_wait_is_one_at_once():
    waits = Waits()
    with serve(SERVICE, *[refusal(3001, "slow", 429, **{"Retry-After": "2"})] * 9) as (url, seen):
        with pytest.raises(RateLimitError, match="given up after 6 tries") as caught:
            ask(url, waits=waits)
        assert caught.value.code == 3001
        assert caught.value.retry_after == 2
        assert len(seen) == 6
        assert waits == [2] * 5
    long = str(LONGEST_WAIT + 1)[:3]
    with serve(SERVICE, refusal(3001, "slow", 429, **{"Retry-After": long})) as (url, seen):
        with pytest.raises(RateLimitError, match="asks to wait 121 s"):
            ask(url, waits=waits)
        assert len(seen) == 1


def test_a_retry_after_that_is_no_number_is_backed_off_from():
    waits = Waits()
    with serve(SERVICE, refusal(3001, "", 429, **{"Retry-After": "soon"})) as (url, _):
        assert len(ask(url, waits=waits)) == 10
    assert len(waits) == 1


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 507, 520, 522, 524, 530, 599])
def test_server_trouble_is_tried_again(status):
    waits = Waits()
    with serve(SERVICE, refusal(5000, "x", status), (status, {}, b"<html>")) as (url, seen):
        assert len(ask(url, waits=waits)) == 10
    assert len(seen) == 3
    assert waits == [0, 1.0]  # urllib3 tries once more at once, then backs off


def test_server_trouble_for_ever_is_an_error():
    with serve(SERVICE, *[refusal(5001, "burning", 500)] * 9) as (url, seen):
        with pytest.raises(ServerError, match=r'5001 .*"burning".* given up after 6 tries'):
            ask(url)
        assert len(seen) == 6


@pytest.mark.parametrize("status", [204, 202, 400])
def test_trouble_under_another_status_is_tried_again_and_counted(status):
    body = b"" if status == 204 else refusal(5000, "x", status)[2]
    if status == 202:
        body = b"<html>later</html>"
    with serve(SERVICE, (status, {}, body)) as (url, seen):
        assert len(ask(url)) == 10
        assert len(seen) == 2
    with serve(SERVICE, *[(status, {}, body)] * 9) as (url, seen):
        with pytest.raises(ServerError, match="given up after 5 tries"):
            ask(url)
        assert len(seen) == 5


def test_the_tries_that_were_made_are_counted_whatever_they_met():
    script = [refusal(5000, "x", 520), "broken off", refusal(5000, "x", 500)]
    with serve(SERVICE, *script, *[refusal(5000, "x", 200)] * 9) as (url, seen):
        with pytest.raises(ServerError, match="given up after ") as caught:
            ask(url)
        assert f"given up after {len(seen)} tries" in str(caught.value)


def test_a_retry_after_may_be_a_date_and_with_any_status():
    waits = Waits()
    date = formatdate(time.time() + 60, usegmt=True)
    script = [refusal(5000, "x", 522, **{"Retry-After": "3"})]
    script += [refusal(3001, "slow", 429, **{"Retry-After": date})]
    with serve(SERVICE, *script) as (url, _):
        assert len(ask(url, waits=waits)) == 10
    assert waits[0] == 3
    assert 30 < waits[1] <= 60
    script = [refusal(3001, "slow", 429, **{"Retry-After": "99999999999"})]
    with (
        serve(SERVICE, *script) as (url, _),
        pytest.raises(RateLimitError, match="asks to wait 99,999,999,999 s"),
    ):
        ask(url)


def test_a_socks_proxy_without_its_library_gets_the_cure(monkeypatch):
    def request(*args, **options):
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr(requests.Session, "request", request)
    with pytest.raises(SettingsError, match=r'pip install "requests\[socks\]"'):
        ask("http://127.0.0.1:1/v1")


def test_trouble_under_http_200_is_tried_again_too():
    waits = Waits()
    limited = refusal(3001, "slow", 200, **{"Retry-After": "3"})
    with serve(SERVICE, limited, refusal(5000, "x", 200)) as (url, seen):
        assert len(ask(url, waits=waits)) == 10
    assert waits == [3, 1.0]
    assert len(seen) == 3


def test_a_body_that_breaks_off_is_fetched_again():
    with serve(SERVICE, "broken off", "broken off") as (url, seen):
        assert len(ask(url)) == 10
        assert len(seen) == 3
    with serve(SERVICE, *["broken off"] * 9) as (url, seen):
        with pytest.raises(FeedError, match=r"broke off .*given up after 5 tries"):
            ask(url)
        assert len(seen) == 5


def test_a_body_that_was_cut_and_fits_its_length_is_fetched_again():
    cut = body(minutes(T0, 10))[:200]
    with serve(SERVICE, (200, {}, cut), (200, {}, b"")) as (url, seen):
        assert len(ask(url)) == 10
        assert len(seen) == 3


def test_what_is_no_json_for_ever_is_an_error():
    login = (200, {}, b"<html>login</html>")
    said = pytest.raises(ServerError, match="not an answer of the service")
    with serve(SERVICE, *[login] * 9) as (url, _), said:
        ask(url)


def test_a_service_that_is_silent():
    with serve(SERVICE, "silent") as (url, seen):
        assert len(ask(url, timeouts=(1.0, 0.05))) == 10
        assert len(seen) == 2
    with serve(SERVICE, *["silent"] * 5) as (url, seen):
        with pytest.raises(FeedError, match=r"no answer within 0\.05 s"):
            ask(url, timeouts=(1.0, 0.05))
        assert len(seen) == 3
    assert TIMEOUTS == (3.05, 10.0)


def test_a_body_that_stops_coming():
    """The head has come, so that urllib3's own retries are over; requests tells it apart."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def answer():
            for _ in range(5):
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
                    connection.settimeout(5)
                    connection.recv(1)  # until the client has had enough

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(FeedError, match=r"broke off .*given up after 5 tries"):
            ask(f"http://127.0.0.1:{server.getsockname()[1]}", timeouts=(1.0, 0.05))
        ended.set()
        thread.join(5)


def test_no_connection_says_what_to_check():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    waits = Waits()
    with pytest.raises(FeedError, match=r'No connection to 127.*check the network.*"demo"'):
        ask(f"http://127.0.0.1:{port}", waits=waits)
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("code", "status", "kind", "said"),
    [
        (1001, 401, AuthenticationError, "key is not valid"),
        (1002, 401, AuthenticationError, "no API key was sent"),
        (1004, 403, AuthenticationError, "no permission"),
        (2001, 400, RequestError, "parameter"),
        (2002, 404, RequestError, r"2002 for klines A\.US 1m: .*written like AAPL\.US"),
        (2003, 400, RequestError, "time range"),
        (3002, 403, QuotaError, "quota is used up"),
        (2002, 200, RequestError, "unknown"),
    ],
)
def test_a_refusal_is_raised_at_once(code, status, kind, said):
    waits = Waits()
    with serve(SERVICE, refusal(code, "words", status)) as (url, seen):
        with pytest.raises(kind, match=said) as caught:
            ask(url, waits=waits, api_key=KEY)
        assert caught.value.code == code
        assert '"words"' in str(caught.value)
        assert len(seen) == 1
    assert not waits


def test_an_answer_that_is_no_envelope_is_judged_by_its_status():
    said = pytest.raises(RequestError, match="HTTP 404")
    with serve(SERVICE, (404, {}, b"<html>nothing here")) as (url, _), said:
        ask(url)
    with serve(SERVICE, (401, {}, b"")) as (url, _), pytest.raises(AuthenticationError):
        ask(url)


def test_a_redirect_is_not_followed_with_the_key():
    with serve(SERVICE) as (elsewhere, taken):
        moved = (302, {"Location": elsewhere + "/market/kline"}, b"")
        with serve(SERVICE, moved) as (url, _), pytest.raises(FeedError, match="redirect"):
            ask(url, api_key=KEY)
        assert not taken


def test_bars_that_cannot_be_true_are_an_error_that_names_them():
    spoilt = minutes(T0, 5)
    spoilt[3] = type(spoilt[3])(T0 + 3 * MINUTE, 10.0, 9.0, 11.0, 10.0)
    said = r"A\.US 1m: invalid bar: 2025-01-01 00:03 UTC: "
    with serve(Service(spoilt)) as (url, _), pytest.raises(InvalidMessage, match=said):
        ask(url)


@pytest.mark.parametrize(
    "script",
    [
        [refusal(1001, f"bad key {KEY}", 401)],
        [refusal(5000, KEY, 500)] * 9,
        [refusal(3001, KEY, 200)] * 9,
        ["broken off"] * 9,
        [(302, {"Location": "http://127.0.0.1:1/"}, b"")],
        [(200, {}, b"<html>")] * 9,
        ["silent"] * 9,
    ],
)
def test_the_key_is_in_no_error_log_or_repr(script, caplog):
    caplog.set_level(logging.DEBUG)
    said = []
    with serve(SERVICE, *script) as (url, _):
        client = RestClient(
            url,
            KEY,
            sleep=Waits(),
            timeouts=(1.0, 0.05),
            waiting=lambda _, why: said.append(why),
        )
        with client, pytest.raises(MdkitError) as caught:
            client.klines("A.US", "1m", limit=10)
    told = "".join(traceback.format_exception(caught.value))
    assert KEY not in told
    assert KEY not in caplog.text
    assert KEY not in repr(client)
    assert KEY not in "".join(said)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://x/v1", "REST base"),
        ("https://", "REST base"),
        (f"https://x/v1?api_key={KEY}", "api_key="),
        (f"https://user:{KEY}@x/v1", "api_key="),
    ],
)
def test_an_address_that_cannot_be_one(url, said):
    with pytest.raises(SettingsError, match=said) as caught:
        RestClient(url)
    assert KEY not in str(caught.value)


def test_a_key_with_a_line_break_is_refused_without_being_shown():
    with pytest.raises(AuthenticationError) as caught:
        RestClient("https://x", KEY + "\n")
    assert KEY not in str(caught.value)


# -- the budget -----------------------------------------------------------------------------------


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def test_the_budget_holds_in_every_stretch_of_sixty_seconds():
    clock = Clock()
    budget = Budget(30, clock=clock, sleep=clock.sleep)
    calls = []
    for number in range(200):
        budget.spend()
        calls.append(clock.now)
        clock.now += 0.1 * (number % 7)
    for first in calls:
        assert sum(first <= call < first + 59.999 for call in calls) <= 30
    assert clock.now - 1000.0 < 200 / 30 * 60 + 60  # and it wastes nothing


def test_the_budget_says_that_it_waits():
    clock, said = Clock(), []
    budget = Budget(2, clock=clock, sleep=clock.sleep)
    for _ in range(3):
        budget.spend(lambda seconds, why: said.append((seconds, why)))
    assert said == [(60.0, "the budget of 2 calls a minute")]
    Budget(None, clock=clock, sleep=clock.sleep).spend()
    assert clock.slept == [60.0]
    with pytest.raises(SettingsError, match="no call at all"):
        Budget(0)


def test_retries_are_spent_too():
    clock = Clock()
    budget = Budget(100, clock=clock, sleep=clock.sleep)
    with serve(SERVICE, refusal(5000, "x", 500), refusal(5000, "x", 200)) as (url, seen):
        with RestClient(url, budget=budget, sleep=Waits()) as client:
            client.klines("A.US", "1m", limit=10)
        assert client.requests == len(seen) == len(budget._calls) == 3


def test_a_process_has_one_budget_for_one_service_and_key(monkeypatch):
    monkeypatch.setattr(module, "_budgets", {})
    one = shared_budget("https://x/v1", KEY, 30)
    assert shared_budget("https://x/v1", KEY, 30) is one
    assert shared_budget("https://x/v1", None, 30) is not one
    assert KEY not in repr(module._budgets)


def test_a_proxy_of_the_environment_is_not_asked_about_this_machine(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serve(SERVICE) as (url, _):
        assert len(ask(url)) == 10
