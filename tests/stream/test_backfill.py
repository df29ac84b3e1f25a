"""After a reconnect, REST fills what it can; what it cannot stays a gap."""

import asyncio

import pandas as pd
import pytest

import mdkit as md
from mdkit.events import Depth, Gap, Trade
from mdkit.frames import TradeFrame
from mdkit.stream.backfill import Recent
from mdkit.wire.tickdb import LIVE, REST, Router, encode, via_rest


@md.strategy("trade")
def last(trade):
    return trade.price


def trade(number, **options):
    return Trade("A", 100.0 + number, 1.0, "buy", str(number), number, **options)


def test_what_rest_gives_is_marked_and_counted_by_itself():
    raw = encode(Depth("AAPL.US", ((1.0, 1.0),), ((2.0, 1.0),), 5_000_000))
    route = Router(["AAPL.US"]).route(via_rest(raw))
    assert (route.channel, route.symbol, route.origin) == ("depth", "AAPL.US", REST)
    assert route.account == "depth:rest"
    assert route.decode(via_rest(raw), 7)[0].bids == ((1.0, 1.0),)
    assert Router().route(raw).account == "depth"


def test_trades_are_not_seen_twice():
    recent = Recent()
    live = tuple(trade(n) for n in range(5))
    assert recent.fresh(live, LIVE) is live
    filled = recent.fresh(tuple(trade(n) for n in range(3, 9)), REST)
    assert [t.id for t in filled] == ["5", "6", "7", "8"]
    again = tuple(trade(n) for n in range(7, 11))
    assert [t.id for t in recent.fresh(again, LIVE)] == ["9", "10"]
    assert recent.reaches([trade(4)])
    assert not recent.reaches([trade(99)])


def test_a_feed_that_lags_behind_rest_through_two_breaks_gives_nothing_twice():
    recent = Recent()
    recent.fresh(tuple(trade(n) for n in range(3)), LIVE)
    recent.fresh(tuple(trade(n) for n in range(6)), REST)
    recent.fresh(tuple(trade(n) for n in range(2, 8)), REST)
    pushed = tuple(trade(n) for n in range(4, 10))  # what REST had given ahead of the feed
    assert [t.id for t in recent.fresh(pushed, LIVE)] == ["8", "9"]


def test_a_feed_that_repeats_itself_is_not_covered_up():
    recent = Recent()
    recent.fresh((trade(1),), LIVE)
    assert len(recent.fresh((trade(1),), LIVE)) == 1


def test_trades_without_ids_are_known_by_what_they_are():
    recent = Recent()
    plain = [Trade("A", 1.0, float(n), "buy", "", 5) for n in range(3)]
    recent.fresh(tuple(plain[:2]), LIVE)
    assert recent.fresh(tuple(plain), REST) == (plain[2],)


@pytest.mark.parametrize("away", [1, 5], ids=["a short break", "too long for REST"])
def test_every_missing_trade_is_recovered_or_in_a_gap(exchange_process, until, away):
    """The exchange numbers its trades; at this speed REST's 1,000 are about half a second."""
    exchange = exchange_process(["AAPL.US"], speed=60, scenario="steady")

    async def play():
        session = md.live(
            channels=["trade"],
            source=exchange,
            rows=200_000,
            settings=md.Settings(reconnect_base_delay=0.01 * away**2, reconnect_max_delay=1.0),
        )
        async with session:
            await until(lambda: len(session.frame("trade")) > 500)
            exchange.inject("refuse", count=away, status=503)
            exchange.inject("disconnect")
            await until(lambda: len(session.gaps()))
            seen = len(session.frame("trade"))
            await until(lambda: len(session.frame("trade")) > seen + 500)
        return session

    session = asyncio.run(play())
    trades, gaps = session.frame("trade"), session.gaps()
    numbers = trades.id.str.extract(r"(\d+)$")[0].astype(int).to_numpy()
    assert (numbers[1:] > numbers[:-1]).all(), "in order, none twice"
    jumps = [i for i in range(len(numbers) - 1) if numbers[i + 1] != numbers[i] + 1]
    unfilled = gaps[gaps.lost.isna()]
    for jump in jumps:
        before, after = trades.index[jump], trades.index[jump + 1]
        covered = (unfilled["from"] <= before + pd.Timedelta("1ms")) & (unfilled["to"] >= before)
        assert covered.any(), f"trades between {before} and {after} are missing and not told"
    assert len(gaps) >= 1
    if not jumps:
        assert gaps.lost.tolist() == [0]
        assert (trades.source == "rest").any()
        assert not trades.gap.any()
    else:
        assert trades.gap.sum() == len(unfilled)


