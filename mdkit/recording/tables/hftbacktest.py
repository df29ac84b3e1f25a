"""`to_hftbacktest`: a symbol's books and trades as the events that hftbacktest reads."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mdkit.errors import RecordingError, SettingsError
from mdkit.events import Depth, Event, Gap, Trade
from mdkit.recording.reading.files import Paths
from mdkit.recording.tables.parquet import events_of

DEPTH, TRADE, SNAPSHOT = 1, 2, 4
EXCH, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28
DTYPE = np.dtype(
    [
        ("ev", "u8"),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("px", "f8"),
        ("qty", "f8"),
        ("order_id", "u8"),
        ("ival", "i8"),
        ("fval", "f8"),
    ],
    align=True,
)
"""As hftbacktest 2 has it."""
_Row = tuple[int, int, int, float, float]
_Sides = dict[int, dict[float, float]]


def to_hftbacktest(recording: Iterable[Event] | Paths, path: str | Path, symbol: str) -> Path:
    """Write the books and trades of a symbol as `data` of an `.npz` file; return its path.

    Args:
        recording: a recording by its path, a pattern or a list of those; what `read_recording`,
            `read_archive` or `read_parquet` return; or any iterable of events.
        path: the file, which ends in .npz; replaced as a whole.
        symbol: whose.

    Books become the changes that lead from one to the next; a level that is no longer shown is
    one of size 0, so that the book there is the one shown here. The first one, and one after a
    gap, is a snapshot. Where the exchange's clock is ahead of this machine's, all local times are
    moved by as much as makes no delay negative. Events without a time of the exchange take that
    of receipt. Where exchange times run backwards, each event has a row for either clock.

    Raises `SettingsError` for another suffix, and `RecordingError` where the symbol has no books
    or trades.

    Example:
        >>> import numpy as np
        >>> path = md.to_hftbacktest(md.sample(), "market.npz", "AAPL.US")
        >>> np.load(path)["data"].dtype.names[:4]
        ('ev', 'exch_ts', 'local_ts', 'px')
    """
    target = Path(path).expanduser()
    if target.suffix != ".npz":
        raise SettingsError(f"{target.name}: give a name that ends in .npz")
    rows = _rows(events_of(recording), symbol)
    if not rows:
        raise RecordingError(f"There are no books and trades of {symbol!r} in the recording.")
    data = np.zeros(len(rows), DTYPE)
    for name, column in zip(("ev", "exch_ts", "local_ts", "px", "qty"), zip(*rows, strict=True),
                            strict=True):  # fmt: skip
        data[name] = column
    draft = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.npz")
    try:
        np.savez_compressed(draft, data=_in_order(data))
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def _rows(events: Iterable[Any], symbol: str) -> list[_Row]:
    rows: list[_Row] = []
    shown: _Sides = {BUY: {}, SELL: {}}
    kind = SNAPSHOT
    for event in events:
        if event.symbol != symbol:
            continue
        if isinstance(event, Gap):
            if event.channel == "depth" and event.lost != 0:
                kind = SNAPSHOT
        elif isinstance(event, Trade):
            side = {"buy": BUY, "sell": SELL}.get(event.side, 0)
            rows.append((TRADE | side, *_times(event), event.price, event.size))
        elif isinstance(event, Depth):
            now = {BUY: dict(event.bids), SELL: dict(event.asks)}
            rows += _changes(event, shown, now, kind)
            shown, kind = now, DEPTH
    return rows


def _times(event: Depth | Trade) -> tuple[int, int]:
    received = event.received_ns or event.exchange_ns
    return event.exchange_ns or received, received


def _changes(
    book: Depth,
    before: dict[int, dict[float, float]],
    now: dict[int, dict[float, float]],
    kind: int,
) -> list[_Row]:
    """Return what leads from one book to the next; a snapshot has all that is shown.

    Levels that have gone are removed one by one: how far an event that clears them reaches differs
    between kinds of book there.
    """
    times = _times(book)
    rows: list[_Row] = []
    for side in (BUY, SELL):
        gone = [(price, 0.0) for price in before[side] if price not in now[side]]
        rows += [(DEPTH | side, *times, *level) for level in gone]
        rows += [
            (kind | side, *times, *level)
            for level in now[side].items()
            if kind == SNAPSHOT or before[side].get(level[0]) != level[1]
        ]
    return rows


def _in_order(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the events with delays that are not negative, in order by either clock."""
    behind = int((data["local_ts"] - data["exch_ts"]).min())
    if behind < 0:
        data["local_ts"] -= behind
    data = data[np.argsort(data["local_ts"], kind="stable")]
    if (np.diff(data["exch_ts"]) >= 0).all():
        data["ev"] |= np.uint64(EXCH | LOCAL)
        return data
    there, here = data[np.argsort(data["exch_ts"], kind="stable")], data.copy()
    there["ev"] |= np.uint64(EXCH)
    here["ev"] |= np.uint64(LOCAL)
    both = np.concatenate([there, here])
    order = np.argsort(np.concatenate([there["exch_ts"], here["local_ts"]]), kind="stable")
    found: npt.NDArray[Any] = both[order]
    return found
