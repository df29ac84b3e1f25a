"""The commands on history: `mdkit klines`, `mdkit backtest`, `mdkit sweep`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdkit.cli.venues import PUBLIC_VENUES
from mdkit.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

_Symbol = Annotated[str, typer.Argument(help="A symbol, or several separated by commas.")]
_Interval = Annotated[str, typer.Option(help="1m 5m 15m 30m 1h 2h 4h 1d 1w 1M.")]
_Start = Annotated[str | None, typer.Option(help="First bar, such as 2025-01-01; UTC.")]
_End = Annotated[str | None, typer.Option(help="Up to here; default: the last completed bar.")]
_Limit = Annotated[int | None, typer.Option(help="At most so many bars, the newest.", min=1)]
_Source = Annotated[
    str | None,
    typer.Option(
        help=f'"tickdb", "demo", a public venue ({PUBLIC_VENUES}), or an http(s):// URL; default '
        "as for md.klines."
    ),
]
_File = Annotated[Path | None, typer.Option("--file", help="Read bars from this file instead.")]
_What = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[STRATEGY] [SYMBOL]",
        help="A strategy of your own, such as my_file.py:MyStrategy, a symbol, or both; "
        "default: AAPL.US.",
    ),
]
_Strategy = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        "-s",
        help="Of md.strategies, or my_file.py:MyStrategy; default: SmaCross.",
    ),
]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-p", help="A parameter, name=value; for a sweep name=v1,v2,v3."),
]
_Out = Annotated[Path, typer.Option(help="Folder for tables and charts.")]
_Fee = Annotated[float, typer.Option(help="Per traded value; 0.001 is 0.1%.", min=0)]
_Slippage = Annotated[float, typer.Option(help="Per traded value.", min=0)]


def klines(
    symbol: _Symbol,
    interval: _Interval = "1h",
    start: _Start = None,
    end: _End = None,
    limit: _Limit = None,
    source: _Source = None,
    out: Annotated[Path | None, typer.Option(help="Write them to this .csv or .parquet.")] = None,
) -> None:
    """Load bars, and show or write them."""
    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise SettingsError(f"--out {out}: the file's name must end in .csv or .parquet.")
    bars = _bars(symbol, interval, start, end, limit, source, None)
    if out is None:
        print(bars.to_string(max_rows=20))
    elif out.suffix == ".parquet":
        bars.to_parquet(out)
    else:
        bars.to_csv(out)
    where = f" in {out}" if out else ""
    print(f"{len(bars):,} bars of {symbol}, {interval}{where}")


@dataclass(frozen=True)
class _Plan:
    """What a backtest and a sweep are told alike: strategy, values, bars and costs."""

    strategy: Any
    pairs: list[tuple[str, str]]
    load: Callable[[], pd.DataFrame]
    fee: float
    slippage: float


def _plan(
    what: _What = None,
    strategy: _Strategy = None,
    parameters: _Set = None,
    interval: _Interval = "1h",
    start: _Start = None,
    end: _End = None,
    limit: _Limit = None,
    source: _Source = None,
    file: _File = None,
    fee: _Fee = 0.0,
    slippage: _Slippage = 0.0,
) -> _Plan:
    from mdkit.cli.strategies import named_strategy
    from mdkit.strategies import ALL

    of_bars = {key: value for key, value in ALL.items() if isinstance(value, type)}
    name, symbol = _strategy_and_symbol(what or [], strategy)

    def load() -> pd.DataFrame:
        return _bars(symbol, interval, start, end, limit, source, file)

    return _Plan(named_strategy(name, of_bars), pairs(parameters), load, fee, slippage)


def _with_plan(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `_plan` before its own; it gets what they come to."""
    shared = inspect.signature(_plan, eval_str=True).parameters
    _, *own = inspect.signature(command, eval_str=True).parameters.values()

    def planned(**given: Any) -> None:
        command(_plan(**{name: given.pop(name) for name in shared}), **given)

    planned.__name__, planned.__doc__ = command.__name__, command.__doc__
    # Typer takes a command's options from its signature.
    planned.__signature__ = inspect.Signature([*shared.values(), *own])  # type: ignore[attr-defined]
    return planned


