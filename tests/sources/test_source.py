"""The WebSocket producer against an exchange that misbehaves on request."""

import asyncio
import logging
import time
import traceback

import numpy as np
import pytest

import mdkit as md
from mdkit.errors import AuthenticationError, FeedError, RateLimitError, SubscriptionError
from mdkit.events import SET_BACK
from mdkit.exchange import PlanLimits
from mdkit.pipeline.explain import explain
from mdkit.pipeline.pipeline import Pipeline
from mdkit.settings import Settings
from mdkit.sources.connection import shown
from mdkit.sources.source import Source
from mdkit.sources.websocket import WebSocketSource
from mdkit.strategies.contract import as_strategy

pytestmark = pytest.mark.outer

KEY = "sk-very-secret-0123456789"
SYMBOLS = ("AAPL.US", "MSFT.US")
PAIRS = {(symbol, channel) for symbol in SYMBOLS for channel in ("depth", "trade")}


class Rig:
    """A pipeline over a WebSocketSource with small delays."""

    def __init__(self, url, *strategies, channels=("depth", "trade"), symbols=SYMBOLS, **options):
        options = {"base_delay": 0.01, "max_delay": 0.05, "connects_per_minute": 1000, **options}
        queue = {k: options.pop(k) for k in ("maxsize", "block_timeout") if k in options}
        self.source = WebSocketSource(url, channels, symbols, **options)
        self.pipeline = Pipeline(self.source, [as_strategy(s) for s in strategies], **queue)

    async def __aenter__(self):
        self.pipeline.start()
        return self

    async def __aexit__(self, *error):
        self.receipt = await self.pipeline.stop()
        assert self.receipt.balanced
        assert not self.source.connected

    @property
    def received(self):
        return self.pipeline.ledger.totals()["received"]

    async def more(self, until, count=5):
        """Wait until messages arrive, from now on."""
        target = self.received + count
        await until(lambda: self.received >= target)


@pytest.mark.parametrize(
    "make", [md.live, lambda **more: WebSocketSource("ws://x", [], [], **more)]
)
def test_transport_is_no_argument(make):
    with pytest.raises(TypeError, match="transport"):
        make(transport="websockets")


def test_it_is_a_source():
    source = WebSocketSource("ws://127.0.0.1:1", ["depth"], SYMBOLS)
    assert isinstance(source, Source)
    assert source.symbols == SYMBOLS
    assert not source.connected
    assert source.stale_for == 0.0


@pytest.mark.parametrize("path", ["ws_url", "flat_ws_url"])
@pytest.mark.parametrize("compression", [False, True])
def test_both_dialects_deliver_with_and_without_compression(until, path, compression):
    async def main():
        exchange = md.Exchange(
            SYMBOLS, process=False, scenario="busy", api_key=KEY, compression=compression
        )
        async with (
            exchange,
            Rig(getattr(exchange, path), api_key=KEY, compression=compression) as rig,
        ):
            await until(lambda: rig.received > 50)
            assert rig.source.connects == 1
            frame = rig.pipeline.frames.frame("depth", "AAPL.US")
            assert (frame["spread"] >= 0).all()
        assert rig.receipt.totals["invalid"] == 0
        assert rig.receipt.totals["processed"] == rig.receipt.totals["received"]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("disconnect", "closed by the server with code 1012 (service restart)"),
        ("drop", "connection lost without a close frame"),
    ],
)
def test_every_reconnect_reports_a_gap_for_every_symbol_and_channel(until, kind, told):
    async def main():
        async with (
            md.Exchange(SYMBOLS, process=False, scenario="busy") as exchange,
            Rig(exchange.ws_url) as rig,
        ):
            closed = []
            rig.pipeline.closed = closed.append
            for round_ in (1, 2):
                await rig.more(until)
                exchange.inject("refuse", count=2)
                exchange.inject(kind)
                await until(lambda n=round_: rig.source.connects == n + 1)
                await rig.more(until)
                gaps = list(rig.pipeline.gaps)[-len(PAIRS) :]
                assert {(gap.symbol, gap.channel) for gap in gaps} == PAIRS
                assert all(gap.from_ns < gap.to_ns for gap in gaps)
                assert closed == [told] * round_
            assert rig.pipeline.gap_count == 2 * len(PAIRS)
            assert rig.source.disconnects == 2
            assert rig.pipeline.problem_counts["ServerError"] == 4

    asyncio.run(main())


