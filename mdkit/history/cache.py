"""Bars on disk: one Parquet file for each source, symbol, interval and month.

A file knows which stretches of its month it covers, so that what is missing can be told from
what is empty. It is written to a temporary file and moved into place, under a lock for its
folder: a killed process leaves the old file or the new one, and two processes lose nothing of
each other. A damaged file is set aside, with a warning, and its month is missing again.

Bars are kept as they were first fetched. A service that adjusts old prices later, as for splits,
is noticed when bars are added (see `mdkit.history.klines`), and the series is then fetched afresh.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from mdkit.errors import SettingsError
from mdkit.history.columns import (
    FIGURES,
    Klines,
    Stretch,
    clipped,
    joined_stretches,
)
from mdkit.history.intervals import period_end, period_start
from mdkit.history.locks import locked, replace

LOCK_SECONDS = 10.0
_FORMAT = 1
_META = b"mdkit"
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)(\.|$)", re.IGNORECASE)
_MONTH_FILE = re.compile(r"(\d{4})-(\d\d)\.parquet")


class CacheWarning(UserWarning):
    """The cache could not be used, or a file of it was damaged. The bars are right anyway."""


def cache_folder() -> Path:
    """Return `MDKIT_CACHE` if it is set, else mdkit's folder in the user's cache folder."""
    chosen = os.environ.get("MDKIT_CACHE", "").strip()
    if chosen:
        return Path(chosen).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        return (
            Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "mdkit" / "Cache"
        )
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "mdkit"
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else home / ".cache") / "mdkit"


def file_name(text: str) -> str:
    """Return a text as the name of one file or folder on any platform, different for each text.

    Everything but capitals, digits, dashes and inner dots is written as %XX: file systems that
    do not tell "1m" from "1M" still tell these names apart.
    """
    name = "".join(
        c if re.fullmatch(r"[A-Z0-9_-]", c) or (c == "." and 0 < i < len(text) - 1) else _coded(c)
        for i, c in enumerate(text)
    )
    if _RESERVED.match(name):
        name = _coded(name[0]) + name[1:]
    if not 0 < len(name) <= 120:
        raise SettingsError(f"{text[:40]!r} is empty or too long to be a name in the cache.")
    return name


def _coded(character: str) -> str:
    if character.isascii():
        return f"%{ord(character):02X}"
    return quote(character, safe="")


class Month(NamedTuple):
    """What one file holds: bars, and the stretches for which they are all there is."""

    klines: Klines
    covered: list[Stretch]


class KlineCache:
    """A folder of cached bars; the user's own unless another is given."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = (
            Path(folder).expanduser() if folder is not None else cache_folder()
        ) / "klines"

    def series(self, source: str, symbol: str, interval: str) -> Series:
        """Return the place of one source's bars of one symbol at one interval."""
        # Interval names differ by case alone ("1m", "1M"), and so they are coded as well.
        place = self.folder / file_name(source) / file_name(symbol) / file_name(interval)
        return Series(place, {"source": source, "symbol": symbol, "interval": interval})

    def clear(self, source: str | None = None, symbol: str | None = None) -> None:
        """Delete what is cached: all of it, or that of a source, or of a source's symbol."""
        if symbol is not None and source is None:
            raise SettingsError("clear(symbol=...) needs the source, too.")
        folder = self.folder
        for part in (source, symbol):
            folder = folder if part is None else folder / file_name(part)
        shutil.rmtree(folder, ignore_errors=True)

    def __repr__(self) -> str:
        return f"<KlineCache {str(self.folder)!r}>"


