import asyncio
import functools
import math
import pickle

import numpy as np
import pytest

from mdkit.errors import SettingsError, StrategyError
from mdkit.events import Depth, Gap, Trade
from mdkit.strategies import as_strategy, messages, pressure, strategy
from mdkit.strategies.contract import as_signal

BOOK = Depth("A", ((99.0, 3.0), (98.0, 5.0)), ((101.0, 1.0), (102.0, 1.0)))


@strategy("bar", "trade")
class Counter:
    step: int = 1
    scale: float = 1

    def start(self):
        self.count = 0
        self.gaps = []

    def __call__(self, event):
        self.count += self.step
        return self.count * self.scale

    def on_gap(self, gap):
        self.gaps.append(gap)


@strategy("depth")
async def patient(book, enter=2.0):
    await asyncio.sleep(0)
    return enter


# A function


def test_a_decorated_function_is_still_called_as_one():
    assert pressure(BOOK) == 1.0
    assert pressure(BOOK, enter=5.0) is None
    assert pressure(BOOK, 1, 4.0) is None
    assert pressure.__name__ == "pressure"
    assert "heavier side" in pressure.__doc__


def test_parameters_are_shown_varied_and_left_alone_in_the_original():
    varied = pressure.with_params(enter=5.0)
    assert repr(pressure) == "pressure(levels=5, enter=2.0)"
    assert repr(varied) == "pressure(levels=5, enter=5.0)"
    assert varied.with_params(levels=1).params == {"levels": 1, "enter": 5.0}
    assert varied(BOOK) is None
    assert pressure(BOOK) == 1.0


def test_the_hot_path_gets_the_bare_function_unless_parameters_differ():
    assert pressure.instance() is pressure.function
    assert pressure.with_params(levels=5).instance() is pressure.function
    changed = pressure.with_params(enter=5.0).instance()
    assert isinstance(changed, functools.partial)
    assert changed(BOOK) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"lvls": 3}, r"no parameter 'lvls'; it has levels=5, enter=2.0"),
        ({"levels": "x"}, r"levels is 'x'; expected a number.*levels=5, enter=2.0"),
        ({"levels": 2.5}, r"levels is 2.5; expected a whole number"),
        ({"enter": True}, r"enter is True; expected a number"),
        ({"enter": math.nan}, r"enter is nan; expected a number"),
    ],
)
def test_a_wrong_parameter_is_named_beside_those_there_are(change, says):
    with pytest.raises(SettingsError, match=says):
        pressure.with_params(**change)


def test_numpy_scalars_and_ints_become_the_python_numbers_of_their_parameter():
    params = pressure.with_params(levels=np.int64(3), enter=np.float64(3.0)).params
    assert [type(value) for value in params.values()] == [int, float]
    assert type(pressure.with_params(enter=3).params["enter"]) is float


def test_a_whole_default_without_annotation_takes_any_number():
    @strategy("depth")
    def loose(book, enter=2):
        return enter

    assert loose.with_params(enter=2.5)(BOOK) == 2.5


def test_strategies_survive_pickling():
    for original in (pressure, pressure.with_params(levels=2), as_strategy(Counter(step=3))):
        copy = pickle.loads(pickle.dumps(original))
        assert repr(copy) == repr(original)
        assert copy.instance()(BOOK) == original.instance()(BOOK)


def test_a_function_decorated_under_another_name_is_pickled_by_its_own():
    named = strategy("depth")(_plain)
    assert pickle.loads(pickle.dumps(named)).instance() is _plain


def _plain(book):
    return 1.0


# A class


def test_every_instance_starts_afresh():
    counter = as_strategy(Counter(step=2))
    one, other = counter.instance(), counter.instance()
    assert [one(None), one(None)] == [2, 4]
    assert other(None) == 2
    assert not hasattr(counter.configured, "count")


def test_on_gap_is_reachable_on_what_runs():
    runner = as_strategy(Counter).instance()
    gap = Gap("A", "depth", "reconnect", 1, 2)
    runner.on_gap(gap)
    assert runner.gaps == [gap]
    assert not hasattr(pressure.instance(), "on_gap")


def test_a_class_takes_its_parameters_by_keyword_only():
    assert repr(Counter(step=3)) == "Counter(step=3, scale=1)"
    with pytest.raises(SettingsError, match=r"no parameter 'stp'; it has step=1, scale=1"):
        Counter(stp=1)
    with pytest.raises(SettingsError, match=r"by keyword: Counter\(step=1, scale=1\)"):
        Counter(3)
    with pytest.raises(SettingsError, match=r"step is 1.5; expected a whole number"):
        Counter(step=1.5)
    assert as_strategy(Counter).with_params(step=4).params == {"step": 4, "scale": 1}


def test_what_a_class_needs():
    with pytest.raises(SettingsError, match="needs a method __call__"):

        @strategy("bar")
        class Mute:
            fast: int = 1

    with pytest.raises(SettingsError, match="has an __init__"):

        @strategy("bar")
        class Own:
            def __init__(self): ...
            def __call__(self, bar): ...

    with pytest.raises(SettingsError, match="parameter fast has no default"):

        @strategy("bar")
        class Bare:
            fast: int

            def __call__(self, bar): ...

    with pytest.raises(SettingsError, match="mutable default"):

        @strategy("bar")
        class Mutable:
            windows: list = []  # noqa: RUF012

            def __call__(self, bar): ...


