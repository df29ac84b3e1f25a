"""Bars in a running pipeline: made of trades, warmed by history, mended after gaps."""

import asyncio

import pytest

import mdkit as md
from mdkit.backfill.backfill import ReconnectBackfill
from mdkit.backfill.rest import RestBackfill
from mdkit.channels.live_bars import GRACE_NS, LATE, LiveBars, RevisedBar
from mdkit.errors import SettingsError
from mdkit.events import DROPPED, SET_BACK, Bar, Depth, Gap, Ticker, Trade
from mdkit.recording.reading.reader import read_recording
from mdkit.recording.replay.events import steps

MINUTE = 60_000_000_000
T0 = 28_000_000 * MINUTE


def trade(minute, price=10.0, second=1):
    return Trade("A", price, 1.0, exchange_ns=T0 + minute * MINUTE + second * 1_000_000_000)


def bar(minute, close=10.0):
    return Bar("A", close, close, close, close, 1.0, T0 + minute * MINUTE, "1m")


def fold(made_of="trade"):
    return LiveBars("A", "1m", made_of)


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
    early = Depth("A", (), (), exchange_ns=T0 + 2 * MINUTE + GRACE_NS - 1)
    book = Depth("A", (), (), exchange_ns=T0 + 2 * MINUTE + GRACE_NS)
    assert shown(one, trade(0), trade(1), early) == [(True, 0)]
    assert shown(one, trade(1, second=59)) == []  # a little later than a book of the next minute
    assert shown(one, book) == [(False, 1)]


def test_a_late_trade_makes_its_bar_partial_and_that_is_told_once():
    one = fold()
    shown(one, trade(0), trade(1, 10.0), trade(2, 11.0), trade(3, 12.0))
    late = trade(1, 8.0)
    gap, (revised, _) = one.update(late)
    assert gap == Gap("A", "bar", LATE, T0 + MINUTE, T0 + 2 * MINUTE, 1)
    assert (revised.start_ns, revised.partial) == (T0 + MINUTE, True)
    assert (revised.open, revised.high, revised.low, revised.close) == (10.0, 10.0, 8.0, 10.0)
    assert revised.volume == 2.0
    ((again, _),) = one.update(trade(1, 15.0))  # told already, and the bar is a new one
    assert (again.high, again.low, again.volume) == (15.0, 8.0, 3.0)
    whole = bar(1, 10.0)
    assert list(one.update(whole)) == [RevisedBar(whole)]  # REST's, for the table
    assert shown(one, bar(2)) == []  # one that lacked nothing
    assert one.builder.late == 2


def test_trades_late_for_a_partial_bar_or_one_before_the_first_are_nothing_to_tell():
    one = fold()
    shown(one, trade(5), trade(6))
    assert shown(one, trade(5), trade(4), trade(-100)) == []


def test_trades_much_too_late_are_told_once_a_bar():
    one = fold()
    shown(one, *(trade(m) for m in range(30)))
    assert shown(one, trade(3), trade(3), trade(4)) == [("gap", 1), ("gap", 1)]


def deal(number, ahead_hours, received=None):
    received_ns = T0 + number * 1_000_000_000 if received is None else received
    exchange_ns = 0 if ahead_hours is None else received_ns + int(ahead_hours * 60 * MINUTE)
    return Trade("A", 10.0, 1.0, exchange_ns=exchange_ns, received_ns=received_ns)


