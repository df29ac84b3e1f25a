"""Every answer has an end, whatever the server does."""

import asyncio
import threading

import pytest

from mdkit.backfill import rest
from mdkit.errors import FeedError
from mdkit.history.http import client as clients
from mdkit.history.http.client import RestClient
from tests.trust.hostile.rest import IN_DRIPS, WITHOUT_MEASURE, drips_in_the_body, hostile_service

pytestmark = pytest.mark.outer


@pytest.mark.parametrize("answer", IN_DRIPS.values(), ids=IN_DRIPS)
def test_an_answer_in_drips_ends(answer):
    with hostile_service(answer) as url, RestClient(url, sleep=lambda seconds: None) as client:
        client._adapter.seconds = lambda: 0.2
        with pytest.raises(FeedError):
            client.klines("A", "1m", limit=1)
        # The next call has a time of its own.
        with pytest.raises(FeedError):
            client.klines("A", "1m", limit=1)
        assert client.requests >= 2


def test_whoever_gives_up_ends_the_call_of_another_thread():
    begun, told = threading.Event(), []

    def answer(connection, ended):
        begun.set()
        drips_in_the_body(connection, ended)

    def ask():
        try:
            client.klines("A", "1m", limit=1)
        except FeedError as error:
            told.append(error)

    with hostile_service(answer) as url, RestClient(url) as client:
        thread = threading.Thread(target=ask)
        thread.start()
        assert begun.wait(10)
        client.give_up()
        thread.join()
    assert "Nobody waits" in str(told[0])


@pytest.mark.parametrize("answer", WITHOUT_MEASURE.values(), ids=WITHOUT_MEASURE)
def test_an_answer_without_measure_is_refused(answer, monkeypatch):
    monkeypatch.setattr(clients, "MAX_ANSWER_BYTES", 1 << 20)
    told = pytest.raises(FeedError, match="is larger than 1 MiB")
    with hostile_service(answer) as url, RestClient(url) as client, told:
        client.klines("A", "1m", limit=1)


def test_rounds_of_questions_leave_no_thread_once_their_time_is_over(wait_until, monkeypatch):
    """Each break asks anew; whatever drips must not be asked by more and more threads."""
    monkeypatch.setattr(rest, "ROUND_SECONDS", 0.2)

    async def rounds(url):
        backfill = rest.RestBackfill(lambda: RestClient(url))
        for _ in range(5):
            answers = await backfill.books([f"S{n}" for n in range(10)])
            assert not answers.messages
            assert answers.problems
            assert len(asking()) <= 2 * rest._AT_ONCE

    def asking():
        return [thread for thread in threading.enumerate() if thread.name == "mdkit REST"]

    with hostile_service(drips_in_the_body) as url:
        asyncio.run(rounds(url))
        wait_until(lambda: not asking())