def test_a_server_that_accepts_and_closes_is_not_hammered(until):
    async def main():
        async with md.Exchange(SYMBOLS, process=False) as exchange:
            exchange.inject("accept_then_close", count=6)
            rig = Rig(exchange.ws_url, base_delay=0.02, max_delay=0.2)
            async with rig:
                await until(lambda: rig.source.connects == 7)
                assert rig.source._backoff.attempt == 6, "a short connection must not reset it"
                await rig.more(until, 1)

    asyncio.run(main())


def test_connects_a_minute_are_capped(until):
    async def main():
        async with md.Exchange(SYMBOLS, process=False) as exchange:
            exchange.inject("accept_then_close", duration=1000)
            rig = Rig(exchange.ws_url, base_delay=1e-9, max_delay=1e-9, connects_per_minute=5)
            async with rig:
                await until(lambda: rig.source.connects == 5 and not rig.source.connected)
                delay = rig.source._backoff.delay()
                assert delay > 50
            assert exchange.statistics()["connections_total"] == 5

    asyncio.run(main())


@pytest.mark.parametrize(("code", "told"), [(1001, "TICKDB_API_KEY"), (1003, "IP"), (1004, "perm")])
def test_a_refused_key_is_fatal_at_once_and_says_what_to_do(until, code, told):
    async def main():
        async with md.Exchange(SYMBOLS, process=False) as exchange:
            exchange.inject("unauthorized", duration=1000, code=code)
            rig = Rig(exchange.ws_url, api_key=KEY)
            rig.pipeline.start()
            with pytest.raises(AuthenticationError, match=told) as caught:
                await rig.pipeline.wait()
            assert caught.value.code == code
            assert KEY not in "".join(traceback.format_exception(caught.value))
            assert exchange.statistics()["refused"] == {str(code): 1}

    asyncio.run(main())


def test_a_missing_and_a_wrong_key_are_told_apart():
    async def main():
        async with md.Exchange(SYMBOLS, process=False, api_key=KEY) as exchange:
            for key, code in ((None, 1002), ("wrong", 1001)):
                rig = Rig(exchange.ws_url, api_key=key)
                rig.pipeline.start()
                with pytest.raises(AuthenticationError) as caught:
                    await rig.pipeline.wait()
                assert caught.value.code == code

    asyncio.run(main())


def test_retry_after_is_obeyed(until):
    async def main():
        async with md.Exchange(SYMBOLS, process=False) as exchange:
            exchange.inject("rate_limit", count=1, retry_after=1)
            loop = asyncio.get_running_loop()
            began = loop.time()
            async with Rig(exchange.ws_url) as rig:
                await until(lambda: rig.source.connects == 1)
                assert loop.time() - began >= 1.0
                (problem,) = rig.pipeline.problems
                assert isinstance(problem, RateLimitError)
                assert problem.retry_after == 1.0

    asyncio.run(main())


def test_a_plans_limit_drops_only_the_subscriptions_over_it(until):
    async def main():
        limits = PlanLimits(subscriptions=3)
        async with (
            md.Exchange(SYMBOLS, process=False, limits=limits, scenario="busy") as exchange,
            Rig(exchange.ws_url) as rig,
        ):
            await until(lambda: rig.source.refused)
            await rig.more(until, 200)
            (refused,) = rig.source.refused
            assert set(rig.source.subscriptions) == {
                (channel, symbol) for symbol, channel in PAIRS
            } - {refused}
            assert isinstance(rig.source.refused[refused], SubscriptionError)
            assert rig.source.connects == 1
            seen = {(a.channel, a.symbol) for a in rig.pipeline.ledger if a.received}
            assert seen == set(rig.source.subscriptions)

    asyncio.run(main())


