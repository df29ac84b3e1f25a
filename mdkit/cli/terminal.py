"""A session watched in a terminal: `mdkit demo`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mdkit.api.live import live
from mdkit.cli.venues import Reached
from mdkit.errors import SessionError
from mdkit.exchange import Exchange
from mdkit.exchange.config import DATA_SERVICE
from mdkit.measures import mid, pressure_ratio, spread
from mdkit.notebook.loops import stop_signals
from mdkit.session.arguments import checked_strategies, with_called_for
from mdkit.session.session import Session
from mdkit.strategies import Strategy, pressure
from mdkit.venues.registry import venue_of

if TYPE_CHECKING:
    from mdkit.events import Depth, Signal
    from mdkit.pipeline.receipt import Receipt

_REFRESH = 4
_KEPT_ROWS = 100_000
_QUIET_SECONDS = 2.0


def run_demo(
    market: Exchange | str,
    seconds: float | None,
    folder: Path,
    strategies: Sequence[Any] = (),
    bars: str | None = None,
    symbols: Sequence[str] | None = None,
) -> Receipt:
    """Watch a market's order-book pressure, then save and show what came of it.

    `market` is an exchange on this machine, or the name of a public venue, of which `symbols` are
    watched.

    With `strategies` it shows what they said last in place of that. `bars` is an interval, for
    strategies of bars. `seconds` None goes on to the end of the exchange's playback. In a
    terminal the view is redrawn four times a second; elsewhere a line is printed each second.
    Ctrl-C and SIGTERM end it early, with the same ending. Raises `SessionError` where no message
    came, of a venue soon where it is not reached.
    """
    chosen = checked_strategies(strategies) or [pressure]
    channels = ("depth", "trade", *(["ticker"] if _want(chosen, "ticker") else []))
    with_called_for(chosen, channels, bars)
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    exchange = market if isinstance(market, Exchange) else None
    with exchange or nullcontext(), stop_signals() as asked_to_stop:
        session = live(
            symbols,
            source=market,
            channels=channels,
            strategies=chosen,
            bars=bars,
            runner="thread",
            rows=_KEPT_ROWS,
            name="demo",
        )
        console.print(_what(market), soft_wrap=True)
        said = _Said(strategies)
        session.on_signal(said.add)
        session.start()
        playback = _Playback(exchange, session) if exchange is not None else None
        reached = Reached(market, session) if isinstance(market, str) else None

        def is_over(began: float) -> bool:
            if asked_to_stop.is_set() or not session.running:
                return True
            if reached is not None and reached.is_in_vain():
                return True
            if seconds is not None:
                return time.monotonic() - began >= seconds
            return playback is not None and playback.is_over()

        watch = _watch_screen if console.is_terminal else _watch_lines
        watch(session, console, is_over, said)
        receipt = session.stop().result()
    if reached is not None and reached.why_not:
        raise SessionError(reached.sentence())
    _finish(session, receipt, console, folder)
    if not receipt.totals["received"]:
        hours = exchange.config.hours if exchange is not None else None
        why = f" The market keeps hours={hours!r}, and is closed." if hours else ""
        raise SessionError(
            f"The demo ended after {receipt.seconds:.1f} s, and no message came.{why}"
        )
    return receipt


def _what(market: Exchange | str) -> str:
    """Return a line on where the data come from, and whether they are real."""
    if isinstance(market, str):
        venue = venue_of(market)
        return f"{venue.title} at {venue.ws_url} (real data, public, no key)."
    kind = "simulated or replayed data"
    if market.venue != DATA_SERVICE:
        kind = f"speaking as {venue_of(market.venue).title} does; simulated data, no network"
    return f"Embedded exchange at {market.ws_url} ({kind})."


def _want(strategies: Sequence[Strategy], channel: str) -> bool:
    return any(channel in strategy.kinds for strategy in strategies)


class _Said:
    """The last signal of each strategy on each symbol; of none while pressure is watched."""

    def __init__(self, strategies: Sequence[Any]) -> None:
        self.names = [strategy.name for strategy in checked_strategies(strategies)]
        self.last: dict[str, dict[str, float]] = {name: {} for name in self.names}

    def add(self, signal: Signal) -> None:
        """Take a signal; called in the session's loop."""
        if self.names:
            self.last.setdefault(signal.strategy, {})[signal.symbol] = signal.value

    def line(self) -> str:
        """Return them in a line."""
        return "  ".join(
            f"{name} " + ("  ".join(f"{s} {v:.4g}" for s, v in sorted(said.items())) or "-")
            for name, said in list(self.last.items())
            for said in [dict(said)]
        )


class _Playback:
    """Tells when all that an exchange had to play has come to a session."""

    def __init__(self, exchange: Exchange, session: Session) -> None:
        self._exchange = exchange
        self._session = session
        self._received = -1
        self._changed_at = 0.0

    def is_over(self) -> bool:
        """Whether it has, or nothing has come for a while after the last was sent."""
        said = self._exchange.statistics()
        received = self._session.pipeline.ledger.totals()["received"]
        if received != self._received:
            self._received, self._changed_at = received, time.monotonic()
        # Who stops as soon as all is sent leaves what is still on its way. What was lost with a
        # connection never comes.
        came = received >= said["sent_total"]
        quiet = time.monotonic() - self._changed_at > _QUIET_SECONDS
        return bool(said["finished"]) and (came or quiet)


