"""`recording_info`: what recordings hold, and what they lack."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from mdkit.arrow import ArrowTable
from mdkit.events import Gap
from mdkit.recording.file.recording_file import size
from mdkit.recording.format import Connected, Disconnected, Subscribed
from mdkit.recording.moments import moment
from mdkit.recording.reading.files import Paths, RecordingFiles
from mdkit.venues.routes import ANSWER, SEVERAL, Router

if TYPE_CHECKING:
    import pandas as pd

_NS = 1_000_000_000
_BURST = 3
"""How many times the median second's messages make a burst."""


@dataclass(frozen=True, repr=False)
class RecordingInfo(ArrowTable):
    """What recordings hold.

    Attributes:
        paths: the files, in order.
        sources: what was recorded, as the headers say.
        start_ns, end_ns: the first and last time of receipt, ns since the epoch; 0 for none.
        counts: messages by (symbol, channel), first arrivals first; the symbol is empty where
            none could be told.
        answers: messages that are no market data but answers to commands.
        busiest_ns, busiest_count: the second (its beginning) with the most messages.
        bursts: beginnings (ns since the epoch) of the stretches of seconds in each of which at
            least three times as many messages came as in the median second.
        gaps: the gaps that were marked, and those of the recordings themselves, their reason
            "not recorded".
        unseen: messages that no strategy saw, by what became of them: "refused" (dropped on
            arrival), "dropped", "conflated", "left".
        lost: messages that could not be written.
        connects, disconnects: of the source.
        faults: sentences on what is missing or damaged.
        file_bytes, text_bytes: on the disk, and uncompressed.
    """

    paths: tuple[Path, ...]
    sources: tuple[str, ...]
    start_ns: int
    end_ns: int
    counts: dict[tuple[str, str], int]
    answers: int
    busiest_ns: int
    busiest_count: int
    bursts: tuple[int, ...]
    gaps: tuple[Gap, ...]
    unseen: dict[str, int]
    lost: int
    connects: int
    disconnects: int
    faults: tuple[str, ...]
    file_bytes: int
    text_bytes: int

    @property
    def messages(self) -> int:
        """How many market messages there are."""
        return sum(self.counts.values())

    @property
    def seconds(self) -> float:
        """From the first message to the last."""
        return (self.end_ns - self.start_ns) / _NS

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that messages are about, first arrivals first."""
        return tuple(dict.fromkeys(symbol for symbol, _ in self.counts if symbol))

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that messages came on, first arrivals first."""
        return tuple(dict.fromkeys(channel for _, channel in self.counts))

    @property
    def complete(self) -> bool:
        """Whether nothing is known to be missing or damaged."""
        return not self.faults

    def frame(self) -> pd.DataFrame:
        """Return messages and their mean rate a second, by symbol and channel."""
        import pandas as pd

        index = pd.MultiIndex.from_tuples(list(self.counts), names=["symbol", "channel"])
        counts = pd.Series(self.counts.values(), index, dtype="int64")
        return pd.DataFrame({"messages": counts, "rate": counts / (self.seconds or float("nan"))})

    def _lines(self) -> list[tuple[str, str]]:
        name = str(self.paths[0])
        if len(self.paths) > 1:
            name += f" and {len(self.paths) - 1} more"
        lines = [("file", f"{name}, {size(self.file_bytes)}")]
        if self.sources:
            lines.append(("of", ", ".join(self.sources)))
        if self.start_ns:
            lines.append(("from", moment(self.start_ns)))
            lines.append(("to", f"{moment(self.end_ns)}, {self.seconds:,.1f} s"))
        rate = f", {self.messages / self.seconds:,.1f} a second" if self.seconds else ""
        lines.append(("messages", f"{self.messages:,}{rate}"))
        if self.busiest_count:
            when = moment(self.busiest_ns).partition(".")[0]
            lines.append(("busiest", f"{self.busiest_count:,} in the second of {when} UTC"))
        if self.connects or self.disconnects:
            lines.append(("connects", f"{self.connects:,} made, {self.disconnects:,} lost"))
        lines.append(("gaps", f"{len(self.gaps):,}"))
        if self.unseen:
            told = ", ".join(f"{count:,} {what}" for what, count in self.unseen.items())
            lines.append(("not seen", told))
        if self.lost:
            lines.append(("not written", f"{self.lost:,}"))
        lines += [("fault", fault) for fault in self.faults]
        if self.complete:
            lines.append(("complete", "yes"))
        return lines

    def _rows(self) -> list[tuple[str, str, str, str]]:
        seconds = self.seconds
        return [
            (symbol or "-", channel, f"{count:,}", f"{count / seconds:,.1f}/s" if seconds else "")
            for (symbol, channel), count in sorted(self.counts.items(), key=lambda item: item[0][0])
        ]

    def _arrow_table(self) -> pd.DataFrame:
        return self.frame()

    def __repr__(self) -> str:
        told = [f"{name:<12} {text}" for name, text in self._lines()]
        rows = self._rows()
        widths = [max(len(row[i]) for row in rows) for i in range(4)] if rows else []
        for symbol, channel, count, rate in rows:
            told.append(
                f"{'':12} {symbol:<{widths[0]}}  {channel:<{widths[1]}}  {count:>{widths[2]}}  "
                f"{rate:>{widths[3]}}"
            )
        return "\n".join(told)

    def _repr_html_(self) -> str:
        left = 'style="text-align:left"'
        told = "".join(
            f'<tr><th {left}>{escape(name)}</th><td {left} colspan="3">{escape(text)}</td></tr>'
            for name, text in self._lines()
        )
        rows = "".join(
            f"<tr><td {left}>{escape(symbol)}</td><td {left}>{escape(channel)}</td>"
            f"<td>{count}</td><td>{rate}</td></tr>"
            for symbol, channel, count, rate in self._rows()
        )
        return f"<table>{told}{rows}</table>"