@_with_plan
def backtest(
    plan: _Plan,
    cash: Annotated[float, typer.Option(help="To begin with.", min=0)] = 10_000.0,
    engine: Annotated[str, typer.Option(help="auto, python or native.")] = "auto",
    out: _Out = Path("mdkit-backtest"),
) -> None:
    """Run a strategy over history; print its figures, write chart and tables."""
    from mdkit.backtesting.engine import backtest as run
    from mdkit.cli.strategies import with_parameters

    values = {name: value_of(text) for name, text in plan.pairs}
    result = run(
        with_parameters(plan.strategy, values),
        plan.load(),
        fee=plan.fee,
        slippage=plan.slippage,
        cash=cash,
        engine=engine,  # type: ignore[arg-type]
    )
    print(result)
    result.to_parquet(out)
    result.trades.to_csv(out / "trades.csv")
    print(f"chart  {result.save(out / 'backtest.png')}")
    print(f"report {result.save(out / 'backtest.html')}")


@_with_plan
def sweep(
    plan: _Plan,
    metric: Annotated[str, typer.Option(help="The figure to compare by.")] = "sharpe",
    out: _Out = Path("mdkit-sweep"),
) -> None:
    """Backtest every combination of parameters; print the best, write table and heat map."""
    from mdkit.backtesting.account.metrics import METRICS
    from mdkit.backtesting.trials.pictured import heatmap
    from mdkit.backtesting.trials.sweep import sweep as run
    from mdkit.charts.session import save_png

    if not plan.pairs:
        raise SettingsError("A sweep needs values to try: --set fast=5,10,20 --set slow=30,60.")
    grid = {name: [value_of(part) for part in text.split(",")] for name, text in plan.pairs}
    table = run(
        plan.strategy, plan.load(), grid, metric=metric, fee=plan.fee, slippage=plan.slippage
    )
    lowest_first = METRICS[metric].best < 0
    print(table.sort_values(metric, ascending=lowest_first).head(10).to_string(index=False))
    out.mkdir(parents=True, exist_ok=True)
    table.to_csv(out / "sweep.csv", index=False)
    print(f"{len(table):,} combinations in {out / 'sweep.csv'}")
    if len(grid) > 1:
        print(f"chart  {save_png(heatmap(table), out / 'sweep.png')}")


def _bars(
    symbol: str,
    interval: str,
    start: str | None,
    end: str | None,
    limit: int | None,
    source: str | None,
    file: Path | None,
) -> pd.DataFrame:
    from mdkit.api.klines import klines as load
    from mdkit.history.files.files import read_klines

    if file is not None:
        return read_klines(file)
    names = [name.strip() for name in symbol.split(",") if name.strip()]
    wanted: Any = names if len(names) > 1 else symbol
    return load(wanted, interval, start=start, end=end, limit=limit, source=source)


def _strategy_and_symbol(given: list[str], option: str | None) -> tuple[str, str]:
    """Return the strategy's name and the symbol that the arguments and --strategy name."""
    from mdkit.cli.strategies import is_file

    files = [text for text in given if is_file(text)]
    symbols = [text for text in given if not is_file(text)]
    for several in ([*files, *([option] if option else [])], symbols):
        if len(several) > 1:
            raise SettingsError(f"{' and '.join(several)} are more than one: give one of them.")
    return (files[0] if files else option or "SmaCross"), (symbols[0] if symbols else "AAPL.US")


def pairs(given: list[str] | None) -> list[tuple[str, str]]:
    """Return the names and texts that --set gives; raise `SettingsError` for anything else."""
    found = []
    for text in given or []:
        name, sign, value = text.partition("=")
        if not sign or not name or not value:
            raise SettingsError(f"--set {text} is not usable: write name=value.")
        found.append((name.strip(), value.strip()))
    return found


def value_of(text: str) -> Any:
    """Return what a text stands for: a number, true, false, none, or itself."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
