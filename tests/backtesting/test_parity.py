"""verify(): true for what agrees, and the first difference for what does not."""

import datetime
import functools
import os
import random
import time
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from mdkit.backtesting.compiled import layout, native
from mdkit.backtesting.verify.lint import lint
from mdkit.backtesting.verify.parity import verify
from mdkit.backtesting.verify.verification import Difference
from mdkit.errors import SettingsError
from mdkit.events import Depth, Trade
from mdkit.strategies import ALL, SmaCross, as_strategy, strategy

pytestmark = pytest.mark.outer


def books(count=300):
    found = []
    for i in range(count):
        heavy = 1.0 + i % 7  # the one side, then the other
        bids = tuple((100.0 - j + (i % 5) / 4, heavy + j / 3) for j in range(6))
        asks = tuple((101.5 + j + (i % 5) / 4, 4.0 + j / 7) for j in range(6))
        found.append(Depth("AB"[i % 2], bids, asks, i * 10**9, i * 10**9 + 7))
    return found


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_strategy_that_comes_with_mdkit_agrees(seeded_bars, name, seed, request):
    on_bars = "bar" in as_strategy(ALL[name]).kinds
    if on_bars:
        request.getfixturevalue("numba")
    data = {"A": seeded_bars(300, seed, volatility=0.01), "B": seeded_bars(200, seed + 9)}
    checked = verify(ALL[name], data if on_bars else books(), seed=seed)
    assert checked, str(checked)
    native = ("native",) if find_spec("numba") else ()
    assert checked.engines == ("python", *native, "live", "another process")
    assert checked.outputs > 0
    assert checked.warnings == ()


def test_the_digest_is_of_outputs_and_state(seeded_bars):
    bars = seeded_bars(100)
    one = verify(SmaCross, bars)
    assert verify(SmaCross, bars, seed=5).digest == one.digest
    assert verify(SmaCross(fast=9), bars).digest != one.digest
    other = bars.copy()
    other.iloc[-1, 3] *= 1.0 + 1e-15
    other["high"] = other[["high", "close"]].max(axis=1)
    assert verify(SmaCross, other).digest != one.digest
    first, second = str(one).splitlines()[:2]
    assert first.endswith(f"to the last bit, over 100 events, {one.outputs} answers.")
    assert second.startswith(f"sha256 {one.digest[:16]} of answers and state: the same on every")


def test_numbers_of_numpy_are_told_as_numbers():
    one, other = np.float64(0.5), [np.float32(0.25), (np.int64(3),), {"a": np.bool_(True)}]
    told = str(Difference("native", "A", 0, "output", one, other))
    assert told.endswith(
        "output is [0.25, (3,), {'a': True}], in Python 0.5 (0x1.0000000000000p-1)"
    )


@strategy("bar")
class Shared:
    """State outside the instance: what it says depends on who ran before."""

    calls = [0]  # noqa: RUF012 - the mistake that this is about

    def __call__(self, bar):
        self.calls[0] += 1
        return float(self.calls[0])


def test_state_that_is_not_the_instances_own_is_caught(seeded_bars):
    checked = verify(Shared, seeded_bars(20))
    assert not checked
    assert checked.difference.what == "output"
    assert checked.difference.expected != checked.difference.got
    assert "differs on event 0 of asset: output is 21.0" in str(checked)


@strategy("bar")
class Secret:
    """Says the same whoever ran before, but remembers something else."""

    calls = [0]  # noqa: RUF012

    def __call__(self, bar):
        self.calls[0] += 1
        self.seen = float(self.calls[0])


def test_a_difference_in_live_state_alone_is_caught(seeded_bars):
    difference = verify(Secret, seeded_bars(20)).difference
    assert (difference.engine, difference.what) == ("live", "seen")
    assert (difference.expected, difference.got) == (20.0, 40.0)


def test_the_first_native_difference_is_found_on_its_bar(seeded_bars, numba, monkeypatch):
    run = native.NativeStrategy.run

    def wrong(self, state, bars, begin, end, signals):
        done = run(self, state, bars, begin, end, signals)
        if begin <= 77 < end:
            signals[77] += 2.0**-52
        return done

    monkeypatch.setattr(native.NativeStrategy, "run", wrong)
    difference = verify(SmaCross, seeded_bars(300)).difference
    assert (difference.engine, difference.number, difference.what) == ("native", 77, "output")


def test_a_difference_in_state_alone_is_found(seeded_bars, numba, monkeypatch):
    read = layout.Memory.read

    def wrong(self):
        state = read(self)
        state["fast_average._new"] += 1e-12
        return state

    monkeypatch.setattr(layout.Memory, "read", wrong)
    difference = verify(SmaCross, seeded_bars(100)).difference
    assert (difference.engine, difference.what) == ("native", "fast_average._new")
    assert "0x" in str(difference), "both values to the last bit"


def test_live_events_that_no_feed_sends_are_named():
    crossed = Depth("A", ((102.0, 1.0),), ((101.0, 1.0),), 1, 1)
    with pytest.raises(SettingsError, match="A holds an event that no feed sends: book is crossed"):
        verify(ALL["pressure"], [*books(4), crossed])


def test_only_events_of_its_kind_count():
    with pytest.raises(SettingsError, match="the data hold no depth events"):
        verify(ALL["pressure"], [Trade("A", 1.0, 1.0)])
    mixed = [*books(10), Trade("A", 1.0, 1.0)]
    assert verify(ALL["pressure"], mixed).events == 10


