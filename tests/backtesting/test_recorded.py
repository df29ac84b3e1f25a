"""Backtests of recordings say what the session said that made them, to the last bit."""

import asyncio
import random
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdkit as md
from mdkit.backtesting.plots import png
from mdkit.errors import RecordingError, RecordingWarning, SettingsError, StrategyError
from mdkit.events import Depth, Gap, Ticker, Trade
from mdkit.pipeline.pipeline import Pipeline
from mdkit.recording import format as mark
from mdkit.recording.replay.replay import Replay
from mdkit.strategies.contract import as_strategy
from mdkit.venues.tickdb import encode

pytestmark = [pytest.mark.outer, pytest.mark.xdist_group("recorded")]

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND // (60 * SECOND) * 60 * SECOND


@md.strategy("depth", "trade")
class Moving:
    """Its answer depends on every event and gap so far, and is no exposure."""

    def start(self):
        self.value = 0.0

    def __call__(self, event):
        price = event.bids[0][0] if event.kind == "depth" else event.price
        self.value = 0.7 * self.value + price
        return self.value

    def on_gap(self, gap):
        self.value = -self.value / 3 - (gap.lost or 0)


@md.strategy("bar")
class Bars:
    def start(self):
        self.value = 0.0

    def __call__(self, bar):
        self.value = 0.9 * self.value + bar.close + bar.volume + len(bar.interval)
        return self.value

    def on_gap(self, gap):
        self.value -= 1e6 + gap.lost


@md.strategy("bar", per="session")
class Together(Bars):
    """One for all symbols: the order in which their bars come counts too."""


@md.strategy("trade")
def price(trade):
    return trade.price


@md.strategy("depth", "trade")
def heavy(book_or_trade):
    """Tell the next seconds to the rest of the loop: what the queue cannot hold is given up."""
    time.sleep(0.002)


LIVELY = {
    "spread_monitor": {"wide_bps": 0.1},
    "SmaCross": {"fast": 1, "slow": 2},
    "RsiReversion": {"period": 2, "low": 60.0, "exit": 90.0},
    "BollingerReversion": {"period": 2, "width": 0.1},
    "Breakout": {"entry": 2, "exit": 1},
}
"""Parameters with which a strategy soon has something to say."""
STRATEGIES = {
    name: as_strategy(candidate).with_params(**LIVELY.get(name, {}))
    for name, candidate in md.strategies.ALL.items()
} | {cls.__name__: as_strategy(cls) for cls in (Moving, Bars, Together)}


def bits(values):
    """Return what was said by symbol, as bytes."""
    return {symbol: said.to_numpy().tobytes() for symbol, said in values if len(said)}


def of_session(session, name):
    signals = session.signals()
    return bits(signals[signals.strategy == name].groupby("symbol").value)


def of_result(result):
    return bits((symbol, said.dropna()) for symbol, said in result.signals.items())


class Morning:
    """A session that dropped or conflated what it could not handle, and replays of it."""

    def __init__(self, path, overflow):
        self.path = path
        self.overflow = overflow
        asyncio.run(self._live(overflow))
        self.replays = [self._replay(workers) for workers in (1, 4)]

    async def _live(self, overflow):
        # 1,500 books a second, three times what `heavy` leaves time for: more would be dropped.
        started = {"scenario": "steady", "speed": 60, "rate": 25, "start": "2025-03-03 14:30"}
        with md.Exchange(["AAPL.US", "MSFT.US"], **started) as exchange:
            session = md.live(
                channels=["depth", "trade"],
                source=exchange,
                strategies=[heavy, *STRATEGIES.values()],
                bars="1m",
                warmup=5,
                overflow=overflow,
                maxsize=40,
                record=self.path,
                rows=200_000,
                settings=md.Settings(reconnect_base_delay=0.05),
            )
            async with session:
                await _until(lambda: len(session.frame("trade")) > 100)
                exchange.inject("disconnect")
                await _until(lambda: self._broken(session))
                bars = len(session.frame("bar"))
                await _until(lambda: len(session.frame("bar")) > bars + 4)
                await _until(lambda: set(session.signals().strategy) == set(STRATEGIES))
        self.session = session
        self.totals = session.pipeline.ledger.totals()

    @staticmethod
    def _broken(session):
        return (session.gaps().reason.str.contains("closed by the server")).any()

    def _replay(self, workers):
        session = md.live(
            source=md.replay(self.path, speed=None),
            strategies=list(STRATEGIES.values()),
            bars="1m",
            workers=workers,
            rows=200_000,
        )
        session.run_blocking()
        return session


