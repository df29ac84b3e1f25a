"""The bounded queue: every policy against a model, and every sentence of its docstring."""

import asyncio
import time
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mdkit.errors import SessionError, SettingsError, SpillQuotaError
from mdkit.queue.buffer import Buffer
from mdkit.queue.channel import QueuedChannel
from mdkit.queue.ledger import Ledger
from mdkit.queue.policies import POLICIES, check_overflow
from mdkit.queue.spill import _HEADER

SYMBOLS = ("A", "B", "C")
CHANNELS = ("x", "y")
LOSSLESS = ("block", "spill")
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking costs minutes


def queued(buffer, ledger, symbol, kind):
    """Return a new channel of a buffer that a ledger shows."""
    channel = QueuedChannel(symbol, kind)
    buffer.add(channel)
    ledger.add(channel)
    return channel


class StillLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock only the test moves."""

    def __init__(self):
        super().__init__()
        self.now = 100.0

    def time(self):
        return self.now

    def settle(self):
        """Run until nothing more happens at this time."""
        for _ in range(12):
            self.call_soon(self.stop)
            self.run_forever()


def spilled_records(spill):
    """Read what is unread in the overflow file, without disturbing it."""
    if spill._writer is not None:
        spill._writer.flush()
    found = []
    for number, path in enumerate(spill._segments):
        content = Path(path).read_bytes()
        at = spill._reader.tell() if number == 0 and spill._reader is not None else 0
        while at < len(content):
            key, _, _, size = _HEADER.unpack_from(content, at)
            at += _HEADER.size
            found.append((key, content[at : at + size]))
            at += size
    return found


def place_of(symbol, number):
    return 1 + number * len(SYMBOLS) + SYMBOLS.index(symbol)


class BufferMachine(RuleBasedStateMachine):
    """Puts, gets, releases, cancellations, time and disk, in any order.

    Each symbol has a producer that numbers its messages; a producer waits for its own put,
    as the pipeline's does. Every number must come out once, in order, or be accounted for.
    """

    policies = dict.fromkeys(CHANNELS, "block")

    @initialize(
        maxsize=st.integers(1, 5),
        timeout=st.sampled_from([None, 0.0, 5.0]),
        quota=st.sampled_from([0, 60, 1 << 20]),
        data=st.data(),
    )
    def build(self, maxsize, timeout, quota, data):
        self.loop = StillLoop()
        if self.policies is None:
            self.policies = {c: data.draw(st.sampled_from(POLICIES), label=c) for c in CHANNELS}
        self.ledger = Ledger()
        self.buffer = Buffer(maxsize, self.policies, block_timeout=timeout, spill_quota_bytes=quota)
        self.channels = {
            (s, c): queued(self.buffer, self.ledger, s, c) for s in SYMBOLS for c in CHANNELS
        }
        self.next_number = dict.fromkeys(SYMBOLS, 0)
        self.sent = defaultdict(list)  # slot -> numbers ever put
        self.lost = []  # places
        self.buffer.on_loss = lambda what, places: self.lost.extend(places)
        self.puts = []  # (task, messages, symbols)
        self.gets = []
        self.held = []  # (lane, batch)
        self.finished = defaultdict(list)  # symbol -> numbers
        self.returned = 0
        self.quota_errors = 0
        self.cancelled_puts = 0
        self.newest_lost = set()  # channels whose newest message may be gone: cancelled, no quota
        self.closed = False

    # -- helpers

    def message(self, symbol, channel):
        number = self.next_number[symbol]
        self.next_number[symbol] += 1
        slot = self.channels[symbol, channel]
        self.sent[slot].append(number)
        return slot, b"%06d" % number, number, place_of(symbol, number)

    def settle(self):
        self.loop.settle()
        for entry in [entry for entry in self.puts if entry[0].done()]:
            self.puts.remove(entry)
            task, messages, _ = entry
            if task.cancelled():
                self.newest_lost |= {message[0] for message in messages}
            elif task.exception() is not None:
                assert isinstance(task.exception(), SpillQuotaError)
                self.quota_errors += 1
                self.newest_lost |= {message[0] for message in messages}
        for task in [task for task in self.gets if task.done()]:
            self.gets.remove(task)
            if not task.cancelled():
                taken = task.result()
                if taken is None:
                    assert self.closed
                    assert not len(self.buffer)
                    assert not self.buffer.spill
                else:
                    lane, batch = taken
                    assert batch
                    assert all(other is not lane for other, _ in self.held), "a lane held twice"
                    assert {slot.lane for slot, *_ in batch} == {lane}
                    self.held.append(taken)

    def free_symbols(self):
        busy = {symbol for _, _, symbols in self.puts for symbol in symbols}
        return [symbol for symbol in SYMBOLS if symbol not in busy]

    # -- rules

    @precondition(lambda self: not self.closed and self.free_symbols())
    @rule(data=st.data())
    def put(self, data):
        wanted = data.draw(
            st.lists(
                st.tuples(st.sampled_from(self.free_symbols()), st.sampled_from(CHANNELS)),
                min_size=1,
                max_size=4,
            )
        )
        messages = [self.message(*place) for place in wanted]
        before = None
        if len(messages) == 1:
            slot = messages[0][0]
            channel = slot.channel
            waiting = sum(a.queued for a in self.ledger if a.channel == channel)
            before = (slot, len(self.buffer), waiting, slot.lane.spilled, slot.dropped)
        call = self.buffer.put_many(messages) if len(messages) > 1 else self.buffer.put(messages[0])
        task = self.loop.create_task(call)
        self.puts.append((task, messages, {symbol for symbol, _ in wanted}))
        self.loop.settle()
        if before is not None:
            self.check_single_put(task, *before)
        self.settle()

    def check_single_put(self, task, slot, depth, waiting, behind_spilled, dropped):
        """Check what the docstring says of one message that meets a full queue."""
        full = depth >= self.buffer.maxsize
        lost = slot.dropped - dropped
        if slot.policy == "drop_newest" and not behind_spilled:
            assert lost == (1 if full else 0)
        if slot.policy == "drop_oldest" and not behind_spilled and full:
            newest = slot.lane.messages[-1] if slot.lane.messages else None
            entered = newest is not None and newest[2] == self.sent[slot][-1]
            if not self.gets and not self.held:  # nobody took it at once
                assert entered == bool(waiting)
        if slot.policy != "block" and slot.policy != "conflate":
            assert task.done(), f"{slot.policy} must not suspend"

    @precondition(lambda self: self.puts)
    @rule(data=st.data())
    def cancel_put(self, data):
        data.draw(st.sampled_from(self.puts))[0].cancel()
        self.cancelled_puts += 1
        self.settle()

    @precondition(lambda self: len(self.gets) < 3)
    @rule(limit=st.integers(1, 4))
    def get(self, limit):
        self.gets.append(self.loop.create_task(self.buffer.get(limit)))
        self.settle()

    @precondition(lambda self: self.gets)
    @rule(data=st.data())
    def cancel_get(self, data):
        data.draw(st.sampled_from(self.gets)).cancel()
        self.settle()

    @precondition(lambda self: self.gets and self.puts == [] and not self.closed)
    @rule(data=st.data())
    def put_and_cancel_the_get_it_wakes(self, data):
        message = self.message(data.draw(st.sampled_from(SYMBOLS)), "x")
        task = self.loop.create_task(self.buffer.put(message))
        self.puts.append((task, [message], {message[0].symbol}))
        self.loop.call_soon(data.draw(st.sampled_from(self.gets)).cancel)
        self.settle()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data):
        lane, batch = data.draw(st.sampled_from(self.held))
        keep = data.draw(st.integers(0, len(batch)))
        self.finish(lane, batch, keep)

    def finish(self, lane, batch, keep):
        self.held.remove((lane, batch))
        done = batch[: len(batch) - keep]
        for slot, _, number, _ in done:
            slot.in_flight -= 1
            slot.processed += 1
            self.finished[slot.symbol].append(number)
        self.returned += keep
        self.buffer.release(lane, batch[len(batch) - keep :])
        self.settle()

    @rule(seconds=st.sampled_from([0.5, 3.0, 6.0]))
    def time_passes(self, seconds):
        self.loop.now += seconds
        self.settle()

    # -- what must always hold

    @invariant()
    def the_ledger_balances(self):
        assert not self.ledger.imbalance(), [*self.ledger]

    @invariant()
    def counts_are_what_is_there(self):
        queued, spilled, flying = defaultdict(int), defaultdict(int), defaultdict(int)
        for lane in self.buffer._lanes.values():
            for slot, *_ in lane.messages:
                queued[slot] += 1
        for key, _ in spilled_records(self.buffer.spill):
            spilled[self.buffer._channels[key]] += 1
        for _, batch in self.held:
            for slot, *_ in batch:
                flying[slot] += 1
        for slot in self.channels.values():
            assert slot.queued == queued[slot]
            assert slot.spilled == spilled[slot]
            assert slot.in_flight == flying[slot]
        look = self.buffer.statistics()
        assert len(self.buffer) == look.depth == sum(queued.values())
        assert look.spilled == len(self.buffer.spill) == sum(spilled.values())
        assert look.waiting_producers == len(self.puts)
        assert look.peak >= look.depth
        assert look.spilled_bytes <= self.buffer.spill.quota_bytes
        for symbol in SYMBOLS:
            lane = self.buffer._lanes[symbol]
            assert lane.spilled == sum(n for s, n in spilled.items() if s.lane is lane)

    @invariant()
    def memory_is_bounded(self):
        # Messages handed back by a worker that was cut short may stand above the bound.
        assert len(self.buffer) <= self.buffer.maxsize + self.returned

    @invariant()
    def nobody_waits_without_need(self):
        if self.puts:
            assert len(self.buffer) >= self.buffer.maxsize
        if self.gets:
            ready = [x for x in self.buffer._lanes.values() if x.messages and not x.held]
            assert not ready, "a worker is idle while a lane is ready"
            if self.buffer.spill:
                assert len(self.buffer) > 0, "a worker is idle while messages wait on disk"

    @invariant()
    def order_holds_within_every_symbol(self):
        for symbol in SYMBOLS:
            line = list(self.finished[symbol])
            for lane, batch in self.held:
                if lane.key == symbol:
                    line += [number for _, _, number, _ in batch]
            line += [number for _, _, number, _ in self.buffer._lanes[symbol].messages]
            line += [
                int(raw)
                for key, raw in spilled_records(self.buffer.spill)
                if self.buffer._channels[key].lane.key == symbol
            ]
            assert line == sorted(set(line)), f"{symbol} out of order: {line}"

    @invariant()
    def only_what_a_policy_gives_up_is_gone(self):
        there = defaultdict(set)
        spilled = spilled_records(self.buffer.spill)
        for (symbol, _), slot in self.channels.items():
            here = {n for lane, batch in self.held for s, _, n, _ in batch if s is slot}
            here |= {n for s, _, n, _ in slot.lane.messages if s is slot}
            here |= {int(raw) for key, raw in spilled if key == slot.index}
            here |= set(self.finished[symbol])
            there[slot] = here
        lost = []
        pending = {(slot, n) for _, messages, _ in self.puts for slot, _, n, _ in messages}
        for slot in self.channels.values():
            account = slot
            settled = [n for n in self.sent[slot] if (slot, n) not in pending]
            missing = [n for n in settled if n not in there[slot]]
            assert len(missing) <= account.dropped + account.conflated
            lost.extend(place_of(slot.symbol, n) for n in missing)
            if slot.policy in LOSSLESS and slot not in self.newest_lost:
                assert missing == []
                assert account.dropped == 0
            if slot.policy != "conflate":
                assert account.conflated == 0
            elif (
                settled
                and len(settled) == len(self.sent[slot])
                and slot not in self.newest_lost
                and not account.dropped
            ):
                assert settled[-1] in there[slot], "the newest snapshot was given up"
            if not self.puts and not self.cancelled_puts and not self.quota_errors:
                assert account.received == len(self.sent[slot])
        if not self.puts and not self.cancelled_puts and not self.quota_errors:
            assert sorted(self.lost) == sorted(lost)

    @invariant()
    def the_places_of_what_waits_are_told_and_it_stays(self):
        waiting = [m[3] for lane in self.buffer._lanes.values() for m in lane.messages]
        spilled = [
            place_of(self.buffer._channels[key].symbol, int(raw))
            for key, raw in spilled_records(self.buffer.spill)
        ]
        assert list(self.buffer.places()) == waiting + spilled

    def teardown(self):
        if not hasattr(self, "loop"):
            return
        try:
            for task, _, _ in self.puts:
                task.cancel()
            self.settle()
            self.buffer.close()
            self.closed = True
            self.settle()
            for _ in range(10_000):
                if self.held:
                    self.finish(*self.held[0], 0)
                elif len(self.buffer) or self.buffer.spill:
                    assert not self.gets, "a worker waits while messages do"
                    self.get(3)
                else:
                    break
            self.get(3)
            assert not self.gets, "a worker waits at a closed and empty queue"
            self.the_ledger_balances()
            self.order_holds_within_every_symbol()
            self.only_what_a_policy_gives_up_is_gone()
            totals = self.ledger.totals()
            assert totals["queued"] == totals["spilled"] == totals["in_flight"] == 0
            assert totals["processed"] == sum(map(len, self.finished.values()))
        finally:
            folder = self.buffer.spill.folder
            self.buffer.discard()
            assert folder is None or not Path(folder).exists()
            self.loop.close()


# Every policy for all channels, two mixtures by channel, and any mixture at all.
MIXTURES = {
    **{policy: dict.fromkeys(CHANNELS, policy) for policy in POLICIES},
    "blocking_books_conflating": {"x": "block", "y": "conflate"},
    "oldest_beside_spill": {"x": "drop_oldest", "y": "spill"},
    "any": None,
}
for _name, _policies in MIXTURES.items():
    _machine = type(f"Machine_{_name}", (BufferMachine,), {"policies": _policies})
    _case = _machine.TestCase
    _case.settings = settings(phases=PHASES, max_examples=25, stateful_step_count=30)
    _case.pytestmark = [pytest.mark.outer]  # each computes for a second
    globals()[f"Test_{_name}"] = _case
del _case  # or pytest would collect the last one under this name too


# -- the docstring, sentence by sentence ------------------------------------------------------


class Rig:
    """A buffer with its ledger; messages are (symbol, channel, number)."""

    def __init__(self, maxsize=2, overflow="block", **options):
        self.ledger = Ledger()
        self.buffer = Buffer(maxsize, overflow, **options)
        self._channels = {}

    def message(self, symbol, number, channel="depth"):
        key = (symbol, channel)
        if key not in self._channels:
            self._channels[key] = queued(self.buffer, self.ledger, symbol, channel)
        return self._channels[key], b"%d" % number, number, 0

    def fill(self, *numbers, symbol="A", channel="depth"):
        return self.buffer.put_many([self.message(symbol, n, channel) for n in numbers])

    async def take(self, limit=256, *, finish=True):
        lane, batch = await self.buffer.get(limit)
        if finish:
            self.finish(lane, batch)
        return [number for _, _, number, _ in batch]

    def finish(self, lane, batch):
        for slot, *_ in batch:
            slot.in_flight -= 1
            slot.processed += 1
        self.buffer.release(lane)

    def totals(self):
        assert not self.ledger.imbalance()
        return {name: n for name, n in self.ledger.totals().items() if n}


@pytest.fixture
def rig():
    made = []

    def make(*args, **options):
        made.append(Rig(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.buffer.discard()


def test_block_suspends_put_until_there_is_room(rig, until):
    async def main():
        r = rig(2, block_timeout=None)
        await r.fill(1, 2)
        put = asyncio.create_task(r.fill(3, 4, 5))
        await until(lambda: r.buffer.statistics().waiting_producers == 1)
        assert not put.done()
        assert r.totals() == {"received": 2, "queued": 2}
        assert await r.take() == [1, 2]
        await until(lambda: r.buffer.statistics().waiting_producers == 1)
        assert await r.take() == [3, 4]
        await put
        assert await r.take() == [5]
        assert r.totals() == {"received": 5, "processed": 5}
        look = r.buffer.statistics()
        assert look.blocked_seconds > 0
        assert look.overflows == 2
        assert look.peak == 2

    asyncio.run(main())


def test_block_has_a_deadline_after_which_messages_go_to_disk_in_order(rig, until):
    async def main():
        r = rig(2, block_timeout=0.01)
        await r.fill(*range(6))  # returns by itself, though nobody takes anything
        look = r.buffer.statistics()
        assert (look.depth, look.spilled) == (2, 4)
        assert look.utilisation == 3.0
        assert look.spilled_bytes > 0
        await r.fill(6)  # the deadline counts from when the queue filled up
        assert r.buffer.statistics().spilled == 5
        out = []
        while len(out) < 7:
            out += await r.take(1)
        assert out == list(range(7))
        assert r.totals() == {"received": 7, "processed": 7}
        await r.fill(7, 8)
        put = asyncio.create_task(r.fill(9))  # once it has caught up, it blocks again
        await until(lambda: r.buffer.statistics().waiting_producers)
        assert r.buffer.statistics().spilled == 0
        assert await r.take() == [7, 8]
        await put

    asyncio.run(main())


def test_spill_sends_messages_to_disk_at_once(rig):
    async def main():
        r = rig(2, "spill")
        await r.fill(*range(5))
        assert r.totals() == {"received": 5, "queued": 2, "spilled": 3}
        assert r.buffer.statistics().blocked_seconds == 0
        folder = Path(r.buffer.spill.folder)
        out = []
        while len(out) < 5:
            out += await r.take()
        assert out == [0, 1, 2, 3, 4]
        r.buffer.discard()
        assert not folder.exists()  # noqa: ASYNC240

    asyncio.run(main())


@pytest.mark.parametrize("policy", ["block", "spill"])
def test_a_full_disk_quota_is_an_error_and_every_message_is_accounted_for(rig, policy):
    async def main():
        r = rig(1, policy, block_timeout=0, spill_quota_bytes=56)
        with pytest.raises(SpillQuotaError, match="SPILL_QUOTA_BYTES"):
            await r.fill(*range(6))
        assert r.totals() == {"received": 6, "queued": 1, "spilled": 2, "dropped": 3}

    asyncio.run(main())


def test_drop_oldest_gives_up_the_oldest_of_its_channel_whatever_its_symbol(rig):
    async def main():
        r = rig(4, {"trade": "block", "depth": "drop_oldest"})
        await r.fill(0, symbol="A", channel="trade")
        await r.fill(1, symbol="A")
        await r.fill(2, symbol="B")
        await r.fill(3, symbol="A")
        await r.fill(4, symbol="B")
        await r.fill(5, symbol="C")
        out = sorted(await r.take() + await r.take() + await r.take())
        assert out == [0, 3, 4, 5]
        assert r.totals() == {"received": 6, "processed": 4, "dropped": 2}

    asyncio.run(main())


def test_drop_oldest_gives_up_the_arriving_one_if_none_of_its_channel_waits(rig):
    async def main():
        r = rig(2, {"trade": "block", "depth": "drop_oldest"})
        await r.fill(1, 2, channel="trade")
        await r.fill(3)
        assert await r.take() == [1, 2]
        assert r.totals() == {"received": 3, "processed": 2, "dropped": 1}

    asyncio.run(main())


def test_drop_oldest_still_finds_the_oldest_after_a_worker_was_cut_short(rig):
    async def main():
        r = rig(3, "drop_oldest")
        await r.fill(1, 2, 3)
        lane, batch = await r.buffer.get()
        await r.fill(4, 5, 6)
        await r.fill(7)  # gives up 4
        r.buffer.release(lane, batch)
        for number in range(8, 16):
            await r.fill(number)
        out = await r.take()
        assert out[-1] == 15
        assert out == sorted(out)
        r.totals()

    asyncio.run(main())


def test_a_producer_goes_on_waiting_where_another_took_the_room(rig):
    async def main():
        r = rig(3, "block")
        await r.fill(1, 2, 3)
        others = [asyncio.create_task(r.fill(4, 5, 6)), asyncio.create_task(r.fill(7))]
        seen = []
        while len(seen) < 7 and not any(task.done() and task.exception() for task in others):
            await asyncio.sleep(0)
            if len(r.buffer):
                seen += await r.take()
        await asyncio.gather(*others)
        assert seen == [1, 2, 3, 4, 5, 6, 7]

    asyncio.run(main())


def test_drop_newest_gives_up_the_arriving_message(rig):
    async def main():
        r = rig(2, "drop_newest")
        await r.fill(1, 2, 3, 4)
        assert await r.take() == [1, 2]
        assert r.totals() == {"received": 4, "processed": 2, "dropped": 2}

    asyncio.run(main())


def test_conflate_replaces_what_waits_of_its_symbol_and_channel(rig):
    async def main():
        r = rig(3, {"*": "block", "depth": "conflate"})
        await r.fill(1, symbol="A")
        await r.fill(2, symbol="B")
        await r.fill(3, symbol="A")
        await r.fill(4, symbol="A")
        assert await r.take() + await r.take() == [4, 2]
        assert r.totals() == {"received": 4, "processed": 2, "conflated": 2}

    asyncio.run(main())


def test_conflate_then_gives_up_other_symbols_older_snapshots(rig):
    async def main():
        r = rig(3, "conflate")
        await r.fill(1, 2, 3, symbol="A")
        await r.fill(4, symbol="B")
        assert await r.take() + await r.take() == [3, 4]
        assert r.totals() == {"received": 4, "processed": 2, "conflated": 2}

    asyncio.run(main())


def test_conflate_blocks_when_every_waiting_snapshot_is_the_newest_of_its_symbol(rig, until):
    async def main():
        r = rig(2, "conflate", block_timeout=None)
        await r.fill(1, symbol="A")
        await r.fill(2, symbol="B")
        put = asyncio.create_task(r.fill(3, symbol="C"))
        await until(lambda: r.buffer.statistics().waiting_producers == 1)
        assert await r.take() == [1]
        await put
        assert await r.take() + await r.take() == [2, 3]

    asyncio.run(main())


def test_channels_that_are_not_named_block(rig):
    r = rig(2, {"depth": "conflate", "trade": "drop_oldest"})
    assert r.buffer.policy("depth") == "conflate"
    assert r.buffer.policy("trade") == "drop_oldest"
    assert r.buffer.policy("ticker") == "block"
    assert rig(2, "spill").buffer.policy("anything") == "spill"
    assert check_overflow({"*": "spill", "depth": "block"})["*"] == "spill"


def test_a_held_lane_is_given_to_nobody_else_and_others_are_served_in_turn(rig, until):
    async def main():
        r = rig(10)
        await r.fill(1, 2, 3, symbol="A")
        await r.fill(4, symbol="B")
        lane, batch = await r.buffer.get(2)
        assert [n for _, _, n, _ in batch] == [1, 2]
        assert await r.take() == [4]
        second = asyncio.create_task(r.buffer.get())
        await until(lambda: len(r.buffer._getters[0]) == 1)
        assert r.totals() == {"received": 4, "processed": 1, "in_flight": 2, "queued": 1}
        r.finish(lane, batch)
        lane, batch = await second
        assert [n for _, _, n, _ in batch] == [3]
        r.finish(lane, batch)

    asyncio.run(main())


def test_every_idle_worker_is_woken_for_what_comes_back_from_disk(rig, until):
    async def main():
        r = rig(2, "spill")
        await r.fill(1, 2, symbol="A")
        lane, batch = await r.buffer.get(1)
        others = [asyncio.create_task(r.buffer.get()) for _ in range(2)]
        await until(lambda: len(r.buffer._getters[0]) == 2)
        await r.fill(3, symbol="A")  # A's lane is held, and now fills the memory
        await r.fill(4, symbol="B")
        await r.fill(5, symbol="C")
        r.finish(lane, batch)
        lane, batch = await r.buffer.get()
        await until(lambda: all(task.done() for task in others), 2, "for idle workers to be woken")
        assert sorted(n for task in others for _, _, n, _ in task.result()[1]) == [4, 5]

    asyncio.run(main())


def test_close_lets_get_finish_and_then_says_none(rig, until):
    async def main():
        r = rig(2, "spill")
        await r.fill(1, 2, 3)
        r.buffer.close()
        with pytest.raises(SessionError, match="closed"):
            await r.fill(4)
        assert await r.take() == [1, 2]
        assert await r.take() == [3]
        assert await r.buffer.get() is None
        assert await r.buffer.get() is None
        assert r.totals()["processed"] == 3

    asyncio.run(main())


def test_close_wakes_workers_that_wait(rig, until):
    async def main():
        r = rig()
        waiting = [asyncio.create_task(r.buffer.get()) for _ in range(3)]
        await until(lambda: len(r.buffer._getters[0]) == 3)
        r.buffer.close()
        assert await asyncio.gather(*waiting) == [None] * 3

    asyncio.run(main())


def test_a_cancelled_put_counts_what_it_did_not_take_as_dropped(rig, until):
    async def main():
        r = rig(2, block_timeout=None)
        put = asyncio.create_task(r.fill(1, 2, 3, 4))
        await until(lambda: r.buffer.statistics().waiting_producers == 1)
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert r.buffer.statistics().waiting_producers == 0
        assert r.totals() == {"received": 4, "queued": 2, "dropped": 2}

    asyncio.run(main())


def test_the_oldest_age_is_told_in_the_time_of_the_messages(rig):
    async def main():
        r = rig(5, clock_ns=lambda: 10_000_000_000)
        assert r.buffer.statistics().oldest_age == 0.0
        await r.fill(4_000_000_000, 6_000_000_000, symbol="B")
        await r.fill(5_000_000_000, symbol="A")
        assert r.buffer.statistics().oldest_age == 6.0
        await r.take()
        assert r.buffer.statistics().oldest_age == 5.0
        await r.take()
        assert r.buffer.statistics().oldest_age == 0.0
        await r.fill(11_000_000_000, symbol="A")
        assert r.buffer.statistics().oldest_age == 0.0  # a clock that stepped back

    asyncio.run(main())


def test_room_that_conflating_makes_is_given_to_producers_that_wait(rig, until):
    async def main():
        r = rig(3, {"depth": "conflate", "trade": "block"}, block_timeout=None)
        await r.fill(1, 2, 3, symbol="A")
        put = asyncio.create_task(r.fill(4, symbol="B", channel="trade"))
        await until(lambda: r.buffer.statistics().waiting_producers == 1)
        await r.fill(5, symbol="A")
        await until(put.done, 2, "for the producer to be woken")
        assert r.totals() == {"received": 5, "queued": 2, "conflated": 3}

    asyncio.run(main())


def test_leftovers_are_everything_that_waits_memory_first(rig):
    async def main():
        r = rig(2, "spill")
        await r.fill(1, 2, 3, 4)
        left = [(slot.symbol, int(raw), ns) for slot, raw, ns, _ in r.buffer.leftovers()]
        assert left == [("A", n, n) for n in (1, 2, 3, 4)]
        assert r.totals() == {"received": 4, "queued": 2, "spilled": 2}

    asyncio.run(main())


def test_its_repr_is_a_dashboard(rig):
    async def main():
        r = rig(2, "spill")
        await r.fill(1, 2, 3)
        assert repr(r.buffer) == (
            "<Buffer 2 of 2 waiting, peak 2, 1 on disk, 1 lanes, 0 workers idle, "
            "0 producers waiting>"
        )

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"maxsize": 0}, "maxsize=0"),
        ({"maxsize": "5"}, "maxsize='5'"),
        ({"block_timeout": -1}, "block_timeout=-1"),
        ({"block_timeout": "x"}, "block_timeout='x'"),
        ({"overflow": "lose"}, "overflow='lose' is not a policy: choose one of block, "),
        ({"overflow": {"depth": "lose"}}, "'lose' for channel 'depth'"),
    ],
)
def test_arguments_that_cannot_work_are_refused(options, told):
    with pytest.raises(SettingsError, match=told):
        Buffer(**options)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_flood_with_slow_workers_balances_at_every_instant(rig, policy):
    async def main():
        r = rig(20, policy, block_timeout=0.001)
        seen = defaultdict(list)

        async def work():
            while (taken := await r.buffer.get(7)) is not None:
                lane, batch = taken
                assert not r.ledger.imbalance()
                await asyncio.sleep(0)
                seen[lane.key] += [number for _, _, number, _ in batch]
                r.finish(lane, batch)

        workers = [asyncio.create_task(work()) for _ in range(4)]
        began = time.monotonic()
        for number in range(500):
            await r.buffer.put_many([r.message(symbol, number) for symbol in "ABCDEFG"])
            assert not r.ledger.imbalance()
        r.buffer.close()
        await asyncio.gather(*workers)
        totals = r.totals()
        assert totals["received"] == 3500
        assert totals["processed"] == sum(map(len, seen.values()))
        assert all(line == sorted(set(line)) for line in seen.values())
        if policy in LOSSLESS:
            assert totals["processed"] == 3500
        if policy in ("drop_oldest", "conflate"):
            assert all(line[-1] == 499 for line in seen.values())
        assert r.buffer.statistics().blocked_seconds <= time.monotonic() - began

    asyncio.run(main())
