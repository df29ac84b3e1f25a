"""The fitted micro-price: where the mid will be, as past books like this one say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mdkit.books.decimals import difference
from mdkit.errors import SettingsError
from mdkit.events import Depth
from mdkit.measures import mid
from mdkit.strategies.flow.flow import NAN, Bools, Floats, Flow, Ints, column

if TYPE_CHECKING:
    import pandas as pd

_STEPS = 100
_FEWEST = 100


class Microprice(Flow):
    """The expected mid price far ahead, given imbalance at the touch and spread, in price units.

    Made by `Microprice.fit(frame)`, or of what that has found. `adjustments` are what is added
    to the mid, shape (spreads, bins): the row of a spread of 1, 2, ... ticks, the last one also
    for wider ones; the column of bid_size / (bid_size + ask_size) in equal bins from 0 to 1.

    Source: Stoikov, "The micro-price: a high-frequency estimator of future prices", Quantitative
    Finance 18 (2018): a Markov chain of imbalance and spread, made symmetric between the sides,
    whose limit is a martingale. Not `md.microprice`, which needs no fitting.

    Example:
        >>> books = md.read_recording(md.sample()).frame("depth", "AAPL.US")
        >>> round(float(md.Microprice.fit(books).over(books).iloc[-1]), 4)
        158.6009
    """

    channel = "depth"

    def __init__(self, adjustments: Any, tick: float) -> None:
        self.adjustments: Floats = np.atleast_2d(np.array(adjustments, np.float64))
        if not self.adjustments.size or not np.isfinite(self.adjustments).all() or not tick > 0.0:
            raise SettingsError(
                "Microprice needs adjustments of shape (spreads, bins) and a tick above 0: "
                "Microprice.fit(frame) makes them of books"
            )
        self.tick = float(tick)
        self._table: list[list[float]] = self.adjustments.tolist()

    @classmethod
    def fit(
        cls, frame: pd.DataFrame, *, bins: int = 10, spreads: int = 2, tick: float | None = None
    ) -> Microprice:
        """Return the micro-price fitted to books of one symbol.

        Args:
            frame: books by time of receipt; no transition is taken across a `gap`.
            bins: of the imbalance.
            spreads: how many spreads in ticks are told apart, wider ones as the widest.
            tick: the smallest change of price; the smallest spread seen unless given.

        Raises `SettingsError` where there are too few books, or the mid never moves.
        """
        if len(frame) < _FEWEST or bins < 2 or spreads < 1:
            raise SettingsError(
                f"Microprice.fit needs at least {_FEWEST} books, 2 bins and 1 spread; there are "
                f"{len(frame):,} books, {bins} bins and {spreads} spreads"
            )
        middle, spread = (column(frame, name, "Microprice") for name in ("mid", "spread"))
        shown = spread[spread > 0.0]
        step = tick or (float(shown.min()) if len(shown) else NAN)
        if not step > 0.0:
            raise SettingsError("Microprice.fit found no spread above 0; give tick=")
        states = _states(frame, bins, spreads, step)
        moves = np.append(middle[1:] - middle[:-1], np.nan)
        after = np.append(states[1:], -1)
        broken = np.append(frame["gap"].to_numpy(bool)[1:], True) if "gap" in frame else False
        good = (states >= 0) & (after >= 0) & ~np.isnan(moves) & ~broken
        return cls(_limit(states[good], after[good], moves[good], bins, spreads), step)

    def __repr__(self) -> str:
        spreads, bins = self.adjustments.shape
        return f"Microprice({bins} bins, {spreads} spreads)"

    def reset(self) -> None:
        """Begin anew; there is nothing to forget but the last value."""
        self.ready, self.value = False, NAN

    def update(self, event: Depth) -> float:
        """Take the next book; return the micro-price, nan where a side is empty."""
        self.ready, self.value = True, NAN
        middle = mid(event)
        if middle == middle:
            (bid, bid_size), (ask, ask_size) = event.bids[0], event.asks[0]
            total = bid_size + ask_size
            if total > 0.0:
                rows, count = self.adjustments.shape
                place = min(int(bid_size / total * count), count - 1)
                width = int(np.rint(difference(ask, bid) / self.tick))
                self.value = middle + self._table[min(max(width, 1), rows) - 1][place]
        return self.value

    def _over(self, table: pd.DataFrame, times: Ints, breaks: Bools) -> Floats:
        rows, count = self.adjustments.shape
        states = _states(table, count, rows, self.tick)
        added = self.adjustments.ravel()[states]
        return np.where(states < 0, np.nan, column(table, "mid", "Microprice") + added)


def _states(table: pd.DataFrame, bins: int, spreads: int, tick: float) -> Ints:
    """Return each book's state, spread by spread, -1 where a side is empty."""
    bid, ask = (column(table, f"{side}_size", "Microprice") for side in ("bid", "ask"))
    total = bid + ask
    with np.errstate(all="ignore"):
        width = np.rint(column(table, "spread", "Microprice") / tick)
        share = bid / total * bins
    known = (total > 0.0) & ~np.isnan(width)
    place = np.minimum(np.where(known, share, 0.0).astype(np.int64), bins - 1)
    row = np.clip(np.where(known, width, 1.0), 1, spreads).astype(np.int64) - 1
    found: Ints = np.where(known, row * bins + place, -1)
    return found


def _limit(states: Ints, after: Ints, moves: Floats, bins: int, spreads: int) -> Floats:
    """Return the sum of the expected moves to come in each state, shape (spreads, bins)."""
    count = bins * spreads
    # The market seen in a mirror: bids for asks, up for down. It makes the estimate symmetric.
    mirror = np.arange(count).reshape(spreads, bins)[:, ::-1].ravel()
    states, after = (np.concatenate([one, mirror[one]]) for one in (states, after))
    moves = np.concatenate([moves, -moves])
    still = moves == 0.0
    if still.all():
        raise SettingsError("Microprice.fit: the mid price never moves in these books")

    def counted(which: Any) -> Floats:
        cells = states[which] * count + after[which]
        return np.bincount(cells, minlength=count * count).reshape(count, count).astype(float)

    stays, goes = counted(still), counted(~still)
    visits = stays.sum(axis=1) + goes.sum(axis=1)
    seen = np.maximum(visits, 1.0)[:, None]
    moved = np.bincount(states[~still], moves[~still], count) / seen[:, 0]
    # A state that nothing was ever seen to leave by a move would keep the chain for ever.
    inverse = np.linalg.pinv(np.eye(count) - stays / seen)
    first, onward = inverse @ moved, inverse @ (goes / seen)
    total, step = np.zeros(count), first
    for _ in range(_STEPS):
        total = total + step
        step = onward @ step
        if np.abs(step).max() < 1e-12 * max(np.abs(total).max(), 1e-300):
            break
    found = total.reshape(spreads, bins)
    return np.where(visits.reshape(spreads, bins) > 0.0, found, 0.0)
