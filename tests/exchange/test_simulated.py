"""The simulated market as a source: an exchange's messages, in the session's own loop."""

import asyncio
import socket
import subprocess
import threading
import time

import pytest
from exchange_clients import collect, run

import mdkit as md
from mdkit.errors import SessionError, SettingsError
from mdkit.exchange.simulated import SimulatedSource

START = "2025-01-31T14:30:00"
PAIR = ["AAPL.US", "MSFT.US"]
CHANNELS = ("depth", "trade", "ticker")


class Sink:
    """Keeps what is delivered; `enough` messages stop the source."""

    def __init__(self, source=None, enough=None):
        self.source, self.enough = source, enough
        self.texts, self.stamps, self.gaps = [], [], []

    async def deliver(self, batch):
        self.texts += [raw.decode() for raw, _ in batch]
        self.stamps += [stamp for _, stamp in batch]
        if self.enough is not None and len(self.texts) >= self.enough:
            self.source.stop()
        return []

    def gap(self, gap):
        self.gaps.append(gap)


def texts_of(simulated, channels=CHANNELS, symbols=PAIR, enough=None):
    source = SimulatedSource(simulated.config(symbols), channels, symbols)
    sink = Sink(source, enough)
    run(source.run(sink))
    assert not sink.gaps
    return sink.texts


def values_of(session):
    """The signals of each symbol in order; what came together has no order among symbols."""
    table = session.signals()
    return {symbol: list(rows["value"]) for symbol, rows in table.groupby("symbol")}


@pytest.mark.outer
@pytest.mark.parametrize(
    ("options", "channels"),
    [
        ({"rate": 2000.0, "speed": 20}, CHANNELS),
        ({"scenario": "busy", "seed": 3, "levels": 4, "speed": 10}, ("depth", "ticker")),
        ({"speed": 0, "seed": 11}, CHANNELS),
        ({"scenario": "flood"}, ("trade",)),
        ({"scenario": "flood", "rate": 20_000.0}, ("depth",)),
        ({"scenario": "open", "opening": 300, "speed": 50}, CHANNELS),
    ],
)
def test_it_says_what_an_exchange_sends_byte_for_byte(options, channels):
    options = {**options, "count": 400, "start": START}
    expected = texts_of(md.Simulated(**options), channels)

    async def from_a_socket():
        async with md.Exchange(PAIR, process=False, **options) as exchange:
            return await collect(
                exchange.ws_url,
                [(channel, PAIR) for channel in channels],
                lambda texts: len(texts) >= len(expected),
            )

    assert run(from_a_socket()) == expected
    assert len(expected) >= 100


@pytest.mark.outer
def test_what_is_repeated_is_repeated_as_an_exchange_does():
    # An unpaced market makes 20,000 depth messages and says them again and again.
    texts = texts_of(md.Simulated(speed=0, start=START), ("depth",), enough=25_000)
    assert texts[20_000:25_000] == texts[:5_000]
    assert texts[:20_000].count(texts[0]) == 1


def test_another_seed_is_another_market():
    first, again, other = (texts_of(md.Simulated(speed=0, count=50, seed=s)) for s in (1, 1, 2))
    assert [text.partition("timestamp")[0] for text in first] == [
        text.partition("timestamp")[0] for text in again
    ]
    assert first[0].partition("timestamp")[0] != other[0].partition("timestamp")[0]


def test_a_part_of_a_market_is_what_an_exchange_sends_of_it():
    whole = texts_of(md.Simulated(PAIR, speed=0, count=200, start=START), ("depth",))
    part = texts_of(md.Simulated(PAIR, speed=0, count=200, start=START), ("depth",), ["MSFT.US"])
    assert part == [text for text in whole if "MSFT.US" in text]
    assert 50 < len(part) < 150


