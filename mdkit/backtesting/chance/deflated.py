"""How likely the best of a sweep is luck: Bailey and López de Prado's deflated Sharpe ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from mdkit.errors import SettingsError

_EULER = 0.5772156649015329


@dataclass(frozen=True)
class Deflated:
    """The outcome of `deflated`.

    Attributes:
        sharpe: that of the best, of one return, not annualised.
        expected: what the best of so many trials has in the mean if none is any good.
        probability: that the best's true Sharpe ratio is above `expected`, given how many returns
            there are and how they are distributed: the deflated Sharpe ratio, from 0 to 1.
        trials: how many combinations were tried, those without a Sharpe ratio left out.
        returns: of how many returns each Sharpe ratio is.
        frequency: what a return covers.
        best: the parameters of the best.
    """

    sharpe: float
    expected: float
    probability: float
    trials: int
    returns: int
    frequency: str
    best: dict[str, Any]

    @property
    def luck(self) -> float:
        """1 less `probability`: how likely the best is no better than luck among so many."""
        return 1.0 - self.probability

    def __str__(self) -> str:
        return (
            f"the best of {self.trials} ({self.best}) has a Sharpe ratio of {self.sharpe:.4f} per "
            f"return ({self.returns} returns, {self.frequency}); luck alone gives the best of so "
            f"many {self.expected:.4f}; with probability {self.probability:.1%} it is more than "
            "luck"
        )

    __repr__ = __str__


def deflated(sweep: pd.DataFrame) -> Deflated:
    """Return how likely the best Sharpe ratio of a sweep is more than luck.

    With V the variance of the N trials' Sharpe ratios, the best of N without any skill has in the
    mean SR0 = sqrt(V) ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e))), with Z the inverse of the normal
    distribution and g Euler's constant. The probability is that of the probabilistic Sharpe ratio
    against SR0, F((SR - SR0) sqrt(T - 1) / sqrt(1 - skew SR + (kurtosis - 1) / 4 SR^2)), over T
    returns. Bailey and López de Prado, The Deflated Sharpe Ratio, 2014. Trials count as
    independent, though neighbours in a grid are not, which makes the verdict stricter.

    Args:
        sweep: what `sweep` returned; over books of any metric, over bars with "sharpe" among them.

    Raises `SettingsError` for other frames, and where fewer than two trials have a Sharpe ratio.

    Example:
        >>> grid = {"levels": [1, 3, 5]}
        >>> swept = md.sweep(md.strategies.pressure, md.sample(), grid, metric="return")
        >>> md.deflated(swept).probability < 0.95
        True
    """
    found = getattr(sweep, "attrs", {}).get("trials")
    if found is None:
        raise SettingsError(
            'deflated needs what md.sweep returned, over bars with metric="sharpe" (or a list '
            "with it), whole: not a part of it, nor a copy that lost its attrs"
        )
    ratios = np.array(found["sharpe"], float)
    known = ratios[np.isfinite(ratios)]
    count = len(known)
    if count < 2:
        raise SettingsError(
            f"{count} of {len(ratios)} combinations have a Sharpe ratio; two or more are needed"
        )
    best = int(np.nanargmax(np.where(np.isfinite(ratios), ratios, np.nan)))
    sharpe, size = float(ratios[best]), int(found["returns"])
    skew, kurtosis = found["moments"]
    inverse = NormalDist().inv_cdf
    deviation = float(np.std(known, ddof=1))
    quantiles = (1 - _EULER) * inverse(1 - 1 / count) + _EULER * inverse(1 - 1 / (count * math.e))
    expected = deviation * quantiles
    spread = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    probability = math.nan
    if spread > 0.0:
        score = (sharpe - expected) * math.sqrt(size - 1) / math.sqrt(spread)
        probability = NormalDist().cdf(score)
    row = sweep.iloc[best]
    return Deflated(
        sharpe, expected, probability, count, size, found["frequency"],
        {name: _plain(row[name]) for name in sweep.attrs["parameters"]},
    )  # fmt: skip


def _plain(value: Any) -> Any:
    """Return NumPy's numbers as Python's; a row of a frame makes floats of whole numbers."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value
