"""A search that learns: deterministic, within its budget, and better than chance."""

import sys

import pytest

import mdkit as md
from mdkit.errors import SettingsError
from mdkit.events import Depth

GRID = {"a": list(range(12)), "b": [round(0.1 * n, 1) for n in range(12)]}
CALLS = []


@md.strategy("depth")
class Peak:
    """Earns most at a=8 and b=0.5."""

    a: int = 0
    b: float = 0.0

    def start(self):
        CALLS.append((self.a, self.b))

    def __call__(self, book):
        return max(0.0, 1.0 - abs(self.a - 8) / 12 - abs(self.b - 0.5))


def rising(count=40):
    return [
        Depth("A", ((100.0 + n, 1e9),), ((100.0 + n, 1e9),), 0, n * 10**9)
        for n in range(1, count)
    ]  # fmt: skip


def swept(**changes):
    terms = {"metric": "return", "progress": False, "search": "bayes", "budget": 30, "seed": 3}
    return md.sweep(Peak, rising(), GRID, **{**terms, **changes})


def test_without_optuna_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SettingsError, match="not installed: python -m pip install optuna"):
        swept()


def test_a_budget_is_needed():
    with pytest.raises(SettingsError, match="budget is None; say how many combinations to try"):
        swept(budget=None)
    with pytest.raises(SettingsError, match='search is \'tpe\'; give "grid", "random" or "bayes"'):
        swept(search="tpe")


@pytest.mark.parametrize("search", ["random", "bayes"])
@pytest.mark.parametrize("seed", [-1, 1.5, 0.0, True, None, "x", 2**32])
def test_a_seed_is_a_whole_number(search, seed):
    with pytest.raises(SettingsError, match=r"seed is .*; give a whole number from 0 to"):
        swept(search=search, seed=seed)


def test_a_sweep_over_books_refuses_what_one_over_bars_does():
    with pytest.raises(SettingsError, match="engine is 'fast'; give"):
        swept(search="grid", budget=None, engine="fast")
    for values in (5, "ab"):
        with pytest.raises(SettingsError, match=f"grid: a is {values!r}; give a list of values"):
            md.sweep(Peak, rising(), {"a": values}, metric="return")


class TestWithOptuna:
    @pytest.fixture(autouse=True)
    def _optuna(self):
        pytest.importorskip("optuna")

    def test_each_row_is_a_trial_of_its_own_and_deflated_counts_them(self):
        CALLS.clear()
        found = swept()
        tried = list(zip(found["a"], found["b"], strict=True))
        assert len(tried) == len(set(tried)) == 30
        assert set(CALLS) >= set(tried)
        assert len(found.attrs["trials"]["sharpe"]) == 30
        assert md.deflated(found).trials == int(found["return"].ne(0.0).sum())

    def test_the_same_seed_tries_the_same_and_another_others(self):
        one, again, other = swept(), swept(), swept(seed=4)
        assert one.equals(again)
        assert not one.equals(other)

    def test_it_finds_more_than_chance_does(self):
        seeds = range(5)
        learned = [swept(seed=seed)["return"].nlargest(5).mean() for seed in seeds]
        drawn = [swept(seed=seed, search="random")["return"].nlargest(5).mean() for seed in seeds]
        assert sum(learned) > sum(drawn)

    def test_a_constraint_holds_and_a_budget_beyond_the_grid_tries_it_whole(self):
        found = swept(constraint=lambda p: p["a"] > 8 and p["b"] > 0.8, budget=500)
        assert len(found) == 3 * 3
        assert (found["a"] > 8).all()
        assert (found["b"] > 0.8).all()

    def test_the_lowest_is_looked_for_where_it_is_the_best(self, seeded_bars):
        @md.strategy("bar")
        def share(bar, part=1.0):
            return part

        grid = {"part": [round(n / 50, 2) for n in range(1, 51)]}
        terms = {"metric": "volatility", "progress": False, "search": "bayes", "budget": 20}
        found = md.sweep(share, seeded_bars(300, 2, interval="1D"), grid, **terms)
        assert found["volatility"].min() < 0.1 * found["volatility"].max()
        assert found["part"].iloc[10:].mean() < found["part"].iloc[:10].mean()

    def test_over_bars_it_runs_one_after_the_other(self, seeded_bars):
        @md.strategy("bar")
        def share(bar, part=1.0):
            return part

        with pytest.raises(SettingsError, match="no client, no workers"):
            md.sweep(
                share, seeded_bars(30, 2), {"part": [0.5, 1.0]}, search="bayes", budget=2, workers=2
            )
