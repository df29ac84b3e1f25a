"""Holes lie between messages, whatever the policy and the timing."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit.stream.buffer import Buffer
from mdkit.stream.holes import Hole, Holes
from mdkit.stream.ledger import Ledger


def gap(number):
    return Hole("disconnected", number, number + 1)


def test_a_run_of_drops_is_one_hole():
    holes = Holes()
    for number in (1, 2, 3):
        holes.dropped(number, 100 + number)
    assert holes.before(3) == []
    (hole,) = holes.before(4)
    assert (hole.from_ns, hole.to_ns, hole.lost, hole.told) == (101, 103, 3, False)
    assert not holes


def test_a_hole_told_by_the_source_parts_the_drops_around_it():
    holes = Holes()
    holes.dropped(1, 10)
    holes.after(1, gap(15))
    holes.dropped(2, 20)
    assert [hole.lost for hole in holes.before(3)] == [1, None, 1]


def test_drops_on_arrival_lie_behind_what_waits():
    holes = Holes()
    holes.refused(5, 50)
    holes.refused(5, 51)
    holes.dropped(1, 10)
    assert [(h.from_ns, h.lost) for h in holes.before(2)] == [(10, 1)]
    assert holes.before(5) == []
    assert [(h.from_ns, h.to_ns, h.lost) for h in holes.before(6)] == [(50, 51, 2)]


@given(
    policy=st.sampled_from(["drop_oldest", "drop_newest", "conflate"]),
    steps=st.lists(st.sampled_from(["put", "put", "put", "take", "gap"]), max_size=60),
    maxsize=st.integers(1, 5),
)
def test_holes_lie_where_a_plain_model_has_them(policy, steps, maxsize):
    """Every message has a number; what comes out must say exactly which numbers are missing."""

    async def play():
        buffer = Buffer(maxsize, policy)
        slot = buffer.slot(Ledger().account("A", "depth"))
        unseen = {}
        buffer.on_loss = lambda slot, what, first, count: lost.append((what, first, count))
        lost, out, arrived, gaps, admitted = [], [], 0, [], []

        async def take():
            while len(buffer):
                lane, batch = await buffer.get(2)
                first = slot.left - len(batch) + 1
                for number, message in enumerate(batch, first):
                    holes = lane.holes.get(slot)
                    due = holes.before(number) if holes is not None else []
                    out.extend(("hole", hole.lost, hole.from_ns, hole.to_ns) for hole in due)
                    out.append(("message", message[2]))
                    message[0].account.in_flight -= 1
                    message[0].account.processed += 1
                buffer.release(lane)

        for step in steps:
            if step == "put":
                arrived += 1
                before = slot.refused
                await buffer.put((slot, b"x", arrived))
                if slot.refused > before:
                    unseen[arrived] = "refused"
                else:
                    admitted.append(arrived)
                for what, first, count in lost:
                    numbers = admitted[first - 1 : first - 1 + count]
                    if what != "refused":
                        unseen.update(dict.fromkeys(numbers, what))
                    else:
                        assert (first, count) == (arrived, 1)
                lost.clear()
            elif step == "take":
                await take()
            else:
                slot.break_off(gap(arrived))
                gaps.append(arrived)
        await take()
        return out, unseen, gaps, arrived

    out, unseen, gaps, arrived = asyncio.run(play())
    expected, run, pending = [], [], []

    def close_run():
        if run:
            pending.append(("hole", len(run), run[0], run[-1]))
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
            pending.append(("hole", None, number, number + 1))
    assert out == expected


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
def test_holes_stay_few_while_nobody_takes(policy):
    async def flood():
        buffer = Buffer(10, policy)
        slot = buffer.slot(Ledger().account("A", "depth"))
        for number in range(5000):
            await buffer.put((slot, b"x", number))
        return slot

    slot = asyncio.run(flood())
    (hole,) = slot.lane.holes[slot].rest()
    assert hole.lost == 4990
