"""The tear sheet of a backtest: its months, rolling Sharpe ratio, drawdowns and trades."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mdkit.backtesting.account.metrics import MIN_RETURNS
from mdkit.backtesting.account.shown import shown_value
from mdkit.backtesting.plots import DrawnResult
from mdkit.chart_style import GRID, INK, png
from mdkit.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WORST = 5


@dataclass(frozen=True, eq=False)
class TearSheet:
    """A backtest on one page; made by `Result.tear_sheet`.

    Attributes:
        result: the backtest.
        window: returns that the rolling Sharpe ratio is of.
    """

    result: DrawnResult
    window: int

    @cached_property
    def monthly(self) -> pd.DataFrame:
        """Returns by month, a row per year, and of the whole `year`; nan where there was none.

        Equity at the last close of a month over that of the month before, by the clock of the
        bars' own time zone; of the first month over the cash.
        """
        zone = self.result.panel.zone or "UTC"
        equity = self.result.equity["equity"].tz_convert(zone)
        when = pd.DatetimeIndex(equity.index)
        ends = equity.groupby([when.year, when.month]).last()
        months = ends / ends.shift(fill_value=self.result.terms.cash) - 1.0
        table = months.unstack().reindex(columns=range(1, 13))
        years = ends.groupby(level=0).last()
        table[13] = years / years.shift(fill_value=self.result.terms.cash) - 1.0
        table.columns = pd.Index([*MONTHS, "year"])
        return table.rename_axis("year")

    @cached_property
    def rolling_sharpe(self) -> pd.Series[Any]:
        """The Sharpe ratio of the last `window` returns, nan before there were so many.

        As `sharpe` of the stats: mean(r - f) / std(r - f, ddof=1) sqrt(A).
        """
        account = self.result.account
        excess = account.returns - account.free
        found = np.full(len(excess), np.nan)
        if len(excess) >= self.window:
            views = np.lib.stride_tricks.sliding_window_view(excess, self.window)
            with np.errstate(divide="ignore", invalid="ignore"):
                ratios = views.mean(axis=1) / views.std(axis=1, ddof=1)
            found[self.window - 1 :] = ratios * np.sqrt(account.year)
        found[~np.isfinite(found)] = np.nan
        index = self.result.panel.index[account.calendar.ends]
        return pd.Series(found, index, name="rolling sharpe")

    @cached_property
    def drawdowns(self) -> pd.DataFrame:
        """The five deepest drawdowns: `depth`, from the `peak` to the `bottom` and `recovered`.

        Times are starts of bars, NaT for what has not recovered; `days` from the peak to the
        recovery, or to the end.
        """
        fallen = self.result.equity["drawdown"].to_numpy()
        index = self.result.panel.index
        under = np.concatenate([[False], fallen < 0.0, [False]])
        begins = np.flatnonzero(under[1:-1] & ~under[:-2])
        ends = np.flatnonzero(under[1:-1] & ~under[2:]) + 1
        depths = [float(fallen[b:e].min()) for b, e in zip(begins, ends, strict=True)]
        rows = []
        for number in np.argsort(depths, kind="stable")[:_WORST]:
            begin, end = int(begins[number]), int(ends[number])
            peak = index[max(0, begin - 1)]
            until = index[end] if end < len(index) else self.result.panel.end_of(-1)
            bottom = index[begin + int(np.argmin(fallen[begin:end]))]
            days = (until - peak) / pd.Timedelta(days=1)
            recovered = until if end < len(index) else pd.NaT
            rows.append((depths[number], peak, bottom, recovered, days))
        return pd.DataFrame(rows, columns=["depth", "peak", "bottom", "recovered", "days"])

    @cached_property
    def trade_returns(self) -> pd.Series[Any]:
        """The returns of the trades that have ended, in order of their ends."""
        trades = self.result.trades
        return trades.loc[trades["exit_reason"] != "open", "return"].reset_index(drop=True)

    def plot(self) -> Figure:
        """Return the page as a figure: equity, drawdown, rolling Sharpe, months and trades."""
        from mdkit.backtesting.report.sheet_plot import draw_sheet

        return draw_sheet(self)

    def save(self, path: str | Path) -> Path:
        """Write the page: the picture as PNG, or with the suffix .html picture and tables."""
        target = Path(path).expanduser()
        if target.suffix.lower() in (".html", ".htm"):
            target.write_text(self._page(), encoding="utf-8")
        elif target.suffix.lower() == ".png":
            target.write_bytes(png(self.plot()))
        else:
            raise SettingsError(f"{target.name}: give a name that ends in .png or .html")
        return target

    def __repr__(self) -> str:
        result = self.result
        shown = ", ".join(
            f"{name.replace('_', ' ')} {shown_value(name, result.stats[name])}"
            for name in ("return", "sharpe", "max_drawdown")
        )
        months = int(self.monthly[list(MONTHS)].notna().to_numpy().sum())
        return f"<TearSheet of {result.strategy!r}: {shown}; {months} months>"

    def __str__(self) -> str:
        return "\n".join([repr(self), _percents(self.monthly).to_string()])

    def _repr_html_(self) -> str:
        """Return the picture, and the tables of months and drawdowns."""
        picture = base64.b64encode(png(self.plot())).decode()
        deepest = self.drawdowns.assign(
            depth=[f"{depth:.2%}" for depth in self.drawdowns["depth"]],
            days=[f"{days:,.1f}" for days in self.drawdowns["days"]],
        )
        for name in ("peak", "bottom", "recovered"):
            deepest[name] = [
                "-" if pd.isna(time) else f"{time:%Y-%m-%d %H:%M}" for time in deepest[name]
            ]
        return (
            f"<div><img alt='tear sheet' src='data:image/png;base64,{picture}'>"
            f"<h3>Months</h3>{_percents(self.monthly).to_html(border=0)}"
            f"<h3>Deepest drawdowns</h3>{deepest.to_html(border=0, index=False)}</div>"
        )

    def _page(self) -> str:
        style = (
            f"body{{font:14px system-ui,sans-serif;color:{INK};max-width:1100px;margin:2em auto}}"
            "table{border-collapse:collapse}td,th{padding:2px 8px;text-align:right;"
            f"border-bottom:1px solid {GRID}}}img{{max-width:100%}}"
        )
        title = html.escape(repr(self.result.strategy))
        return (
            f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{title}</title>"
            f"<style>{style}</style><body>{self.result._repr_html_()}{self._repr_html_()}"
            "</body></html>"
        )


def _percents(table: pd.DataFrame) -> pd.DataFrame:
    return table.map(lambda value: "-" if pd.isna(value) else f"{value:.2%}")


def tear_sheet(result: DrawnResult, window: int | None) -> TearSheet:
    """Return the tear sheet of a result; `window` as for `Result.tear_sheet`."""
    if not result.terms.trade:
        raise SettingsError("nothing was traded (trade=False), so there is no tear sheet")
    if window is None:
        half = round(result.account.year / 2.0)
        window = max(MIN_RETURNS, min(half, len(result.account.returns) // 4))
    if not (isinstance(window, int) and not isinstance(window, bool) and window >= 2):
        raise SettingsError(f"window is {window!r}; give a number of returns from 2 on, or None")
    return TearSheet(result, window)
