"""A session written to a folder: charts, tables, and a page that shows them."""

from __future__ import annotations

import base64
import warnings
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from matplotlib.figure import Figure

from mdkit.books.levels import books_of
from mdkit.charts.cells import ShownSession
from mdkit.charts.session import busiest, overview, save_png
from mdkit.venues.routes import CHANNELS

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font-family:system-ui,sans-serif;margin:2rem auto;max-width:1100px;padding:0 1rem;
color-scheme:light dark}}img{{max-width:100%;background:white}}table{{font-size:13px}}</style>
</head><body><h1>{title}</h1>{session}<p><img alt="queue depth and pressure" src="{chart}"></p>
{gaps}<h2>Files</h2><ul>{files}</ul></body></html>
"""


class ReportedSession(Protocol):
    """What a session has that its report shows: its tables, by the names of its methods."""

    name: str

    def plot(self) -> Figure:
        """Return its chart."""

    def _repr_html_(self) -> str: ...

    def ledger(self) -> pd.DataFrame:
        """Return where every message went."""

    def frame(self, channel: str, symbol: str | None = None) -> pd.DataFrame:
        """Return the events of a channel, of one symbol or of all."""

    def signals(self) -> pd.DataFrame:
        """Return what the strategies said."""

    def metrics(self) -> pd.DataFrame:
        """Return queue depth, rates and loop lag."""

    def gaps(self) -> pd.DataFrame:
        """Return the stretches that were not seen."""

    def dead_letters(self) -> pd.DataFrame:
        """Return the messages on which a strategy failed."""

    def invalid(self) -> pd.DataFrame:
        """Return the messages that could not be used."""


def save(session: ReportedSession, folder: Path) -> Path:
    """Write overview.png, a CSV for every table that has rows, and report.html; return that."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    ledger = session.ledger()
    came = {channel.partition(":")[0] for symbol, channel in ledger.index if symbol}
    tables: dict[str, pd.DataFrame] = {
        "ledger": ledger,
        "signals": session.signals(),
        "metrics": session.metrics(),
        "gaps": session.gaps(),
        **{
            channel: books_of(session.frame(channel)) if channel in came else pd.DataFrame()
            for channel in CHANNELS
        },
        "dead_letters": session.dead_letters(),
        "invalid": session.invalid(),
    }
    written = []
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        if len(table) or name in ("ledger", "signals"):
            as_csv(table).to_csv(path)
            written.append(path.name)
        else:
            path.unlink(missing_ok=True)
    gaps = tables["gaps"]
    picture = ""
    try:
        chart = save_png(session.plot(), folder / "overview.png")
    except Exception as error:
        # matplotlib may fail over data that nobody thought of; the tables are there all the same.
        warnings.warn(f"no chart was drawn: {type(error).__name__}: {error}", stacklevel=2)
    else:
        written.insert(0, chart.name)
        picture = base64.b64encode(chart.read_bytes()).decode()
    report = folder / "report.html"
    report.write_text(
        _PAGE.format(
            title=f"mdkit session {escape(session.name)}",
            session=session._repr_html_(),
            chart=f"data:image/png;base64,{picture}",
            gaps=f"<h2>Gaps</h2>{gaps.to_html(index=False, border=0)}" if len(gaps) else "",
            files="".join(f'<li><a href="{name}">{name}</a></li>' for name in written),
        ),
        encoding="utf-8",
    )
    return report


def as_csv(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts a spreadsheet takes for texts, and runs none of them.

    A text that begins as a formula does gets an apostrophe in front.
    """
    import pandas as pd

    def plain(value: Any) -> Any:
        return f"'{value}" if isinstance(value, str) and value[:1] in _FORMULA else value

    safe = table.copy(deep=False)
    for label in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[label].dtype):
            safe[label] = safe[label].map(plain)
    if safe.index.nlevels > 1:
        safe.index = pd.MultiIndex.from_tuples(
            [tuple(map(plain, row)) for row in safe.index], names=safe.index.names
        )
    elif not pd.api.types.is_numeric_dtype(safe.index.dtype):
        safe.index = safe.index.map(plain)
    return safe


class DrawnSession(ReportedSession, ShownSession, Protocol):
    """A session in this process, which knows what came without being turned into columns."""


def draw(session: DrawnSession) -> Figure:
    """Return the session's chart: queue depth and rates, and the pressure of its busiest symbols.

    Only of those drawn is anything turned into columns: of a thousand symbols that takes seconds.
    """
    shown, symbols = busiest(session.ledger())
    pressure = {
        symbol: frame["pressure"]
        for symbol in session.pipeline.frames.symbols("depth")
        if symbol in shown and len(frame := session.frame("depth", symbol))
    }
    return overview(
        session.metrics(),
        pressure,
        title=f"mdkit {session.name}",
        maxsize=session.pipeline.buffer.maxsize,
        gaps=session.gaps(),
        symbols=symbols,
    )
