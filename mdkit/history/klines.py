"""Completed bars of one symbol from one service, through the cache.

The service documents neither whether its bounds are inclusive, nor in which order bars come,
nor which end of a long stretch it serves first. So a page is taken for what it shows: it
settles the stretch from its first bar to its last, what is left on either side is asked for
again, and a stretch is done when the answer brings nothing new. Which side the service begins
with is learnt on the way, which saves asking on the other side.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from mdkit.errors import RequestError
from mdkit.history.cache import CacheWarning, Series
from mdkit.history.columns import Klines, Stretch, clipped, joined_stretches, without
from mdkit.history.intervals import DAY_MS, ends, period_end, period_start, shortest
from mdkit.history.progress import Progress
from mdkit.venues.klines import Kline, when
from mdkit.venues.registry import DEFAULT_REST

SETTLED_MS = DAY_MS
"""How old an empty stretch must be to be taken as empty for good: services publish late."""
_STORE_PAGES = 20
_BESIDE_MS = 32 * DAY_MS
"""How far away the cached bar beside a stretch may be: markets close for holidays."""
_MANY_STRAYS = 10
_BAD_RANGE = 2003
_SLACK = 8
"""Asked for beyond what is wanted: an inclusive bound spends a place on a bar too new."""


class PageWarning(UserWarning):
    """A service did not answer what it was asked, so that a stretch may lack bars."""


class Client(Protocol):
    """What answers for bars: `mdkit.history.http.client.RestClient`, or a test's."""

    def klines(
        self,
        symbol: str,
        interval: str,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        limit: int,
    ) -> list[Kline]:
        """Return one page of bars, in any order."""


class Page(NamedTuple):
    """New bars, and the stretches for which they are all there is."""

    klines: Klines
    covered: list[Stretch]


class _Asked(NamedTuple):
    """A stretch to ask for. A probe is asked only to learn what the service begins with."""

    start: int
    end: int
    is_probe: bool = False


