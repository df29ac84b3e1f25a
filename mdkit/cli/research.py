"""The command on signals: `mdkit study`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mdkit.cli.history import pairs, value_of
from mdkit.errors import SettingsError
from mdkit.suggestions import instead

_FITTED = ("Microprice", "DepthWeightedMid")
"""Prices, which are no measures by themselves."""


def study(
    files: Annotated[
        list[str], typer.Argument(help='Recordings, or patterns such as "data/*.jsonl.gz".')
    ],
    measure: Annotated[
        list[str] | None,
        typer.Option(
            "--measure",
            "-m",
            help="imbalance, pressure_ratio, OFI, TradeImbalance, ..., a strategy of "
            "md.strategies, or my_file.py:lean; may be given several times.",
        ),
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Which, where there are several.")] = None,
    horizons: Annotated[
        str, typer.Option(help="How far to look ahead, separated by commas.")
    ] = "100ms,1s,5s,10s,60s",
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", "-p", help="A parameter of the measure, name=value."),
    ] = None,
    delay_ms: Annotated[float, typer.Option(help="How long after it one can act.", min=0.0)] = 0.0,
    out: Annotated[
        Path | None, typer.Option(help="Write the page here (.html), or the picture (.png).")
    ] = None,
) -> None:
    """Tell what a measure says about the moves of the mid that follow it."""
    from mdkit.research.studies import study as look

    values = {name: value_of(text) for name, text in pairs(parameters)}
    made = {name: _measure(name, values) for name in measure or ["imbalance"]}
    found = look(
        made if len(made) > 1 else next(iter(made.values())),
        files if len(files) > 1 else files[0],
        [one.strip() for one in horizons.split(",") if one.strip()],
        symbol=symbol,
        delay_ms=delay_ms,
    )
    print(found)
    for heading, table in list(found.tables.items())[:2]:
        print(f"\n{heading}")
        print(table.to_string(float_format="{:,.3f}".format))
    if out is not None:
        print(f"\nreport {found.save(out)}")


def _measure(name: str, values: dict[str, Any]) -> Any:
    """Return the measure, the indicator or the strategy of a name, with parameters set."""
    from mdkit import measures
    from mdkit.cli.strategies import is_file, named_strategy, with_parameters
    from mdkit.strategies import ALL
    from mdkit.strategies.flow import FLOWS

    of_books = ("imbalance", "pressure_ratio", "spread", "mid", "microprice")
    flows: dict[str, Any] = {key: flow for key, flow in FLOWS.items() if key not in _FITTED}
    ours = {key: one for key, one in ALL.items() if not _is_of_bars(one)}
    if is_file(name):
        return with_parameters(named_strategy(name), values) if values else named_strategy(name)
    if name in of_books:
        function = getattr(measures, name)
        _check(name, function, values, skip=1)
        if not values:
            return function
        part = functools.partial(function, **values)
        functools.update_wrapper(part, function)
        return part
    if name in flows:
        _check(name, flows[name].__init__, values, skip=1)
        return flows[name](**values)
    if name in ours:
        return with_parameters(ours[name], values)
    raise SettingsError(f"--measure {name}: {instead(name, (*of_books, *flows, *ours))}.")


def _is_of_bars(strategy: Any) -> bool:
    from mdkit.strategies import as_strategy

    return "bar" in as_strategy(strategy).kinds


def _check(name: str, made: Callable[..., Any], values: dict[str, Any], skip: int) -> None:
    """Raise `SettingsError` for a parameter that there is not, or one that is missing."""
    known = list(inspect.signature(made).parameters.values())[skip:]
    names = [parameter.name for parameter in known]
    for key in values:
        if key not in names:
            near = instead(key, names)
            raise SettingsError(f"--set {key}: {name} has no such parameter: {near}.")
    for parameter in known:
        if parameter.default is parameter.empty and parameter.name not in values:
            raise SettingsError(f"{name} needs --set {parameter.name}=...")