def test_an_unknown_symbol_drops_only_itself_and_is_named(until):
    async def main():
        async with (
            md.Exchange(SYMBOLS, process=False, scenario="busy") as exchange,
            Rig(exchange.ws_url, channels=("depth",), symbols=(*SYMBOLS, "NOPE")) as rig,
        ):
            await until(lambda: rig.source.refused)
            await rig.more(until, 20)
            assert list(rig.source.refused) == [("depth", "NOPE")]
            assert "NOPE" in str(rig.pipeline.problems[-1])
            assert {a.symbol for a in rig.pipeline.ledger} == set(SYMBOLS)

    asyncio.run(main())


def test_when_nothing_is_left_to_subscribe_to_it_ends_with_the_reason():
    async def main():
        async with md.Exchange(SYMBOLS, process=False) as exchange:
            rig = Rig(exchange.ws_url, channels=("depth",), symbols=("NOPE",))
            rig.pipeline.start()
            with pytest.raises(md.MdkitError, match=r"2002.*NOPE"):
                await rig.pipeline.wait()

    asyncio.run(main())


@pytest.mark.parametrize("path", ["ws_url", "flat_ws_url"])
def test_subscriptions_change_while_running(until, path):
    async def main():
        async with (
            md.Exchange(SYMBOLS, process=False, scenario="busy") as exchange,
            Rig(
                getattr(exchange, path),
                channels=("depth",),
                symbols=SYMBOLS[:1],
            ) as rig,
        ):
            counts = lambda: {a.symbol: a.received for a in rig.pipeline.ledger}  # noqa: E731
            await rig.more(until)
            assert set(counts()) == {"AAPL.US"}
            await rig.source.subscribe("depth", ["MSFT.US", "MSFT.US"])
            await until(lambda: counts().get("MSFT.US"))
            await rig.source.unsubscribe("depth", ["AAPL.US"])
            await until(lambda: exchange.statistics()["subscriptions"] == 1)
            assert rig.source.symbols == ("MSFT.US",)
            # Whatever was under way has arrived when a later answer to a ping has.
            await rig.more(until, 20)
            before = counts()["AAPL.US"]
            await rig.more(until, 20)
            assert counts()["AAPL.US"] == before

    asyncio.run(main())


def test_a_stalled_consumer_costs_neither_the_connection_nor_a_message(until):
    """The keepalive case: a strategy that awaits for several keepalive budgets."""

    async def main():
        gate, begun = asyncio.Event(), asyncio.Event()

        @md.strategy("depth")
        async def stalls(book):
            begun.set()
            await gate.wait()

        async with (
            md.Exchange(SYMBOLS, process=False, scenario="busy", keepalive=1.0) as exchange,
            Rig(
                exchange.ws_url,
                stalls,
                channels=("depth",),
                heartbeat=0.2,
                stale_after=60,
                maxsize=50,
                block_timeout=0.1,
            ) as rig,
        ):
            await begun.wait()
            loop = asyncio.get_running_loop()
            stalled_at = loop.time()
            await until(lambda: loop.time() - stalled_at > 4.1)  # four times the server's patience
            assert not rig.pipeline.ledger.imbalance()
            assert rig.pipeline.ledger.totals()["spilled"] > 100
            assert rig.source.connected
            gate.set()
            await until(lambda: not rig.pipeline.buffer.spill)
            await rig.more(until)
            assert rig.source.connects == 1
            assert exchange.statistics()["connections_total"] == 1
            sent = exchange.statistics()["sent_total"]
            await until(lambda: rig.pipeline.ledger.totals()["processed"] >= sent)
        assert rig.receipt.totals["processed"] == rig.receipt.totals["received"] >= sent
        assert rig.receipt.gaps == 0

    asyncio.run(main())


