"""What holds of every public venue, against the embedded exchange that speaks its dialect.

A new venue gets these tests by being listed in the registry, and the exchange by its dialect.
"""

import pytest
from watched import in_step, matches, pressed, reasons

import mdkit as md
from mdkit.errors import SettingsError
from mdkit.sources import venue_connection
from mdkit.venues.refusals import elsewhere

pytestmark = pytest.mark.outer

WHOLE = {"hyperliquid"}
"""Venues of which every message is a whole book, so that none can be missed."""


def test_books_are_the_exchanges_own_and_a_replay_is_the_same(
    venue, pair, exchange_process, wait_until, tmp_path
):
    exchange = exchange_process(list(pair), venue=venue.name)
    path = tmp_path / "venue.jsonl.gz"
    strategies = [md.strategies.pressure]
    channels = [c for c in ("depth", "trade") if c in venue.channels]
    session = md.live(
        list(pair), source=exchange, channels=channels, record=path, strategies=strategies
    ).start()
    wait_until(lambda: in_step(session, pair))
    for symbol in pair:
        wait_until(lambda symbol=symbol: matches(session, exchange, symbol))
    wait_until(lambda: all(len(session.frame("depth", s)) > 20 for s in pair))
    exchange.inject("lost_diff", symbol=pair[0], count=1)
    if venue.name not in WHOLE:
        wait_until(lambda: len(session.gaps()) > 0)
        wait_until(lambda: in_step(session, pair))
        wait_until(lambda: matches(session, exchange, pair[0]))
    receipt = session.stop()
    assert receipt.balanced
    told = session.gaps()
    if venue.name not in WHOLE:
        named = told[told["channel"] == "depth"]
        assert pair[0] in set(named["symbol"])
        assert all(r.split(":")[0] in REASONS for r in named["reason"])
        assert session.frame("depth", pair[0])["gap"].any()
    replay = md.live(source=md.replay(path, speed=None), strategies=strategies).start()
    wait_until(lambda: not replay.running)
    assert replay.frame("depth").equals(session.frame("depth"))
    assert replay.gaps().equals(told)
    assert pressed(replay.signals()).equals(pressed(session.signals()))


REASONS = {"sequence", "checksum", "frame counter", "best prices"}


def test_a_verified_recording_agrees_with_python_and_workers(
    venue, pair, exchange_process, wait_until, tmp_path
):
    exchange = exchange_process(list(pair), venue=venue.name)
    path = tmp_path / "venue.jsonl.gz"
    session = md.live(list(pair), source=exchange, record=path).start()
    wait_until(lambda: in_step(session, pair))
    wait_until(lambda: len(session.frame("depth")) > 30)
    session.stop()
    assert md.verify(md.strategies.pressure, path)
    recording = md.read_recording(path)
    for symbol in pair:
        assert recording.frame("depth", symbol).equals(session.frame("depth", symbol))


def test_a_recording_is_played_back_by_the_exchange(
    venue, pair, exchange_process, wait_until, tmp_path
):
    path = tmp_path / "venue.jsonl.gz"
    exchange = exchange_process(list(pair), venue=venue.name)
    channels = ["depth", "trade"]
    session = md.live(list(pair), source=exchange, channels=channels, record=path).start()
    wait_until(lambda: in_step(session, pair))
    wait_until(lambda: len(session.frame("trade")) > 5)
    session.stop()
    played = exchange_process(replay=path, speed=0)
    again = md.live(list(pair), source=played, channels=channels).start()
    kept = session.frame("depth", pair[0])
    wait_until(lambda: len(again.frame("depth", pair[0])) == len(kept))
    wait_until(lambda: len(again.frame("trade")) == len(session.frame("trade")))
    again.stop()
    table = again.frame("depth", pair[0])
    assert list(table["bid"]) == list(kept["bid"])
    # The data service tells times in milliseconds.
    assert list(table["exchange_time"]) == list(kept["exchange_time"].dt.floor("ms"))


def test_every_frame_is_accounted_for(venue, pair, exchange_process, wait_until):
    exchange = exchange_process(list(pair), venue=venue.name)
    session = md.live(list(pair), source=exchange).start()
    wait_until(lambda: in_step(session, pair))
    exchange.inject("malformed")
    wait_until(lambda: session.ledger()["invalid"].sum() > 0)
    session.stop()
    frames = next(iter(session.stats()["frames"].values()))
    assert frames["invalid"] == session.ledger()["invalid"].sum()
    table = session.venues()
    made = session.ledger().reset_index().query("channel == 'depth'")["received"].sum()
    assert table["books"].sum() == made
    assert table["messages"].sum() >= made


