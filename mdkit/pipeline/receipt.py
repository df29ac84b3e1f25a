"""What a session did, handed over when it stops."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Self


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 gap", "1,000 gaps"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a session did, handed over when it stops.

    Attributes:
        seconds: from start to stop.
        totals: messages by column of the ledger, over all symbols and channels.
        balanced: whether the ledger's equation held for every account at the end.
        signals: how many signals the strategies gave.
        gaps: how many stretches of a channel were not seen.
        connects: connections made.
        drained: whether everything that was received had been handled in time.
        left_path: the file in which unhandled messages were saved (a recording that can be
            replayed), or None.
        reason: what ended the session: "stopped", "the source ended", or an error; and why there
            was no connection where none was ever made.
        commonest: of the dead letters the commonest failure, in a line; "" if there are none.

    Example:
        >>> session = md.live(["AAPL.US"], source=md.Simulated(speed=None, count=500))
        >>> receipt = session.run_blocking()
        >>> receipt.totals["received"], receipt.balanced, receipt.reason
        (500, True, 'the source ended')
    """

    seconds: float
    totals: Mapping[str, int]
    balanced: bool
    signals: int
    gaps: int
    connects: int
    drained: bool
    left_path: Path | None
    reason: str
    commonest: str

    @property
    def left(self) -> int:
        """How many messages were received but not handled."""
        return self.totals["queued"] + self.totals["spilled"] + self.totals["in_flight"]

    def result(self, timeout: float | None = None) -> Self:
        """Return the receipt: what `session.stop()` gives can be asked for it, waited or not."""
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        yield from ()
        return self

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(str(self))

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>"

    def __str__(self) -> str:
        t = self.totals
        ended = ", ".join(
            f"{t[name]:,} {name.replace('_', ' ')}"
            for name in ("processed", "dropped", "conflated", "dead_lettered", "invalid")
            if t[name] or name == "processed"
        )
        left = (
            f"{self.left:,} left unhandled, saved in {self.left_path}"
            if self.left
            else "nothing left"
        )
        balance = "the ledger balances" if self.balanced else "THE LEDGER DOES NOT BALANCE"
        return (
            f"{counted(t['received'], 'message')} in {self.seconds:.1f} s: {ended}; {left}; "
            f"{counted(self.signals, 'signal')}, {counted(self.gaps, 'gap')}; {balance} "
            f"({self.reason})."
            f"{self._failures}"
        )

    @property
    def _failures(self) -> str:
        """A sentence on the dead letters, after a blank; "" if there are none."""
        if not self.commonest:
            return ""
        return f" Dead letters: {self.commonest}; dead_letters() has the tracebacks."