def test_a_blocked_consumer_is_not_taken_for_a_silent_feed(until):
    async def main():
        async with (
            md.Exchange(SYMBOLS, process=False, scenario="steady") as exchange,
            Rig(exchange.ws_url, heartbeat=5, stale_after=0.15) as rig,
        ):
            await rig.more(until)
            rig.pipeline.pause()
            loop = asyncio.get_running_loop()
            paused_at = loop.time()
            await until(lambda: loop.time() - paused_at > 0.6)
            assert rig.source.stale_for == 0.0
            rig.pipeline.resume()
            await rig.more(until)
            assert [gap.reason for gap in rig.pipeline.gaps] == []

    asyncio.run(main())


def test_a_connected_but_silent_feed_is_stale_and_leaves_a_gap(until):
    async def main():
        async with (
            md.Exchange(SYMBOLS, process=False, scenario="busy") as exchange,
            Rig(exchange.ws_url, heartbeat=5, stale_after=0.2) as rig,
        ):
            await rig.more(until)
            exchange.inject("stall", duration=0.7)
            stale = await until(lambda: rig.source.stale_for)
            assert stale > 0.2
            assert "silent" in explain(rig.pipeline)
            assert not rig.pipeline.health().ok
            await until(lambda: rig.pipeline.gap_count)
            assert rig.source.stale_for == 0.0
            assert {(g.symbol, g.channel) for g in rig.pipeline.gaps} == PAIRS
            assert all("silent" in gap.reason for gap in rig.pipeline.gaps)
            assert rig.source.connects == 1

    asyncio.run(main())


@pytest.mark.parametrize("begin", [0, 5], ids=["from the beginning", "later"])
def test_a_silence_that_lasts_to_the_end_is_a_gap(until, begin):
    async def main():
        async with md.Exchange(SYMBOLS, process=False, scenario="busy") as exchange:
            if not begin:
                exchange.inject("stall", duration=1000)
            options = {"heartbeat": 5, "stale_after": 0.2}
            began = time.time_ns()
            async with Rig(exchange.ws_url, **options) as rig:
                await until(lambda: exchange.statistics()["subscriptions"] == len(PAIRS))
                if begin:
                    await rig.more(until, begin)
                    exchange.inject("stall", duration=1000)
                opened = time.time_ns()
                await until(lambda: rig.source.stale_for)
                assert not rig.pipeline.gaps
            assert {(g.symbol, g.channel) for g in rig.pipeline.gaps} == PAIRS
            assert len(rig.pipeline.gaps) == len(PAIRS)
            for gap in rig.pipeline.gaps:
                assert "silent" in gap.reason
                assert gap.to_ns - gap.from_ns > 0.2e9
                assert began <= gap.from_ns
                assert gap.from_ns <= opened or begin
            assert rig.received == 0 or begin

    asyncio.run(main())


def test_a_silence_before_the_first_message_is_a_gap(until):
    async def main():
        async with md.Exchange(SYMBOLS, process=False, scenario="busy") as exchange:
            exchange.inject("stall", duration=0.7)
            async with Rig(exchange.ws_url, heartbeat=5, stale_after=0.2) as rig:
                await rig.more(until)
                assert {(g.symbol, g.channel) for g in rig.pipeline.gaps} == PAIRS
                assert all("silent" in gap.reason for gap in rig.pipeline.gaps)
                await rig.more(until)
            assert rig.pipeline.gap_count == len(PAIRS)

    asyncio.run(main())


def test_a_gap_ends_when_everything_is_about_to_be_subscribed(until):
    """A sink that takes its time over a new connection has a longer hole, and knows it."""

    async def main():
        async with (
            md.Exchange(SYMBOLS, process=False, scenario="busy") as exchange,
            Rig(exchange.ws_url) as rig,
        ):
            await rig.more(until)
            gate, given, opened = asyncio.Event(), [], rig.pipeline.opened

            async def slow(gaps):
                given.extend(gaps)
                await opened(())
                await gate.wait()

            rig.pipeline.opened = slow
            exchange.inject("disconnect")
            await until(lambda: given)
            assert {(gap.symbol, gap.channel) for gap in given} == PAIRS
            assert {gap.to_ns for gap in given} == {0}, "it is not over"
            assert exchange.statistics()["subscriptions"] == 0
            gate.set()
            await rig.more(until)

    asyncio.run(main())


