"""What holding costs from bar to bar: borrowed stock, borrowed cash, and funding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from mdkit.backtesting.account.leverage import Financing
from mdkit.backtesting.data.panel import Panel
from mdkit.errors import SettingsError
from mdkit.suggestions import instead

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
_YEAR = 365 * 86_400_000_000_000


class Rates(NamedTuple):
    """Fractions of a value held that are due when each bar begins, and at its close.

    `longs` and `shorts`, (symbols x 2 bars,), are multiplied with values, which are below 0 for
    what is short; `loan`, (2 bars,), with cash that is missing.
    """

    longs: Floats
    shorts: Floats
    loan: Floats


def rates_of(panel: Panel, financing: Financing, at_close: bool) -> Rates:
    """Return the rates of a panel's bars; raise `SettingsError` for symbols that it has not.

    What is traded at closes is held from close to close, so that each bar is paid for at its own;
    else all is paid when a bar begins, and after the last.
    """
    due = _times_due(panel, at_close)
    years = np.concatenate([[0.0], np.diff(due) / _YEAR])
    borrow = financing.borrow
    if not isinstance(borrow, Mapping):
        borrow = dict.fromkeys(panel.symbols, borrow)
    _check(borrow, panel, "borrow")
    longs = _funding(panel, financing.funding, due)
    rates = np.array([float(borrow.get(symbol, 0.0)) for symbol in panel.symbols])
    shorts = longs - rates[:, None] * years
    return Rates(longs.ravel(), shorts.ravel(), float(financing.loan) * years)


def _times_due(panel: Panel, at_close: bool) -> Whole:
    """Return the times up to which is paid when each bar begins and at its close, ns, (2 bars,)."""
    starts = panel.starts
    last = panel.calendar.end_of(-1)
    closes = starts.copy()
    if at_close:
        closes = np.minimum(starts + panel.calendar.step, np.append(starts[1:], last))
    closes[-1:] = last
    return np.stack([starts, closes], axis=1).ravel()


def _funding(panel: Panel, funding: pd.Series | pd.DataFrame | None, due: Whole) -> Floats:
    """Return what of a value held is paid at each of these times, (symbols, 2 bars)."""
    found = np.zeros((len(panel.symbols), len(due)))
    if funding is None:
        return found
    index = pd.DatetimeIndex(funding.index)
    index = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
    times = index.as_unit("ns").asi8
    if isinstance(funding, pd.DataFrame):
        _check(dict.fromkeys(map(str, funding.columns)), panel, "funding")
        columns = {str(name): funding[name].to_numpy(float) for name in funding.columns}
    else:
        columns = dict.fromkeys(panel.symbols, funding.to_numpy(float))
    for row, symbol in zip(found, panel.symbols, strict=True):
        values = columns.get(symbol)
        if values is not None:
            known = (times <= due[-1]) & ~np.isnan(values)
            np.add.at(row, np.searchsorted(due, times[known]), values[known])
    return found


def _check(names: Mapping[str, object], panel: Panel, what: str) -> None:
    for name in names:
        if name not in panel.symbols:
            raise SettingsError(
                f"Financing: {what} is given for {name!r}: {instead(name, panel.symbols)}"
            )