def test_what_the_venue_refuses_is_told(venue, pair, exchange_process, wait_until):
    exchange = exchange_process(list(pair), venue=venue.name)
    exchange.inject("refused_subscription", symbol=pair[1], count=3)
    session = md.live(list(pair), source=exchange).start()
    wait_until(lambda: reasons(session, "subscription refused"))
    refused = session.gaps().query("symbol == @pair[1]")
    assert venue.name in refused["reason"].iloc[0]
    wait_until(lambda: len(session.frame("depth", pair[0])) > 3)
    session.stop()


def test_what_is_acknowledged_and_never_comes_is_told(
    venue, pair, exchange_process, wait_until, monkeypatch
):
    monkeypatch.setattr(venue_connection, "FIRST_SECONDS", 0.5)
    exchange = exchange_process(list(pair), venue=venue.name)
    exchange.inject("silent_subscription", symbol=pair[1], count=3)
    session = md.live(list(pair), source=exchange).start()
    wait_until(lambda: reasons(session, "nothing came within"))
    assert "sends nothing" in session.explain()
    assert pair[1] in session.explain()
    assert pair[1] in set(session.gaps()["symbol"])
    wait_until(lambda: len(session.frame("depth", pair[0])) > 3)
    session.stop()


def test_a_lost_connection_is_a_gap_and_books_begin_anew(venue, pair, exchange_process, wait_until):
    exchange = exchange_process(list(pair), venue=venue.name)
    session = md.live(list(pair), source=exchange).start()
    wait_until(lambda: in_step(session, pair))
    exchange.inject("disconnect")
    wait_until(lambda: len(session.gaps()) >= len(pair))
    wait_until(lambda: in_step(session, pair))
    for symbol in pair:
        wait_until(lambda symbol=symbol: matches(session, exchange, symbol))
    wait_until(lambda: settled(session))
    subscribed = exchange.statistics()["subscriptions"]
    exchange.inject("disconnect")
    wait_until(
        lambda: session.stats()["connects"] >= 2 * len(session.pipeline.source.connections) + 1
    )
    wait_until(lambda: in_step(session, pair) and settled(session))
    assert exchange.statistics()["subscriptions"] == subscribed  # and not more each time
    session.stop()


def settled(session):
    """Return whether every command of every connection is answered."""
    return all(one.socket.is_settled for one in session.pipeline.source.connections)


def test_a_place_that_is_not_served_ends_with_other_venues(
    venue, pair, exchange_process, wait_until
):
    exchange = exchange_process(list(pair), venue=venue.name)
    exchange.inject("blocked", count=100)
    session = md.live(list(pair), source=exchange).start()
    wait_until(lambda: not session.running)
    assert elsewhere(venue.name)[0] in str(session.pipeline.failure)
    with pytest.raises(md.MdkitError, match="does not serve this place"):
        session.stop()


def test_symbols_are_known_by_every_form(venue, pair):
    base, quote = pair[0].split("/")
    names = venue.names
    forms = (pair[0], f"{base}-{quote}", base + quote, names.native(pair[0]))
    assert {names.common(form) for form in forms} == {pair[0]}


def test_levels_that_the_venue_lacks_are_refused(venue):
    if venue.depths:
        with pytest.raises(SettingsError, match="cannot be had"):
            md.live(["BTC/USD"], source=venue.name, levels=100_000)
        with pytest.raises(SettingsError, match="choose from"):
            md.venue(venue.name, depth=7)


def test_more_is_subscribed_to_while_it_runs(venue, pair, exchange_process, wait_until, tmp_path):
    exchange = exchange_process(list(pair), venue=venue.name)
    path = tmp_path / "venue.jsonl.gz"
    session = md.live([pair[0]], source=exchange, record=path).start()
    wait_until(lambda: in_step(session, pair[:1]))
    session.subscribe("depth", venue.names.native(pair[1]))
    wait_until(lambda: in_step(session, pair))
    assert set(session.pipeline.source.symbols) == set(pair)
    wait_until(lambda: len(session.frame("depth", pair[1])) > 5)
    session.unsubscribe("depth", pair[0])
    wait_until(lambda: list(session.venues().index) == [pair[1]])
    session.stop()
    replay = md.live(source=md.replay(path, speed=None)).start()
    wait_until(lambda: not replay.running)
    for symbol in pair:
        assert replay.frame("depth", symbol).equals(session.frame("depth", symbol))


def test_any_form_of_a_symbol_is_looked_up(venue, pair, exchange_process, wait_until):
    exchange = exchange_process(list(pair), venue=venue.name)
    session = md.live([pair[0].replace("/", "-")], source=exchange).start()
    wait_until(lambda: in_step(session, pair[:1]))
    session.stop()
    form = venue.names.native(pair[0])
    assert session.frame("depth", form).equals(session.frame("depth", pair[0]))
    assert session.book(form).equals(session.book(pair[0]))
    with pytest.raises(SettingsError, match="not subscribed to"):
        session.frame("depth", "DOGE/USD")