def test_stopping_does_not_wait_for_a_sink_that_is_busy_with_a_connection(until):
    async def main():
        async with md.Exchange(SYMBOLS, process=False, scenario="busy") as exchange:
            for name in ("opened", "subscribed"):
                rig = Rig(exchange.ws_url)
                busy = asyncio.Event()

                async def never(*told, busy=busy):
                    busy.set()
                    await asyncio.Event().wait()

                setattr(rig.pipeline, name, never)
                async with rig:
                    await busy.wait()
                assert rig.receipt.drained

    asyncio.run(main())


def test_what_was_unsubscribed_for_a_while_has_a_gap(until):
    async def main():
        async with (
            md.Exchange(SYMBOLS, process=False, scenario="busy") as exchange,
            Rig(exchange.ws_url, channels=("depth",)) as rig,
        ):
            await rig.source.subscribe("depth", SYMBOLS)  # which they are already
            await rig.more(until, 50)
            await rig.source.unsubscribe("depth", ["AAPL.US"])
            await until(lambda: exchange.statistics()["subscriptions"] == 1)
            left = time.time_ns()
            await rig.more(until, 50)
            assert not rig.pipeline.gaps, "nobody wanted it"
            back = time.time_ns()
            await rig.source.subscribe("depth", ["AAPL.US", "MSFT.US"])
            (gap,) = rig.pipeline.gaps
            assert (gap.symbol, gap.channel, gap.lost) == ("AAPL.US", "depth", None)
            assert gap.reason == "not subscribed"
            assert gap.from_ns <= left < back <= gap.to_ns
            flags = lambda: rig.pipeline.frames.frame("depth", "AAPL.US").gap  # noqa: E731
            await until(lambda: flags().any())
            assert flags().sum() == 1
            await rig.source.subscribe("depth", ["AAPL.US"])
            assert rig.pipeline.gap_count == 1

    asyncio.run(main())


def test_what_was_unsubscribed_before_anything_came_has_none(until):
    async def main():
        async with md.Exchange(SYMBOLS, process=False, scenario="busy") as exchange:
            rig = Rig(exchange.ws_url, channels=("depth",))
            await rig.source.unsubscribe("depth", ["AAPL.US"])
            async with rig:
                await rig.more(until)
                await rig.source.subscribe("depth", ["AAPL.US"])
                await until(lambda: rig.pipeline.channels.find("AAPL.US", "depth"))
            assert not rig.pipeline.gaps

    asyncio.run(main())


def test_a_connection_on_which_nothing_arrives_is_given_up(until):
    async def main():
        async with (
            md.Exchange(SYMBOLS, process=False, scenario="busy") as exchange,
            Rig(exchange.ws_url, heartbeat=0.1) as rig,
        ):
            await rig.more(until)
            exchange.inject("freeze", duration=1.0)
            await until(lambda: rig.source.disconnects == 1 and rig.pipeline.problems)
            assert "nothing arrived" in str(rig.pipeline.problems[-1])
            await until(lambda: rig.source.connects >= 2)
            await rig.more(until)

    asyncio.run(main())


def test_the_key_is_in_no_repr_log_error_problem_or_gap(until, caplog, capsys):
    caplog.set_level(logging.DEBUG)

    async def main():
        exchange = md.Exchange(SYMBOLS, process=False, scenario="busy", api_key=KEY)
        async with exchange, Rig(exchange.ws_url, api_key=KEY) as rig:
            await rig.more(until)
            exchange.inject("refuse", count=1)
            exchange.inject("drop")
            await until(lambda: rig.source.connects == 2)
            await rig.more(until)
            shown = [repr(rig.source), explain(rig.pipeline), str(list(rig.pipeline.gaps))]
            shown += ["".join(traceback.format_exception(e)) for e in rig.pipeline.problems]
        return [*shown, str(rig.receipt)]

    shown = asyncio.run(main())
    captured = capsys.readouterr()
    for text in [*shown, caplog.text, captured.out, captured.err]:
        assert KEY not in text


