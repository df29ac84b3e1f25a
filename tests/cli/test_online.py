"""`mdkit doctor --online`: fast, polite, and right about what answers."""

import contextlib
import importlib.util
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mdkit.cli import main, online, online_feeds
from mdkit.errors import FeedError
from mdkit.venues.registry import VENUES
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
    port = refused_port()
    closed, there = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
    attempts = online.rest_attempts(dict.fromkeys(SERVICES, closed))
    monkeypatch.setattr(online, "rest_attempts", lambda: attempts)
    nowhere = {name: replace(venue, ws_url=there) for name, venue in VENUES.items()}
    feeds = online_feeds.feed_attempts(nowhere)
    monkeypatch.setattr(online_feeds, "feed_attempts", lambda: feeds)
    result = CliRunner().invoke(main.app, ["doctor", "--online"])
    assert result.exit_code == 1
    _, *lines = result.output.splitlines()
    assert len(lines) == 2 * len(SERVICES) + 1
    for number, venue in enumerate(sorted(SERVICES)):
        for line, what in zip(lines[2 * number : 2 * number + 2], ("REST", "feed"), strict=True):
            assert line.split()[:3] == ["!", venue, what]
            assert "No connection to" in line
    assert "No venue can be reached" in lines[-1]
    assert 'source="demo"' in lines[-1]


def test_one_that_answers_is_enough_for_0(monkeypatch):
    plan = [("kraken", "REST", lambda seconds: "here"), ("okx", "REST", _fails)]
    monkeypatch.setattr(online_feeds, "feed_attempts", lambda: [("kraken", "feed", _fails)])
    monkeypatch.setattr(online, "rest_attempts", lambda: plan)
    result = CliRunner().invoke(main.app, ["doctor", "--online"])
    assert result.exit_code == 0
    assert "Reached: kraken" in result.output
    assert 'md.klines("BTC/USD", source="kraken")' in result.output
    assert "! okx" in result.output


@pytest.mark.parametrize("name", sorted(VENUES))
def test_a_feed_says_what_came_and_how_its_book_is_proven(name, exchange_process):
    venue = VENUES[name]
    exchange = exchange_process([venue.names.common(venue.names.example)], venue=name)
    there = replace(venue, ws_url=exchange.ws_url, rest_url=exchange.rest_url)
    (result,) = online.attempt_all(online_feeds.feed_attempts({name: there}), 40)
    assert result.reached, result
    assert venue.proof in result.said
    assert " frames, " in result.said
    assert "md.live" in online.conclusion([result])


def test_a_book_that_is_not_proven_is_told(exchange_process):
    exchange = exchange_process(["BTC/USD"], venue="kraken")
    exchange.inject("silent_subscription", count=100)
    there = replace(VENUES["kraken"], ws_url=exchange.ws_url)
    (result,) = online.attempt_all(online_feeds.feed_attempts({"kraken": there}), 10)
    assert not result.reached
    assert "the book of BTC/USD is absent" in result.said


def test_a_host_that_does_not_exist_is_told_at_once():
    there = replace(VENUES["kraken"], ws_url="wss://no-such-host.invalid")
    (result,) = online.attempt_all(online_feeds.feed_attempts({"kraken": there}), 60)
    assert not result.reached
    assert "No connection to no-such-host.invalid" in result.said


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
