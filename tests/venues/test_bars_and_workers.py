"""Of every public venue: bars before the stream, and strategies in processes of their own."""

import pandas as pd
import pytest
from watched import in_step, pressed

import mdkit as md

pytestmark = pytest.mark.outer


def test_bars_of_the_venue_come_before_those_of_the_stream(
    venue, pair, exchange_process, wait_until
):
    exchange = exchange_process(list(pair), venue=venue.name)
    session = md.live(
        list(pair), source=exchange, channels=["depth", "trade"], bars="1m", warmup=30
    ).start()
    wait_until(lambda: all(len(session.frame("bar", s)) >= 30 for s in pair))
    wait_until(lambda: in_step(session, pair))
    session.stop()
    there = md.venue(venue.name, ws_url=exchange.ws_url, rest_url=exchange.rest_url)
    for symbol in pair:
        bars = session.frame("bar", symbol).reset_index()
        first = bars.head(30)
        assert (first["source"] == "rest").all()
        starts = first["start"]
        assert (starts.diff().dropna().dt.total_seconds() == 60.0).all()
        asked = md.klines(
            symbol,
            "1m",
            start=starts.iloc[0],
            end=starts.iloc[-1] + pd.Timedelta(minutes=1),
            source=there,
            cache=False,
        )
        figures = ["open", "high", "low", "close", "volume"]
        assert asked[figures].to_numpy().tolist() == first[figures].to_numpy().tolist()


def test_strategies_in_processes_see_the_same(venue, pair, exchange_process, wait_until, tmp_path):
    exchange = exchange_process(list(pair), venue=venue.name)
    path = tmp_path / "venue.jsonl.gz"
    session = md.live(
        list(pair),
        source=exchange,
        channels=["depth", "trade"],
        strategies=[md.strategies.pressure],
        record=path,
        workers=2,
        worker_kind="process",
    ).start()
    wait_until(lambda: in_step(session, pair))
    wait_until(lambda: all(len(session.frame("depth", s)) > 20 for s in pair))
    exchange.inject("disconnect")
    wait_until(lambda: len(session.gaps()) >= len(pair))
    wait_until(lambda: in_step(session, pair))
    assert session.stop().balanced
    assert session.dead_letters().empty
    assert len(session.book(pair[0])) == 10
    replay = md.live(
        source=md.replay(path, speed=None), strategies=[md.strategies.pressure]
    ).start()
    wait_until(lambda: not replay.running)
    for channel in ("depth", "trade"):
        for symbol in pair:
            assert replay.frame(channel, symbol).equals(session.frame(channel, symbol))
    assert pressed(replay.signals()).equals(pressed(session.signals()))