@pytest.mark.parametrize("ids", [True, False], ids=["with ids", "without"])
def test_what_was_seen_is_told_from_a_table_of_trades(ids):
    table = TradeFrame()
    trades = [trade(n) if ids else Trade("A", 1.0, float(n), "buy", "", n) for n in range(5)]
    table.extend(trades)
    shown = Recent.shown(table)
    assert shown.reaches(trades[4:])
    assert not shown.reaches([trade(99)])
    assert shown.fresh((*trades[3:], trade(7)), REST) == (trade(7),)


def test_disconnects_leave_the_same_gaps_whoever_runs_the_strategies(exchange_process, until):
    """Trades that were seen are known in the worker process; what was missed is judged here."""

    async def play(kind):
        exchange = exchange_process(["AAPL.US", "MSFT.US"], rate=1000)
        session = md.live(
            channels=["trade"],
            source=exchange,
            strategies=[last],
            worker_kind=kind,
            workers=2,
            rows=200_000,
            settings=md.Settings(reconnect_base_delay=0.01),
        )
        async with session:
            for number in range(1, 4):
                seen = len(session.frame("trade"))
                await until(lambda seen=seen: len(session.frame("trade")) > seen + 200)
                exchange.inject("disconnect")
                await until(lambda number=number: len(session.gaps()) >= 2 * number)
        return session

    for session in (asyncio.run(play("task")), asyncio.run(play("process"))):
        gaps = session.gaps()
        assert gaps.lost.tolist() == [0] * 6
        assert gaps.channel.tolist() == ["trade"] * 6
        for symbol in ("AAPL.US", "MSFT.US"):
            trades = session.frame("trade", symbol)
            numbers = trades.id.str.extract(r"(\d+)$")[0].astype(int).tolist()
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            assert not trades.gap.any()


def test_what_a_dead_worker_process_had_seen_is_not_filled_in(exchange_process, until):
    """Neither what it handled nor what died with it: that is told, and would come out of order."""
    exchange = exchange_process(["AAPL.US"], rate=2000)

    async def play():
        session = md.live(
            channels=["trade"],
            source=exchange,
            strategies=[last],
            worker_kind="process",
            workers=1,
            rows=200_000,
            settings=md.Settings(reconnect_base_delay=0.01),
        )
        async with session:
            await until(lambda: len(session.frame("trade")) > 200)
            lanes = session.pipeline.lanes
            await until(lambda: lanes.processes[0].outstanding)
            lanes.processes[0].child.kill()
            await until(lambda: lanes.deaths and 0 in lanes.processes)
            seen = len(session.frame("trade"))
            await until(lambda: len(session.frame("trade")) > seen + 100)
            exchange.inject("disconnect")
            await until(lambda: len(session.gaps()) >= 2)
            seen = len(session.frame("trade"))
            await until(lambda: len(session.frame("trade")) > seen + 100)
        return session

    session = asyncio.run(play())
    trades = session.frame("trade")
    numbers = trades.id.str.extract(r"(\d+)$")[0].astype(int)
    assert numbers.is_monotonic_increasing
    assert numbers.is_unique
    assert session.gaps().lost.iloc[-1] == 0
    assert session.pipeline.receipt.balanced


def test_without_backfill_a_gap_stays_a_gap(exchange_process, until):
    exchange = exchange_process(["AAPL.US"], scenario="steady")

    async def play():
        session = md.live(
            channels=["trade"],
            source=exchange,
            backfill=False,
            settings=md.Settings(reconnect_base_delay=0.01),
        )
        async with session:
            await until(lambda: len(session.frame("trade")) > 5)
            exchange.inject("disconnect")
            await until(lambda: len(session.gaps()))
            await until(lambda: session.frame("trade").gap.any())
        return session

    session = asyncio.run(play())
    assert session.gaps().lost.isna().all()
    assert (session.frame("trade").source == "live").all()


def test_a_session_that_ends_without_a_connection_tells_the_gap(exchange_process, until):
    exchange = exchange_process(["AAPL.US"], scenario="steady")

    async def play():
        session = md.live(source=exchange, settings=md.Settings(reconnect_base_delay=30.0))
        async with session:
            await until(lambda: len(session.frame("depth")) > 5)
            exchange.inject("disconnect")
            await until(lambda: not session.health().connected)
        return session

    session = asyncio.run(play())
    assert session.gaps().channel.tolist() == ["depth"]
    assert isinstance(session.pipeline.gaps[0], Gap)
