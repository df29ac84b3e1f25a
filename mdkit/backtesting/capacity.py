"""How much money an idea can carry: the same orders on books, with other cash."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mdkit.arrow import ArrowTable
from mdkit.backtesting.account.book_run import BookRun
from mdkit.backtesting.account.terms import Terms
from mdkit.errors import SettingsError
from mdkit.numbers import is_finite

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Capacity(ArrowTable):
    """The outcome of `Result.capacity`.

    Attributes:
        table: by `cash`: `return` and `fees` (fractions of the cash), `profit` (money),
            `order_value` (money, the mean value wanted of an order, by its price of fill), and
            `filled` (the share of the contracts wanted that were filled).
        name: whose result it is.
        fills: the fill model.
    """

    table: pd.DataFrame
    name: str
    fills: str

    def plot(self) -> Figure:
        """Return a figure: the return, and the share that was filled, by cash."""
        from mdkit.backtesting.more_plots import draw_capacity

        return draw_capacity(self)

    def _arrow_table(self) -> pd.DataFrame:
        return self.table

    def __repr__(self) -> str:
        told = "; ".join(
            f"{cash:,.0f}: {row['return']:+.2%}, {row['filled']:.0%} filled"
            for cash, row in self.table.iterrows()
        )
        return f"<Capacity of {self.name}: {told}>"

    def _repr_html_(self) -> str:
        return str(self.table.to_html(border=0, float_format="{:,.4g}".format))


def capacity(
    run: BookRun | None, terms: Terms, cash: Iterable[float] | None, name: str
) -> Capacity:
    """Run the orders of a backtest on books again with other cash; see `Result.capacity`."""
    if run is None:
        raise SettingsError("capacity is of backtests on books; on bars every order fills whole")
    if run.again is None:
        raise SettingsError("this result was pickled, and its books are not in it: backtest again")
    amounts = [terms.cash * 10.0**n for n in range(-2, 5)] if cash is None else list(cash)
    for amount in amounts:
        if not (is_finite(amount) and amount > 0.0):
            raise SettingsError(f"capacity: cash {amount!r} is no positive amount")
    if not amounts:
        raise SettingsError("capacity: give at least one amount of cash")
    rows = [_row(run.again(dataclasses.replace(terms, cash=amount)), amount) for amount in amounts]
    table = pd.DataFrame(rows, index=pd.Index(amounts, name="cash", dtype=float))
    return Capacity(table, name, terms.fills)


def _row(run: BookRun, cash: float) -> dict[str, float]:
    profit = float(run.equity[-1]) - cash
    wanted, filled = np.abs(run.orders[:, 2]), np.abs(run.orders[:, 3])
    sized = wanted > 0.0
    values = np.bincount(
        run.fills[:, 8].astype(np.int64), np.abs(run.fills[:, 2] * run.fills[:, 3]),
        minlength=len(wanted),
    )  # fmt: skip
    traded = sized & (filled > 0.0)
    value = values[traded] * wanted[traded] / filled[traded]
    return {
        "return": float(run.equity[-1]) / cash - 1.0,
        "profit": profit,
        "fees": float(run.fills[:, 4].sum()) / cash,
        "order_value": float(value.mean()) if traded.any() else np.nan,
        "filled": float(np.mean(filled[sized] / wanted[sized])) if sized.any() else np.nan,
    }
