"""After a reconnect, REST fills what it can; what it cannot stays a gap."""

import asyncio
import threading
import time

import pandas as pd
import pytest

import mdkit as md
from mdkit.backfill import rest
from mdkit.backfill.joining import first_trades, trades_before
from mdkit.backfill.rest import RestBackfill
from mdkit.channels.deduplicator import TradeDeduplicator
from mdkit.errors import FeedError, RateLimitError, ServerError
from mdkit.events import Depth, Gap, Trade
from mdkit.frames import TradeFrame
from mdkit.history.http.budget import Budget
from mdkit.history.http.client import RestClient
from mdkit.pipeline.pipeline import Pipeline
from mdkit.sources.websocket import WebSocketSource
from mdkit.venues.registry import DEFAULT
from mdkit.venues.routes import LIVE, REST
from mdkit.venues.tickdb import TickdbRouter as Router
from mdkit.venues.tickdb import encode, via_rest

pytestmark = pytest.mark.outer


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
    recent = TradeDeduplicator()
    live = tuple(trade(n) for n in range(5))
    assert recent.fresh(live, LIVE) is live
    filled = recent.fresh(tuple(trade(n) for n in range(3, 9)), REST)
    assert [t.id for t in filled] == ["5", "6", "7", "8"]
    again = tuple(trade(n) for n in range(7, 11))
    assert [t.id for t in recent.fresh(again, LIVE)] == ["9", "10"]
    assert recent.reaches([trade(4)])
    assert not recent.reaches([trade(99)])


def test_a_feed_that_lags_behind_rest_through_two_breaks_gives_nothing_twice():
    recent = TradeDeduplicator()
    recent.fresh(tuple(trade(n) for n in range(3)), LIVE)
    recent.fresh(tuple(trade(n) for n in range(6)), REST)
    recent.fresh(tuple(trade(n) for n in range(2, 8)), REST)
    pushed = tuple(trade(n) for n in range(4, 10))  # what REST had given ahead of the feed
    assert [t.id for t in recent.fresh(pushed, LIVE)] == ["8", "9"]


def test_a_feed_that_repeats_itself_is_not_covered_up():
    recent = TradeDeduplicator()
    recent.fresh((trade(1),), LIVE)
    assert len(recent.fresh((trade(1),), LIVE)) == 1


def test_what_was_missed_before_a_trade_that_was_seen_is_not_filled_in_behind_it():
    recent = TradeDeduplicator()
    recent.fresh((trade(1), trade(2)), LIVE)
    recent.fresh((trade(5), trade(6)), LIVE)
    filled = recent.fresh(tuple(trade(n) for n in range(9)), REST)
    assert [t.id for t in filled] == ["7", "8"]


@pytest.mark.parametrize("at", [5, 0], ids=["one millisecond", "no times"])
def test_of_trades_of_one_time_those_before_a_seen_one_are_not_filled_in_behind_it(at):
    recent = TradeDeduplicator()
    answer = tuple(Trade("A", 100.0, 1.0, "buy", str(n), at) for n in range(5))
    recent.fresh(answer[2:3], LIVE)
    assert [t.id for t in recent.fresh(answer, REST)] == ["3", "4"]


def test_trades_without_ids_are_known_by_what_they_are():
    recent = TradeDeduplicator()
    plain = [Trade("A", 1.0, float(n), "buy", "", 5) for n in range(3)]
    recent.fresh(tuple(plain[:2]), LIVE)
    assert recent.fresh(tuple(plain), REST) == (plain[2],)


@pytest.mark.parametrize("away", [0.0, 5.0], ids=["a short break", "too long for REST"])
def test_every_missing_trade_is_recovered_or_in_a_gap(exchange_process, until, away):
    """The exchange numbers its trades; at this speed REST's 1,000 are about three seconds."""
    exchange = exchange_process(["AAPL.US"], speed=10, scenario="steady")

    async def play():
        session = md.live(
            channels=["trade"],
            source=exchange,
            rows=200_000,
            settings=md.Settings(reconnect_base_delay=0.1, reconnect_max_delay=1.0),
        )
        async with session:
            await until(lambda: len(session.frame("trade")) > 500)
            if away:
                exchange.inject("refuse", duration=away, status=503)
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
    assert len(gaps) == 1
    assert bool(jumps) or not away
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
    shown = TradeDeduplicator.of_table(table)
    assert shown.reaches(trades[4:])
    assert not shown.reaches([trade(99)])
    assert shown.fresh((*trades[3:], trade(7)), REST) == (trade(7),)