async def _until(condition):
    deadline = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


@pytest.fixture(
    scope="module",
    params=["drop_oldest", {"depth": "conflate", "trade": "drop_newest"}],
    ids=["dropped", "conflated"],
)
def morning(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("morning")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MDKIT_CACHE", str(folder / "cache"))
        return Morning(folder / "morning.jsonl.gz", request.param)


def test_the_session_could_not_handle_everything(morning):
    assert morning.totals["dropped"] > 100
    assert (morning.session.gaps().reason == "dropped").any()
    assert (morning.totals["conflated"] > 100) == (morning.overflow != "drop_oldest")


@pytest.mark.parametrize("name", STRATEGIES)
def test_live_replayed_and_backtested_are_the_same_bits(morning, name):
    strategy = STRATEGIES[name]
    said = of_session(morning.session, name)
    assert said
    for replay in morning.replays:
        assert of_session(replay, name) == said
    interval = "1m" if "bar" in strategy.kinds else None
    listened = md.backtest(strategy, morning.path, interval=interval, trade=False)
    assert of_result(listened) == said
    assert (listened.equity["equity"] == listened.terms.cash).all()
    assert not len(listened.fills)
    values = [np.frombuffer(values) for values in said.values()]
    exposures = all(abs(each).max() <= 1.0 for each in values)
    # How many bars a morning of conflated trades has depends on the machine: too few say nothing
    # but zero, and what the last of them says has no bar to be filled in.
    filled = any(each[:-1].any() for each in values)
    if exposures and {"depth", "bar"} & set(strategy.kinds):
        for data in (md.read_recording(morning.path), [morning.path]):
            traded = md.backtest(strategy, data, interval=interval, cash=100.0)
            assert of_result(traded) == said
            assert len(traded.fills) or not filled
    if name in md.strategies.ALL:
        verified = md.verify(strategy, [morning.path], bars=interval)
        assert verified, verified
        assert verified.engines[:3] == ("python", "replay", "replay with 4 workers")


@pytest.mark.parametrize("name", [n for n in md.strategies.ALL if STRATEGIES[n].kinds == ("bar",)])
def test_both_engines_agree_on_recorded_bars(morning, name, numba):
    strategy = STRATEGIES[name]
    one, two = (
        md.backtest(strategy, morning.path, interval="1m", fee=0.001, engine=engine)
        for engine in ("python", "native")
    )
    assert one.run.signals.tobytes() == two.run.signals.tobytes()
    assert one.run.equity.tobytes() == two.run.equity.tobytes()


# -- recordings written by hand ------------------------------------------------------------------


def book(symbol, second, bid=100.0):
    at = T0 + second * SECOND
    return Depth(symbol, ((bid, 1.0),), ((bid + 1.0, 2.0),), at, at)


def deal(symbol, second, at_price=100.0):
    at = T0 + second * SECOND
    return Trade(symbol, at_price, 1.0, "buy", f"{second}{symbol}", at, at)


def quote(symbol, second, last=100.0):
    at = T0 + second * SECOND
    return Ticker(symbol, last, exchange_ns=at, received_ns=at)


def write(path, events, markers=()):
    lines = [mark.encode_marker(mark.Header(id=str(path), source="test", symbols=("A", "B")))]
    for event in events:
        if isinstance(event, Gap):
            lines.append(mark.encode_marker(mark.Missed.of(event)))
        else:
            raw = encode([event] if isinstance(event, Trade) else event)
            lines.append(b"%d\t%b" % (event.received_ns, raw))
    lines += map(mark.encode_marker, markers)
    messages = sum(not isinstance(event, Gap) for event in events)
    path.write_bytes(b"\n".join([*lines, mark.encode_marker(mark.End(messages)), b""]))
    return path


@pytest.fixture
def minutes(tmp_path):
    """Five whole minutes of A; B trades in the first three alone, then its books go on."""
    events = []
    for second in range(0, 400, 5):
        events += [book("A", second, 100.0 + second % 7), deal("A", second, 100.0 + second % 11)]
        if second < 200:
            events.append(deal("B", second, 50.0 + second % 13))
    return write(tmp_path / "a.jsonl", events)


def test_bars_of_several_symbols_share_an_account(minutes):
    result = md.backtest(md.strategies.BuyAndHold, minutes, interval="1m", fill="close")
    assert set(result.panel.symbols) == {"A", "B"}
    count = result.signals.index.size
    assert result.panel.index[0].second == 0
    assert len(result.panel.bars[result.panel.symbols.index("B")].close) < count
    assert result.signals.count().to_dict() == {"A": 1, "B": 1}
    assert {fill.symbol for fill in result.fills.itertuples()} == {"A", "B"}
    shared = md.backtest(Together, minutes, interval="1m", trade=False)
    assert of_result(shared) != of_result(md.backtest(Bars, minutes, interval="1m", trade=False))


def test_bars_are_made_of_tickers_where_there_are_no_trades(tmp_path):
    path = write(tmp_path / "a.jsonl", [quote("A", second, 9.0 + second) for second in range(200)])
    assert len(md.backtest(Bars, path, interval="1m", trade=False).panel) == 2
    assert md.verify(Bars, path, bars="1m")


def test_a_missing_bar_is_not_there_and_on_gap_is_told(tmp_path):
    seconds = [*range(0, 190), *range(400, 600)]
    gap = Gap("A", "trade", "closed", T0 + 190 * SECOND, T0 + 400 * SECOND)
    events = [deal("A", second) for second in seconds]
    events.insert(190, gap)
    path = write(tmp_path / "a.jsonl", events)
    told = []

    @md.strategy("bar")
    class Listens:
        def __call__(self, bar):
            told.append((bar.start_ns - T0) // SECOND)

        def on_gap(self, gap):
            told.append(("gap", (gap.from_ns - T0) // SECOND, gap.lost))

    result = md.backtest(Listens, path, interval="1m")
    assert told == [60, 120, ("gap", 180, 4), 420, 480]
    assert [(start.value - T0) // SECOND for start in result.panel.index] == [60, 120, 420, 480]
    assert result.engine == "python"
    assert "on_gap" in result.engine_reason
    with pytest.raises(SettingsError, match=r"bars are missing, and it has an on_gap"):
        md.backtest(Listens, path, interval="1m", engine="native")

    @md.strategy("bar")
    class Fails(Listens):
        def on_gap(self, gap):
            raise KeyError("nothing")

    with pytest.raises(StrategyError, match=r"Fails failed in on_gap, on Gap\(.*KeyError"):
        md.backtest(Fails, path, interval="1m")


def test_what_was_dropped_is_left_out_however_the_recording_was_opened(tmp_path):
    events = [book("A", second, 100.0 + second) for second in range(10)]
    path = write(tmp_path / "a.jsonl", events, [mark.Dropped("A", "depth", 4, 3)])
    for as_seen in (False, True):
        recording = md.read_recording(path, as_seen=as_seen)
        assert len(md.backtest(md.strategies.pressure, recording, cash=1.0).panel) == 7


def test_several_recordings_are_merged_by_time(tmp_path):
    one = write(tmp_path / "a.jsonl", [book("A", second, 100.0) for second in range(0, 20, 2)])
    two = write(tmp_path / "b.jsonl", [book("A", second, 200.0) for second in range(1, 20, 2)])

    @md.strategy("depth")
    def bid(book):
        return book.bids[0][0]

    result = md.backtest(bid, [one, str(two)], trade=False)
    assert result.signals["A"].tolist() == [100.0, 200.0] * 10
    assert md.verify(bid, (one, two)).events == 20


def test_a_measure_is_kept_and_nothing_is_bought(minutes, tmp_path):
    with pytest.raises(StrategyError, match=r"Moving said 100 on a book of A; .*use trade=False"):
        md.backtest(Moving, minutes)
    with pytest.raises(StrategyError, match=r"said .* on the bar of .*use trade=False"):
        md.backtest(Bars, minutes, interval="1m")
    for strategy, interval in ((Moving, None), (Bars, "1m")):
        result = md.backtest(strategy, minutes, interval=interval, trade=False)
        assert result.stats["return"] == 0.0
        assert not len(result.trades)
        assert repr(result).startswith(f"<Result of {strategy.__name__}(): nothing traded; ")
        assert "nothing traded" in str(result)
        assert "nothing traded" in result._repr_html_()
        titles = [axes.get_title(loc="left") for axes in result.plot().axes]
        assert titles == ["Prices", "Signals"]
        assert png(result.plot()).startswith(b"\x89PNG")
        result.to_parquet(tmp_path / strategy.__name__)
        result.save(tmp_path / "a.html")
        assert len(md.compare([result, result]).stats.columns) == 2
        assert result.said["count"].sum() == result.signals.count().sum()


def test_a_measure_on_bars_of_a_frame(seeded_bars, numba):
    @md.strategy("bar")
    def rising(bar):
        return bar.volume if bar.close > bar.open else None

    bars = seeded_bars(100)
    with pytest.raises(StrategyError, match="use trade=False"):
        md.backtest(rising, bars)
    one, two = (
        md.backtest(rising, bars, trade=False, engine=engine) for engine in ("python", "native")
    )
    assert one.run.signals.tobytes() == two.run.signals.tobytes()
    up = bars[bars.close > bars.open]
    assert one.signals["asset"].dropna().tolist() == up.volume.tolist()
    assert (two.equity["equity"] == 10_000.0).all()
    assert one.plot().axes[0].get_title(loc="left") == "asset: price"


def test_what_takes_trades_can_be_listened_to(minutes):
    with pytest.raises(
        SettingsError, match=r"wants trade; backtests run on bar or on depth.*trade"
    ):
        md.backtest(price, minutes)
    result = md.backtest(price, minutes, trade=False)
    trades = md.read_recording(minutes).frame("trade", "A")
    assert result.signals["A"].dropna().tolist() == trades.price.tolist()
    assert result.engine_reason == "trade runs in Python"
    in_memory = md.backtest(price, list(md.read_recording(minutes)), trade=False)
    assert of_result(in_memory) == of_result(result)


def test_what_is_said_before_the_first_book_is_kept(tmp_path):
    @md.strategy("depth", "trade")
    def long(event):
        return 1.0 if event.kind == "trade" else None

    events = [deal("A", 0, 90.0), deal("B", 1), book("A", 2), deal("A", 3), book("A", 4)]
    result = md.backtest(long, write(tmp_path / "a.jsonl", events), latency_ms=500, cash=100.0)
    assert result.signals.count().to_dict() == {"A": 2, "B": 1}
    # The first order came due while there was no book, and waited for it.
    assert result.fills["time"].tolist() == [result.panel.index[2]]
    assert png(result.plot())


def test_a_symbol_of_which_only_a_gap_is_known_stays_out(tmp_path):
    gap = Gap("B", "depth", "closed", T0, T0 + 5, 3)
    events = [book("A", 0), gap, book("A", 1), Depth("B", ((9.0, 1.0),), (), T0, T0 + 2 * SECOND)]
    result = md.backtest(md.strategies.pressure, write(tmp_path / "a.jsonl", events), cash=1.0)
    assert list(result.signals.columns) == ["A"]


def test_what_recordings_cannot_do_is_said(minutes, seeded_bars, tmp_path):
    cross = md.strategies.SmaCross
    with pytest.raises(SettingsError, match=r'SmaCross wants bars, .* such as interval="1m"'):
        md.backtest(cross, minutes)
    with pytest.raises(SettingsError, match="no whole bar of 1h is in <Recording"):
        md.backtest(cross, minutes, interval="1h")
    with pytest.raises(SettingsError, match="interval='60' is not an interval"):
        md.backtest(cross, minutes, interval="60")
    with pytest.raises(SettingsError, match="bars is a DataFrame: interval is for recordings"):
        md.backtest(cross, seeded_bars(50), interval="1m")
    with pytest.raises(SettingsError, match="pressure wants depth: give such events"):
        md.backtest(md.strategies.pressure, seeded_bars(50))
    with pytest.raises(SettingsError, match=r'the data hold no bar events; .* such as bars="1m"'):
        md.verify(cross, minutes)
    with pytest.raises(RecordingError, match="There is no recording"):
        md.backtest(md.strategies.pressure, tmp_path / "b.jsonl")
    ticks = md.strategy("ticker")(lambda ticker: None)
    with pytest.raises(SettingsError, match="there is no ticker among the events"):
        md.backtest(ticks, minutes, trade=False)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 300), pace=st.integers(1, 20))
def test_any_recording_says_what_its_replay_says(tmp_path_factory, seed, count, pace):
    chance = random.Random(seed)
    events, arrived, second = [deal("A", 0), deal("A", 70), deal("A", 140)], 0, 140
    for _ in range(count):
        second += chance.randrange(pace)
        symbol = chance.choice("AB")
        kind = chance.randrange(20)
        if kind < 10:
            events.append(deal(symbol, second, 100.0 + chance.random()))
        elif kind < 19:
            events.append(book(symbol, second, 100.0 + chance.random()))
            arrived += symbol == "A"
        else:
            channel = chance.choice(["depth", "trade"])
            now = T0 + second * SECOND
            events.append(Gap(symbol, channel, "a test", now, now + 7, chance.choice([None, 3])))
    lost = [mark.Dropped("A", "depth", first, 2) for first in range(1, arrived, 9)]
    path = write(tmp_path_factory.mktemp("any") / "a.jsonl", events, lost)
    strategies = [as_strategy(cls) for cls in (Moving, Bars)]

    async def replay():
        source = Replay(path, None)
        pipeline = Pipeline(source, strategies, frame_rows=100_000, interval="1m", workers=2)
        pipeline.start()
        await pipeline.wait()
        return pipeline.signals.snapshot()

    signals = asyncio.run(replay())
    for strategy in strategies:
        said = bits(signals[signals.strategy == strategy.name].groupby("symbol").value)
        interval = "1m" if strategy.name == "Bars" else None
        assert of_result(md.backtest(strategy, path, interval=interval, trade=False)) == said


def test_a_recording_that_was_cut_off_is_run_with_a_warning(tmp_path):
    whole = Path(md.__file__).parent.parent / "data" / "sample.jsonl.gz"
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(whole.read_bytes()[:-5000])
    with pytest.warns(RecordingWarning, match="breaks off"):
        result = md.backtest(md.strategies.pressure, cut, trade=False)
    assert len(result.signals)
    with pytest.warns(RecordingWarning, match="breaks off"):
        assert md.verify(md.strategies.pressure, cut)
