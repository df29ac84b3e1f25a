"""Pictures of backtests and sweeps, drawn by matplotlib without pyplot."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from mdkit.backtesting.account.metrics import Account
from mdkit.backtesting.account.shown import shown_fee, shown_value
from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.data.benchmark import Benchmark
from mdkit.backtesting.data.panel import Panel
from mdkit.backtesting.runs import Run
from mdkit.chart_style import (
    AMBER,
    BLUE,
    FONT,
    GREEN,
    GRID,
    INK,
    MUTED,
    RED,
    SERIES,
    Picture,
    clean,
    dates,
    draw_line,
    heading,
    heights_grid,
    legend_above,
    png,
    time_axis,
)
from mdkit.strategies.contract import Strategy

_MAX_MARKS = 150


class DrawnResult(Protocol):
    """What a finished backtest has that its pictures show; see `Result`."""

    @property
    def strategy(self) -> Strategy: ...
    @property
    def panel(self) -> Panel: ...
    @property
    def terms(self) -> Terms: ...
    @property
    def run(self) -> Run: ...
    @property
    def account(self) -> Account: ...
    @property
    def benchmark(self) -> Benchmark | None: ...
    @property
    def engine(self) -> str: ...
    @property
    def stats(self) -> pd.Series[Any]: ...
    @property
    def equity(self) -> pd.DataFrame: ...
    @property
    def signals(self) -> pd.DataFrame: ...
    @property
    def trades(self) -> pd.DataFrame: ...
    def plot(self) -> Figure: ...
    def _repr_html_(self) -> str: ...


def draw_result(result: DrawnResult, points: int) -> Figure:
    """Return the picture of one backtest: price and trades, exposure, equity, drawdown."""
    stats = result.stats
    names = ("return", "buy_and_hold", "cagr", "sharpe", "max_drawdown", "trades")
    told = "     ".join(f"{n.replace('_', ' ')} {shown_value(n, stats[n])}" for n in names)
    basis = (
        f"{len(result.panel):,} bars; {len(result.account.returns):,} returns, "
        f"{result.account.calendar.frequency}, {result.account.year:g} a year; "
        f"fee {shown_fee(result.terms.fee)}, slippage {result.terms.slippage:.2%}; "
        f"{result.engine} engine"
    )
    if result.run.books is not None:
        basis = f'fills "{result.terms.fills}"; {basis}'
    head = (repr(result.strategy), told, basis)
    figure, drawn = panels((10, 8.4), (3, 0.9, 2.2, 1.1), head)
    price, exposure, equity, drawdown = drawn
    index = result.panel.index
    frame = result.equity
    symbols = result.panel.symbols

    closes = _closes(result)
    if len(symbols) == 1:
        name_panel(price, f"{symbols[0]}: price and trades", "price")
        draw_line(price, thin(closes[symbols[0]], points), INK, 1.0, "close")
        _mark_trades(price, result)
    else:
        _draw_prices(price, closes, points)
    show_legend(price)

    name_panel(exposure, "Exposure", "of equity")
    shown = frame["exposure"].iloc[_spots(len(frame), points)]
    exposure.fill_between(
        dates(shown.index), shown.to_numpy(), step="post", color=BLUE, alpha=0.35, linewidth=0
    )
    reach = max(1.0, float(np.abs(shown.to_numpy()).max())) * 1.08
    exposure.set_ylim(-reach if shown.min() < 0 else 0.0, reach)
    exposure.yaxis.set_major_locator(MaxNLocator(3))
    exposure.yaxis.set_major_formatter(FuncFormatter(percent))

    name_panel(equity, "Equity", "money")
    held = pd.Series(result.panel.held * result.terms.cash, index)
    draw_line(equity, thin(held, points), MUTED, 1.0, "buy and hold", alpha=0.8)
    if result.benchmark is not None:
        other = pd.Series(result.benchmark.values * result.terms.cash, index)
        draw_line(equity, thin(other, points), AMBER, 1.2, result.benchmark.name)
    draw_line(equity, thin(frame["equity"], points), BLUE, 1.5, "strategy")
    equity.axhline(result.terms.cash, color=GRID, linewidth=1.2, zorder=0)
    equity.yaxis.set_major_formatter(FuncFormatter(_count))
    show_legend(equity)

    name_panel(drawdown, "Drawdown", "below the high")
    fallen = thin(frame["drawdown"], points, "min")
    drawdown.fill_between(dates(fallen.index), fallen.to_numpy(), color=RED, alpha=0.3, linewidth=0)
    drawdown.set_ylim(min(float(fallen.min()) * 1.1, -0.0001), 0.0)
    drawdown.yaxis.set_major_locator(MaxNLocator(3))
    percents(drawdown.yaxis)

    figure.align_ylabels()
    label_time(drawn, index)
    return figure


def draw_signals(result: DrawnResult, points: int) -> Figure:
    """Return the picture of what a strategy said that was not traded: prices, and signals."""
    head = (repr(result.strategy), str(result).splitlines()[1])
    figure, (price, signals) = panels((10, 5.6), (1, 1.2), head)
    closes = _closes(result)
    symbols = result.panel.symbols
    if len(symbols) == 1:
        name_panel(price, f"{symbols[0]}: price", "price")
        draw_line(price, thin(closes[symbols[0]], points), INK, 1.0, "price")
    else:
        _draw_prices(price, closes, points)
        show_legend(price)
    name_panel(signals, "Signals", "as said")
    finite = result.signals.replace([np.inf, -np.inf], np.nan)
    for symbol, colour in zip(symbols, _colours(len(symbols)), strict=True):
        said = thin(finite[symbol], points)
        draw_line(signals, said, colour, 0.0, symbol, marker=".", markersize=3)
    figure.align_ylabels()
    label_time((price, signals), result.panel.index)
    return figure


def draw_comparison(results: Mapping[str, DrawnResult], points: int) -> Figure:
    """Return equities, as multiples of their beginnings, and drawdowns of several backtests."""
    figure, (equity, drawdown) = panels((10, 5.6), (2.4, 1), ())
    name_panel(equity, "Equity", "multiple of the beginning")
    name_panel(drawdown, "Drawdown", "below the high")
    for (name, result), colour in zip(results.items(), _colours(len(results)), strict=True):
        frame = result.equity
        draw_line(equity, thin(frame["equity"] / result.terms.cash, points), colour, 1.4, name)
        draw_line(drawdown, thin(frame["drawdown"], points, "min"), colour, 1.0, name)
    equity.axhline(1.0, color=GRID, linewidth=1.2, zorder=0)
    drawdown.set_ylim(top=0.0)
    drawdown.yaxis.set_major_locator(MaxNLocator(3))
    drawdown.yaxis.set_major_formatter(FuncFormatter(percent))
    figure.legend(
        *equity.get_legend_handles_labels(),
        loc="outside upper left",
        ncols=2 if len(results) > 2 else 1,
        frameon=False,
        labelcolor=INK,
        handlelength=1.4,
        prop={"family": FONT, "size": 9},
    )
    figure.align_ylabels()
    first = min(result.panel.index[0] for result in results.values())
    last = max(result.panel.index[-1] for result in results.values())
    label_time((equity, drawdown), pd.DatetimeIndex([first, last]))
    return figure


def draw_walk_forward(
    equity: pd.Series[Any], windows: Sequence[tuple[Any, Any, str]], title: str, points: int = 1500
) -> Figure:
    """Return the out-of-sample equity, with the windows and what was chosen for each."""
    figure, (axes,) = panels((10, 4.2), (1,), (title,))
    name_panel(axes, "Equity out of sample", "multiple of the beginning")
    draw_line(axes, thin(equity, points), BLUE, 1.5, "out of sample")
    axes.axhline(1.0, color=GRID, linewidth=1.2, zorder=0)
    for number, (start, stop, label) in enumerate(windows):
        left, right = dates(pd.DatetimeIndex([start, stop]))
        if number % 2:
            axes.axvspan(left, right, color=GRID, alpha=0.45, linewidth=0, zorder=0)
        if len(windows) <= 12:
            axes.annotate(
                label,
                ((left + right) / 2, 0.985),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="top",
                fontsize=7.5,
                color=MUTED,
                family=FONT,
            )
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.12 * (high - low))
    label_time((axes,), pd.DatetimeIndex(equity.index))
    return figure


def html_page(result: DrawnResult) -> str:
    """Return a page of its own: figures, picture, and trades (the last 1,000) if it traded."""
    picture = base64.b64encode(png(result.plot())).decode()
    trades = ""
    if result.terms.trade:
        rows = result.trades.tail(1000)
        table = rows.to_html(index=False, float_format="{:,.4f}".format, border=0)
        trades = f"<h3>Trades</h3>{table}"
    style = (
        f"body{{font:14px system-ui,sans-serif;color:{INK};max-width:1100px;margin:2em auto}}"
        "table{border-collapse:collapse}td,th{padding:2px 8px;text-align:right;"
        f"border-bottom:1px solid {GRID}}}img{{max-width:100%}}"
    )
    title = html.escape(repr(result.strategy))
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{title}</title>"
        f"<style>{style}</style><body>{result._repr_html_()}"
        f"<img alt='backtest' src='data:image/png;base64,{picture}'>"
        f"{trades}</body></html>"
    )


def _closes(result: DrawnResult) -> pd.DataFrame:
    """Return each symbol's prices, nan where it has no row."""
    symbols = result.panel.symbols
    prices = result.panel.flat("close").reshape(len(symbols), -1).T
    return pd.DataFrame(prices, result.panel.index, columns=list(symbols))


