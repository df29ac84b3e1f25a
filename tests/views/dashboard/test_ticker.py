"""When pictures are due: steadily, and at once where one has waited for the page."""

import asyncio
import math
import threading

import pytest

from mdkit.views.dashboard import ticker as module
from mdkit.views.dashboard.ticker import Ticker


@pytest.fixture
def seldom(monkeypatch):
    """So seldom that no tick but the first comes by itself."""
    monkeypatch.setattr(module, "_SLOWEST", math.inf)
    return 1e-6


@pytest.mark.parametrize("waits", [True, False])
def test_a_tick_that_could_not_send_is_made_good_once_woken_from_any_thread(seldom, until, waits):
    async def main():
        def tick():
            ticker.waits = waits and not ticker.ticks
            return True

        ticker = Ticker(tick, seldom)
        ticker.start(asyncio.get_running_loop())
        await until(lambda: ticker.ticks == 1)
        for _ in range(3):  # one waker of several does; a tick that waits for nothing stays away
            thread = threading.Thread(target=ticker.wake)
            thread.start()
            thread.join()
            for _ in range(5):
                await asyncio.sleep(0)
        ticks = ticker.ticks
        ticker.stop()
        await until(lambda: not ticker.running)
        return ticks

    assert asyncio.run(main()) == (2 if waits else 1)


def test_a_ticker_moves_on_from_a_loop_that_has_closed(until):
    ticker = Ticker(lambda: True, hz=60)
    ended = asyncio.new_event_loop()
    ticker.start(ended)
    ended.run_until_complete(until(lambda: ticker.ticks > 1))
    old = ticker._task
    old.cancel()
    ended.run_until_complete(asyncio.gather(old, return_exceptions=True))
    ended.close()

    async def main():
        ticks = ticker.ticks
        ticker.start(asyncio.get_running_loop())
        await until(lambda: ticker.ticks > ticks)
        ticker.stop()
        await until(lambda: not ticker.running)

    asyncio.run(main())


def turned(loop, times=3):
    """Let a loop come to what is due in it."""
    for _ in range(times):
        loop.call_soon(loop.stop)
        loop.run_forever()


@pytest.fixture
def loops():
    made = [asyncio.new_event_loop() for _ in range(2)]
    yield made
    for loop in made:
        turned(loop)  # to the end of what was cancelled
        loop.close()


def test_a_loop_that_comes_to_it_late_does_not_take_over(loops):
    late, newest = loops
    where = []
    ticker = Ticker(lambda: where.append(asyncio.get_running_loop()) or True, hz=60)
    ticker.start(late)
    ticker.start(newest)
    turned(newest)
    turned(late)
    assert ticker.running
    assert set(where) == {newest}
    ticker.stop()
    turned(newest)
    assert not ticker.running


def test_one_that_is_stopped_before_its_loop_comes_to_it_never_ticks(loops):
    ticker = Ticker(lambda: True, hz=60, at_end=lambda: pytest.fail("nothing has ended"))
    ticker.start(loops[0])
    ticker.stop()
    turned(loops[0])
    assert not ticker.ticks


def test_stopped_on_its_way_to_another_loop_it_ends_in_the_first(loops):
    ticker = Ticker(lambda: True, hz=60)
    ticker.start(loops[0])
    turned(loops[0])
    ticker.start(loops[1])
    ticker.stop()
    turned(loops[0])
    assert not ticker.running
    turned(loops[1])
    assert ticker.ticks == 1


def test_it_ends_as_such_where_the_loop_that_it_is_to_move_to_has_closed(loops):
    closed = asyncio.new_event_loop()
    closed.close()
    ended = []

    def tick():
        ticker.start(closed)
        return False

    ticker = Ticker(tick, hz=60, at_end=lambda: ended.append(asyncio.get_running_loop()))
    ticker.start(loops[0])
    turned(loops[0])
    assert ended == [loops[0]]
    assert not ticker.trouble


def test_what_is_to_run_in_a_loop_that_has_just_closed_runs_here(monkeypatch):
    closed = asyncio.new_event_loop()
    closed.close()
    monkeypatch.setattr(closed, "is_running", lambda: True)  # as it was when it was looked at
    done = []
    module.call_soon(closed, lambda: done.append(1))
    assert done == [1]
