"""Connections are replaced before the venue ends them: nothing is missed, and nothing twice."""

from dataclasses import replace

import pytest
from watched import in_step, matches, pressed

import mdkit as md
from mdkit.sources import replacement
from mdkit.venues import registry

pytestmark = pytest.mark.outer


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Do not wait long for trades of a symbol that is quiet."""
    monkeypatch.setattr(replacement, "QUIET_SECONDS", 0.5)


@pytest.fixture
def short_lived(venue, monkeypatch):
    """Have the venue want a new connection after a second."""
    manners = venue.manners._replace(lifetime=1.0)
    monkeypatch.setitem(registry.VENUES, venue.name, replace(venue, manners=manners))
    return registry.VENUES[venue.name]


def replaced(session):
    """Return how many connections were made beyond those that there are."""
    return session.stats()["connects"] - len(session.pipeline.source.connections)


def names(session):
    """Return the names of the connections that carry all."""
    return {each.feed.name for each in session.pipeline.source.connections}


def channels_of(venue):
    return [c for c in ("depth", "trade", "ticker") if c in venue.channels]


def rows(frame):
    """Return what came, row by row, but for when."""
    return list(
        frame.reset_index()
        .drop(columns=["received", "backwards"])
        .itertuples(index=False, name=None)
    )


def is_within(part, whole):
    """Whether rows stand in others, one after the other, and nothing between."""
    starts = [at for at, row in enumerate(whole) if row == part[0]]
    return any(whole[at : at + len(part)] == part for at in starts)


def test_nothing_is_missed_and_nothing_comes_twice(
    short_lived, venue, pair, exchange_process, wait_until, tmp_path
):
    exchange = exchange_process(list(pair), venue=venue.name)
    exchange.inject("age_limit", seconds=60.0)
    path = tmp_path / "venue.jsonl.gz"
    channels = channels_of(venue)
    strategies = [md.strategies.pressure]
    there = replace(venue, ws_url=exchange.ws_url, rest_url=exchange.rest_url)
    whole = md.live(list(pair), source=there, channels=channels, name="whole").start()
    wait_until(lambda: in_step(whole, pair))
    wait_until(lambda: all(len(whole.frame("trade", s)) for s in pair))
    session = md.live(
        list(pair), source=exchange, channels=channels, record=path, strategies=strategies
    ).start()
    wait_until(lambda: in_step(session, pair))
    wait_until(lambda: replaced(session) >= 3)
    for symbol in pair:
        wait_until(lambda symbol=symbol: matches(session, exchange, symbol))
    receipt = session.stop()
    assert receipt.balanced
    assert session.gaps().empty, session.gaps().to_string()
    for symbol in pair:
        for channel in ("depth", "trade"):
            seen = rows(session.frame(channel, symbol))[1:]  # first is a snapshot of its own
            wait_until(
                lambda s=symbol, c=channel, seen=seen: seen[-1] in rows(whole.frame(c, s)),
                what=f"for the last {channel} of {symbol}",
            )
            assert is_within(seen, rows(whole.frame(channel, symbol))), (channel, symbol)
    whole.stop()
    frames = session.stats()["frames"]
    assert len(frames) == session.stats()["connects"]
    assert sum(counts.get("duplicate", 0) for counts in frames.values())
    made = session.ledger().reset_index().query("channel == 'depth'")["received"].sum()
    assert session.venues()["books"].sum() == made
    replay = md.live(source=md.replay(path, speed=None), strategies=strategies).start()
    wait_until(lambda: not replay.running)
    for channel in channels:
        assert replay.frame(channel).equals(session.frame(channel))
    assert pressed(replay.signals()).equals(pressed(session.signals()))
    assert replay.gaps().empty


def test_a_notice_of_shutdown_costs_nothing(venue, pair, exchange_process, wait_until):
    exchange = exchange_process(list(pair), venue=venue.name)
    session = md.live(list(pair), source=exchange, channels=channels_of(venue)).start()
    wait_until(lambda: in_step(session, pair))
    carriers = names(session)
    exchange.inject("shutdown_notice", notice=2.0 if venue.name in SAYS_NOTHING else 20.0)
    if venue.name in SAYS_NOTHING:
        wait_until(lambda: len(session.gaps()) >= len(pair))
    else:
        wait_until(lambda: not carriers & names(session))
        for symbol in pair:
            wait_until(lambda symbol=symbol: matches(session, exchange, symbol))
        assert session.gaps().empty
    session.stop()


SAYS_NOTHING = {"coinbase", "hyperliquid", "kraken"}
"""Venues that give no notice for a connection; Kraken's is of the whole market's state."""


def test_an_end_before_the_next_connection_is_had_is_a_gap(
    short_lived, pair, exchange_process, wait_until, tmp_path
):
    exchange = exchange_process(list(pair), venue=short_lived.name)
    path = tmp_path / "venue.jsonl.gz"
    session = md.live(list(pair), source=exchange, record=path).start()
    wait_until(lambda: in_step(session, pair))
    exchange.inject("refuse", count=3 * len(session.pipeline.source.connections), status=503)
    wait_until(lambda: any("503" in str(problem) for problem in session.pipeline.problems))
    assert session.gaps().empty
    exchange.inject("disconnect")
    wait_until(lambda: len(session.gaps()) >= len(pair))
    wait_until(lambda: in_step(session, pair))
    for symbol in pair:
        wait_until(lambda symbol=symbol: matches(session, exchange, symbol))
    session.stop()
    told = session.gaps()
    assert set(told["symbol"]) == set(pair)
    replay = md.live(source=md.replay(path, speed=None)).start()
    wait_until(lambda: not replay.running)
    assert replay.frame("depth").equals(session.frame("depth"))
    assert replay.gaps().equals(told)
