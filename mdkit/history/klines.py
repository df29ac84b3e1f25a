"""Completed bars of one symbol from one service, through the cache."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np

from mdkit.errors import RequestError
from mdkit.history.cache import CacheWarning, Series
from mdkit.history.columns import Klines, Stretch, clipped, without
from mdkit.history.intervals import DAY_MS, period_end, period_start, shortest
from mdkit.history.paging import Page, Pager, PageWarning
from mdkit.history.progress import Progress
from mdkit.venues.rest.klines import when

_STORE_PAGES = 20
_BESIDE_MS = 32 * DAY_MS
"""How far away the cached bar beside a stretch may be: markets close for holidays."""


@dataclass(frozen=True)
class Loader:
    """Completed bars of one symbol: those in the cache, and from the service what is missing.

    Attributes:
        pager: pages the service.
        symbol, interval: of the bars.
        series: where they are cached, or None.
        progress: told of every page.
        final_ms: nothing from this time on is written to the cache.
    """

    pager: Pager
    symbol: str
    interval: str
    series: Series | None = None
    progress: Progress | None = None
    final_ms: int | None = None
    _lacking: list[Stretch] = field(default_factory=list, init=False, repr=False)

    def between(self, start: int, end: int) -> Klines:
        """Return the bars that begin in [start, end).

        A cached bar beside each stretch that is asked for is asked for again: where it differs
        the service has restated its prices, and all of the series is loaded anew. A warning says
        which bars the service no longer has; where these are all, `RequestError` does.
        """
        return self._checked(self._between_anew(start, end))

    def _between_anew(self, start: int, end: int) -> Klines:
        try:
            return self._between(start, end)
        except _RestatedError as restated:
            self._forget(restated)
            return self._between(start, end)

    def _between(self, start: int, end: int) -> Klines:
        end = self._completed(end)
        if start >= end:
            return Klines.empty()
        klines, covered = self.series.read(start, end) if self.series else (Klines.empty(), [])
        missing = without((start, end), covered)
        if not missing:
            return klines
        self._expect(sum(b - a for a, b in missing))
        with _Store(self.series, self.final_ms) as store:
            for a, b in missing:
                known = self._beside(a, b)
                reach = [int(known.starts[0]), int(known.starts[-1]) + 1] if known.bars else []
                for page in self.pager.stretch(
                    self.symbol, self.interval, min([a, *reach]), max([b, *reach])
                ):
                    self._compare(known, page.klines)
                    self._keep(page, store)
                self._note_lacking(a, b)
            return klines.merged(*store.seen).between(start, end)

    def first(self, count: int, start: int, end: int) -> Klines:
        """Return the first `count` bars that begin in [start, end)."""
        end = self._completed(end)
        klines, at, reach = Klines.empty(), start, count * shortest(self.interval)
        while at < end and klines.bars < count:
            # Markets that close have fewer bars than periods: reach out further each time.
            to = min(end, at + reach)
            klines = klines.merged(self._between_anew(at, to))
            at, reach = to, 2 * reach
        return self._checked(Klines(klines.starts[:count], klines.figures[:, :count]))

    def newest(self, count: int, end: int) -> Klines:
        """Return the last `count` bars that begin before `end`; see `between`."""
        try:
            return self._checked(self._newest(count, end))
        except _RestatedError as restated:
            self._forget(restated)
            return self._checked(self._newest(count, end))

    def _newest(self, count: int, end: int) -> Klines:
        at = end = self._completed(end)
        klines = Klines.empty()
        edge = self.series.last_edge(end) if self.series else None
        near = self.pager.page * shortest(self.interval)
        if self.series is not None and edge is not None and end - edge <= near:
            cached, at = self.series.tail(edge, count)
            klines = cached.merged(self._between(edge, end))
        left = count - klines.bars
        if left > 0:
            self._expect(left * shortest(self.interval))
        with _Store(self.series, self.final_ms) as store:
            known = self._beside(at, at) if left > 0 else Klines.empty()
            upto = max([at, *(known.starts + 1).tolist()])
            wanted = left + int((known.starts >= at).sum()) if left > 0 else 0
            for page in self.pager.newest(self.symbol, self.interval, upto, wanted):
                self._compare(known, page.klines)
                self._keep(page, store)
            klines = klines.merged(*store.seen).between(0, end)
        if klines.bars < count:
            self._note_lacking(0, int(klines.starts[0]) if klines.bars else end)
        return Klines(klines.starts[-count:], klines.figures[:, -count:])

    def _beside(self, start: int, end: int) -> Klines:
        """Return the cached bars next to a stretch that is about to be asked for."""
        if self.series is None:
            return Klines.empty()
        return self.series.beside(start, end, max(_BESIDE_MS, 3 * shortest(self.interval)))

    def _compare(self, known: Klines, fresh: Klines) -> None:
        """Raise `_RestatedError` where the service gives other prices than it did, long ago too.

        One bar may have been corrected, as new ones are by late trades: then the fresh one
        takes its place. Where the oldest has changed as well, all of them have.
        """
        changed = _first_change(known, fresh)
        if changed is None or self.series is None:
            return
        cached = self.series.read(0, int(known.starts[-1]) + 1).klines
        oldest = Klines(cached.starts[:1], cached.figures[:, :1])
        start = int(oldest.starts[0])
        if start != changed[0]:
            end = period_end(self.interval, start)
            pages = self.pager.stretch(self.symbol, self.interval, start, end)
            asked = Klines.empty().merged(*(page.klines for page in pages))
            if _first_change(oldest, asked) is None:
                return
        raise _RestatedError(*changed)

    def _forget(self, restated: _RestatedError) -> None:
        assert self.series is not None
        self.series.clear()
        start, before, now = restated.args
        warnings.warn(
            f"{self.symbol} {self.interval}: the service has restated its prices, as after a "
            f"split: the close of {when(start)} was {before:g} and is {now:g}. What was cached of "
            "them is loaded anew; frames that were loaded before have the old prices.",
            CacheWarning,
            stacklevel=5,
        )

    def _note_lacking(self, start: int, end: int) -> None:
        """Remember what of a stretch the service does not keep."""
        kept = self.pager.kept_from.get((self.symbol, self.interval), 0)
        first = period_end(self.interval, period_start(self.interval, max(start, 1) - 1))
        self._lacking.extend(clipped([(first, end)], 0, kept))

    def _checked(self, klines: Klines) -> Klines:
        """Return the bars; tell which ones the service no longer has."""
        lacking = list(self._lacking)
        self._lacking.clear()
        if not lacking:
            return klines
        until = when(max(end for _, end in lacking))
        said = (
            f"{self.symbol} {self.interval}: the service keeps only the newest "
            f"{self.pager.rules.most:,} bars, and none from before {until}. A longer interval "
            'reaches further back, and source="binance" to the listing.'
        )
        if not klines.bars:
            raise RequestError(said)
        warnings.warn(said, PageWarning, stacklevel=4)
        return klines

    def _completed(self, end: int) -> int:
        """Return where bars must begin before, to be before `end` and complete."""
        return min(end, period_start(self.interval, self.pager.now_ms))

    def _expect(self, ms: int) -> None:
        if self.progress is not None:
            self.progress.expect(ms // shortest(self.interval))

    def _keep(self, page: Page, store: _Store) -> None:
        store.add(page)
        if self.progress is not None:
            settled = sum(b - a for a, b in page.covered)
            self.progress.page(settled // shortest(self.interval))


class _RestatedError(Exception):
    """Holds the start of a bar, and its close before and now."""


def _first_change(known: Klines, fresh: Klines) -> tuple[int, float, float] | None:
    """Return the first bar in both whose prices differ: its start, its close there and here."""
    _, mine, its = np.intersect1d(known.starts, fresh.starts, return_indices=True)
    before, now = known.figures[:4, mine], fresh.figures[:4, its]
    changed = np.flatnonzero(~np.isclose(before, now, rtol=1e-9, atol=0.0).all(axis=0))
    if not changed.size:
        return None
    place = int(changed[0])
    return int(known.starts[mine[place]]), float(before[3, place]), float(now[3, place])


class _Store:
    """Collects pages, and writes them to the cache in batches, also when a load is interrupted."""

    def __init__(self, series: Series | None, final_ms: int | None) -> None:
        self.seen: list[Klines] = []
        self._series = series
        self._final_ms = final_ms
        self._unwritten: list[Page] = []

    def __enter__(self) -> _Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def add(self, page: Page) -> None:
        self.seen.append(page.klines)
        self._unwritten.append(page)
        if len(self._unwritten) >= _STORE_PAGES:
            self._write()

    def _write(self) -> None:
        pages, self._unwritten = self._unwritten, []
        if self._series is None or not pages:
            return
        covered = [stretch for page in pages for stretch in page.covered]
        if self._final_ms is not None:
            covered = list(clipped(covered, 0, self._final_ms))
        self._series.store(Klines.empty().merged(*(page.klines for page in pages)), covered)