def test_disconnects_leave_the_same_gaps_whoever_runs_the_strategies(exchange_process, until):
    """Trades that were seen are known in the worker process; what was missed is judged here."""

    async def play(kind):
        # So slow that REST's 1,000 trades of a symbol reach back further than any reconnect takes.
        exchange = exchange_process(["AAPL.US", "MSFT.US"], rate=200)
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
                await until(lambda seen=seen: len(session.frame("trade")) > seen + 50)
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
    exchange = exchange_process(["AAPL.US"], rate=150)  # REST reaches back seven seconds

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
            await until(lambda: len(session.frame("trade")) > 50)
            lanes = session.pipeline.lanes
            await until(lambda: lanes.processes[0].outstanding)
            lanes.processes[0].child.kill()
            await until(lambda: lanes.deaths and 0 in lanes.processes)
            seen = len(session.frame("trade"))
            await until(lambda: len(session.frame("trade")) > seen + 50)
            exchange.inject("disconnect")
            await until(lambda: len(session.gaps()) >= 2)
            seen = len(session.frame("trade"))
            await until(lambda: len(session.frame("trade")) > seen + 50)
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


# -- a REST service that is slow, or in trouble ---------------------------------------------------


class Gated:
    """In place of a RestClient: answers when the gate is open, and notes when it was asked."""

    def __init__(self, client, gate):
        self.client, self.gate = client, gate
        self.asked = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def hurry(self, seconds):
        pass

    def depth(self, symbol):
        return self._answer("depth", symbol)

    def trades(self, symbol):
        return self._answer("trades", symbol)

    def _answer(self, channel, symbol):
        self.asked.append(time.time_ns())
        if not self.gate.wait(60) or self.client is None:
            raise FeedError("no answer")
        return getattr(self.client, channel)(symbol)


class Rig:
    """A pipeline over an exchange in this process, and a backfill; no sockets but those."""

    def __init__(self, exchange, connect, channels=("depth", "trade")):
        self.exchange = exchange
        self.source = WebSocketSource(
            exchange.ws_url, channels, ["AAPL.US"], base_delay=0.01, max_delay=0.05
        )
        self.pipeline = Pipeline(self.source, backfill=RestBackfill(connect), frame_rows=100_000)

    async def __aenter__(self):
        self.pipeline.start()
        return self

    async def __aexit__(self, *error):
        assert (await self.pipeline.stop()).balanced

    def processed(self, channel="depth"):
        """What has arrived may still wait: tables and gaps are as far as this."""
        found = self.pipeline.channels.find("AAPL.US", channel)
        return found.processed if found is not None else 0

    async def more(self, until, count=20):
        found = self.pipeline.channels.find("AAPL.US", "depth")
        target = count + (found.received if found is not None else 0)
        await until(lambda: self.processed() >= target)

    async def reconnect(self, until):
        connects = self.source.connects
        self.exchange.inject("disconnect")
        await until(lambda: self.source.connects > connects)

    @property
    def gaps(self):
        return {gap.channel: gap for gap in self.pipeline.gaps}


@pytest.fixture
def gate():
    """An Event that is set when the test is over, so that no thread is left waiting."""
    gate = threading.Event()
    yield gate
    gate.set()


class Few(Gated):
    """Gives the latest 50 trades only, when the gate is open."""

    def trades(self, symbol):
        self.asked.append(time.time_ns())
        assert self.gate.wait(60)
        return self.client.trades(symbol, 50)