def _draw_prices(axes: Any, closes: pd.DataFrame, points: int) -> None:
    """Draw the prices of several symbols, as multiples of their first."""
    name_panel(axes, "Prices", "multiple of the first")
    for symbol, colour in zip(closes, _colours(closes.shape[1]), strict=True):
        own = closes[symbol].dropna()
        if len(own):
            draw_line(axes, thin(own / own.iloc[0], points), colour, 1.1, str(symbol))


def panels(
    size: tuple[float, float],
    heights: Sequence[float],
    head: Sequence[str],
    *,
    share_x: bool = True,
) -> tuple[Figure, Sequence[Any]]:
    """Return panels below each other, with a title and smaller lines above them."""
    height = 0.1 + (0.26 if head else 0.0) + 0.18 * max(0, len(head) - 1)
    top = 1.0 - height / size[1] if head else 1.0
    layout = ConstrainedLayoutEngine(h_pad=0.05, w_pad=0.08, hspace=0.04, rect=(0, 0, 1, top))
    figure = Picture(figsize=size, dpi=110, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(heights), 1, sharex=share_x, height_ratios=heights, squeeze=False)
    for axes in grid[:, 0]:
        clean(axes)
        heights_grid(axes)
        axes.yaxis.set_major_formatter(FuncFormatter(plain))
    for number, line in enumerate(head):
        text = figure.text(
            0.012,
            1.0 - (0.08 + (0.10 + 0.18 * number if number else 0.0)) / size[1],
            line,
            va="top",
            fontsize=9 if number else 13,
            fontweight="normal" if number else "bold",
            color=MUTED if number > 1 else INK,
            family=FONT,
        )
        text.set_in_layout(False)
    return figure, list(grid[:, 0])


