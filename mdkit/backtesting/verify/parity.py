"""One strategy, every engine, the same bits: `verify` runs them all and compares everything.

The Python engine is the reference. The native engine runs beside it, stopping now and then for
its state to be compared; the live path is the real one: events encoded as the service's
messages, delivered in uneven batches to the real pipeline, queued, decoded, handled by workers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from mdkit.backtesting.account.terms import Fills
from mdkit.backtesting.compiled.layout import CannotCompile
from mdkit.backtesting.data.volume import check_volume
from mdkit.backtesting.runs import bar_events, hears_gaps
from mdkit.backtesting.verify.accounts import check_accounts
from mdkit.backtesting.verify.lint import lint
from mdkit.backtesting.verify.other_process import NotElsewhere, traces_elsewhere
from mdkit.backtesting.verify.reference import python_traces
from mdkit.backtesting.verify.side_by_side import check_native
from mdkit.backtesting.verify.traces import as_sent, live_traces, replay_traces
from mdkit.backtesting.verify.verification import Difference, Trace, Verification, compare, digest
from mdkit.errors import SettingsError
from mdkit.frames.held import held_events
from mdkit.recording.replay.seen import made_of, recording_of, steps_of
from mdkit.strategies.contract import Strategy, as_strategy

_ELSEWHERE = 20_000
"""So many events go to the other process: enough to tell, and sent in a moment."""
_CURE = '; to fold what they hold into bars give an interval, such as bars="1m"'


def verify(
    strategy: Any,
    data: Any,
    *,
    bars: str | None = None,
    seed: int = 0,
    fills: Fills | None = None,
) -> Verification:
    """Run a strategy on every engine and compare every output and all state, bit by bit.

    The Python engine is run once more in another process, with other hashes of text, another
    environment and another folder: there what depends on those, or on memories that earlier
    runs filled, says something else.

    Args:
        strategy: a strategy on one kind of event.
        data: bars, a session or its tables as `backtest` takes them; a recording, its path, or a
            list of paths, which are merged by time; or any iterable of events, of which those of
            the strategy's kinds count. A recording is taken as the strategies of its session saw
            it, gaps included, and replayed with one worker and with several.
        bars: the interval to fold a recording's trades into, for strategies of bars; tickers
            where it holds no trades.
        fills: for books: the fill model with which the account is run in Python and compiled, to
            compare every fill, every order and the equity; None compares what is said alone.
        seed: decides into what batches the live path's messages fall.

    Returns a `Verification`: true if all agree, with the digest; else with the first difference
    and both values. Raises `SettingsError` when there is nothing to run on, and whatever the
    strategy raises.

    Example:
        >>> verdict = md.verify(md.strategies.pressure, md.sample())
        >>> bool(verdict), verdict.digest[:8]
        (True, 'e0442216')
    """
    chosen = as_strategy(strategy)
    if chosen.is_async:
        raise SettingsError(f"strategy {chosen.name} is async, which runs live only")
    checks: Sequence[tuple[str, Callable[[], Difference | None]]]
    recording = recording_of(data)
    if recording is not None:
        events: list[Any] = list(steps_of(recording, bars))
        expected = python_traces(chosen, events)
        channel = made_of(recording) if bars is not None else "trade"

        def replayed(name: str, workers: int) -> Difference | None:
            told = replay_traces(chosen, recording, bars, channel, workers)
            return compare(name, expected, told)

        heard = [event for event in events if event.kind in chosen.kinds]
        checks = (
            ("replay", partial(replayed, "replay", 1)),
            ("replay with 4 workers", partial(replayed, "replay with 4 workers", 4)),
            ("native", partial(_natively, chosen, events, heard, expected)),
        )
    else:
        events = [as_sent(event) for event in _events(chosen, data)]
        expected = python_traces(chosen, events)
        checks = (
            ("native", lambda: check_native(chosen, events, expected)),
            ("live", lambda: compare("live", expected, live_traces(chosen, events, seed))),
        )
    if not expected:
        cure = "" if recording is None or bars or "bar" not in chosen.kinds else _CURE
        raise SettingsError(f"the data hold no {' or '.join(chosen.kinds)} events{cure}")
    if fills is not None:
        checks = (*checks, ("compiled account", partial(check_accounts, chosen, events, fills)))
    checks = (*checks, ("another process", partial(_elsewhere, chosen, events, expected)))
    engines, skipped = ["python"], {}
    difference = None
    for engine, check in checks:
        try:
            difference = difference or check()
            engines.append(engine)
        except (CannotCompile, NotElsewhere) as reason:
            skipped[engine] = str(reason)
    outputs = [value for trace in expected.values() for value in trace.outputs]
    return Verification(
        strategy=repr(chosen),
        engines=tuple(engines),
        skipped=skipped,
        events=len(outputs),
        outputs=sum(value is not None for value in outputs),
        digest=digest(expected.items()),
        difference=difference,
        warnings=lint(chosen),
    )


def _natively(
    strategy: Strategy, events: Sequence[Any], heard: Sequence[Any], expected: dict[str, Trace]
) -> Difference | None:
    """Compare compiled code over what the strategies of a recorded session were called with."""
    if any(event.kind == "gap" for event in events) and hears_gaps(strategy):
        raise CannotCompile("it has an on_gap, which compiled code does not call")
    return check_native(strategy, heard, expected)


def _elsewhere(
    strategy: Strategy, events: Sequence[Any], expected: dict[str, Trace]
) -> Difference | None:
    """Compare a second process's answers to the first events with those of this one."""
    first = list(events[:_ELSEWHERE])
    if len(first) < len(events):
        expected = python_traces(strategy, first)
    return compare("another process", expected, traces_elsewhere(strategy, first))


def _events(strategy: Strategy, data: Any) -> list[Any]:
    import pandas as pd

    data = held_events(data, strategy.kinds)
    is_bars = isinstance(data, pd.DataFrame) or (
        isinstance(data, dict) and all(isinstance(x, pd.DataFrame) for x in data.values())
    )
    if not is_bars:
        return [event for event in data if getattr(event, "kind", "") in strategy.kinds]
    from mdkit.backtesting.data.panel import make_panel

    panel = make_panel(data)
    check_volume(strategy, panel)
    interval = panel.interval
    series = [
        # What nobody reads is sent as 0, since messages hold no nan.
        bar_events(symbol, columns._replace(volume=np.nan_to_num(columns.volume)), interval)
        for symbol, columns in zip(panel.symbols, panel.bars, strict=True)
    ]
    if len(series) == 1:
        return list(series[0])
    return sorted(itertools.chain(*series), key=lambda bar: bar.start_ns)