@pytest.mark.parametrize("path", ["ws_url", "flat_ws_url"])
def test_more_trades_pushed_than_an_answer_holds_come_in_their_order(
    gate, until, path, monkeypatch
):
    """The answer begins among the trades that were pushed: none of it may stand before them."""
    monkeypatch.setattr(rest, "ROUND_SECONDS", 60.0)

    async def main():
        async with md.Exchange(["AAPL.US"], process=False, rate=2000) as exchange:
            with RestClient(exchange.rest_url) as client:
                few = Few(client, gate)
                rig = Rig(exchange, lambda: few, ["trade"])
                rig.source = WebSocketSource(
                    getattr(exchange, path), ["trade"], ["AAPL.US"], base_delay=0.01
                )
                rig.pipeline = Pipeline(
                    rig.source, backfill=RestBackfill(lambda: few), frame_rows=100_000
                )
                async with rig:
                    await until(lambda: rig.processed("trade") > 100)
                    exchange.inject("disconnect")
                    await until(lambda: few.asked)
                    waiting = lambda: rig.source._connection.waiting  # noqa: E731
                    await until(lambda: rig.source._connection and len(waiting()) > 300)
                    gate.set()
                    await until(lambda: len(rig.pipeline.gaps))
                    before = rig.processed("trade")
                    await until(lambda: rig.processed("trade") > before + 500)
                    return rig.pipeline.frames.frame("trade", "AAPL.US"), rig.gaps["trade"]

    trades, gap = asyncio.run(main())
    numbers = trades.id.str.extract(r"(\d+)$")[0].astype(int)
    assert numbers.is_monotonic_increasing
    assert numbers.is_unique
    assert gap.lost is None
    assert (numbers.diff() > 1).sum() == trades.gap.sum() == 1
    assert (trades.source == "live").all()


@pytest.mark.parametrize(
    ("pushed", "given"),
    [
        (None, [5, 6, 7, 8]),  # nothing was pushed yet
        (7, [5, 6]),
        (5, []),
        (3, []),
        (20, [5, 6, 7, 8]),
    ],
)
@pytest.mark.parametrize("at", [None, 1_000_000], ids=["times", "one time"])
def test_an_answer_that_does_not_join_is_given_up_to_the_first_trade_pushed(pushed, given, at):
    def made(number):
        time_ns = number * 1_000_000 if at is None else at
        return Trade("A", 100.0, 1.0, "buy", str(number), time_ns)

    if at is not None and pushed in (3, 20):
        given = []  # of one time and unknown: which came first cannot be told
    answer = DEFAULT.via_rest([made(n) for n in range(5, 9)])
    messages = [(b"no message", 1)]
    messages += [(DEFAULT.encode(made(n)), 2) for n in range(pushed, pushed + 9)] if pushed else []
    first = first_trades(messages, DEFAULT)
    cut = trades_before(first.get("A"), answer, DEFAULT)
    assert ([int(t.id) for t in DEFAULT.decode(cut)] if cut else []) == given


def test_a_service_that_never_answers_holds_nothing_up_and_is_told(gate, until):
    async def main():
        async with md.Exchange(["AAPL.US"], process=False, rate=500) as exchange:
            slow = Gated(None, gate)
            async with Rig(exchange, lambda: slow) as rig:
                await rig.more(until)
                before = rig.pipeline.frames.frame("depth", "AAPL.US").index[-1].value
                await rig.reconnect(until)
                await rig.more(until)
                assert not gate.is_set(), "live books come while REST is still asked"
                depth, trades = rig.gaps["depth"], rig.gaps["trade"]
                assert (depth.lost, trades.lost) == (None, None)
                assert before <= depth.from_ns < slow.asked[0]
                # Nothing was subscribed while the books were asked for: that is part of the hole.
                assert depth.to_ns == trades.to_ns > slow.asked[0]
                assert slow.asked[-1] > trades.to_ns, "trades are asked for once they can come"
                await until(lambda: rig.pipeline.frames.frame("depth", "AAPL.US").gap.any())
                books = rig.pipeline.frames.frame("depth", "AAPL.US")
                assert books.gap.sum() == 1
                (first,) = books.gap.to_numpy().nonzero()[0]
                assert books.index[first].value >= depth.to_ns
                assert books.index[first - 1].value <= depth.from_ns, "the hole is as it is told"
                said = [str(problem) for problem in rig.pipeline.problems]
                assert sum("1 of 1 symbols: AAPL.US" in text for text in said) == 2
                assert all(isinstance(p, FeedError) for p in rig.pipeline.problems)

    asyncio.run(main())