def _mark_trades(axes: Any, result: DrawnResult) -> None:
    trades = result.trades
    if not len(trades) or len(trades) > _MAX_MARKS:
        if len(trades):
            axes.text(
                0.006, 0.03, f"{len(trades):,} trades, too many to mark",
                transform=axes.transAxes, fontsize=8, color=MUTED, family=FONT,
            )  # fmt: skip
        return
    long = trades["side"] == "long"
    # A fill that turns the position is shown as the entry that it is.
    ended = (trades["exit_reason"] != "open") & ~trades["exit_time"].isin(trades["entry_time"])
    for rows, time, at, marker, colour, label in (
        (trades[long], "entry_time", "entry_price", "^", GREEN, "buy"),
        (trades[~long], "entry_time", "entry_price", "v", RED, "sell short"),
        (trades[ended], "exit_time", "exit_price", "o", AMBER, "exit"),
    ):
        if len(rows):
            axes.plot(
                dates(rows[time]), rows[at], linestyle="", marker=marker, markersize=5.5,
                color=colour, markeredgecolor="white", markeredgewidth=0.6, label=label, zorder=3,
            )  # fmt: skip


def _spots(count: int, points: int) -> np.ndarray[Any, Any]:
    return np.unique(np.linspace(0, count - 1, min(count, points)).astype(np.int64))


