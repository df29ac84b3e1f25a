"""What a backtest returns: figures, trades, equity, signals, and a picture of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mdkit.arrow import ArrowTable
from mdkit.backtesting.account import metrics
from mdkit.backtesting.account.fills import REASONS
from mdkit.backtesting.account.shown import shown_value
from mdkit.backtesting.account.terms import Terms, check_rates
from mdkit.backtesting.account.trades import Trades, group, held_after, trades_frame
from mdkit.backtesting.data.benchmark import Benchmark
from mdkit.backtesting.data.panel import Panel
from mdkit.backtesting.notes import notes_on
from mdkit.backtesting.runs import Run
from mdkit.errors import SettingsError
from mdkit.strategies.contract import Strategy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mdkit.backtesting.capacity import Capacity
    from mdkit.backtesting.chance.bootstrap import Bootstrap
    from mdkit.backtesting.report.tear_sheet import TearSheet
    from mdkit.backtesting.show import ResultCanvas
    from mdkit.research.markouts import Markouts


@dataclass(frozen=True, eq=False)
class Result(ArrowTable):
    """A finished backtest. Figures are computed when first asked for.

    `engine` is the one that ran, `"python"` or `"native"`, and `engine_reason` why; `data` is what
    was given to run over. It can be pickled whenever its strategy can, without the data; polars
    and DuckDB take it as `equity`, with the column `time`. Raises `SettingsError` for rates that
    cannot be.

    Example:
        >>> result = md.backtest(md.strategies.pressure, md.sample(), fee=0.0001)
        >>> len(result.fills), round(float(result.stats["return"]), 6)
        (30, -0.002877)
        >>> result.fills[["symbol", "price", "reason"]].tail(2)
             symbol   price  reason
        28  AAPL.US  158.57  signal
        29  AAPL.US  158.58  signal
    """

    strategy: Strategy
    panel: Panel
    run: Run
    terms: Terms
    engine: str
    engine_reason: str
    periods_per_year: float | None = None
    risk_free: float = 0.0
    benchmark: Benchmark | None = None
    data: Any = None

    def __post_init__(self) -> None:
        check_rates(self.periods_per_year, self.risk_free)

    def __getstate__(self) -> dict[str, Any]:
        """Return what it was made of but the data; figures are computed again when asked for."""
        made_of = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return made_of | {"data": None}

    @cached_property
    def stats(self) -> pd.Series[Any]:
        """The figures, by name; `metrics.describe(name)` gives each one's formula and source.

        Rates are fractions (0.1 is 10 %). The last entries say what the ratios rest on:
        `periods_per_year`, `frequency` and number of `returns`, `risk_free`, first and last bar.
        `notes` says why figures are nan.
        """
        account, given = self.account, self.benchmark
        entries: dict[str, Any] = {
            name: metric.compute(account) for name, metric in metrics.METRICS.items()
        }
        entries |= {
            "periods_per_year": account.year,
            "frequency": account.calendar.frequency,
            "returns": len(account.returns),
            "risk_free": self.risk_free,
            "start": self.panel.index[0],
            "end": self.panel.end_of(-1),
            "bars": len(self.panel),
            "final_equity": float(self.run.equity[-1]),
            "fees": float(self.run.fills[:, 4].sum()),
        }
        if self.terms.financing is not None:
            entries["financing"] = float(self.financing.sum())
        if given is not None:
            entries |= {"benchmark": given.name, "benchmark_return": float(given.values[-1] - 1.0)}
        return pd.Series(entries, dtype=object, name=repr(self.strategy))

    @cached_property
    def account(self) -> metrics.Account:
        """What the figures are computed from."""
        given = self.benchmark
        return metrics.Account(
            cash=self.terms.cash,
            calendar=self.panel.calendar,
            equity=self.run.equity,
            get_benchmark=lambda: self.panel.held if given is None else given.values,
            get_held=lambda: self.panel.held,
            get_invested=lambda: (self.units != 0.0).any(axis=0),
            get_traded=self._traded,
            get_trades=lambda: self._trades,
            periods_per_year=self.periods_per_year,
            risk_free=self.risk_free,
        )

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What the figures do not say, in sentences.

        Too few returns for figures of a year; symbols that were held when their bars ended;
        how orders on books were filled, and which not whole.
        """
        return notes_on(self.terms, self.account, self.panel, self.run, self.units)

    @cached_property
    def _trades(self) -> Trades:
        last = [float(c.close[-1]) if len(c.close) else math.nan for c in self.panel.bars]
        return group(self.run.fills, last)

    @cached_property
    def _fill_times(self) -> pd.DatetimeIndex:
        """When each fill was: of bars, the start of its bar; of depth, when it came due."""
        if self.run.times is not None:
            return pd.DatetimeIndex(self.run.times).tz_localize("UTC")
        return self.panel.index[self.run.fills[:, 0].astype(np.int64)]

    @cached_property
    def trades(self) -> pd.DataFrame:
        """The trades in order of their ends; see `trades.trades_frame` for the columns."""
        run, panel = self.run, self.panel
        return trades_frame(
            self._trades, run.fills, panel.symbols, self._fill_times, len(panel) - 1
        )

    @cached_property
    def fills(self) -> pd.DataFrame:
        """Every fill: time, symbol, units (negative: sold), price after slippage, fee, reason.

        Of books also `shown`, the size that the book showed at the price, or that of the trade
        that met a resting order; `contracts`, which `units` are in the book's own sizes; whether it
        was as `maker`; and the row of `orders` that it belongs to.
        """
        _, symbols, units, prices, fees, reasons = self.run.fills.T
        columns = {
            "time": self._fill_times,
            "symbol": [self.panel.symbols[int(s)] for s in symbols],
            "units": units,
            "price": prices,
            "fee": fees,
            "reason": [REASONS[int(reason)] for reason in reasons],
        }
        if self.run.shown is not None:
            columns["shown"] = self.run.shown
        if self.run.books is not None:
            rows = self.run.books.fills
            columns["contracts"] = rows[:, 7]
            columns["maker"] = rows[:, 9] != 0.0
            columns["order"] = rows[:, 8].astype(np.int64)
        return pd.DataFrame(columns)

    @cached_property
    def orders(self) -> pd.DataFrame:
        """Every order, with what was `wanted` and `filled`, and when it came `due`.

        On books all of them, with what was `shown` and the `queue`: see
        `book_run.BookRun.orders_frame`. On bars the limits, stops and quotes, with what became of
        them: see `bar_run.BarRun.orders_frame`. Raises `SettingsError` for a backtest on bars by
        targets alone, whose every order is a fill.
        """
        if self.run.books is not None:
            return self.run.books.orders_frame(self.panel.symbols)
        if self.run.bars is None or not len(self.run.bars.answers.due):
            raise SettingsError(
                "on bars orders are what a strategy answers with md.Limit, md.Stop, md.OCO or "
                "md.Quote; of targets every order is a fill"
            )
        return self.run.bars.orders_frame(self.panel.symbols, self.panel.index)

    @cached_property
    def financing(self) -> pd.Series[Any]:
        """What holding cost until each bar began, and until the end; below 0 what it gave.

        Raises `SettingsError` where no `financing` was given.
        """
        if self.run.bars is None or self.terms.financing is None:
            raise SettingsError("nothing was financed; give financing=md.Financing(...)")
        index = self.panel.index.append(pd.DatetimeIndex([self.panel.end_of(-1)]))
        charged = self.run.bars.charged
        return pd.Series(np.append(charged[::2], 0.0) + np.append(0.0, charged[1::2]), index,
                         name="financing")  # fmt: skip

    @cached_property
    def equity(self) -> pd.DataFrame:
        """By bar, after its close: `equity`, `exposure` (positions over equity), `drawdown`.

        Several symbols have an exposure each as well, as `exposure <symbol>`.
        """
        value = self.units * np.nan_to_num(self.panel.closes)
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(self.run.equity > 0.0, value / self.run.equity, 0.0)
        frame = pd.DataFrame(
            {
                "equity": self.run.equity,
                "exposure": shares.sum(axis=0),
                "drawdown": self.account.drawdowns,
            },
            self.panel.index,
        )
        if len(self.panel.symbols) > 1:
            for symbol, share in zip(self.panel.symbols, shares, strict=True):
                frame[f"exposure {symbol}"] = share
        return frame

    @cached_property
    def signals(self) -> pd.DataFrame:
        """What the strategy said on each bar, a column per symbol; nan where it said nothing."""
        said = self.run.signals.reshape(len(self.panel.symbols), -1)
        return pd.DataFrame(said.T.copy(), self.panel.index, columns=list(self.panel.symbols))

    @cached_property
    def units(self) -> np.ndarray[Any, Any]:
        """Units held after each close, shape (symbols, bars)."""
        held = np.zeros((len(self.panel.symbols), len(self.panel)))
        for s, row in enumerate(held):
            own = self.run.fills[self.run.fills[:, 1] == s]
            # From one fill's bar to the next one's; of several on a bar the last counts.
            starts = np.concatenate([[0.0], own[:, 0], [len(row)]]).astype(np.int64)
            row[:] = np.repeat(np.concatenate([[0.0], held_after(own[:, 2])]), np.diff(starts))
        return held

    def _traded(self) -> float:
        value = float(np.abs(self.run.fills[:, 2] * self.run.fills[:, 3]).sum())
        mean = float(np.mean(self.run.equity))
        return value / mean if mean > 0.0 else math.nan

    def capacity(self, cash: Iterable[float] | None = None) -> Capacity:
        """Return what the same signals would have given with other cash, on the same books.

        `cash` are amounts; a hundredth to ten thousand times the account's own unless given.
        Targets grow with the cash, limits and quotes have sizes of their own. Raises
        `SettingsError` for a backtest on bars, and for a result that was pickled.
        """
        from mdkit.backtesting.capacity import capacity

        return capacity(self.run.books, self.terms, cash, repr(self.strategy))

    def bootstrap(
        self, draws: int = 1000, *, block: float | None = None, seed: int = 0
    ) -> Bootstrap:
        """Return bands of return, Sharpe ratio and drawdown: what chance could have made of it.

        The returns are drawn again, in blocks of random length so that what hangs together stays
        together (the stationary bootstrap of Politis and Romano 1994). They are daily ones, and
        the Sharpe ratio a year's, where there are 20 or more; else those of up to 250 equal steps
        of time, and the ratio is mean over deviation times the root of their number: that of the
        whole stretch. It shuffles what happened; what never happened is in no draw.

        Args:
            draws: how many, at least 20.
            block: the mean length of a block in returns; the cube root of their number unless
                given.
            seed: of the random numbers.

        Raises `SettingsError` for numbers that cannot be, and for fewer than 10 returns.
        """
        from mdkit.backtesting.chance.bootstrap import bootstrap

        return bootstrap(self.account, draws, block, seed, repr(self.strategy))

    def markouts(
        self,
        data: Any = None,
        horizons: Sequence[str] = ("100ms", "1s", "5s", "10s", "60s"),
        *,
        symbol: str | None = None,
        resamples: int = 500,
        seed: int = 0,
    ) -> Markouts:
        """Return how the mid moved after the fills, in their direction, with bands and costs.

        As `md.markouts(result, data)`, over what was backtested unless other `data` are given: a
        recording, a session or tables with the books. `symbol`: whose, where several were traded.
        Raises `SettingsError` where there are no books, as after a backtest on bars or of events
        that came one by one, and in a result that was pickled or read from a file: give the data
        there.
        """
        from mdkit.research.markouts import markouts

        if data is None and (self.data is None or self.run.books is None):
            why = "on bars there are no books" if self.run.books is None else "it holds no books"
            raise SettingsError(f"{why}: give data, such as the recording of the same time")
        books = self.data if data is None else data
        return markouts(self, books, horizons, symbol=symbol, resamples=resamples, seed=seed)

    def plot(self, *, max_points: int = 1500) -> Figure:
        """Return a figure: price with trades, exposure, equity beside buy and hold, drawdown.

        Where nothing was traded (`trade=False`): price and signals.
        """
        from mdkit.backtesting.plots import draw_result, draw_signals

        return (draw_result if self.terms.trade else draw_signals)(self, max_points)

    def tear_sheet(self, window: int | None = None) -> TearSheet:
        """Return the backtest on one page: months, rolling Sharpe, drawdowns, trades.

        `window` returns are what the rolling Sharpe ratio is of; half a year's unless given, or a
        quarter of those there are. Raises `SettingsError` where nothing was traded.
        """
        from mdkit.backtesting.report.tear_sheet import tear_sheet

        return tear_sheet(self, window)

    def show(self, symbol: str | None = None) -> ResultCanvas:
        """Return the result on the live canvas: hover, zoom, pan, and jump to a trade.

        Price with fills, equity, drawdown and exposure on one axis of time, and the trades, whose
        rows jump there. `symbol`: whose price; None for the first. A saved notebook keeps what
        `plot` draws. Raises `SettingsError` for a symbol that was not in the backtest.
        """
        from mdkit.backtesting.show import ResultCanvas

        return ResultCanvas(self, symbol)

    def save(self, path: str | Path) -> Path:
        """Write the picture as PNG, with the suffix .html figures, picture and trades, or all.

        All is a name that ends in .npz, which `md.read_result` reads again: numbers and texts
        alone, so that it is safe to read from others. It holds no code of the strategy, and no
        books, so that `capacity` is not to be had of what was read.
        """
        from mdkit.backtesting.plots import html_page, png
        from mdkit.backtesting.report.saved import write_result

        target = Path(path).expanduser()
        if target.suffix.lower() in (".html", ".htm"):
            target.write_text(html_page(self), encoding="utf-8")
        elif target.suffix.lower() == ".png":
            target.write_bytes(png(self.plot()))
        elif target.suffix.lower() == ".npz":
            names = ("engine", "engine_reason", "periods_per_year", "risk_free")
            write_result(self, target, {name: getattr(self, name) for name in names})
        else:
            raise SettingsError(f"{target.name}: give a name that ends in .png, .html or .npz")
        return target

    def to_parquet(self, folder: str | Path) -> Path:
        """Write trades, fills, equity, signals and stats as Parquet files; return the folder."""
        target = Path(folder).expanduser()
        target.mkdir(parents=True, exist_ok=True)
        for name in ("trades", "fills", "equity", "signals"):
            getattr(self, name).to_parquet(target / f"{name}.parquet")
        stats = self.stats.map(str).to_frame("value")
        stats.to_parquet(target / "stats.parquet")
        return target

    def _arrow_table(self) -> pd.DataFrame:
        return self.equity.rename_axis("time")

    @cached_property
    def said(self) -> pd.DataFrame:
        """How often each symbol's strategy said something, and what: `count min max last`."""
        rows = {
            symbol: (len(own), own.min(), own.max(), own.iloc[-1] if len(own) else math.nan)
            for symbol, column in self.signals.items()
            for own in (column.dropna(),)
        }
        return pd.DataFrame.from_dict(rows, "index", columns=["count", "min", "max", "last"])

    def __repr__(self) -> str:
        if not self.terms.trade:
            return f"<Result of {self.strategy!r}: {self._signals_line}, {self.engine}>"
        shown = ", ".join(
            f"{name.replace('_', ' ')} {shown_value(name, self.stats[name])}"
            for name in ("return", "sharpe", "max_drawdown", "trades")
        )
        more = f"; {len(self.notes)} in .notes" if self.notes else ""
        bars = f"{len(self.panel):,} bars"
        return f"<Result of {self.strategy!r}: {shown}; {bars}, {self.engine}{more}>"

    def __str__(self) -> str:
        if not self.terms.trade:
            told = [self._signals_line, self.said.to_string(), f"engine: {self._engine_line}"]
            return "\n".join([repr(self.strategy), *told])
        lines = [
            f"{name:<24}{shown_value(str(name), value):>24}" for name, value in self.stats.items()
        ]
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([repr(self.strategy), *lines, f"engine: {self._engine_line}", *notes])

    @property
    def _signals_line(self) -> str:
        count = int(self.said["count"].sum())
        return f"nothing traded; {count:,} signals, {len(self.panel):,} rows"

    @property
    def _engine_line(self) -> str:
        return f"{self.engine} ({self.engine_reason})"

    def _repr_html_(self) -> str:
        from mdkit.backtesting.report.cell import result_html

        return result_html(self)


def read_result(path: str | Path) -> Result:
    """Return a result that was written by `result.save("name.npz")`.

    It has all figures, tables and pictures. Its strategy is a name with parameters, which cannot be
    run. Raises `SettingsError` for what is no such file, or is damaged.

    Example:
        >>> result = md.backtest(md.strategies.pressure, md.sample())
        >>> path = result.save("pressure.npz")
        >>> md.read_result("pressure.npz").stats["return"] == result.stats["return"]
        True
    """
    from mdkit.backtesting.report.saved import read_parts

    return Result(**read_parts(path))
