"""Several backtests side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from mdkit.backtesting.account.shown import shown_value
from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.plots import DrawnResult
from mdkit.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Comparison:
    """Several results side by side: `stats` (a column each), and their equities in one plot."""

    def __init__(self, results: Mapping[str, DrawnResult]) -> None:
        self.results = dict(results)
        self.stats = pd.DataFrame({name: result.stats for name, result in results.items()})

    def plot(self, *, max_points: int = 1500) -> Figure:
        """Return a figure of the equities, each as a multiple of its beginning, and drawdowns."""
        from mdkit.backtesting.plots import draw_comparison

        return draw_comparison(self.results, max_points)

    def __repr__(self) -> str:
        return str(self._shown())

    def _repr_html_(self) -> str:
        return str(self._shown().to_html())

    def _shown(self) -> pd.DataFrame:
        frame = self.stats.astype(object).copy()
        for name in frame.index:
            frame.loc[name] = [shown_value(str(name), value) for value in frame.loc[name]]
        return frame


def compare(results: Sequence[DrawnResult] | Mapping[str, DrawnResult]) -> Comparison:
    """Return several results side by side; a dict names them.

    Without names they are called by their strategies, with what differs in the terms.

    Example:
        >>> pressures = {f"{n} levels": md.strategies.pressure(levels=n) for n in (1, 5)}
        >>> results = {name: md.backtest(one, md.sample()) for name, one in pressures.items()}
        >>> md.compare(results).stats.loc["trades"].to_dict()
        {'1 levels': 82, '5 levels': 24}
    """
    if isinstance(results, Mapping):
        named = dict(results)
    else:
        named = {}
        for result in results:
            name = repr(result.strategy)
            if name in named:
                first = named[name].terms
                changed = [
                    f"{field.name}={getattr(result.terms, field.name)}"
                    for field in dataclasses.fields(Terms)
                    if getattr(result.terms, field.name) != getattr(first, field.name)
                ]
                name = f"{name} {', '.join(changed) or f'#{len(named) + 1}'}"
            named[name] = result
    if not named:
        raise SettingsError("compare needs at least one result")
    return Comparison(named)