class Pager:
    """Pages one service. What it learns about it (`takes`) holds for all symbols.

    `takes` is which end of a stretch too long for one page the service serves: "first",
    "last", or None while that is not known. `now_ms` is the time by the service's
    clock, `page` how many bars it gives at most at once.
    """

    def __init__(
        self, client: Client, now_ms: int | None = None, *, page: int = DEFAULT_REST.max_klines
    ) -> None:
        self.client = client
        self.page = page
        self.now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        self.takes: str | None = None
        self._gives_newest = False  # of all bars before a time; not known before it was seen

    def stretch(self, symbol: str, interval: str, start: int, end: int) -> Iterator[Page]:
        """Yield pages with all completed bars that begin in [start, end), in any order."""
        pending = [_Asked(start, end)]
        nothing_older = False
        while pending:
            a, b, is_probe = pending.pop()
            try:
                raw = self._ask(symbol, interval, a, b, self.page)
            except RequestError as error:
                size = self.page * shortest(interval)
                if error.code != _BAD_RANGE or b - a <= size:
                    raise
                # Some services refuse stretches that could not fit into one page.
                pending += [_Asked(max(a, x - size), x) for x in range(b, a, -size)]
                continue
            got = raw.between(a, b)
            if not got.bars:
                strays = raw.bars > _MANY_STRAYS
                if strays:
                    self._warn(symbol, interval, a, b)
                nothing_older = is_probe and not strays
                yield self._page(interval, got, [] if strays else [(a, b)])
                continue
            if is_probe:
                self.takes = "last"
            elif nothing_older:
                self.takes = "first"
            nothing_older = False
            first = int(got.starts[0])
            after = period_end(interval, int(got.starts[-1]))
            older, newer = first > a, after < b
            if newer and self.takes != "last":
                pending.append(_Asked(after, b))
            if older and self.takes != "first":
                # The side that is asked first tells which end the service begins with.
                pending.append(_Asked(a, first, is_probe=newer and self.takes is None))
            settled = (a if self.takes == "first" else first, b if self.takes == "last" else after)
            yield self._page(interval, got, [(settled[0], min(settled[1], b))])

    def newest(self, symbol: str, interval: str, end: int, count: int) -> Iterator[Page]:
        """Yield pages backwards from `end` until `count` bars have come or there are no more."""
        at, left = end, count
        while left > 0 and at > 0:
            limit = min(self.page, left + _SLACK)
            raw = self._ask(symbol, interval, None, at, limit)
            if limit < self.page and raw.bars and not raw.between(0, at).bars:
                raw = self._ask(symbol, interval, None, at, self.page)
            got = raw.between(0, at)
            if not got.bars:
                if raw.bars > _MANY_STRAYS:
                    self._warn(symbol, interval, 0, at)
                return
            first = int(got.starts[0])
            after = period_end(interval, int(got.starts[-1]))
            silent = at - after
            # Either the market was closed since, or this service begins with the oldest: of a
            # symbol that is younger than a page these end shortly before, too.
            weekend = max(4 * DAY_MS, 2 * shortest(interval))
            if silent >= weekend or (silent >= shortest(interval) and not self._gives_newest):
                newer = list(self.stretch(symbol, interval, after, at))
                yield self._page(interval, got, [(first, after)])
                yield from newer
                self._gives_newest = not any(page.klines.bars for page in newer)
            else:
                yield self._page(interval, got, [(first, at)])
            left -= got.bars
            at = first

    def _ask(self, symbol: str, interval: str, a: int | None, b: int, limit: int) -> Klines:
        """Return a page, whatever is in it. A millisecond more makes any bound an inclusive one.

        `end_time` is one period behind the last bar's start, for services that mean its end.
        """
        start_ms = None if a is None else max(0, a - 1)
        return Klines.of(
            self.client.klines(symbol, interval, start_ms=start_ms, end_ms=b, limit=limit)
        )

    def _page(self, interval: str, got: Klines, covered: Sequence[Stretch]) -> Page:
        """Drop the bar that still forms; cover nothing that the service may yet publish."""
        complete = got
        limit = self.now_ms - SETTLED_MS
        if got.bars:
            last = int((ends(interval, got.starts) <= self.now_ms).sum())
            complete = Klines(got.starts[:last], got.figures[:, :last])
            if last:
                limit = max(limit, int(ends(interval, complete.starts[-1:])[0]))
            if last < got.bars:
                limit = min(limit, int(got.starts[last]))
        return Page(complete, list(clipped(joined_stretches(covered), 0, limit)))

    @staticmethod
    def _warn(symbol: str, interval: str, a: int, b: int) -> None:
        warnings.warn(
            f"{symbol} {interval}: asked for bars from {when(a)} to {when(b)}, the service gave "
            "others, as before; that stretch may lack bars.",
            PageWarning,
            stacklevel=4,
        )


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

    def between(self, start: int, end: int) -> Klines:
        """Return the bars that begin in [start, end).

        A cached bar beside each stretch that is asked for is asked for again: where it differs
        the service has restated its prices, and all of the series is loaded anew.
        """
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
            return klines.merged(*store.seen).between(start, end)

    def first(self, count: int, start: int, end: int) -> Klines:
        """Return the first `count` bars that begin in [start, end)."""
        end = self._completed(end)
        klines, at, reach = Klines.empty(), start, count * shortest(self.interval)
        while at < end and klines.bars < count:
            # Markets that close have fewer bars than periods: reach out further each time.
            to = min(end, at + reach)
            klines = klines.merged(self.between(at, to))
            at, reach = to, 2 * reach
        return Klines(klines.starts[:count], klines.figures[:, :count])

    def newest(self, count: int, end: int) -> Klines:
        """Return the last `count` bars that begin before `end`; see `between`."""
        try:
            return self._newest(count, end)
        except _RestatedError as restated:
            self._forget(restated)
            return self._newest(count, end)

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
