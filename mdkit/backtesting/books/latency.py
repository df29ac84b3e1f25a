"""How long an order is under way, by event: one number, a range, or the feed's own delays."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mdkit.errors import SettingsError
from mdkit.numbers import is_finite

Latency = float | tuple[float, float] | Literal["recorded"]
Stamps = npt.NDArray[np.int64]
_MS = 1_000_000
_LONGEST = 86_400_000.0
"""Milliseconds of a day; far more would run over the end of the clock."""
_SEED = 0
_CURE = 'give milliseconds, from 0 to those of a day; a range of them, (20, 80); or "recorded"'


def checked_latency(latency: Any) -> Latency:
    """Return a latency in milliseconds as it was given; raise `SettingsError` for none."""
    if isinstance(latency, str):
        if latency == "recorded":
            return "recorded"
    elif isinstance(latency, tuple | list):
        ends = [end for end in latency if is_finite(end)]
        if len(ends) == len(latency) == 2 and 0.0 <= ends[0] <= ends[1] <= _LONGEST:
            return float(ends[0]), float(ends[1])
    elif is_finite(latency) and 0.0 <= latency <= _LONGEST:
        return float(latency)
    raise SettingsError(f"latency_ms is {latency!r}; {_CURE}")


def delays_of(latency: Latency, exchange: Stamps, received: Stamps) -> tuple[Stamps, str]:
    """Return how long what each event led to is under way, ns, and what a reader should know.

    A range is drawn from evenly, with a fixed seed. "recorded" takes what the event itself took
    to arrive, `received` - `exchange`, both 0 where unknown; an event without takes the one before
    it. Where clocks are apart so far that the smallest is below 0, that one counts as 0: raises
    `SettingsError` where no event has both times.
    """
    count = len(received)
    if isinstance(latency, tuple):
        drawn = np.random.default_rng(_SEED).uniform(*latency, count)
        return np.rint(drawn * _MS).astype(np.int64), ""
    if latency != "recorded":
        return np.full(count, round(latency * _MS), np.int64), ""
    known = (exchange != 0) & (received != 0)
    if not known.any():
        raise SettingsError(
            'latency_ms is "recorded", but no event has both the time of the exchange and that of '
            "its receipt; give milliseconds"
        )
    delays = np.where(known, received - exchange, 0)
    smallest = int(delays[known].min())
    first = int(np.flatnonzero(known)[0])
    last = np.maximum.accumulate(np.where(known, np.arange(count), first))
    delays = delays[last] - min(0, smallest)
    median = float(np.median(delays)) / _MS
    note = f"latency as recorded: {median:,.1f} ms in the median"
    if smallest < 0:
        note += (
            f"; the clocks are apart, so that the smallest delay, {smallest / _MS:,.1f} ms, was "
            "taken for 0"
        )
    return delays, note


def due_times(sent: Stamps, delays: Stamps, symbols: Stamps) -> Stamps:
    """Return when answers come due, ns; of one symbol never before an earlier one of it."""
    due = sent + delays
    for symbol in np.unique(symbols):
        own = symbols == symbol
        due[own] = np.maximum.accumulate(due[own])
    return due


def shown_latency(latency: Latency) -> str:
    """Return a latency as a reader expects it, such as "50 ms"."""
    if isinstance(latency, tuple):
        return f"{latency[0]:g} to {latency[1]:g} ms"
    if latency == "recorded":
        return "as recorded"
    return f"{latency:g} ms" if latency and math.isfinite(latency) else "none"
