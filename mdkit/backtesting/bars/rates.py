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
_YEAR = 365 * 86_400_000_000_000


class Rates(NamedTuple):
    """Fractions of a value held that are due when each bar begins, and once more after the last.

    `longs` and `shorts`, (symbols x (bars + 1),), are multiplied with values, which are below 0 for
    what is short; `loan`, (bars + 1,), with cash that is missing.
    """

    longs: Floats
    shorts: Floats
    loan: Floats


def rates_of(panel: Panel, financing: Financing) -> Rates:
    """Return the rates of a panel's bars; raise `SettingsError` for symbols that it has not."""
    ends = np.append(panel.starts, panel.calendar.end_of(-1))
    years = np.concatenate([[0.0], np.diff(ends) / _YEAR])
    borrow = financing.borrow
    if not isinstance(borrow, Mapping):
        borrow = dict.fromkeys(panel.symbols, borrow)
    _check(borrow, panel, "borrow")
    longs = _funding(panel, financing.funding, ends)
    rates = np.array([float(borrow.get(symbol, 0.0)) for symbol in panel.symbols])
    shorts = longs - rates[:, None] * years
    return Rates(longs.ravel(), shorts.ravel(), float(financing.loan) * years)


def _funding(panel: Panel, funding: pd.Series | pd.DataFrame | None, ends: Floats) -> Floats:
    """Return what of a value held is paid when each bar begins, (symbols, bars + 1)."""
    found = np.zeros((len(panel.symbols), len(ends)))
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
            due = (times <= ends[-1]) & ~np.isnan(values)
            np.add.at(row, np.searchsorted(panel.starts, times[due]), values[due])
    return found


def _check(names: Mapping[str, object], panel: Panel, what: str) -> None:
    for name in names:
        if name not in panel.symbols:
            raise SettingsError(
                f"Financing: {what} is given for {name!r}: {instead(name, panel.symbols)}"
            )