def test_a_book_that_rest_gives_has_the_time_at_which_it_came(gate, until):
    async def main():
        async with md.Exchange(["AAPL.US"], process=False, rate=500) as exchange:
            with RestClient(exchange.rest_url) as client:
                slow = Gated(client, gate)
                async with Rig(exchange, lambda: slow, ["depth"]) as rig:
                    await rig.more(until)
                    await rig.reconnect(until)
                    await until(lambda: slow.asked)
                    opened = time.time_ns()
                    gate.set()
                    await rig.more(until)
                    books = rig.pipeline.frames.frame("depth", "AAPL.US")
        assert books.index.is_monotonic_increasing
        (filled,) = books.index[books.source == "rest"]
        assert opened <= filled.value <= rig.gaps["depth"].to_ns
        later = books[books.index > filled]
        assert (later.source == "live").all()
        assert later.index[0].value >= rig.gaps["depth"].to_ns
        assert books.gap.sum() == 1
        assert books.gap[filled]

    asyncio.run(main())


@pytest.mark.parametrize("phase", ["books", "trades"])
def test_stopping_while_rest_is_asked_loses_no_gap_and_waits_for_nobody(gate, until, phase):
    channels = ["depth", "trade"] if phase == "books" else ["trade"]

    async def main():
        async with md.Exchange(["AAPL.US"], process=False, rate=500) as exchange:
            slow = Gated(None, gate)
            async with Rig(exchange, lambda: slow, channels) as rig:
                await until(lambda: rig.processed("trade") > 20)
                await rig.reconnect(until)
                await until(lambda: slow.asked)
                if phase == "trades":  # what is pushed meanwhile waits, and is not lost
                    await until(lambda: rig.source._connection.bytes_seen > 5000)
            assert sorted(rig.gaps) == sorted(channels)
            assert all(gap.from_ns < gap.to_ns for gap in rig.pipeline.gaps)
            assert len(rig.pipeline.gaps) == len(channels)
            assert rig.pipeline.receipt.drained
            trades = rig.pipeline.frames.frame("trade", "AAPL.US")
            later = trades[trades.index >= pd.Timestamp(rig.gaps["trade"].to_ns, tz="UTC")]
            assert bool(len(later)) == (phase == "trades")
            assert later.gap.tolist() == [True] * bool(len(later)) + [False] * (len(later) - 1)

    asyncio.run(main())
    assert not gate.is_set()
    assert any(thread.name == "mdkit REST" for thread in threading.enumerate())


def test_a_loop_that_closes_does_not_wait_for_a_patient_call(until):
    """Bars are asked for with several tries: what waits for the next one is given up."""

    async def main():
        async with md.Exchange(["AAPL.US"], process=False) as exchange:
            exchange.inject("rate_limit", duration=100, retry_after=90)
            waits = []
            connect = lambda: RestClient(exchange.rest_url, waiting=lambda *w: waits.append(w))  # noqa: E731
            asking = asyncio.create_task(RestBackfill(connect).bars("AAPL.US", "1m", 5))
            await until(lambda: waits)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            # Ninety seconds before the service may be asked again, the thread is gone.
            await until(lambda: "mdkit REST" not in {t.name for t in threading.enumerate()})

    asyncio.run(main())


def test_a_budget_that_is_spent_is_told_and_not_waited_for(until):
    async def main():
        async with md.Exchange(["AAPL.US"], process=False, rate=500) as exchange:
            budget = Budget(3, sleep=lambda seconds: pytest.fail("waited for the budget"))
            rig = Rig(exchange, lambda: RestClient(exchange.rest_url, budget=budget))
            async with rig:
                await rig.more(until)
                for _ in range(2):
                    await rig.reconnect(until)
                    await rig.more(until)
                gaps = [(gap.channel, gap.lost) for gap in rig.pipeline.gaps]
                assert gaps[:2] == [("depth", None), ("trade", 0)]
                assert gaps[2:] == [("depth", None), ("trade", None)], "one call for two questions"
                refused = [p for p in rig.pipeline.problems if isinstance(p, RateLimitError)]
                assert "REST_CALLS_PER_MINUTE" in str(refused[0])
                books = rig.pipeline.frames.frame("depth", "AAPL.US")
                assert (books.source == "rest").sum() == 2

    asyncio.run(main())


