"""`mdkit doctor --online`: fast, polite, and right about what answers."""

import contextlib
import importlib.util
import socket
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mdkit.cli import main, online
from mdkit.errors import FeedError
from mdkit.venues.services import SERVICES

pytestmark = pytest.mark.outer

_spec = importlib.util.spec_from_file_location(
    "fake_venues", Path(__file__).parents[1] / "venues" / "fake_venues.py"
)
fake_venues = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fake_venues)


@contextlib.contextmanager
def all_fakes(now):
    with contextlib.ExitStack() as stack:
        market = fake_venues.Market(now=now, listed=now - fake_venues.DAY)
        yield {
            kind.venue: stack.enter_context(fake_venues.serve(kind(market)))
            for kind in fake_venues.FAKES
        }


def refused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_all_venues_answer_with_their_time():
    with all_fakes(time.time_ns() // 1_000_000) as urls:
        results = online.attempt_all(online.rest_attempts(urls), 30)
    assert [result.venue for result in results] == list(SERVICES)
    assert all(result.reached for result in results), results
    assert all("the clocks agree" in result.said for result in results)
    assert online.conclusion(results).startswith("Reached: kraken, binance")


def test_a_clock_that_is_wrong_is_told():
    with all_fakes(time.time_ns() // 1_000_000 - 3_600_000) as urls:
        results = online.attempt_all(online.rest_attempts(urls), 30)
    assert all("clock is 3,600 s ahead of its" in r.said or "3,601" in r.said for r in results)


def test_without_a_network_it_says_so_and_exits_with_1(monkeypatch):
    closed = f"http://127.0.0.1:{refused_port()}"
    attempts = online.rest_attempts(dict.fromkeys(SERVICES, closed))
    monkeypatch.setattr(online, "rest_attempts", lambda: attempts)
    result = CliRunner().invoke(main.app, ["doctor", "--online"])
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert len(lines) == len(SERVICES) + 1
    for line, venue in zip(lines, SERVICES, strict=False):
        assert line.startswith(f"! {venue} ")
        assert "No connection to 127.0.0.1" in line
    assert "No venue can be reached" in lines[-1]
    assert 'source="demo"' in lines[-1]


def test_one_that_answers_is_enough_for_0(monkeypatch):
    plan = [("kraken", "REST", lambda seconds: "here"), ("okx", "REST", _fails)]
    monkeypatch.setattr(online, "rest_attempts", lambda: plan)
    result = CliRunner().invoke(main.app, ["doctor", "--online"])
    assert result.exit_code == 0
    assert "Reached: kraken" in result.output
    assert 'md.klines("BTC/USD", source="kraken")' in result.output
    assert "! okx" in result.output


def _fails(seconds):
    raise FeedError("no such place")


def test_what_does_not_end_counts_as_no_answer():
    ended = threading.Event()

    def hangs(seconds):
        ended.wait(30)
        return "too late"

    try:
        plan = [("okx", "REST", hangs), ("kraken", "REST", lambda s: "x")]
        results = online.attempt_all(plan, 0.2)
    finally:
        ended.set()
    assert [result.reached for result in results] == [False, True]
    assert results[0].said == "no answer within 0.2 s"


def test_a_page_in_place_of_an_answer_is_not_reached():
    market = fake_venues.Market()
    with fake_venues.serve(fake_venues.Kraken(market), (200, {}, b"<html>log in</html>")) as url:
        plan = online.rest_attempts({"kraken": url})
        (result,) = online.attempt_all([one for one in plan if one[0] == "kraken"], 30)
    assert not result.reached
    assert "not an answer" in result.said