def test_a_session_opens_nothing(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("no sockets, no processes")

    async def use():
        session = md.live(
            ["AAPL.US"], source=md.Simulated(speed=0, count=100), channels=CHANNELS, name="t"
        )
        monkeypatch.setattr(socket.socket, "__init__", refuse)
        monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
        before = set(threading.enumerate())
        session.start()
        await asyncio.sleep(0)
        grown = {thread.name for thread in set(threading.enumerate()) - before}
        receipt = await session.run()
        assert grown <= {"mdkit watchdog"}
        return receipt, session.ledger(), session.explain()

    receipt, ledger, said = asyncio.run(use())
    assert receipt.reason == "the source ended"
    assert receipt.balanced
    assert ledger["processed"].loc["AAPL.US", "depth"] == 100
    assert said.startswith("Stopped: ")


def test_a_session_has_channels_bars_signals_and_no_gaps():
    session = md.live(
        PAIR,
        source=md.Simulated(speed=0, count=2000, start=START),  # a hundred a second for 20 s
        channels=["depth", "ticker"],
        bars="1s",
        strategies=[md.strategies.pressure],
    )
    receipt = session.run_blocking()
    assert receipt.totals["processed"] == receipt.totals["received"] > 2000
    assert receipt.signals == len(session.signals()) > 0
    assert session.gaps().empty
    assert set(session.ledger().index.get_level_values("channel")) == {"depth", "ticker"}
    for symbol in PAIR:
        starts = session.frame("bar", symbol).index
        assert str(starts[0]) == "2025-01-31 14:30:00+00:00"
        assert len(starts) == 20
    assert session.frame("depth", "AAPL.US")["bid"].gt(0).all()


def test_its_name_alone_begins_and_goes_on(until):
    async def use():
        async with md.live(["AAPL.US"], source="simulated") as session:
            await until(lambda: session.ledger()["processed"].sum() >= 5)
            assert session.stats()["source"] == "simulated market"
            assert session.stats()["connected"]
            assert session.state == "running"
            assert "not connected" not in session.explain()

    asyncio.run(use())


def test_the_default_symbols_are_the_settings_and_a_markets_are_its_own():
    assert md.live(source="simulated").symbols == md.Settings().subscribed_symbols
    assert md.live(source=md.Simulated(["X"])).symbols == ("X",)
    assert md.live(["X"], source=md.Simulated()).symbols == ("X",)


def test_messages_are_paced_and_none_is_early():
    source = SimulatedSource(md.Simulated(rate=400, count=60).config(PAIR), ["depth"], PAIR)
    sink, began = Sink(), time.time_ns()
    run(source.run(sink))
    # The i-th falls somewhere in the i-th slot of 2.5 ms.
    assert all(stamp - began >= i * 2_500_000 for i, stamp in enumerate(sink.stamps))
    assert len(sink.stamps) == 60


def test_a_pause_loses_nothing_and_is_no_gap(until):
    async def use():
        session = md.live(["AAPL.US"], source=md.Simulated(rate=2000, count=1000)).start()
        await until(lambda: session.ledger()["processed"].sum() > 0)
        session.pause()
        await until(lambda: session.ledger()["queued"].sum() == 0)
        held = session.ledger()["received"].sum()
        assert session.explain().startswith("Paused")
        session.resume()
        receipt = await session.run()
        return session, receipt, held

    session, receipt, held = asyncio.run(use())
    assert held < receipt.totals["received"] == receipt.totals["processed"] == 1000
    assert session.gaps().empty


def test_stopping_is_prompt_in_a_market_that_says_nothing(until):
    async def use():
        session = md.live(["AAPL.US"], source=md.Simulated(rate=0.001)).start()
        await until(lambda: session.stats()["connected"])
        return await asyncio.wait_for(session.stop(), 5)

    assert asyncio.run(use()).reason == "stopped"


def test_symbols_come_and_go_while_it_runs(until):
    async def use():
        session = md.live(["AAPL.US"], source=md.Simulated(rate=500), name="changes").start()

        def had(symbol, channel="depth"):
            ledger = session.ledger()["processed"]
            return ledger.get((symbol, channel), 0)

        await until(lambda: had("AAPL.US"))
        session.subscribe("depth", "NVDA.US")
        session.subscribe("trade", "AAPL.US")
        await until(lambda: had("NVDA.US") and had("AAPL.US", "trade"))
        session.unsubscribe("depth", "AAPL.US")
        await until(lambda: ("depth", "AAPL.US") not in session.pipeline.source.subscriptions)
        await until(lambda: session.ledger()["queued"].sum() == 0)
        before, others = had("AAPL.US"), had("NVDA.US")
        await until(lambda: had("NVDA.US") > others + 20)
        assert had("AAPL.US") == before
        session.subscribe("depth", "AAPL.US")
        await until(lambda: had("AAPL.US") > before)
        gaps = session.gaps()
        await session.stop()
        return gaps, session.stats()["messages"]

    gaps, totals = asyncio.run(use())
    assert gaps[["symbol", "channel", "reason"]].to_numpy().tolist() == [
        ["AAPL.US", "depth", "not subscribed"]
    ]
    assert totals["received"] == totals["processed"]


def test_an_unpaced_market_waits_until_somebody_listens(until):
    async def use():
        session = md.live(["AAPL.US"], source=md.Simulated(speed=0), maxsize=100).start()
        await until(lambda: session.ledger()["processed"].sum())
        session.unsubscribe("depth", "AAPL.US")
        await until(lambda: not session.pipeline.source.subscriptions)
        session.subscribe("depth", "MSFT.US")
        await until(lambda: ("MSFT.US", "depth") in session.ledger().index)
        session.unsubscribe("depth", "MSFT.US")
        await until(lambda: not session.pipeline.source.subscriptions)
        return await asyncio.wait_for(session.stop(), 5)

    assert asyncio.run(use()).balanced


@pytest.mark.outer
def test_a_recording_of_it_replays_to_the_same_signals(tmp_path):
    path = tmp_path / "simulated.jsonl.gz"
    live = md.live(
        PAIR,
        source=md.Simulated(speed=0, count=500),
        channels=["depth", "trade"],
        strategies=[md.strategies.pressure],
        record=path,
    )
    live.run_blocking()
    recorded = sum(len(md.read_recording(path).frame(channel)) for channel in ("depth", "trade"))
    assert recorded == len(live.frame("depth")) + len(live.frame("trade"))
    again = md.live(source=md.replay(path, speed=None), strategies=[md.strategies.pressure])
    again.run_blocking()
    assert values_of(again) == values_of(live) != {}
    assert md.verify(md.strategies.pressure, path)


@pytest.mark.outer
def test_processes_serve_it_as_tasks_do():
    source = md.Simulated(speed=0, count=300, start=START)
    options = {"source": source, "channels": ["depth"], "strategies": [md.strategies.pressure]}
    tasks = md.live(PAIR, name="tasks", **options)
    processes = md.live(PAIR, name="processes", workers=2, worker_kind="process", **options)
    for session in (tasks, processes):
        assert session.run_blocking().totals["processed"] == 300
    assert values_of(processes) == values_of(tasks) != {}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: md.Simulated(rate=0), "rate=0 is out of range"),
        (lambda: md.Simulated(scenario="wild"), "scenario='wild' is unknown"),
        (lambda: md.Simulated([]), "symbols is empty"),
        (lambda: md.live(["AAPL"], source="simulated"), "AAPL.US"),
        (lambda: md.live(["Y"], source=md.Simulated(["X"])), "does not trade 'Y'"),
        (
            lambda: md.live(["X"], source=md.Simulated(), bars="1m", warmup=5),
            "no REST service",
        ),
        (lambda: md.live(["X"], source="simulate"), '"simulated"'),
    ],
)
def test_what_cannot_work_is_refused_with_the_cure(make, told):
    with pytest.raises(SettingsError, match=told.replace("[", r"\[")):
        make()


