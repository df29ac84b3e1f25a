"""Gaps lie between messages, whatever the policy and the timing."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit.gap.pending import PendingGap, PendingGaps
from mdkit.queue.buffer import Buffer
from mdkit.queue.channel import QueuedChannel


def gap(number):
    return PendingGap("disconnected", number, number + 1)


def test_a_run_of_drops_is_one_hole():
    pending = PendingGaps()
    for number in (1, 2, 3):
        pending.dropped(number, 100 + number)
    assert pending.before(3) == []
    (found,) = pending.before(4)
    assert (found.from_ns, found.to_ns, found.lost, found.reported) == (101, 103, 3, False)
    assert not pending


def test_a_hole_told_by_the_source_parts_the_drops_around_it():
    pending = PendingGaps()
    pending.dropped(1, 10)
    pending.after(1, gap(15))
    pending.dropped(2, 20)
    assert [found.lost for found in pending.before(3)] == [1, None, 1]


def test_drops_on_arrival_lie_behind_what_waits():
    pending = PendingGaps()
    pending.refused(5, 50)
    pending.refused(5, 51)
    pending.dropped(1, 10)
    assert [(h.from_ns, h.lost) for h in pending.before(2)] == [(10, 1)]
    assert pending.before(5) == []
    assert [(h.from_ns, h.to_ns, h.lost) for h in pending.before(6)] == [(50, 51, 2)]


@given(
    policy=st.sampled_from(["drop_oldest", "drop_newest", "conflate"]),
    steps=st.lists(st.sampled_from(["put", "put", "put", "take", "gap"]), max_size=60),
    maxsize=st.integers(1, 5),
)
def test_gaps_lie_where_a_plain_model_has_them(policy, steps, maxsize):
    """Every message has a number; what comes out must say exactly which numbers are missing."""

    async def play():
        buffer = Buffer(maxsize, policy)
        channel = QueuedChannel("A", "depth")
        buffer.add(channel)
        unseen = {}
        buffer.on_loss = lambda what, places: unseen.update(dict.fromkeys(places, what))
        out, arrived, gaps = [], 0, []

        async def take():
            while len(buffer):
                lane, batch = await buffer.get(2)
                first = channel.left - len(batch) + 1
                for number, message in enumerate(batch, first):
                    pending = lane.pending.get(channel)
                    due = pending.before(number) if pending is not None else []
                    out.extend(("gap", found.lost, found.from_ns, found.to_ns) for found in due)
                    out.append(("message", message[2]))
                    message[0].in_flight -= 1
                    message[0].processed += 1
                buffer.release(lane)

        for step in steps:
            if step == "put":
                arrived += 1
                await buffer.put((channel, b"x", arrived, arrived))
            elif step == "take":
                await take()
            else:
                channel.interrupt(gap(arrived))
                gaps.append(arrived)
        await take()
        return out, unseen, gaps, arrived

    out, unseen, gaps, arrived = asyncio.run(play())
    expected, run, pending = [], [], []

    def close_run():
        if run:
            pending.append(("gap", len(run), run[0], run[-1]))
            run.clear()

    for number in range(arrived + 1):
        if number and number not in unseen:
            close_run()
            expected += [*pending, ("message", number)]
            pending.clear()
        elif number and unseen[number] != "conflated":
            run.append(number)
        for _ in range(gaps.count(number)):
            close_run()
            pending.append(("gap", None, number, number + 1))
    assert out == expected


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_gaps_stay_few_while_nobody_takes(policy):
    async def flood():
        buffer = Buffer(10, policy)
        channel = QueuedChannel("A", "depth")
        buffer.add(channel)
        for number in range(5000):
            await buffer.put((channel, b"x", number, 0))
        return channel

    channel = asyncio.run(flood())
    (found,) = channel.lane.pending[channel].rest()
    assert found.lost == 4990