def test_trouble_of_the_service_is_told_and_later_answers_keep_the_order(until):
    async def main():
        async with md.Exchange(["AAPL.US"], process=False, rate=500) as exchange:
            clients = []

            def connect():
                clients.append(RestClient(exchange.rest_url))
                return clients[-1]

            async with Rig(exchange, connect) as rig:
                await rig.more(until)
                exchange.inject("server_error", count=2)
                await rig.reconnect(until)
                await rig.more(until)
                assert [client.requests for client in clients] == [1, 1], "nothing is tried again"
                assert [type(p) for p in rig.pipeline.problems] == [ServerError] * 2
                assert "given up" not in str(rig.pipeline.problems[0])
                assert rig.gaps["trade"].lost is None
                await rig.reconnect(until)
                await rig.more(until)
                assert rig.gaps["trade"].lost == 0
                trades = rig.pipeline.frames.frame("trade", "AAPL.US")
        numbers = trades.id.str.extract(r"(\d+)$")[0].astype(int)
        assert numbers.is_monotonic_increasing
        assert numbers.is_unique
        jumps = (numbers.diff() > 1).sum()
        assert jumps <= trades.gap.sum() == 1, "what was missed the first time stays missing"

    asyncio.run(main())


def test_one_symbol_that_is_refused_costs_the_others_nothing(until):
    async def main():
        async with md.Exchange(["AAPL.US", "MSFT.US"], process=False) as exchange:
            backfill = RestBackfill(lambda: RestClient(exchange.rest_url))
            answers = await backfill.books(["NOPE", "AAPL.US", "MSFT.US"])
            assert sorted(answers.messages) == ["AAPL.US", "MSFT.US"]
            assert all(stamp <= time.time_ns() for _, stamp in answers.messages.values())
            (problem,) = answers.problems
            assert "NOPE" in str(problem)

    asyncio.run(main())


def test_several_symbols_are_asked_about_at_once(gate, until):
    symbols = ["AAPL.US", "MSFT.US", "NVDA.US", "TSLA.US", "700.HK", "EURUSD"]

    async def main():
        async with md.Exchange(symbols, process=False) as exchange:
            with RestClient(exchange.rest_url) as client:
                slow = Gated(client, gate)
                asking = asyncio.create_task(RestBackfill(lambda: slow).books(symbols))
                await until(lambda: len(slow.asked) == 4)
                gate.set()
                answers = await asking
        assert sorted(answers.messages) == sorted(symbols)
        assert not answers.problems

    asyncio.run(main())


def test_a_full_queue_does_not_put_off_subscribing(until):
    """What REST gave waits for room in the queue only when pushes can come again."""

    async def main():
        async with md.Exchange(["AAPL.US"], process=False, rate=500) as exchange:
            rig = Rig(exchange, lambda: RestClient(exchange.rest_url), ["depth"])
            room, filled, deliver = asyncio.Event(), [], rig.pipeline.deliver

            async def slow(batch):
                if any(b"rest" in raw for raw, _ in batch):
                    filled.extend(batch)
                    await room.wait()
                return await deliver(batch)

            rig.pipeline.deliver = slow
            async with rig:
                await rig.more(until)
                exchange.inject("disconnect")
                await until(lambda: filled)
                await until(lambda: exchange.statistics()["subscriptions"] == 1)
                assert rig.gaps["depth"].to_ns >= filled[0][1]
                room.set()
                await rig.more(until)
                books = rig.pipeline.frames.frame("depth", "AAPL.US")
        assert books.index.is_monotonic_increasing
        assert books[books.gap].source.tolist() == ["rest"]

    asyncio.run(main())
