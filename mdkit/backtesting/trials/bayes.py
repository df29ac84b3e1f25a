"""A search that learns: which combination to try next, by optuna's sampler."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mdkit.backtesting.account.metrics import Metric
from mdkit.backtesting.trials.grid import Evaluate, Params, Report, Trials
from mdkit.errors import SettingsError
from mdkit.extras import install_hint

_PATIENCE = 50
"""So often in a row a combination may be asked for that was tried, or that is not allowed."""


def bayes(
    combinations: list[Params], budget: int, seed: int, metric: Metric, report: Report
) -> Trials:
    """Return a search that tries `budget` different combinations, for the best figure.

    The figure is the first of those that are computed. The same seed and figures ask for the same
    combinations. Raises `SettingsError` where optuna is not installed.
    """
    optuna = _optuna()

    def trials(evaluate: Evaluate) -> tuple[list[Params], list[tuple[Any, ...]]]:
        study = _study(optuna, seed)
        values = {name: _distinct(combinations, name) for name in combinations[0]}
        # Places among the values, which are in the grid's order, so that near is alike.
        spaces = {
            name: optuna.distributions.IntDistribution(0, len(tried) - 1)
            for name, tried in values.items()
        }
        places = {
            tuple(values[name].index(value) for name, value in params.items()): number
            for number, params in enumerate(combinations)
        }
        rows: dict[int, tuple[Any, ...]] = {}
        misses = 0
        random = np.random.default_rng(seed)
        while len(rows) < min(budget, len(combinations)):
            trial = study.ask(spaces)
            number = places.get(tuple(trial.params[name] for name in spaces))
            if (number is None or number in rows) and misses < _PATIENCE:
                misses += 1
                _tell(optuna, study, trial, None if number is None else rows[number], metric)
                continue
            if number is None or number in rows:  # the sampler has settled: any other one
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                left = [each for each in range(len(combinations)) if each not in rows]
                other = left[int(random.integers(len(left)))]
                rows[other] = evaluate(combinations[other])
            else:
                rows[number] = evaluate(combinations[number])
                _tell(optuna, study, trial, rows[number], metric)
            misses = 0
            report(len(rows))
        return [combinations[number] for number in rows], list(rows.values())

    return trials


def _distinct(combinations: list[Params], name: str) -> list[Any]:
    found: list[Any] = []
    for params in combinations:
        if params[name] not in found:
            found.append(params[name])
    return found


def _tell(optuna: Any, study: Any, trial: Any, row: tuple[Any, ...] | None, metric: Metric) -> None:
    """Tell the sampler what came of a combination: nothing, where it has no figure."""
    worth = math.nan if row is None else metric.worth(row[0])
    if worth == worth:
        study.tell(trial, worth)
    else:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _study(optuna: Any, seed: int) -> Any:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        sampler = optuna.samplers.TPESampler(seed=seed)
        return optuna.create_study(direction="maximize", sampler=sampler)
    finally:
        optuna.logging.set_verbosity(before)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise SettingsError(
            f'search="bayes" is done by optuna, which is not installed: {install_hint("search")}'
        ) from None
    return optuna