def _watch_screen(
    session: Session, console: Console, is_over: Callable[[float], bool], said: _Said
) -> None:
    began = time.monotonic()
    with Live(console=console, refresh_per_second=_REFRESH, transient=False) as screen:
        while not is_over(began):
            screen.update(_view(session, time.monotonic() - began, said))
            time.sleep(1 / _REFRESH)
        screen.update(_view(session, time.monotonic() - began, said))


def _watch_lines(
    session: Session, console: Console, is_over: Callable[[float], bool], said: _Said
) -> None:
    began = time.monotonic()
    second = 0
    while not is_over(began):
        time.sleep(1 / _REFRESH)
        elapsed = time.monotonic() - began
        if int(elapsed) > second:
            second = int(elapsed)
            health = session.health()
            books = {} if said.names else _books(session)
            told = "  ".join(f"{s} {pressure_ratio(book):.2f}" for s, book in books.items())
            print(
                f"{second:>4} s  {health.in_rate:>8,.0f} msg/s  "
                f"queue {session.pipeline.buffer.statistics().depth:,}  "
                f"{said.line() if said.names else f'pressure {told}'}",
                flush=True,
            )


def _books(session: Session) -> dict[str, Depth]:
    frames = session.pipeline.frames

    def look() -> dict[str, Depth]:
        found = {symbol: frames.book(symbol) for symbol in sorted(frames.symbols("depth"))}
        return {symbol: book for symbol, book in found.items() if book is not None}

    return session._do(look)


def _view(session: Session, elapsed: float, said: _Said) -> Group:
    health = session.health()
    look = session.pipeline.buffer.statistics()
    totals = session.pipeline.ledger.totals()
    colour = {"normal": "green", "elevated": "yellow", "critical": "red", "failing": "red"}[
        health.state
    ]
    head = Text.assemble(
        (f"{elapsed:5.1f} s  ", "bold"),
        f"{totals['received']:,} messages, {health.in_rate:,.0f} in and "
        f"{health.out_rate:,.0f} out per second   queue ",
        (f"{_bar(health.utilisation, 20)} {look.depth:,}/{look.maxsize:,} {health.state}", colour),
    )
    table = Table(box=None, padding=(0, 2))
    for column in ("symbol", "bid", "ask", "spread", "mid", "pressure"):
        table.add_column(column, justify="left" if column == "symbol" else "right")
    table.add_column("sellers  1  buyers")
    for name in said.last:
        table.add_column(name, justify="right")
    for symbol, book in _books(session).items():
        ratio = pressure_ratio(book)
        bid = f"{book.bids[0][0]:,.2f}" if book.bids else "-"
        ask = f"{book.asks[0][0]:,.2f}" if book.asks else "-"
        table.add_row(
            escape(symbol),
            bid,
            ask,
            f"{spread(book):.2f}",
            f"{mid(book):,.3f}",
            f"{ratio:.2f}",
            _balance(ratio),
            *(f"{v[symbol]:.4g}" if symbol in v else "-" for v in said.last.values()),
        )
    return Group(head, table, Text(session.explain(), style="dim"))


def _bar(share: float, width: int) -> str:
    filled = min(width, round(min(share, 1.0) * width))
    return "█" * filled + "░" * (width - filled)


def _balance(ratio: float, width: int = 12) -> Text:
    """Draw a ratio on a log scale around 1: to the left sellers weigh more, to the right buyers."""
    share = ratio / (1.0 + ratio) if ratio != float("inf") else 1.0
    if ratio != ratio:
        return Text("·" * width)
    lean = round((share - 0.5) * width)
    half = width // 2
    if lean < 0:
        return Text.assemble(" " * (half + lean), ("█" * -lean, "red"), ("|", "dim"), " " * half)
    return Text.assemble(" " * half, ("|", "dim"), ("█" * lean, "green"))


def _finish(session: Session, receipt: Receipt, console: Console, folder: Path) -> None:
    """Print the ledger, write chart, tables and report, say where they are."""
    ledger = session.ledger()
    table = Table(title="Where every message went", title_justify="left", box=None)
    table.add_column("symbol")
    table.add_column("channel")
    shown = [name for name in ledger.columns if name == "received" or ledger[name].any()]
    for name in shown:
        table.add_column(name.replace("_", " "), justify="right")
    for (symbol, channel), *counts in ledger[shown].itertuples(name=None):
        table.add_row(escape(symbol), escape(channel), *(f"{count:,}" for count in counts))
    table.add_section()
    table.add_row("all", "", *(f"{receipt.totals[name]:,}" for name in shown), style="bold")
    console.print()
    console.print(table)
    for problem in session.stats()["problems"]:
        console.print(problem, soft_wrap=True, markup=False, highlight=False)
    console.print(str(receipt), soft_wrap=True, markup=False)
    report = session.save(folder)
    print(f"chart  {folder / 'overview.png'}\nreport {report}", flush=True)
    if not receipt.balanced:
        print("mdkit: the ledger does not balance; this is a bug in mdkit.", file=sys.stderr)
