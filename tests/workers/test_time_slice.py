"""Workers of one loop share its time."""

import asyncio
from collections import Counter

import pytest

from mdkit.workers import time_slice as module
from mdkit.workers.time_slice import SLICE_SECONDS, TimeSlice


@pytest.fixture
def clock(monkeypatch, hand_clock):
    monkeypatch.setattr(module, "time", hand_clock)
    return hand_clock


async def rounds_worked_in(clock, seconds, workers=4, times=20, cancel=None, suspended=()):
    """Return in which round of the loop each worker worked, a list for each.

    The `suspended` ones await something in the middle of each piece of work.
    """
    time_slice, done = TimeSlice(), [[] for _ in range(workers)]
    rounds = 0

    async def work(number):
        while len(done[number]) < times:
            time_slice.begin(clock.now)
            if number in suspended:
                for _ in range(5):
                    await asyncio.sleep(0)
            clock.now += seconds
            done[number].append(rounds)
            await time_slice.wait()

    tasks = [asyncio.create_task(work(number)) for number in range(workers)]
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        rounds += 1
        if rounds == cancel:
            tasks[1].cancel()
        assert rounds < 1_000
    await asyncio.gather(*tasks, return_exceptions=True)
    return done


def test_a_round_of_the_loop_holds_the_work_of_one(clock):
    done = asyncio.run(rounds_worked_in(clock, 1.5 * SLICE_SECONDS))
    begun = Counter(at for worker in done for at in worker)
    del begun[0]  # where each has a first batch
    assert set(begun.values()) == {1}
    assert [len(worker) for worker in done] == [20] * 4


def test_short_work_goes_on_until_the_slice_is_over(clock):
    done = asyncio.run(rounds_worked_in(clock, 0.3 * SLICE_SECONDS, workers=1, times=40))
    assert set(Counter(done[0]).values()) == {4}


def test_workers_share_a_slice(clock):
    done = asyncio.run(rounds_worked_in(clock, 0.3 * SLICE_SECONDS))
    begun = Counter(at for worker in done for at in worker)
    assert max(begun.values()) <= 7  # three within it, and each may end what it has begun
    assert [len(worker) for worker in done] == [20] * 4


def test_a_worker_that_is_cancelled_while_it_waits_holds_up_nobody(clock):
    done = asyncio.run(rounds_worked_in(clock, 1.5 * SLICE_SECONDS, cancel=10))
    assert len(done[1]) < 20
    assert [len(done[number]) for number in (0, 2, 3)] == [20] * 3


def test_others_go_on_while_the_one_that_began_the_slice_is_suspended(clock):
    done = asyncio.run(rounds_worked_in(clock, 1.5 * SLICE_SECONDS, workers=2, suspended={0}))
    between = sum(done[0][0] < at < done[0][1] for at in done[1])
    assert between >= 3