def thin(series: pd.Series[Any], points: int, how: str = "ends") -> pd.Series[Any]:
    """Return at most about `points` values: of equal spans the lowest and highest, or the min."""
    series = series.dropna()
    if len(series) <= points:
        return series
    values = series.to_numpy(float)
    per = -(-len(values) // (points if how == "min" else points // 2))
    whole = np.concatenate([values, np.full(-len(values) % per, values[-1])]).reshape(-1, per)
    starts = np.arange(len(whole)) * per
    lows = starts + whole.argmin(axis=1)
    kept = lows if how == "min" else np.concatenate([[0], lows, starts + whole.argmax(axis=1)])
    kept = np.unique(np.minimum(np.append(kept, len(values) - 1), len(values) - 1))
    return series.iloc[kept]


def label_time(panels: Sequence[Any], index: pd.DatetimeIndex) -> None:
    """Label the time of panels below the last of them."""
    axes = panels[-1]
    if len(index) < 2 or index[0] == index[-1]:
        axes.xaxis.set_major_locator(NullLocator())
        return
    first, last = index[0], index[-1]
    days = (last - first).total_seconds() / 86_400
    form = "%H:%M:%S" if days < 0.01 else "%H:%M"
    form = form if days <= 2 else ("%b %d" if days <= 200 else "%b %Y")
    form = "%Y" if days > 3000 else form
    time_axis(axes, first, last, lambda moment: f"{moment:{form}}")
    axes.set_xlabel(
        f"time (UTC), {first:%Y-%m-%d} to {last:%Y-%m-%d}", fontsize=9, color=MUTED, family=FONT
    )


def name_panel(axes: Any, title: str, unit: str) -> None:
    """Put a title above a panel, and a unit beside it."""
    heading(axes, title)
    axes.set_ylabel(unit, fontsize=9, color=MUTED, family=FONT, labelpad=5)


def show_legend(axes: Any) -> None:
    """Name a panel's lines above its right edge."""
    lines = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
    labels = [line.get_label() for line in lines[:8]]
    legend_above(axes, lines[:8], labels, min(8, len(lines)))


def _colours(count: int) -> list[str]:
    return [SERIES[i % len(SERIES)] for i in range(count)]


def percent(value: float, _: int | None = None) -> str:
    """Return a fraction as a tick's label."""
    return f"{value:.0%}" if abs(value) >= 0.02 or value == 0 else f"{value:.1%}"


def percents(axis: Any) -> None:
    """Label an axis of fractions in per cent, with as many digits as its ticks need."""

    def told(value: float, _: int | None = None) -> str:
        low, high = axis.get_view_interval()
        span = abs(high - low) * 100.0
        digits = max(0, 1 - math.floor(math.log10(span))) if span > 0.0 else 0
        return f"{value:.{min(digits, 6)}%}".replace("-0%", "0%") if value else "0%"

    axis.set_major_formatter(FuncFormatter(told))


def plain(value: Any, _: int | None = None) -> str:
    """Return a value as a label: a number with commas, anything else as it is."""
    return f"{value:,g}" if isinstance(value, (int, float, np.number)) else str(value)


def _count(value: float, _: int | None = None) -> str:
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e5, "k")):
        if abs(value) >= size:
            return f"{value / (1e3 if suffix == 'k' else size):,g}{suffix}"
    return f"{value:,g}"


__all__ = [
    "draw_comparison",
    "draw_result",
    "draw_walk_forward",
    "html_page",
    "png",
]
