"""What a sweep tries: the combinations of a grid, or some of them; and whom to tell of progress."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib import import_module
from itertools import product
from typing import Any, Literal, get_args

import numpy as np

from mdkit.backtesting.account.calendar import Calendar
from mdkit.backtesting.account.metrics import METRICS, MIN_RETURNS
from mdkit.errors import SettingsError
from mdkit.strategies.contract import Strategy

Params = dict[str, Any]
Progress = bool | Callable[[int, int], Any] | None
Report = Callable[[int], None]
Search = Literal["grid", "random", "bayes"]
Evaluate = Callable[[Params], tuple[Any, ...]]
"""Computes the figures of one combination."""
Trials = Callable[[Evaluate], tuple[list[Params], list[tuple[Any, ...]]]]
"""Runs a search: returns the combinations that were tried, and the figures of each."""


def metric_names(metric: str | Sequence[str]) -> tuple[str, ...]:
    """Return the names of figures, each once; raise `SettingsError` where there is none such."""
    names = (metric,) if isinstance(metric, str) else tuple(dict.fromkeys(metric))
    unknown = [name for name in names if name not in METRICS]
    if unknown or not names:
        raise SettingsError(f"metric is {metric!r}; choose from {', '.join(METRICS)}")
    return names


def some_of(found: list[Params], search: Search, budget: int | None, seed: int) -> list[Params]:
    """Return all combinations, or with "random" so many of them, in the grid's order."""
    if checked_budget(search, budget, seed) is None:
        return found
    drawn = np.random.default_rng(seed).permutation(len(found))[:budget]
    return [found[i] for i in sorted(drawn.tolist())]


def checked_budget(search: Search, budget: int | None, seed: int) -> int | None:
    """Return how many combinations a search tries, None for all; raise for what is no search."""
    if search not in get_args(Search):
        raise SettingsError(f'search is {search!r}; give "grid", "random" or "bayes"')
    if search == "grid":
        if budget is not None:
            raise SettingsError('a budget is for search="random" or "bayes"; a grid is tried whole')
        return None
    if not is_count(budget):
        raise SettingsError(f"budget is {budget!r}; say how many combinations to try, 1 or more")
    if isinstance(seed, bool) or not (isinstance(seed, int | np.integer) and 0 <= seed < 2**32):
        raise SettingsError(f"seed is {seed!r}; give a whole number from 0 to {2**32 - 1}")
    return budget


def in_turn(combinations: list[Params], report: Report) -> Trials:
    """Return a search that tries combinations one after the other."""

    def trials(evaluate: Evaluate) -> tuple[list[Params], list[tuple[Any, ...]]]:
        rows = []
        for number, params in enumerate(combinations, 1):
            rows.append(evaluate(params))
            report(number)
        return combinations, rows

    return trials


def combinations_of(
    strategy: Strategy,
    grid: Mapping[str, Iterable[Any]],
    constraint: Callable[[Params], bool] | None,
) -> list[Params]:
    """Return every combination of a grid that the constraint allows, checked; see `sweep`."""
    if not isinstance(grid, Mapping) or not grid:
        raise SettingsError('grid is empty; give values by parameter, {"fast": [5, 10]}')
    for name, given in grid.items():
        if isinstance(given, str | bytes) or not isinstance(given, Iterable):
            raise SettingsError(f"grid: {name} is {given!r}; give a list of values to try")
    values = {name: list(tried) for name, tried in grid.items()}
    for name, tried in values.items():
        if not tried:
            raise SettingsError(f"grid: no values for {name}")
    found = [dict(zip(values, row, strict=True)) for row in product(*values.values())]
    # Checked before anything runs, and NumPy's scalars become Python's numbers.
    found = [
        {name: strategy.with_params(**params).params.get(name) for name in params}
        for params in found
        if constraint is None or constraint(params)
    ]
    if not found:
        raise SettingsError("the constraint leaves no combination of the grid")
    return found


def column_of(parameter: str, taken: Collection[str]) -> str:
    """Return the name of a parameter's column beside columns of these names."""
    while parameter in taken:
        parameter = f"{parameter} (parameter)"
    return parameter


def few_returns(calendar: Calendar, names: Iterable[str]) -> str:
    """Return why those of these figures that are of a year are nan; an empty text if none is."""
    count = len(calendar.ends)
    yearly = [name for name in names if METRICS[name].needs_returns(count, calendar.years)]
    if not yearly:
        return ""
    return (
        f"{', '.join(yearly)}: nan, since there are {count} returns, {calendar.frequency}, and "
        f'figures of a year need {MIN_RETURNS}; take more bars, or a metric such as "return"'
    )


def is_count(value: Any) -> bool:
    """Whether a value is a whole number of at least 1."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= 1


def reporter(progress: Progress, total: int) -> Report:
    """Return what is called with the number of runs that are done."""
    if callable(progress):
        return lambda done: progress(done, total)
    if not progress:
        return lambda done: None
    tqdm: Any = import_module("tqdm.auto").tqdm

    class Bar(tqdm):  # type: ignore[misc]
        # tqdm's watching thread would outlive the sweep.
        monitor_interval = 0

    bar = Bar(total=total, desc="sweep", unit="run")

    def report(done: int) -> None:
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return report
