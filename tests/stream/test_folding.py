"""Bars in a running pipeline: made of trades, warmed by history, mended after gaps."""

import asyncio

import pytest

import mdkit as md
from mdkit.errors import SettingsError
from mdkit.events import DROPPED, Bar, Depth, Gap, Ticker, Trade
from mdkit.frames import BarFrame
from mdkit.stream.filling import Filling
from mdkit.stream.folding import Fold

MINUTE = 60_000_000_000
T0 = 28_000_000 * MINUTE


def trade(minute, price=10.0, second=1):
    return Trade("A", price, 1.0, exchange_ns=T0 + minute * MINUTE + second * 1_000_000_000)


def bar(minute, close=10.0):
    return Bar("A", close, close, close, close, 1.0, T0 + minute * MINUTE, "1m")


def fold(made_of="trade"):
    return Fold("A", "1m", made_of, BarFrame())


def shown(fold, *events):
    return [
        (x.partial, (x.start_ns - T0) // MINUTE) if isinstance(x, Bar) else ("gap", x.lost)
        for event in events
        for x in fold.update(event)
    ]


def test_the_first_bar_is_partial_and_the_rest_are_whole():
    assert shown(fold(), *(trade(m) for m in range(4))) == [(True, 0), (False, 1), (False, 2)]


def test_history_replaces_what_live_trades_cannot_give():
    one = fold()
    got = shown(one, bar(-2), bar(-1), trade(0), trade(1), bar(0), trade(2), trade(3))
    assert got == [(False, -2), (False, -1), (True, 0), (False, 0), (False, 1), (False, 2)]


def test_a_bar_is_shown_once_and_never_an_older_one():
    assert shown(fold(), bar(1), bar(1), bar(0), bar(2)) == [(False, 1), (False, 2)]


def test_missing_bars_are_told_with_their_number():
    one = fold()
    assert shown(one, bar(0), bar(4)) == [(False, 0), ("gap", 3), (False, 4)]
    gap = Gap("A", "bar", "missing bars", T0 + 5 * MINUTE, T0 + 6 * MINUTE, 1)
    assert list(one.update(bar(6))) == [gap, bar(6)]


def test_books_only_tell_the_time():
    one = fold()
    book = Depth("A", (), (), exchange_ns=T0 + 2 * MINUTE + 1)
    assert shown(one, trade(0), trade(1), book) == [(True, 0), (False, 1)]


def test_tickers_are_taken_where_they_are_asked_for():
    one = fold("ticker")
    tickers = [Ticker("A", 10.0, exchange_ns=T0 + m * MINUTE) for m in range(3)]
    assert shown(one, *tickers) == [(True, 0), (False, 1)]


@pytest.mark.parametrize(
    ("channel", "dropped", "partial"),
    [("trade", True, True), ("trade", False, True), ("depth", False, True), ("depth", True, False)],
)
def test_what_was_missed_marks_the_bar_it_was_missed_in(channel, dropped, partial):
    one = fold()
    shown(one, trade(0), trade(1))
    one.interrupt(Gap("A", channel, DROPPED if dropped else "closed", 0, 0))
    assert shown(one, trade(1), trade(2)) == [(partial, 1)]


@md.strategy("bar")
class Starts:
    """Says which minute each bar began in, and remembers gaps."""

    def start(self):
        self.gaps = 0

    def __call__(self, bar):
        return bar.start_ns / MINUTE - self.gaps / 2

    def on_gap(self, gap):
        self.gaps += 1


def test_a_session_warms_up_and_mends_bars_after_a_reconnect(exchange_process, until):
    """At sixty times the clock, a bar lasts a second.

    At this rate the latest 1,000 trades, which REST gives, are those of five seconds: they reach
    across the break however busy the machine is.
    """
    exchange = exchange_process(["AAPL.US"], speed=60, rate=10)
    quick = md.Settings(reconnect_base_delay=0.05)

    async def play():
        session = md.live(
            source=exchange,
            strategies=[Starts],
            bars="1m",
            warmup=5,
            rows=100_000,
            settings=quick,
        )
        async with session:
            await until(lambda: (session.frame("bar").source == "live").sum() >= 3)
            exchange.inject("disconnect")
            await until(lambda: len(session.gaps()))
            count = len(session.signals())
            await until(lambda: len(session.signals()) >= count + 3)
        return session

    session = asyncio.run(play())
    bars = session.frame("bar")
    assert (bars.source == "rest").sum() >= 6  # five to warm up, one for the first partial bar
    assert bars.source.iloc[5] == "rest", "in the place of that one"
    assert bars.index.is_unique
    assert not bars[bars.source == "rest"].partial.any()
    # No bar is missing and none is seen twice: every signal is one minute behind the last.
    assert (session.signals().value.diff().dropna() == 1.0).all()
    trades = session.frame("trade")
    assert trades.id.is_unique
    assert trades.exchange_time.is_monotonic_increasing
    gaps = session.gaps()
    assert gaps[gaps.channel == "trade"].lost.tolist() == [0]
    assert gaps[gaps.channel == "depth"].lost.isna().all()
    books = session.frame("depth")
    # The first book after the break is the one that REST gives, and the only one of its kind.
    assert books[books.gap].source.tolist() == ["rest"]
    assert (books.source == "rest").sum() == 1
    assert not session.pipeline.ledger.imbalance()


def test_bars_bring_the_trades_they_are_made_of():
    session = md.live(["AAPL.US"], source="demo", bars="1m")
    assert {channel for channel, _ in session.pipeline.source.subscriptions} == {"depth", "trade"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bars": "7m"}, "7m"),
        ({"warmup": 5}, "needs bars"),
        ({"bars": "1m", "warmup": -1}, "warmup=-1"),
        ({"bars": "3m", "warmup": 5}, "3m"),
    ],
)
def test_bars_that_cannot_be_are_refused(options, said):
    with pytest.raises(SettingsError, match=said):
        md.live(["AAPL.US"], source="demo", **options)


def test_nothing_is_asked_for_once_it_was_stopped():
    async def stopped():
        filling = Filling(None, object(), None, "1m")
        await filling.stop()
        filling.want(bar(0))
        return len(asyncio.all_tasks())

    assert asyncio.run(stopped()) == 1


def test_bars_that_are_missing_at_the_end_are_told():
    one = fold()
    shown(one, trade(0), trade(1), trade(2))  # the bar of minute 1 is whole
    one.interrupt(Gap("A", "trade", "closed", 0, 0))
    shown(one, trade(6))
    (gap,) = one.flush()
    assert (gap.channel, gap.reason) == ("bar", "missing bars")
    assert ((gap.from_ns - T0) // MINUTE, (gap.to_ns - T0) // MINUTE, gap.lost) == (2, 6, 4)
    assert one.flush() == []


def test_bars_of_another_interval_are_none_of_its_own():
    one = fold()
    bar = Bar("A", 1.0, 1.0, 1.0, 1.0, 1.0, start_ns=T0, interval="1d")
    assert shown(one, bar) == []