def test_a_subscription_to_what_is_not_traded_is_refused_at_once(until):
    async def use():
        async with md.live(["X"], source=md.Simulated(["X"]), name="refuses") as session:
            await until(lambda: session.stats()["connected"])
            with pytest.raises(SettingsError, match="does not trade 'Y'"):
                session.subscribe("depth", "Y")
            with pytest.raises(SettingsError, match="is not subscribed to"):
                session.frame("trade")

    asyncio.run(use())


def test_a_session_that_has_ended_takes_no_changes():
    session = md.live(["X"], source=md.Simulated(count=1, speed=0))
    session.run_blocking()
    with pytest.raises(SessionError, match="has ended"):
        session.subscribe("depth", "NVDA.US")


def test_a_wall_clock_that_is_set_back_is_told(monkeypatch):
    source = SimulatedSource(md.Simulated(speed=0, count=150).config(["X"]), ["depth"], ["X"])
    sink = Sink()
    clock = iter(range(10**18, 0, -2 * 10**9))
    monkeypatch.setattr("mdkit.exchange.simulated.time.time_ns", lambda: next(clock))
    run(source.run(sink))
    assert len(sink.gaps) == len(set(sink.stamps)) - 1 > 0
    assert (sink.gaps[0].symbol, sink.gaps[0].channel) == ("X", "depth")
    assert sink.gaps[0].reason.endswith("set back by 2.000 s; nothing is missing")