def test_an_undecorated_subclass_is_a_strategy_as_well():
    class Double(Counter):
        def __call__(self, event):
            return 2 * super().__call__(event)

    assert as_strategy(Double(step=2)).instance()(None) == 4
    assert as_strategy(Double).name == "Double"


# The decorator


def test_kinds_and_sharing_are_kept():
    assert pressure.kinds == ("depth",)
    assert as_strategy(Counter).kinds == ("bar", "trade")
    assert as_strategy(Counter).per == "symbol"

    @strategy("bar", per="session")
    def basket(bar):
        return None

    assert basket.per == "session"


def test_what_the_decorator_refuses():
    with pytest.raises(SettingsError, match=r'such as @md.strategy\("depth"\)'):

        @strategy
        def forgot_the_brackets(book): ...

    with pytest.raises(SettingsError, match="unknown kind of event 'book'; the kinds are depth"):
        strategy("book")
    with pytest.raises(SettingsError, match="per is 'market'"):
        strategy("bar", per="market")
    with pytest.raises(SettingsError, match="parameter levels has no default"):
        strategy("depth")(lambda book, levels: None)
    with pytest.raises(SettingsError, match="must take the event"):
        strategy("depth")(lambda: None)
    with pytest.raises(SettingsError, match="not a function or class"):
        strategy("depth")(3)


@pytest.mark.parametrize("wrong", [len, "pressure", None, 3.0, object()])
def test_what_is_no_strategy_is_told_how_to_become_one(wrong):
    with pytest.raises(SettingsError, match=r"decorate your .* or wrap .* md.messages\(fn\)"):
        as_strategy(wrong)


def test_as_strategy_leaves_a_strategy_as_it_is():
    assert as_strategy(pressure) is pressure


def test_async_strategies_are_known_as_such():
    @strategy("depth")
    class Slow:
        async def __call__(self, book):
            return 1.0

    assert patient.is_async
    assert patient.with_params(enter=3.0).is_async
    assert as_strategy(Slow).is_async
    assert not pressure.is_async
    assert not as_strategy(Counter).is_async
    assert asyncio.run(patient.with_params(enter=3.0).instance()(BOOK)) == 3.0


# Plain functions of a dict


def test_messages_hands_over_the_flat_dict():
    seen = []
    wrapped = messages(seen.append)
    assert wrapped.kinds == ("depth", "trade", "ticker")
    trade = Trade("A", 1.0, 2.0)
    assert wrapped.instance()(trade) is None
    assert seen == [trade.as_dict()]
    assert messages(seen.append, "trade").kinds == ("trade",)


@pytest.mark.parametrize(
    ("value", "signal"),
    [(1.5, 1.5), (2, 2.0), (math.inf, math.inf), (np.float32(0.5), 0.5)]
    + [(value, None) for value in (None, True, "1", {"a": 1}, [1.0])],
)
def test_messages_takes_real_numbers_as_signals_and_nothing_else(value, signal):
    result = messages(lambda message: value).instance()(BOOK)
    assert result == signal
    assert type(result) in (float, type(None))


def test_messages_awaits_async_functions():
    async def ratio(message):
        await asyncio.sleep(0)
        return len(message["bids"])

    wrapped = messages(ratio)
    assert wrapped.is_async
    assert wrapped.name == "ratio"
    assert asyncio.run(wrapped.instance()(BOOK)) == 2.0


def test_what_messages_refuses():
    with pytest.raises(SettingsError, match="a strategy already"):
        messages(pressure)
    with pytest.raises(SettingsError, match="a strategy already"):
        messages(Counter)
    with pytest.raises(SettingsError, match="needs a function"):
        messages(3)
    with pytest.raises(SettingsError, match="no parameter 'x'; it has none"):
        messages(_plain).with_params(x=1)


# Results


@pytest.mark.parametrize(
    ("value", "signal"),
    [(None, None), (1.0, 1.0), (2, 2.0), (-math.inf, -math.inf)]
    + [(kind(3), 3.0) for kind in (np.float64, np.float32, np.int64)],
)
def test_real_numbers_are_signals(value, signal):
    result = as_signal(value, "mine")
    assert result == signal
    assert type(result) in (float, type(None))


@pytest.mark.parametrize("value", [math.nan, np.float64("nan")])
def test_nan_is_an_error(value):
    with pytest.raises(StrategyError, match="strategy mine returned nan; return None"):
        as_signal(value, "mine")


@pytest.mark.parametrize("value", [True, np.True_, "1", 1j, [1.0], np.ones(2), 10**400])
def test_anything_else_is_an_error_that_names_it(value):
    kind = "integer too large" if type(value) is int else f"a {type(value).__name__}"
    with pytest.raises(
        StrategyError, match=f"strategy mine returned an? ?{kind.removeprefix('a ')}"
    ):
        as_signal(value, "mine")


def test_a_decorated_function_called_without_an_event_takes_parameters():
    varied = pressure(levels=3)
    assert repr(varied) == "pressure(levels=3, enter=2.0)"
    assert repr(varied(enter=4.0)) == "pressure(levels=3, enter=4.0)"
    assert repr(pressure()) == repr(pressure)
    with pytest.raises(SettingsError, match=r"no parameter 'level'.*levels=5"):
        pressure(level=3)
    book = Depth("A", ((1.0, 6.0),), ((2.0, 2.0),))
    assert pressure(book, levels=1) == pressure(book=book, levels=1) == varied(book) == 1.0
