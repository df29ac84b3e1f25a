"""A feed that was never connected to says so by itself, in the log and in the receipt."""

import logging
import socket
from types import SimpleNamespace

import pytest

import mdkit as md
from mdkit.errors import FeedError, RateLimitError, StrategyError
from mdkit.pipeline.receipt import counted
from mdkit.pipeline.unconnected import UnconnectedWarnings, why_never_connected
from mdkit.sources.failures import why_not_connected
from mdkit.sources.venue import VenueSource


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.outer
def test_a_session_without_a_connection_warns_once_and_its_receipt_says_why(caplog, wait_until):
    caplog.set_level(logging.WARNING, "mdkit")
    session = md.live(
        ["AAPL.US"],
        source=f"ws://127.0.0.1:{closed_port()}/v1/realtime",
        runner="thread",
        settings=md.Settings(reconnect_base_delay=0.01, tickdb_api_key="none"),
        name="alone",
    ).start()
    wait_until(lambda: len(session.stats()["problems"]) > 1)
    receipt = session.stop()
    assert receipt.reason.startswith("stopped; there was no connection: connection refused, try ")
    assert session.explain().startswith("Stopped: 0 messages in ")
    told = [record.getMessage() for record in caplog.records if record.name == "mdkit"]
    assert len(told) == 1
    assert "connection refused. It is tried again until the session stops." in told[0]


@pytest.mark.outer
def test_a_session_with_a_connection_says_nothing_of_it(caplog, wait_until):
    with md.Exchange(["AAPL.US"]) as exchange:
        session = md.live(source=exchange, name="connected").start()
        wait_until(lambda: session.pipeline.ledger.totals()["received"])
        receipt = session.stop()
    assert receipt.reason == "stopped"
    assert not [record for record in caplog.records if record.name == "mdkit"]


def source(*sockets):
    made = object.__new__(VenueSource)
    made.connections = [
        SimpleNamespace(
            venue=SimpleNamespace(title=title[0] if title else "Some"),
            socket=SimpleNamespace(connects=connects, why_not_connected=why),
        )
        for connects, why, *title in sockets
    ]
    made.venues = tuple({each.venue.title: each.venue for each in made.connections}.values())
    return made


@pytest.mark.parametrize(
    ("sockets", "why"),
    [
        ([(0, "refused, try 2")], "refused, try 2"),
        ([(1, "refused, try 2")], ""),  # it was lost: a gap
        ([(1, ""), (0, "refused")], "refused"),
        ([(0, "refused"), (0, "refused")], "refused"),
        ([(0, "refused, try 2"), (0, "refused, try 3")], "refused, try 3"),
        ([(0, "")], ""),  # the first try is under way
        ([(1, "", "Here"), (0, "refused", "There")], "There: refused"),
        ([(0, "lost", "Here"), (0, "refused", "There")], "Here: lost; There: refused"),
    ],
)
def test_only_connections_that_were_never_made_are_told_of(sockets, why):
    assert why_never_connected(source(*sockets)) == why


def test_each_reason_is_told_once_and_only_those_of_connecting(caplog):
    made = source((0, "", "There"), (1, "", "Here"))
    warnings = UnconnectedWarnings(made)
    for tried, (reason, error) in enumerate(
        [
            ("refused", FeedError("No connection to a: refused.")),
            ("refused", FeedError("No connection to a: refused.")),
            ("too many", RateLimitError("too many")),
            ("too many", FeedError("Here: the server will stop.")),  # by which all comes meanwhile
            ("too many", StrategyError("too many of something else")),
        ]
    ):
        made.connections[0].socket.why_not_connected = f"{reason}, try {tried}" if tried else reason
        warnings.problem(error)
    told = [record.getMessage() for record in caplog.records]
    assert [one.partition(" It is")[0] for one in told] == [
        "mdkit: No connection to a: refused.",
        "mdkit: too many.",
    ]


def test_of_many_reasons_only_the_first_are_told(caplog):
    made = source((0, ""))
    warnings = UnconnectedWarnings(made)
    for number in range(20):
        made.connections[0].socket.why_not_connected = reason = f"wait for {number} s"
        warnings.problem(FeedError(f"No connection: {reason}."))
    assert len(caplog.records) == 8


def test_a_source_without_connections_is_never_unconnected():
    assert why_never_connected(SimpleNamespace()) == ""
    assert why_never_connected(SimpleNamespace(connections=3)) == "", "a count of its own"


def test_a_name_that_nobody_knows_is_told_with_what_may_be_wrong():
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    told = why_not_connected("wss://ws.nowhere.example/v2", error)
    assert told == "no address is known for ws.nowhere.example (no network, or a wrong name)"


def test_one_is_one():
    assert (counted(1, "gap"), counted(0, "gap")) == ("1 gap", "0 gaps")
    assert counted(1000, "signal") == "1,000 signals"