def test_recorded_books(market):
    import gzip
    from itertools import islice

    from mdkit.venues.tickdb import decode

    with gzip.open(market / "depth.jsonl.gz", "rb") as file:
        events = []
        for line in islice(file, 3000):
            received, raw = line.rstrip(b"\n").split(b"\t", 1)
            events += decode(raw, int(received))
    checked = verify(ALL["pressure"], events)
    assert checked, str(checked)
    assert checked.outputs > 500


@strategy("bar")
class Suspicious:
    def start(self):
        self.window = [0.0] * 5

    def __call__(self, bar):
        mean = sum(self.window) / 5
        return bar.close**2 - mean


def test_lint_names_what_differs_between_engines_with_its_line():
    told = lint(Suspicious)
    assert len(told) == 2
    assert any("** is computed differently" in warning for warning in told)
    assert any("sum() compensates" in warning for warning in told)
    assert all(warning.startswith("line ") for warning in told)
    assert lint(SmaCross) == ()


def test_large_whole_numbers_are_compared_and_shown_in_short(seeded_bars):
    @strategy("bar")
    class Product:
        def start(self):
            self.product = 1

        def __call__(self, bar):
            self.product = self.product * 6364136223846793005 + 1
            return float(self.product % 100) / 100

    checked = verify(Product, seeded_bars(1500))
    assert checked, str(checked)
    why = checked.skipped["native"]
    assert "is handed to Python: a whole number is too large" in why or "numba is not" in why

    @strategy("bar")
    class Counting:
        calls = [1]  # noqa: RUF012 - the mistake that this is about

        def start(self):
            self.product = 1

        def __call__(self, bar):
            self.calls[0] = self.calls[0] * 6364136223846793005 + 1
            self.product = self.calls[0]

    told = str(verify(Counting, seeded_bars(1500)))
    assert "a whole number of" in told
    assert len(told) < 2000


@strategy("bar")
class Seeded:
    """Draws from generators of its own, which is no difference between runs."""

    def start(self):
        self.random = random.Random(5)
        self.numpy = np.random.default_rng(5)

    def __call__(self, bar):
        return self.random.random() * float(self.numpy.random())


def test_a_generator_of_its_own_is_no_difference(seeded_bars):
    checked = verify(Seeded, seeded_bars(20))
    assert checked, str(checked)
    assert checked.warnings == ()


class NamesNoModule(type):
    """As the type of functions that some versions of Cython compile, numpy's among them."""

    @property
    def __module__(cls):
        return None


class Doubling(metaclass=NamesNoModule):
    def __call__(self, value):
        return 2.0 * value


DOUBLING = Doubling()


@strategy("bar")
def doubled(bar):
    return DOUBLING(bar.close)


def test_what_names_no_module_can_be_read_from_outside(seeded_bars):
    checked = verify(doubled, seeded_bars(20))
    assert checked, str(checked)
    assert checked.warnings == ()


def test_times_finer_than_the_wires_are_no_difference():
    @strategy("trade")
    def fine(trade):
        return float(trade.exchange_ns % 10_000_000)

    at = 1_700_000_000_000_000_000
    trades = [
        Trade("A", 1.0 + i, 1.0, side="buy", exchange_ns=at + i * 1_001_001) for i in range(20)
    ]
    assert verify(fine, trades)


@strategy("bar")
def by_hash(bar):
    return float(hash(bar.symbol) % 1000) / 1000


@strategy("bar")
def by_order(bar):
    # So many that two processes hardly ever have the same three in front.
    first = list({f"{bar.symbol} {i}" for i in range(99)})[:3]
    return float("0." + "".join(f"{int(text.split()[1]):02}" for text in first))


@strategy("bar")
def by_environment(bar):
    return 1.0 if "MDKIT_TEST_SIDE" in os.environ else 0.0


REMEMBERED = {}


@strategy("bar")
def by_memory(bar):
    return REMEMBERED.setdefault("close", bar.close) / 1e6


@pytest.mark.parametrize("chosen", [by_hash, by_order, by_environment, by_memory])
def test_what_differs_in_another_process_is_found(seeded_bars, chosen, monkeypatch):
    monkeypatch.setenv("MDKIT_TEST_SIDE", "1")
    monkeypatch.setitem(REMEMBERED, "close", 1.0)  # by an earlier run
    checked = verify(chosen, seeded_bars(20))
    assert not checked
    assert checked.difference.engine == "another process"


DATA = np.arange(5.0)
FRAME = pd.DataFrame({"close": DATA})
CLOSES = [1.0, 2.0]
BY_DAY = {"monday": 1.0}


@functools.lru_cache
def remembering(x):
    return x


@strategy("bar")
def looking(bar, at=(0,)):
    return DATA[0] + len(FRAME) + CLOSES[0] + BY_DAY["monday"] + remembering(1.0) + helped()


def helped():
    return float(np.random.random()) * 0.0 + time.time() * 0.0 + datetime.date.today().day * 0.0


def test_lint_names_what_is_read_from_outside():
    told = "\n".join(lint(looking))
    for part in (
        "reads DATA from outside, an array of 5 items",
        "reads FRAME from outside, a DataFrame of 5 rows",
        "reads CLOSES from outside, a list of 2 items",
        "reads BY_DAY from outside, a dict of 1 items",
        "calls remembering, which remembers earlier runs",
        "np.random.random: it draws from a generator that everything shares",
        "time.time: the clock differs from run to run",
        "datetime.date.today: the date differs from run to run",
    ):
        assert part in told, told