def test_nobody_listening_is_a_problem_that_is_retried_and_a_wrong_url_a_failure(until):
    async def main():
        rig = Rig("ws://127.0.0.1:9/v1/realtime", api_key=KEY)
        async with rig:
            await until(lambda: len(rig.pipeline.problems) >= 3)
            assert isinstance(rig.pipeline.problems[0], FeedError)
            assert "Not connected" in explain(rig.pipeline)
            assert KEY not in explain(rig.pipeline)
        for url in ("ws://", "ws://127.0.0.1:99999/v1/realtime", "http://127.0.0.1/v1/realtime"):
            rig = Rig(url, api_key=KEY)
            rig.pipeline.start()
            with pytest.raises(FeedError, match="not a WebSocket URL") as caught:
                await rig.pipeline.wait()
            assert KEY not in "".join(traceback.format_exception(caught.value))

    asyncio.run(main())


def test_settings_reach_the_source():
    settings = Settings(
        heartbeat_interval=0.2, reconnect_base_delay=0.5, reconnect_max_delay=2, tickdb_api_key=KEY
    )
    session = md.live(["A"], source="ws://127.0.0.1:9", settings=settings, name="settings")
    source = session.pipeline.source
    assert source.heartbeat == 0.2
    assert (source._backoff.base, source._backoff.maximum) == (0.5, 2)
    assert session.pipeline.buffer.block_timeout == 0.2
    assert KEY not in repr(session) + repr(source) + repr(session.stats())


def test_what_a_url_holds_besides_its_address_is_shown_nowhere():
    secret = "ws://someone:secret-word@127.0.0.1:9/v1/realtime?token=secret-word"
    session = md.live(["A"], source=secret, name="secrets")
    session.pipeline.problem(FeedError(f"No connection to {shown(secret)}."))
    for told in (repr(session), repr(session.pipeline.source), str(session.stats())):
        assert "secret-word" not in told
        assert "127.0.0.1:9/v1/realtime" in told


def test_garbage_faults_are_counted_as_invalid_and_the_stream_goes_on(until):
    async def main():
        async with (
            md.Exchange(SYMBOLS, process=False, scenario="busy") as exchange,
            Rig(exchange.ws_url) as rig,
        ):
            await rig.more(until)
            exchange.inject("malformed", count=60)
            exchange.inject("oversized", count=2, size=10 << 20)
            await until(lambda: rig.pipeline.ledger.totals()["invalid"] >= 62)
            await rig.more(until)
            assert rig.source.connects == 1
        assert rig.receipt.totals["invalid"] == 62
        assert any("larger than" in r for r in rig.pipeline.lanes.outcome.invalid_reasons)

    asyncio.run(main())


def test_a_clock_that_was_set_back_is_told_and_survived(until, monkeypatch):
    off = [0]
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + off[0])

    async def main():
        async with (
            md.Exchange(SYMBOLS, process=False, scenario="busy") as exchange,
            Rig(exchange.ws_url) as rig,
        ):
            await rig.more(until, 50)
            off[0] = -3_600_000_000_000
            await until(lambda: rig.pipeline.gaps)
            await rig.more(until, 50)
            return rig.pipeline

    pipeline = asyncio.run(main())
    told = [gap.reason for gap in pipeline.gaps if gap.reason.startswith(SET_BACK)]
    assert len(told) == len(pipeline.source.subscriptions)
    assert told[0].startswith("this machine's clock was set back by 3,")
    assert not pipeline.ledger.imbalance()
    for symbol in SYMBOLS:
        frame = pipeline.frames.frame("depth", symbol)
        back = np.append(False, np.diff(frame.index.asi8) < 0)
        assert back.sum() == 1
        assert frame["gap"].to_numpy()[back].all()
        rolled = md.rolling(frame, "mid", "1s")
        assert len(rolled) == len(frame)
    # Delays are measured anew, not against the clock as it was before.
    assert (pipeline.lanes.clocks.frame()["delay_p99_ms"] < 1_000_000).all()
