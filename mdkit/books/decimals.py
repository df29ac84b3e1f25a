"""Sums and differences of prices, rounded as decimals and not as binary fractions.

Prices are decimals with few places, but a float holds the nearest binary fraction, so that
158.55 - 158.54 gives 0.010000000000019327. A price is taken back to whole ticks of 1, 0.1, 0.01,
... , of which it is a multiple to the last bit; ticks are added without error, and
one division rounds to the float nearest to the true decimal. Which of the ticks that fit is used
changes no bit, so that one book alone, a column of many, and a replay agree. Prices of more than
15 digits are no decimals; of those the plain sum of floats is returned.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_SCALES = np.array([float(10**places) for places in range(23)])
"""Powers of ten that a float holds exactly."""
_MOST = 2.0**50
_LIMITS = _MOST / _SCALES
"""Prices up to which a product with each scale is off by less than half a tick; descending."""
_RISING = _LIMITS[::-1].copy()
_PAIRS: tuple[tuple[float, float], ...] = tuple(
    zip(_SCALES.tolist(), _LIMITS.tolist(), strict=True)
)
_LIKELY = (_PAIRS[2], _PAIRS[5], _PAIRS[8])
"""What is tried first: hardly any price has more places."""


def difference(high: float, low: float) -> float:
    """Return high - low as a decimal; nan or inf where one of them is."""
    scale = _common_scale(high, low)
    return (round(high * scale) - round(low * scale)) / scale if scale else high - low


def halfway(one: float, other: float) -> float:
    """Return the middle of two prices as a decimal; nan or inf where one of them is."""
    scale = _common_scale(one, other)
    if scale:
        return (round(one * scale) + round(other * scale)) / (2.0 * scale)
    return (one + other) / 2


def differences_and_middles(high: Floats, low: Floats) -> tuple[Floats, Floats]:
    """Return `difference` and `halfway` of each pair, with the same bits."""
    pairs = np.array((high, low))
    if not pairs.size:
        return pairs[0], pairs[1]
    with np.errstate(all="ignore"):
        # Prices of one symbol: what fits the first pair mostly fits all.
        scale = _common_scale(float(pairs[0, 0]), float(pairs[1, 0]))
        ticks = np.rint(pairs * scale)
        if (
            scale
            and (ticks / scale == pairs).all()
            and ticks.max() < _MOST
            and ticks.min() > -_MOST
        ):
            return (ticks[0] - ticks[1] + 0.0) / scale, (ticks[0] + ticks[1] + 0.0) / (2.0 * scale)
        return _each_by_itself(pairs)


def _each_by_itself(pairs: Floats) -> tuple[Floats, Floats]:
    # Of nan and of prices beyond all limits the scale is of no account: they never fit.
    places = _RISING.size - 1 - np.searchsorted(_RISING, np.abs(pairs).max(axis=0), "right")
    scale = _SCALES[places]
    ticks = np.rint(pairs * scale)
    fits = (ticks / scale == pairs).all(axis=0) & (places >= 0)
    one, other = ticks
    # 0.0 makes a negative zero a positive one, as whole numbers have it.
    width = np.where(fits, (one - other + 0.0) / scale, pairs[0] - pairs[1])
    return width, np.where(fits, (one + other + 0.0) / (2.0 * scale), (pairs[0] + pairs[1]) / 2)


def _common_scale(one: float, other: float) -> float:
    """Return a scale that makes both prices whole ticks, or 0.0 where none does."""
    for scale, limit in _LIKELY:
        if (
            -limit < one < limit
            and -limit < other < limit
            and round(one * scale) / scale == one
            and round(other * scale) / scale == other
        ):
            return scale
    # A price that fits any scale fits all finer ones up to the limit, so one look will do.
    for scale, limit in reversed(_PAIRS):
        if -limit < one < limit and -limit < other < limit:
            fits = round(one * scale) / scale == one and round(other * scale) / scale == other
            return scale if fits else 0.0
    return 0.0