class Series:
    """One source's bars of one symbol at one interval, in a folder of monthly files."""

    def __init__(self, folder: Path, about: dict[str, str]) -> None:
        self.folder = folder
        self.about = about
        self._usable = True

    def read(self, start: int, end: int) -> Month:
        """Return the bars that begin in [start, end) and the stretches of it they cover."""
        months: list[Month] = []
        with self._reading():
            for path, first, last in self._files():
                if first < end and start < last:
                    month = self._load(path)
                    if month is not None:
                        months.append(month)
        covered = joined_stretches([c for m in months for c in clipped(m.covered, start, end)])
        return Month(_concatenated([m.klines for m in months]).between(start, end), covered)

    def last_edge(self, end: int) -> int | None:
        """Return how far, at most up to `end`, the latest covered stretch before it reaches."""
        with self._reading():
            for path, first, _ in reversed(self._files()):
                month = self._load(path) if first < end else None
                edges = [b for _, b in clipped(month.covered, 0, end)] if month else []
                if edges:
                    return max(edges)
        return None

    def tail(self, end: int, count: int) -> tuple[Klines, int]:
        """Return the last `count` bars, or fewer, of the covered stretch that ends at `end`.

        With them comes the time from which on these are all bars there are.
        """
        found: list[Klines] = []
        at, bars = end, 0
        with self._reading():
            for path, first, last in reversed(self._files()):
                if first >= at:
                    continue
                month = self._load(path) if last >= at else None
                reach = [a for a, b in month.covered if a < at <= b] if month else []
                if month is None or not reach:
                    break
                part = month.klines.between(reach[0], at)
                found.insert(0, part)
                bars += part.bars
                at = reach[0]
                if bars >= count or at > first:
                    break
        klines = _concatenated(found)
        if klines.bars > count:
            at = int(klines.starts[-count])
            klines = klines.between(at, end)
        return klines, at

    def beside(self, start: int, end: int, reach: int) -> Klines:
        """Return the cached bars next to a stretch: the last before it and the first behind it.

        Looked for within `reach` ms, and only where what is cached borders on the stretch.
        """
        before, after = self.read(max(0, start - reach), start), self.read(end, end + reach)
        found = []
        if before.klines.bars and any(b == start for _, b in before.covered):
            found.append(Klines(before.klines.starts[-1:], before.klines.figures[:, -1:]))
        if after.klines.bars and any(a == end for a, _ in after.covered):
            found.append(Klines(after.klines.starts[:1], after.klines.figures[:, :1]))
        return _concatenated(found)

    def clear(self) -> None:
        """Delete all bars of the series."""
        try:
            with locked(self.folder / "lock", LOCK_SECONDS):
                for path, _, _ in self._files():
                    path.unlink(missing_ok=True)
        except OSError as error:
            self._give_up(error)

    def store(self, klines: Klines, covered: Sequence[Stretch]) -> None:
        """Add bars, and the stretches for which they are all there is.

        Only bars inside these stretches are kept. What other processes stored stays.
        """
        covered = joined_stretches(covered)
        if not covered or not self._usable:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder / "lock", LOCK_SECONDS):
                for leftover in self.folder.glob("*.tmp"):
                    leftover.unlink(missing_ok=True)  # whoever made it held the lock, and died
                self._add_months(klines, covered)
        except OSError as error:
            self._give_up(error)

    def _add_months(self, klines: Klines, covered: Sequence[Stretch]) -> None:
        at = covered[0][0]
        while at < covered[-1][1]:
            first = period_start("1M", at)
            last = period_end("1M", first)
            fresh = list(clipped(covered, first, last))
            if fresh:
                self._add(first, klines, fresh)
            at = last

    def _add(self, first: int, klines: Klines, fresh: list[Stretch]) -> None:
        path = self.folder / f"{datetime.fromtimestamp(first / 1000, UTC):%Y-%m}.parquet"
        before = self._load(path) if path.exists() else None
        if before is None:
            before = Month(Klines.empty(), [])
        news = _concatenated([klines.between(*stretch) for stretch in fresh])
        _write(
            path,
            before.klines.merged(news),
            {**self.about, "format": _FORMAT, "covered": joined_stretches(before.covered + fresh)},
        )

    def _files(self) -> list[tuple[Path, int, int]]:
        """Return the monthly files with the times they are for, oldest first."""
        try:
            names = sorted(os.listdir(self.folder))
        except OSError:
            return []
        files = []
        for name in names:
            match = _MONTH_FILE.fullmatch(name)
            if match and 1 <= int(match[2]) <= 12:
                first = (
                    int(datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC).timestamp()) * 1000
                )
                files.append((self.folder / name, first, period_end("1M", first)))
        return files

    def _load(self, path: Path) -> Month | None:
        """Return what a file holds; None, and the file set aside, when it is damaged."""
        try:
            body = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._give_up(error)
            return None
        try:
            return _decoded(body, self.about)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).partition("\n")[0][:200]
            self._set_aside(path, reason or type(error).__name__)
            return None

    def _set_aside(self, path: Path, reason: str) -> None:
        aside = path.with_name(path.name + ".damaged")
        try:
            replace(path, aside)
            where = f"it is set aside as {aside}"
        except OSError as error:
            where = f"it could not be set aside ({error})"
        warnings.warn(
            f"The cached bars in {path.name} of {self.about['symbol']} {self.about['interval']} "
            f"are damaged ({reason}); {where}, and its month is fetched again.",
            CacheWarning,
            stacklevel=2,
        )

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Hold the folder's lock, or, where that cannot be had, do without: writes are atomic."""
        with contextlib.ExitStack() as stack:
            if self.folder.is_dir():
                with contextlib.suppress(OSError):
                    stack.enter_context(locked(self.folder / "lock", LOCK_SECONDS))
            yield

    def _give_up(self, error: OSError) -> None:
        if self._usable:
            warnings.warn(
                f"The cache in {self.folder} cannot be used ({error}); this load goes without.",
                CacheWarning,
                stacklevel=3,
            )
        self._usable = False


def _write(path: Path, klines: Klines, meta: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"time": pa.array(klines.starts, pa.timestamp("ms", "UTC"))}
    columns.update(zip(FIGURES, klines.figures, strict=True))
    table = pa.table(columns).replace_schema_metadata({_META: json.dumps(meta)})
    handle, name = tempfile.mkstemp(suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            # Prices hardly repeat; without a dictionary and with lz4 they are read fastest.
            pq.write_table(
                table, file, compression="lz4", use_dictionary=False, write_page_checksum=True
            )
        replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _decoded(body: bytes, about: dict[str, str]) -> Month:
    """Return what a file's bytes hold; raise `ValueError` or `OSError` when it cannot be true."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(pa.BufferReader(body), page_checksum_verification=True) as file:
        table = file.read(use_threads=False)
    meta = json.loads((table.schema.metadata or {})[_META])
    if meta["format"] != _FORMAT or any(meta[name] != value for name, value in about.items()):
        raise ValueError("it says that it is about something else")
    starts = table.column("time").to_numpy().astype("M8[ms]", copy=False).view(np.int64)
    figures = np.empty((len(FIGURES), starts.size))
    for row, name in zip(figures, FIGURES, strict=True):
        row[:] = table.column(name).to_numpy()
    if not bool((np.diff(starts) > 0).all()) or bool(np.isnan(figures[:-1]).any()):
        raise ValueError("its bars are not in order or not complete")
    return Month(Klines(starts, figures), [(int(a), int(b)) for a, b in meta["covered"]])


def _concatenated(parts: Sequence[Klines]) -> Klines:
    """Return bars that follow each other as one."""
    parts = [part for part in parts if part.bars]
    if len(parts) < 2:
        return parts[0] if parts else Klines.empty()
    return Klines(
        np.concatenate([part.starts for part in parts]),
        np.concatenate([part.figures for part in parts], axis=1),
    )
