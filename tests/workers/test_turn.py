"""Workers of one loop share its time."""

import asyncio
from collections import Counter

import pytest

from mdkit.workers import turn as module
from mdkit.workers.turn import TURN_SECONDS, LoopTurn


class Clock:
    now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


async def rounds_worked_in(clock, seconds, workers=4, times=20, cancel=None):
    """Return in which round of the loop each worker worked, a list for each."""
    turn, done = LoopTurn(), [[] for _ in range(workers)]
    rounds = 0

    async def work(number):
        for _ in range(times):
            clock.now += seconds
            done[number].append(rounds)
            await turn.end()

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
    done = asyncio.run(rounds_worked_in(clock, 1.5 * TURN_SECONDS))
    begun = Counter(at for worker in done for at in worker[1:])  # at first each has a batch
    assert set(begun.values()) == {1}
    assert [len(worker) for worker in done] == [20] * 4
    assert max(worker[10] for worker in done) < min(worker[12] for worker in done), "in turns"


def test_short_work_goes_on_until_a_turn_is_over(clock):
    done = asyncio.run(rounds_worked_in(clock, 0.3 * TURN_SECONDS, workers=1, times=40))
    begun = Counter(done[0])
    assert set(list(begun.values())[1:-1]) == {4}


def test_a_worker_that_is_cancelled_while_it_waits_holds_up_nobody(clock):
    done = asyncio.run(rounds_worked_in(clock, 1.5 * TURN_SECONDS, cancel=30))
    assert len(done[1]) < 20
    assert [len(done[number]) for number in (0, 2, 3)] == [20] * 3


def test_one_that_was_suspended_begins_a_turn_unless_another_has(clock):
    turn = LoopTurn()
    turn.resume(left=99.0, now=100.0)
    clock.now = 100.0 + TURN_SECONDS / 2
    assert not asyncio.run(takes_a_round(turn))
    turn.resume(left=99.5, now=clock.now)  # it left before that turn began
    clock.now += TURN_SECONDS
    assert asyncio.run(takes_a_round(turn))


async def takes_a_round(turn):
    """Return whether ending the turn lets others run."""
    others = []
    asyncio.get_running_loop().call_soon(others.append, 1)
    await turn.end()
    return bool(others)
