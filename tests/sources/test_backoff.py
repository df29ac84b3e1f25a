"""When to connect again, by a clock that only the test moves."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit.sources.backoff import Backoff


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Highest(random.Random):
    """Always draws the upper end."""

    def uniform(self, low, high):
        assert low == 0.0
        return high


def _backoff(**options):
    clock = Clock()
    options = {"per_minute": 1000, **options}
    return Backoff(1.0, 60.0, clock, **options), clock


def test_the_ceiling_doubles_up_to_the_maximum():
    backoff, _ = _backoff(rng=Highest())
    assert [backoff.delay() for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_thousands_of_attempts_do_not_overflow():
    backoff, _ = _backoff(rng=Highest())
    assert {backoff.delay() for _ in range(5000)} <= {1, 2, 4, 8, 16, 32, 60}


def test_jitter_is_full():
    draws = [_backoff(rng=random.Random(seed))[0].delay() for seed in range(500)]
    assert all(0.0 <= wait <= 1.0 for wait in draws)
    assert min(draws) < 0.05
    assert max(draws) > 0.95


@given(st.integers(0, 12), st.floats(0.0, 300.0), st.integers(0, 1000))
def test_a_wait_lies_between_what_the_server_asked_and_the_ceiling_above_it(
    attempts, at_least, seed
):
    backoff, _ = _backoff(rng=random.Random(seed))
    for _ in range(attempts):
        backoff.delay()
    ceiling = min(60.0, 2.0**attempts)
    assert at_least <= backoff.delay(at_least) <= at_least + ceiling


def test_it_starts_over_only_after_a_stable_stretch():
    backoff, clock = _backoff(rng=Highest(), stable_after=10.0)
    for _ in range(4):
        backoff.delay()
    backoff.connected()
    clock.now += 9.9
    assert backoff.delay() == 16
    backoff.connected()
    clock.now += 10.0
    assert backoff.delay() == 1
    clock.now += 1000.0  # a long outage is no stable stretch
    assert backoff.delay() == 2


def test_a_server_that_accepts_and_hangs_up_does_not_reset_it():
    backoff, clock = _backoff(rng=Highest())
    waits = []
    for _ in range(6):
        backoff.connecting()
        backoff.connected()
        clock.now += 0.01
        waits.append(backoff.delay())
        clock.now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32]


@pytest.mark.parametrize("per_minute", [1, 3, 30])
def test_connects_per_minute_are_capped_whatever_the_jitter(per_minute):
    class Lowest(random.Random):
        def uniform(self, low, high):
            return 0.0

    backoff, clock = _backoff(rng=Lowest(), per_minute=per_minute)
    tries = []
    for _ in range(per_minute * 4):
        backoff.connecting()
        tries.append(clock.now)
        clock.now += 0.001
        clock.now += backoff.delay()
    for begin in tries:
        assert sum(1 for at in tries if begin <= at < begin + 60.0 - 1e-6) <= per_minute