def _bursts(seconds: Counter[int]) -> tuple[int, ...]:
    if not seconds:
        return ()
    enough = _BURST * median(seconds.values())
    busy = {second for second, count in seconds.items() if count >= enough}
    return tuple(second * _NS for second in sorted(busy) if second - 1 not in busy)


def recording_info(path: Paths) -> RecordingInfo:
    """Return what recordings hold: span, symbols, rates, the busiest second, gaps, losses.

    `path` is a file, a pattern or a list, as for `read_recording`. Reads everything, without
    decoding it. Faults are in the result, and warned of nowhere. Raises `RecordingError` when
    there is no such file or it is no recording.

    Example:
        >>> info = md.recording_info(md.sample())
        >>> info.messages, info.symbols
        (1859, ('AAPL.US', 'MSFT.US'))
    """
    recordings = RecordingFiles(path)
    router: Router[None] = recordings.codec.router(recordings.symbols)
    counts: Counter[tuple[str, str]] = Counter()
    seconds: Counter[int] = Counter()
    gaps: list[Gap] = []
    connects = disconnects = answers = start_ns = end_ns = 0
    for run in recordings.play():
        if isinstance(run, Gap):
            gaps.append(run)
        elif isinstance(run, Connected):
            connects += 1
        elif isinstance(run, Disconnected):
            disconnects += 1
        elif isinstance(run, Subscribed):
            router.expect(run.symbols)
        else:
            for raw, received_ns in run:
                route = router.route(raw)
                if route is SEVERAL:
                    for route, _ in router.split(raw):
                        counts[route.symbol, route.account] += 1
                elif route.channel == ANSWER:
                    answers += 1
                    continue
                else:
                    counts[route.symbol, route.account] += 1
                if received_ns:
                    seconds[received_ns // _NS] += 1
                    start_ns = start_ns or received_ns
                    end_ns = max(end_ns, received_ns)
    unseen: Counter[str] = Counter()
    for session in recordings.sessions:
        unseen.update(session.losses().counts)
    busiest, busiest_count = max(seconds.items(), key=lambda pair: pair[1], default=(0, 0))
    headers = [header for session in recordings.sessions for header in session.headers]
    return RecordingInfo(
        paths=tuple(file.path for file in recordings.files),
        sources=tuple(dict.fromkeys(header.source for header in headers if header.source)),
        start_ns=start_ns,
        end_ns=end_ns,
        counts=dict(counts),
        answers=answers,
        busiest_ns=busiest * _NS,
        busiest_count=busiest_count,
        bursts=_bursts(seconds),
        gaps=tuple(gaps),
        unseen=dict(unseen),
        lost=sum(session.losses().not_recorded for session in recordings.sessions),
        connects=connects,
        disconnects=disconnects,
        faults=tuple(recordings.faults),
        file_bytes=sum(file.path.stat().st_size for file in recordings.files),
        text_bytes=sum(file.text_bytes for file in recordings.files),
    )
