"""What a replaced connection kept back until it ended: seen, dropped and recorded like the rest."""

import asyncio

import pytest

import mdkit as md
from mdkit.pipeline.pipeline import Pipeline
from mdkit.recording.recorder.recorder import Recorder
from mdkit.recording.replay.replay import Replay
from mdkit.sources.feed import Feed
from mdkit.sources.replacement import Replacement
from mdkit.sources.venue_connection import VenueConnection
from mdkit.strategies.contract import as_strategy
from mdkit.venues.normalized.codec import NORMALIZED
from mdkit.venues.registry import venue_of
from tests.recording.test_same_answers import SECOND, signals_of

SYMBOLS = ("A/USD", "B/USD", "C/USD")


@md.strategy("trade")
def price(trade):
    return trade.price


class Socket:
    """A connection that brings what the test delivers."""

    is_settled = True
    url = "ws://nowhere"

    def __init__(self, symbols):
        self.subscriptions = dict.fromkeys(("trade", symbol) for symbol in symbols)
        self.stopped = asyncio.Event()

    async def run(self, sink):
        await self.stopped.wait()

    def stop(self):
        self.stopped.set()


def trade(symbol, number):
    raw = (
        f'{{"channel":"trade","type":"update","data":[{{"symbol":"{symbol}","side":"buy",'
        f'"price":{number}.5,"qty":1.0,"ord_type":"market","trade_id":{number},'
        f'"timestamp":"2026-08-24T00:00:{number % 60:02d}.000001Z"}}]}}'
    )
    return raw.encode(), 1_700_000_000 * SECOND + number


class Replaced:
    """Connections that end at once, before what the next ones hold was handed over."""

    codec = NORMALIZED
    name = "kraken"
    symbols = SYMBOLS
    connected = True
    stale_for = 0.0

    def __init__(self, groups, *, repeats=False):
        self._groups = groups
        self.repeats = repeats  # on the next connection what came before that was open
        self.connections = []
        self.begin = lambda: None  # is called while all is kept back
        self.begin_early = lambda: None  # while the next connections are being made

    def feeds(self):
        return [(each.feed, each.assembler) for each in self.connections]

    def clock_ns(self):
        return 1

    def stop(self):
        pass

    def connect(self, symbols, after=""):
        name = f"kraken {len(self.connections) + 1}"
        natives = {symbol: symbol for symbol in symbols}
        feed = Feed(name, "kraken", natives, 10, 25, after)
        made = VenueConnection(
            venue_of("kraken"), feed, Socket(symbols), asyncio.Lock(), None, natives
        )
        self.connections.append(made)
        return made

    async def run(self, sink):
        old = [self.connect(group) for group in self._groups]
        new = [self.connect(each.feed.natives, each.feed.name) for each in old]
        running = [asyncio.create_task(each.run(sink)) for each in self.connections]
        await asyncio.sleep(0)  # they have begun
        for each in old:
            await each.opened(())
            await each.deliver([trade(symbol, 1) for symbol in each.feed.natives])
        pairs = [Replacement(a, b, "planned") for a, b in zip(old, new, strict=True)]
        self.begin_early()
        for each in old:
            await each.deliver([trade(symbol, 2) for symbol in each.feed.natives])
        for each in new:
            await each.opened(())
            numbers = (2, 11) if self.repeats else (11,)
            await each.deliver([trade(s, number) for s in each.feed.natives for number in numbers])
        self.begin()
        for pair in pairs:
            pair.old_closed("closed by the server with code 1001")
        for pair in pairs:
            await pair.finish()
            self.connections.remove(pair.old)
        for each in new:
            each.socket.stop()
        await asyncio.gather(*running)


