"""Prices of 0 and below: real in some markets, and a sign of broken data in all others."""

from __future__ import annotations

import warnings

import numpy as np

from mdkit.errors import InvalidMessage
from mdkit.history.columns import Klines
from mdkit.venues.rest.klines import invalid_bars, when

_NAMED = 3


class PriceWarning(UserWarning):
    """Bars with prices of 0 or below were left out; says which."""


def keep_possible(bars: Klines, about: str, allow_nonpositive: bool = False) -> Klines:
    """Return the bars without those that have a price of 0 or below, unless these are allowed.

    A `PriceWarning` names `about` and the first ones left out. Raises `InvalidMessage` when
    they are allowed and a high is below, or a low above, the others.
    """
    positive = (bars.figures[:4] > 0).all(axis=0)
    if positive.all():
        return bars
    if allow_nonpositive:
        open_, high, low, close = bars.figures[:4, ~positive]
        wrong = (high < np.maximum(open_, close)) | (low > np.minimum(open_, close))
        if wrong.any():
            said = [f"{when(int(t))}: high or low is not" for t in bars.starts[~positive][wrong]]
            raise InvalidMessage(invalid_bars(about, said))
        return bars
    possible = positive
    left_out = bars.starts[~possible]
    named = ", ".join(when(int(start)) for start in left_out[:_NAMED])
    more = f" and {left_out.size - _NAMED:,} more" if left_out.size > _NAMED else ""
    warnings.warn(
        f"{about}: {left_out.size:,} of {bars.bars:,} bars have a price of 0 or below and are left "
        f"out ({named}{more}). Where such prices are real, pass allow_nonpositive=True.",
        PriceWarning,
        stacklevel=3,
    )
    return Klines(bars.starts[possible], bars.figures[:, possible])
