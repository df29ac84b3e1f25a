"""Bands by block bootstrap over sums.

Neighbouring events tell nearly the same, so that a band which takes them for independent is far
too narrow. Whole blocks of time are drawn instead (Künsch, "The jackknife and the bootstrap for
general stationary observations", Annals of Statistics 17, 1989). What is drawn are not events but
each block's sums, of which a mean or a correlation is made: one product of two small matrices.
Few blocks make a band too narrow, so it is widened as Student's t is against the normal.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from mdkit.research.tools.segments import Floats, Ints

LEVEL = 0.95
"""How much of what could have been lies within a band."""
_ROUNDING = 1e-12
_AT_ONCE = 4_000_000
"""Counts of blocks that are drawn at once, for the memory's sake."""
FEWEST = 3
"""With fewer blocks there is no band."""


class Band(NamedTuple):
    """A figure with its band: nan, nan where there are too few blocks."""

    value: Floats
    low: Floats
    high: Floats
    error: Floats
    """The standard error."""


def block_sums(numbers: Ints, count: int, columns: Floats) -> Floats:
    """Return the sums of each block; shape (blocks, columns) of columns of shape (columns, n)."""
    sums = [np.bincount(numbers, column, minlength=count) for column in columns]
    return np.stack(sums, axis=1) if sums else np.zeros((count, 0))


def drawn_sums(sums: Floats, resamples: int, seed: int) -> Floats:
    """Return the sums over blocks drawn again, shape (resamples, k), of those of each block."""
    blocks = len(sums)
    rng = np.random.default_rng([seed, blocks])
    even = np.full(blocks, 1.0 / blocks)
    at_once = max(1, _AT_ONCE // blocks)
    parts = [
        rng.multinomial(blocks, even, size=min(at_once, resamples - done)).astype(float) @ sums
        for done in range(0, resamples, at_once)
    ]
    return np.concatenate(parts)


def band(
    sums: Floats,
    statistic: Callable[[Floats], Floats],
    resamples: int,
    seed: int,
    *,
    least: float = -np.inf,
    most: float = np.inf,
) -> Band:
    """Return a statistic of sums with its band.

    Args:
        sums: of each block, shape (blocks, k).
        statistic: makes figures, shape (..., m), of sums, shape (..., k).
        least, most: what the figures can be at all.
    """
    with np.errstate(all="ignore"):
        value = statistic(sums.sum(axis=0))
        if len(sums) < FEWEST:
            nothing = np.full_like(value, np.nan)
            return Band(value, nothing, nothing, nothing)
        drawn = statistic(drawn_sums(sums, resamples, seed))
        known = np.isfinite(drawn).all(axis=0) | (np.isfinite(drawn).mean(axis=0) > 0.9)
        drawn = np.where(np.isfinite(drawn), drawn, np.nan)
        tails = (1.0 - LEVEL) / 2.0
        low, high = np.full_like(value, np.nan), np.full_like(value, np.nan)
        error = np.full_like(value, np.nan)
        if known.any():
            columns = drawn[..., known]
            low[known], high[known] = np.nanquantile(columns, [tails, 1.0 - tails], axis=0)
            error[known] = np.nanstd(columns, axis=0)
        wider = widening(len(sums))
    return Band(
        value,
        np.clip(value - (value - low) * wider, least, most),
        np.clip(value + (high - value) * wider, least, most),
        error * wider,
    )


def simultaneous(
    sums: Floats, statistic: Callable[[Floats], Floats], resamples: int, seed: int
) -> Band:
    """Return figures with bands that hold for all of them together; arguments as of `band`.

    The largest of many figures lies outside a band of its own more often than such a band says.
    Here each is as many standard errors wide as all need that are independent (Šidák,
    "Rectangular confidence regions", Journal of the American Statistical Association 62, 1967);
    where they depend on each other, the bands are wider than they had to be.
    """
    found = band(sums, statistic, resamples, seed)
    z = NormalDist().inv_cdf(0.5 + LEVEL ** (1.0 / max(1, found.value.size)) / 2.0)
    width = found.error * z
    if len(sums) >= FEWEST:  # the error has been widened for a band of one
        width = width * widening(len(sums), z) / widening(len(sums))
    return Band(found.value, found.value - width, found.value + width, found.error)


def widening(blocks: int, z: float = NormalDist().inv_cdf(0.5 + LEVEL / 2.0)) -> float:
    """Return by how much a band of so many blocks must be wider than that of many.

    Student's quantile over the normal one `z`, by its expansion (Abramowitz and Stegun, 26.7.5),
    and what the variance of so few draws lacks.
    """
    nu = blocks - 1
    t = (
        z
        + (z**3 + z) / (4 * nu)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * nu**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * nu**3)
    )
    return float(t / z * np.sqrt(blocks / nu))


def correlation(sums: Floats) -> Floats:
    """Return the correlation of x and y of sums of 1, x, y, xx, yy and xy; shape (..., 1)."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    of_x, of_y = n * xx - x * x, n * yy - y * y
    # What rounding leaves of a constant is no spread.
    varies = (of_x > _ROUNDING * n * xx) & (of_y > _ROUNDING * n * yy)
    found = (n * xy - x * y) / np.sqrt(np.where(varies, of_x * of_y, np.nan))
    return np.asarray(np.clip(found, -1.0, 1.0))[..., None]


def correlation_sums(x: Floats, y: Floats, numbers: Ints, count: int) -> Floats:
    """Return each block's sums that `correlation` takes; x and y are centred, for precision."""
    x, y = x - x.mean(), y - y.mean()
    return block_sums(numbers, count, np.stack([np.ones_like(x), x, y, x * x, y * y, x * y]))


def ratios(sums: Floats) -> Floats:
    """Return the second half of the columns over the first: means of counts and sums."""
    half = sums.shape[-1] // 2
    found: Floats = sums[..., half:] / sums[..., :half]
    return found
