"""The values that are studied: of a strategy, a measure, an indicator of flow, or a Series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mdkit.errors import SettingsError
from mdkit.events import Gap
from mdkit.research.tools.data import Market
from mdkit.research.tools.segments import Floats, Ints, Timeline, stamps
from mdkit.strategies.contract import Strategy, as_signal, as_strategy
from mdkit.strategies.flow import Flow


class Points(NamedTuple):
    """Values, the times when they were known, and the books in force then.

    `rows` are places in the timeline of the books, -1 where no book is known. Ascending by time.
    """

    values: Floats
    times: Ints
    rows: Ints


def points_of(measure: Any, market: Market, line: Timeline) -> Points:
    """Return what a measure says of a market; raises `SettingsError` for what is no measure."""
    if isinstance(measure, pd.Series):
        return _of_series(measure, market, line)
    if isinstance(measure, Flow):
        table = market.table(measure.channel)
        return _of_series(measure.over(table), market, line)
    if _is_strategy(measure):
        return _of_strategy(as_strategy(measure), market, line)
    if callable(measure):
        found = measure(market.depth)
        if not isinstance(found, pd.Series):
            raise SettingsError(
                f"{name_of(measure)} returns a {type(found).__name__} of a table of books; a "
                "measure returns a Series, as md.imbalance does"
            )
        return _of_series(found, market, line)
    raise SettingsError(
        f"{measure!r} is no measure: give a strategy, a measure such as md.imbalance, an "
        "indicator such as md.OFI(), a Series by time, or a dict of several"
    )


def name_of(measure: Any) -> str:
    """Return what a measure is called in sentences and tables."""
    if isinstance(measure, pd.Series):
        return str(measure.name) if measure.name is not None else "series"
    if isinstance(measure, Flow):
        return repr(measure)
    if _is_strategy(measure):
        return as_strategy(measure).name
    return str(getattr(measure, "__name__", type(measure).__name__))


def named(measure: Any) -> dict[str, Any]:
    """Return measures by name; raises `SettingsError` for none, and for two of one name."""
    if isinstance(measure, Mapping):
        found = {str(name): one for name, one in measure.items()}
    elif isinstance(measure, list | tuple):
        found = {}
        for one in measure:
            if (name := name_of(one)) in found:
                raise SettingsError(
                    f"two measures are called {name!r}; give a dict of them by other names"
                )
            found[name] = one
    else:
        found = {name_of(measure): measure}
    if not found:
        raise SettingsError("there is no measure to study")
    return found


def quantile_bins(values: Floats, bins: int) -> Ints:
    """Return the bin of each value, from 0 on: equally many in each, the highest in its own.

    Fewer where values are equal. Where most have the highest value, those below it are a bin: else
    a measure that is nearly always 1 would have one bin alone, and nothing to compare.
    """
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    if len(edges) and edges[-1] == (highest := values.max()):
        edges[-1] = values[values < highest].max(initial=-np.inf)
        edges = np.unique(edges)
    return np.unique(np.searchsorted(edges, values, side="left"), return_inverse=True)[1]


def _is_strategy(measure: Any) -> bool:
    return isinstance(measure, Strategy) or hasattr(measure, "__strategy__")


def _of_series(series: pd.Series[Any], market: Market, line: Timeline) -> Points:
    values = series.to_numpy(np.float64)
    times = stamps(series.index)
    if len(times) == len(market.depth) and series.index.equals(market.depth.index):
        # The books' own rows: which of several of one nanosecond is meant is known.
        return Points(values[line.order], line.times, np.arange(len(values)))
    order = np.argsort(times, kind="stable")
    times = times[order]
    return Points(values[order], times, line.rows_at(times))


def _of_strategy(strategy: Strategy, market: Market, line: Timeline) -> Points:
    """Run a strategy as live: one instance, told of gaps, event by event."""
    if "bar" in strategy.kinds:
        raise SettingsError(
            f"strategy {strategy.name} runs on bars; a study is of books, trades and tickers"
        )
    if strategy.is_async:
        raise SettingsError(f"strategy {strategy.name} awaits, which nothing here does")
    run = strategy.instance()
    on_gap = getattr(run, "on_gap", None)
    values: list[float] = []
    times: list[int] = []
    books: list[int] = []
    seen = 0
    for event in market.events(strategy.kinds):
        if isinstance(event, Gap):
            if on_gap is not None and event.channel.partition(":")[0] in strategy.kinds:
                on_gap(event)
            continue
        if event.kind == "depth":
            seen += 1
        if event.kind not in strategy.kinds:
            continue
        said = as_signal(run(event), strategy.name)
        if said is not None:
            values.append(said)
            times.append(event.received_ns)
            books.append(seen - 1 if event.kind == "depth" else -1)
    found, stamped = np.array(values, float), np.array(times, np.int64)
    if seen == len(line.times) and all(book >= 0 for book in books):
        rows = np.argsort(line.order)[np.array(books, np.int64)]
        order = np.argsort(rows, kind="stable")
        return Points(found[order], line.times[rows[order]], rows[order])
    order = np.argsort(stamped, kind="stable")
    return Points(found[order], stamped[order], line.rows_at(stamped[order]))
