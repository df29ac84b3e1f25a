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