def test_bars_go_by_an_exchange_whose_clock_is_hours_ahead_once_it_is_known():
    one = fold()
    told = [x for n in range(5) for x in one.update(deal(n, 2.0))]
    assert [gap.reason for gap in told] == [
        "no bars can be made, since the exchange's clock is 2.0 hours ahead of this machine's",
        "the exchange's clock is 2.0 hours ahead of this machine's: from now on bars go by it",
    ]
    assert [gap.lost for gap in told] == [1, 5]
    assert all(gap.channel == "bar" for gap in told)
    bars = [x for n in range(5, 300) for x in one.update(deal(n, 2.0))]
    assert [(b.start_ns - T0) // MINUTE for b in bars] == [120, 121, 122, 123]
    assert [b.volume for b in bars] == [55.0, 60.0, 60.0, 60.0]
    assert one.shift.why == ""


def test_one_trade_of_another_day_is_told_and_leaves_its_bar_partial():
    one = fold()
    shown(one, *(deal(n, 0.0) for n in range(60)))
    (gap,) = one.update(deal(60, 24.0))
    assert "24.0 hours ahead" in gap.reason
    assert one.shift.why
    assert shown(one, deal(61, 0.0)) == [(True, 0)]
    assert one.shift.why == ""
    assert shown(one, *(deal(n, 0.0) for n in range(62, 182))) == [(True, 1), (False, 2)]


def test_clocks_that_do_not_agree_are_not_gone_by():
    one = fold()
    told = [x for n in range(50) for x in one.update(deal(n, 2.0 + n % 3))]
    assert len(told) == 1
    assert one.shift.offset_ns == 0
    assert "no bars can be made" in one.shift.why


def test_trades_without_a_time_are_told_once():
    one = fold()
    told = [x for n in range(50) for x in one.update(deal(n, None))]
    assert [gap.reason for gap in told] == ["no bars can be made of trades that carry no time"]
    assert one.shift.why == told[0].reason
    assert shown(one, deal(50, 0.0), deal(120, 0.0)) == [(True, 0), (False, 1)]
    assert one.shift.why == ""


def test_this_machines_clock_makes_no_bar_partial():
    one = fold()
    shown(one, trade(0), trade(1))
    one.interrupt(Gap("A", "trade", f"{SET_BACK} by 3,600.0 s; nothing is missing", 0, 0))
    assert shown(one, trade(2)) == [(False, 1)]


@pytest.mark.outer
@pytest.mark.parametrize("kind", ["task", "process"])
def test_a_late_trade_is_seen_in_frame_gaps_and_explain(kind, list_source, tmp_path):
    def message(minute, second, price):
        stamp = T0 // 1_000_000 + minute * 60_000 + second * 1000
        return (
            f'{{"cmd":"trade","data":{{"symbol":"A","trades":[{{"id":"{minute}-{second}-{price}",'
            f'"price":"{price}","quantity":"1","timestamp":{stamp}}}]}}}}'
        ).encode()

    batch = [message(m, s, 100 + m) for m in range(4) for s in (1, 59)]
    batch.insert(6, message(1, 30, 90))  # after the first trade of minute 3
    path = tmp_path / "a.jsonl"

    @md.strategy("bar")
    class Closes:
        def start(self):
            self.gaps = 0

        def __call__(self, bar):
            return bar.low - 1000 * self.gaps

        def on_gap(self, gap):
            self.gaps += 1

    async def play():
        session = md.live(
            source=list_source([batch]), channels=["trade"], bars="1m", strategies=[Closes],
            worker_kind=kind, record=path, name="late",
        )  # fmt: skip
        await session.run()
        return session

    session = asyncio.run(play())
    bars = session.frame("bar", "A")
    assert bars["volume"].tolist() == [2.0, 3.0, 2.0, 2.0]
    assert bars["low"].tolist() == [100.0, 90.0, 102.0, 103.0]
    assert bars["partial"].tolist() == [True, True, False, True]
    assert bars.index.is_unique
    assert session.gaps()["reason"].tolist() == [LATE]
    assert session.signals()["value"].tolist() == [101.0, 102.0 - 1000.0]
    told = [s for s in steps(read_recording(path), "1m") if isinstance(s, Bar) or s.kind == "gap"]
    assert [s.reason if isinstance(s, Gap) else s.low for s in told] == [101.0, LATE, 102.0]


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


@pytest.mark.outer
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
        filling = ReconnectBackfill(None, RestBackfill(None), None, "1m")
        await filling.stop()
        filling.want(bar(0))
        return len(asyncio.all_tasks())

    assert asyncio.run(stopped()) == 1


def test_bars_that_are_missing_at_the_end_are_told():
    one = fold()
    shown(one, trade(0), trade(1), trade(2))  # the bar of minute 1 is whole
    one.interrupt(Gap("A", "trade", "closed", 0, 0))
    shown(one, trade(6))
    gap, forming = one.flush()
    assert (forming.partial, forming.start_ns) == (True, T0 + 6 * MINUTE)
    assert (gap.channel, gap.reason) == ("bar", "missing bars")
    assert ((gap.from_ns - T0) // MINUTE, (gap.to_ns - T0) // MINUTE, gap.lost) == (2, 6, 4)
    assert one.flush() == []


def test_bars_of_another_interval_are_none_of_its_own():
    one = fold()
    bar = Bar("A", 1.0, 1.0, 1.0, 1.0, 1.0, start_ns=T0, interval="1d")
    assert shown(one, bar) == []
