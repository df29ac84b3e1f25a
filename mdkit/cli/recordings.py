"""The commands on recordings: `mdkit record`, `mdkit replay`, `mdkit info`."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from math import inf, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdkit.cli.venues import PUBLIC_VENUES
from mdkit.errors import SessionError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from mdkit.events import Signal
    from mdkit.pipeline.receipt import Receipt
    from mdkit.session.session import Session

_LOOK_SECONDS = 0.1

_Files = Annotated[
    list[str], typer.Argument(help='Recordings, or patterns such as "data/*.jsonl.gz".')
]


def record(
    symbols: Annotated[
        list[str] | None,
        typer.Argument(help="Symbols; default: five US stocks, or two pairs of a venue."),
    ] = None,
    channels: Annotated[
        str, typer.Option(help="depth, trade, ticker, separated by commas.")
    ] = "depth,trade",
    source: Annotated[
        str | None,
        typer.Option(
            help=f'"tickdb", "demo", "simulated", a public venue ({PUBLIC_VENUES}), or a ws(s):// '
            'URL; default: "tickdb" where TICKDB_API_KEY is set, else "demo".'
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="How long; default: until Ctrl-C.", min=0.1)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file, or its folder; .gz and .zst compress. "
            "Default: mdkit-record/<time>.jsonl.gz."
        ),
    ] = None,
    rotate_mb: Annotated[
        float | None, typer.Option(help="Begin a new file after so many megabytes.", min=0.001)
    ] = None,
    rotate_minutes: Annotated[
        float | None, typer.Option(help="Begin a new file after so many minutes.", min=0.001)
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
) -> None:
    """Write everything that arrives into a file, with the gaps and reconnects marked.

    Exits with 1 when nothing came or not everything could be written; it ends at once when
    nothing more can be written.
    """
    from mdkit.api.live import live
    from mdkit.recording.file.recording_file import size
    from mdkit.recording.recorder.recorder import Recorder

    if out is None or out.is_dir():
        path = (
            out or Path("mdkit-record")
        ) / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.jsonl.gz"
    else:
        path = out
    recorder = Recorder(
        path,
        rotate_bytes=None if rotate_mb is None else max(1, round(rotate_mb * 1e6)),
        rotate_seconds=None if rotate_minutes is None else rotate_minutes * 60,
        overwrite=overwrite,
    )
    session = live(
        _several(symbols),
        channels=_several([channels]) or (),
        source=source,
        record=recorder,
        runner="thread",
        name="record",
    )

    def tell(elapsed: int) -> str:
        lost = f"  {recorder.lost:,} LOST" if recorder.lost else ""
        down = getattr(session.pipeline.source, "why_not_connected", "")
        flow = f"not connected: {down} " if down else f"{session.health().in_rate:>8,.0f} msg/s"
        return (
            f"{elapsed:>4} s  {flow}  {recorder.messages:,} recorded, {size(recorder.bytes)}{lost}"
        )

    def is_broken() -> bool:
        return recorder.problem is not None and not recorder.running

    receipt = _watch(session, seconds, tell, is_broken)
    _print_problems(session)
    print(receipt)
    print(recorder)
    for written in recorder.paths:
        print(f"recording {written}")
    if not receipt.totals["received"]:
        down = getattr(session.pipeline.source, "why_not_connected", "")
        why = f"there was no connection ({down})" if down else "the feed sent nothing"
        raise SessionError(f"Nothing was recorded: {why}.")
    if recorder.lost or recorder.problem is not None:
        raise typer.Exit(1)


def replay(
    path: _Files,
    speed: Annotated[
        float,
        typer.Option(help="How many times as fast as recorded; 0: as fast as possible.", min=0),
    ] = 1.0,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            "--strategy",
            "-s",
            help="Of md.strategies, or my_file.py:lean; may be given several times.",
        ),
    ] = None,
    bars: Annotated[
        str | None,
        typer.Option(help='Fold trades into bars such as "1m", for strategies of bars.'),
    ] = None,
    symbols: Annotated[str | None, typer.Option(help="These alone, separated by commas.")] = None,
    start: Annotated[
        str | None, typer.Option(help='Begin here, such as "2026-01-31 14:30:05"; UTC.')
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="How long; default: to the end.", min=0.1)
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Also what the recorded session did not see.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for chart, tables and report.")] = None,
) -> None:
    """Play recordings through a session, and tell what came of it.

    Exits with 1 when nothing was played.
    """
    from mdkit.api.live import live
    from mdkit.recording.moments import moment
    from mdkit.recording.replay.replay import replay as play

    chosen = [_strategy(name, bars) for name in strategy or ["pressure"]]
    source = play(
        path,
        speed or None,
        start=start,
        symbols=None if symbols is None else _several([symbols]),
        as_seen=not everything,
    )
    session = live(
        source=source,
        strategies=chosen,
        bars=bars,
        runner="thread",
        rows=100_000,
        name="replay",
    )
    totals: dict[tuple[str, str], _Total] = {}
    session.on_signal(
        lambda signal: totals.setdefault((signal.symbol, signal.strategy), _Total()).add(signal)
    )

    def tell(elapsed: int) -> str:
        received = session.pipeline.ledger.totals()["received"]
        return (
            f"{elapsed:>4} s  at {moment(source.clock_ns())}  {received:,} messages  "
            f"{session.pipeline.lanes.outcome.signals:,} signals"
        )

    receipt = _watch(session, seconds, tell)
    if totals:
        print(_table(totals).to_string(float_format=lambda value: f"{value:.6g}"))
    _print_problems(session)
    print(receipt)
    if out is not None:
        print(f"report {session.save(out)}")
    if not receipt.totals["received"]:
        why = "" if session.pipeline.problems else ": it holds no market message"
        raise SessionError(f"Nothing was played of {', '.join(path)}{why}.")


def info(path: _Files) -> None:
    """Tell what recordings hold: span, symbols, rates, the busiest second, gaps, losses."""
    from mdkit.recording.reading.info import recording_info

    print(recording_info(path))


def _watch(
    session: Session,
    seconds: float | None,
    tell: Callable[[int], str],
    is_broken: Callable[[], bool] = lambda: False,
) -> Receipt:
    """Run a session to its end, for so many seconds, or until Ctrl-C; a line each second.

    It ends as well when it `is_broken`: when going on is of no use.
    """
    from mdkit.notebook.loops import stop_signals

    with stop_signals() as asked_to_stop:
        session.start()
        began = time.monotonic()
        said = 0
        while session.running and not (is_broken() or asked_to_stop.wait(_LOOK_SECONDS)):
            elapsed = time.monotonic() - began
            if seconds is not None and elapsed >= seconds:
                break
            if int(elapsed) > said:
                said = int(elapsed)
                print(tell(said), flush=True)
        return session.stop().result()


@dataclass
class _Total:
    """The figures of all signals of one symbol and strategy; the session keeps only the last."""

    count: int = 0
    total: float = 0.0
    smallest: float = inf
    largest: float = -inf

    def add(self, signal: Signal) -> None:
        if isnan(signal.value):
            return
        self.count += 1
        self.total += signal.value
        self.smallest = min(self.smallest, signal.value)
        self.largest = max(self.largest, signal.value)


def _table(totals: dict[tuple[str, str], _Total]) -> pd.DataFrame:
    """Return a row for each symbol and strategy, sorted: count, mean, min, max."""
    import pandas as pd

    rows = {
        key: (each.count, each.total / each.count, each.smallest, each.largest)
        for key, each in sorted(totals.items())
        if each.count
    }
    index = pd.MultiIndex.from_tuples(list(rows), names=["symbol", "strategy"])
    return pd.DataFrame(list(rows.values()), index, columns=["count", "mean", "min", "max"])


def _print_problems(session: Session) -> None:
    """Print what the session met, each sentence once, with how often."""
    for problem, times in Counter(session.stats()["problems"]).items():
        print(problem if times == 1 else f"{problem} ({times} times)")


def _several(texts: list[str] | None) -> list[str] | None:
    """Return the names in texts, which may themselves be separated by commas."""
    if not texts:
        return None
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def _strategy(name: str, bars: str | None) -> Any:
    from mdkit.cli.strategies import named_strategy
    from mdkit.strategies import as_strategy

    found = named_strategy(name)
    if bars is None and as_strategy(found).kinds == ("bar",):
        raise SettingsError(
            f"--strategy {name} is one of bars, and there are none: add an interval to fold "
            "trades into, such as --bars 1m."
        )
    return found
