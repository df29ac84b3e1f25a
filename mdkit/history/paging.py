"""Bars of one service, page by page.

A service of which nothing more is known documents neither whether its bounds are inclusive, nor
in which order bars come, nor which end of a long stretch it serves first. So a page is taken for
what it shows: it settles the stretch from its first bar to its last, what is left on either side
is asked for again, and a stretch is done when the answer brings nothing new. Which side the
service begins with is learnt on the way, which saves asking on the other side. What is known
(`KlineRules`) need not be learnt.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from mdkit.errors import InvalidMessage, RequestError
from mdkit.history.columns import Klines, Stretch, clipped, joined_stretches
from mdkit.history.intervals import DAY_MS, ends, floors, period_end, period_start, shortest
from mdkit.venues.registry import DEFAULT_REST
from mdkit.venues.rest.api import KlineRules
from mdkit.venues.rest.klines import Kline, when

SETTLED_MS = DAY_MS
"""How old an empty stretch must be to be taken as empty for good: services publish late."""
_MANY_STRAYS = 10
_BAD_RANGE = 2003
_SLACK = 8
"""Asked for beyond what is wanted: an inclusive bound spends a place on a bar too new."""


class PageWarning(UserWarning):
    """A service did not give all that it was asked for, so that a stretch lacks bars."""


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
    "last", or None while that is not known. `now_ms` is the time by this machine's clock, or the
    service's where that is known, `page` how many bars it gives at most at once, `rules` what
    else is known. `kept_from` says of a (symbol, interval) before which time the service keeps
    no bars, once that was asked for.
    """

    def __init__(
        self,
        client: Client,
        now_ms: int | None = None,
        *,
        page: int = DEFAULT_REST.max_klines,
        rules: KlineRules | None = None,
    ) -> None:
        self.client = client
        self.page = page
        self.rules = rules or KlineRules()
        self.now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        self.takes: str | None = "first" if self.rules.serves == "first" else None
        self.kept_from: dict[tuple[str, str], int] = {}
        # Of all bars before a time; where it is not known it is seen.
        self._gives_newest = self.rules.serves is not None

    def stretch(self, symbol: str, interval: str, start: int, end: int) -> Iterator[Page]:
        """Yield pages with all completed bars that begin in [start, end), in any order."""
        start = max(start, self.rules.since_ms)
        if start >= end:
            return
        if self.rules.bounded:
            yield from self._backwards(symbol, interval, start, end)
            return
        if self.rules.serves == "all":
            yield from self._whole(symbol, interval, start, end)
            return
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
        if end <= self.rules.since_ms:
            return
        if self.rules.bounded:
            yield from self._backwards(symbol, interval, self.rules.since_ms, end, count)
            return
        if self.rules.serves == "all":
            yield from self._whole(symbol, interval, 0, end, count)
            return
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
                page = self._page(interval, got, [(first, after)])
                yield page
                yield from newer
                self._gives_newest = not any(page.klines.bars for page in newer)
            else:
                page = self._page(interval, got, [(first, at)])
                yield page
            left -= page.klines.bars  # not those that still form
            at = first

    def _ask(self, symbol: str, interval: str, a: int | None, b: int, limit: int) -> Klines:
        """Return a page, whatever is in it. A millisecond more makes any bound an inclusive one.

        `end_time` is one period behind the last bar's start, for services that mean its end.
        """
        start_ms = None if a is None else max(0, a - 1)
        bars = Klines.of(
            self.client.klines(symbol, interval, start_ms=start_ms, end_ms=b, limit=limit)
        )
        if self.rules.utc and bool((floors(interval, bars.starts) != bars.starts).any()):
            wrong = int(bars.starts[floors(interval, bars.starts) != bars.starts][0])
            raise InvalidMessage(
                f"{symbol} {interval}: a bar begins at {when(wrong)}, where no period of "
                f"{interval} does by UTC; load bars of a shorter interval and md.resample them."
            )
        return bars

    def _whole(
        self, symbol: str, interval: str, a: int, b: int, count: int | None = None
    ) -> Iterator[Page]:
        """Yield what a service that gives all it has in one answer has of [a, b).

        With `count` it is asked for the newest, and its bars settle no more than they span.
        """
        raw = self._ask(symbol, interval, a if count is None else None, b, self.page)
        got = raw.between(a, b)
        kept = self._kept_from(raw, interval)
        if kept is not None and (count is None or got.bars < count):
            self.kept_from[symbol, interval] = kept
        first = a if kept is None else min(max(a, kept), b)
        if count is not None:
            first = max(first, int(got.starts[0]) if got.bars else b)
        at = period_end(interval, int(got.starts[-1])) if got.bars else b
        while at < b:
            # Where its newest bars are not there after all, they are asked for by themselves.
            newer = self._ask(symbol, interval, at, b, self.page).between(at, b)
            got = got.merged(newer)
            at = period_end(interval, int(newer.starts[-1])) if newer.bars else b
        yield self._page(interval, got, [(first, b)])

    def _kept_from(self, raw: Klines, interval: str) -> int | None:
        """Return before which time the service keeps no bars; None where there never were any.

        It keeps `most`. An answer that begins later than these would has all that ever was.
        """
        assert self.rules.most is not None
        size = shortest(interval)
        sure = period_start(interval, self.now_ms) - (self.rules.most - 1) * size
        if not raw.bars:
            return sure
        first = int(raw.starts[0])
        return None if first > sure + size else first

    def _backwards(
        self, symbol: str, interval: str, start: int, end: int, count: int | None = None
    ) -> Iterator[Page]:
        """Yield pages from `end` back to `start`, or until `count` bars have come.

        Each asks for a stretch that fits one answer. Where nothing was traded in one, days tell
        in few requests where bars go on.
        """
        at, left = end, count
        while at > start and (left is None or left > 0):
            a = max(start, at - self.page * shortest(interval))
            raw = self._ask(symbol, interval, a, at, self.page)
            got = raw.between(a, at)
            if raw.bars > _MANY_STRAYS and not got.bars and int(raw.starts[-1]) > at:
                self._warn(symbol, interval, a, at)
                return
            older = a if got.bars else self._traded_before(symbol, interval, start, a)
            page = self._page(interval, got, [(older, at)])
            yield page
            at = older
            left = None if left is None else left - page.klines.bars

    def _traded_before(self, symbol: str, interval: str, start: int, end: int) -> int:
        """Return the end of the last day before `end` with a bar, or `start` if none has."""
        day = period_start("1d", end - 1)
        if shortest(interval) >= DAY_MS or day + DAY_MS > self._service_ms() - SETTLED_MS:
            return end  # a day that is not over may have no bar yet
        at = end
        while at > start:
            a = max(start, period_start("1d", at - 1) - (self.page - 1) * DAY_MS)
            first = period_start("1d", a)
            days = self._ask(symbol, "1d", first, at, self.page).between(first, at)
            if days.bars:
                return max(start, min(end, int(days.starts[-1]) + DAY_MS))
            at = a
        return start

    def _page(self, interval: str, got: Klines, covered: Sequence[Stretch]) -> Page:
        """Drop the bar that still forms; cover nothing that the service may yet publish."""
        complete = got
        now_ms = self._service_ms()
        limit = now_ms - SETTLED_MS
        if got.bars:
            last = int((ends(interval, got.starts) <= now_ms).sum())
            complete = Klines(got.starts[:last], got.figures[:, :last])
            if last:
                limit = max(limit, int(ends(interval, complete.starts[-1:])[0]))
            if last < got.bars:
                limit = min(limit, int(got.starts[last]))
        return Page(complete, list(clipped(joined_stretches(covered), 0, limit)))

    def _service_ms(self) -> int:
        """Return the time by the service's clock as far as it is known."""
        server_ms = getattr(self.client, "server_ms", None) if self.rules.dated else None
        return self.now_ms if server_ms is None else min(self.now_ms, server_ms)

    @staticmethod
    def _warn(symbol: str, interval: str, a: int, b: int) -> None:
        warnings.warn(
            f"{symbol} {interval}: asked for bars from {when(a)} to {when(b)}, the service gave "
            "others, as before; that stretch may lack bars.",
            PageWarning,
            stacklevel=4,
        )