class Lost(Replaced):
    """The next connection is lost after trades were handed over to it, and made again."""

    async def run(self, sink):
        old = self.connect(SYMBOLS)
        new = self.connect(SYMBOLS, old.feed.name)

        async def brings(connection, *numbers):
            for number in numbers:
                await connection.deliver([trade("A/USD", number)])

        running = [asyncio.create_task(each.run(sink)) for each in (old, new)]
        await asyncio.sleep(0)  # they have begun
        await old.opened(())
        await brings(old, 1)
        replacement = Replacement(old, new, "planned")
        await new.opened(())
        await brings(old, 2)
        await brings(new, 2, 3)  # handed over
        await brings(old, 3, 4)  # of which the next one does not come to bring the last
        assert replacement.carries("trade", "A/USD")
        new.closed("closed by the server with code 1011")
        await brings(old, 5)
        await new.opened(())
        await brings(new, 6, 7)
        await brings(old, 6)
        assert replacement.carries("trade", "A/USD")
        replacement.old_closed("closed by the server with code 1001")
        await replacement.finish()
        self.connections.remove(old)
        await brings(new, 8)
        new.socket.stop()
        await asyncio.gather(*running)


async def played(source, begin=None, **options):
    pipeline = Pipeline(source, [as_strategy(price)], frame_rows=1000, **options)
    if begin is not None:
        source.begin = lambda: begin(pipeline)
    pipeline.start()
    assert (await pipeline.wait()).balanced
    return pipeline


def replayed(paths):
    return signals_of(asyncio.run(played(Replay(paths, None))))


GROUPS = [[SYMBOLS], [SYMBOLS[:1], SYMBOLS[1:]], [SYMBOLS[:1], SYMBOLS[1:2], SYMBOLS[2:]]]


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_what_the_queue_drops_of_it_is_left_out_alone(tmp_path, groups, policy):
    path = tmp_path / "a.jsonl"
    options = {"overflow": policy, "maxsize": 2, "recorder": Recorder(path)}
    live = asyncio.run(played(Replaced(groups), **options))
    lost = live.ledger.totals()["dropped"]
    assert sum(md.recording_info(path).unseen.values()) == lost
    assert replayed(path) == signals_of(live)
    told = [value for rows in signals_of(live).values() for _, value in rows]
    assert told.count(11.5) < len(SYMBOLS)


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("policy", ["block", "drop_oldest", "drop_newest"])
def test_a_recording_may_begin_before_it_is_handed_over(tmp_path, groups, policy):
    path = tmp_path / "a.jsonl"

    async def play():
        source = Replaced(groups)
        return await played(source, lambda p: p.record(Recorder(path)), overflow=policy, maxsize=2)

    live = asyncio.run(play())
    seen = {key: [row for row in rows if row[-1] > 11] for key, rows in signals_of(live).items()}
    assert replayed(path) == {key: rows for key, rows in seen.items() if rows}


def test_a_recording_may_begin_while_the_next_connection_is_made(tmp_path):
    """What the old one brought before that is open does not count as handed over."""
    path = tmp_path / "a.jsonl"

    async def play():
        source = Replaced(GROUPS[0], repeats=True)
        pipeline = Pipeline(source, [as_strategy(price)], frame_rows=1000)
        source.begin_early = lambda: pipeline.record(Recorder(path))
        pipeline.start()
        await pipeline.wait()
        return pipeline

    live = signals_of(asyncio.run(play()))
    assert replayed(path) == {key: rows[1:] for key, rows in live.items()}


def test_a_next_connection_that_is_lost_leaves_a_gap_and_the_old_one_goes_on(tmp_path):
    path = tmp_path / "a.jsonl"
    live = asyncio.run(played(Lost([]), recorder=Recorder(path)))
    (told,) = signals_of(live).values()
    assert [value for _, value in told] == [1.5, 2.5, 3.5, 5.5, 6.5, 7.5, 8.5]
    (gap,) = live.gaps
    assert (gap.symbol, gap.channel) == ("A/USD", "trade")
    assert "code 1011" in gap.reason
    assert gap.from_ns == trade("A/USD", 3)[1] < gap.to_ns
    again = asyncio.run(played(Replay(path, None)))
    assert signals_of(again) == signals_of(live)
    assert list(again.gaps) == list(live.gaps)
