"""Bars of every venue's own way of paging, over random markets and caches: none lost, none wrong.

The services are asked without HTTP, and in small pages, so that many runs take little time.
"""

import json
import tempfile
import warnings

import pytest
from fake_venues import DAY, FAKES, HOUR, MINUTE, NOW, Hyperliquid, Kraken, Market
from hypothesis import given, settings
from hypothesis import strategies as st

from mdkit.errors import RequestError
from mdkit.history.cache import KlineCache
from mdkit.history.klines import Loader
from mdkit.history.paging import Pager, PageWarning
from mdkit.venues.services import SERVICES

PAGE, KEPT = 9, 12
STEP = {"1m": MINUTE, "1h": HOUR}


class Direct:
    """Asks a fake as a client would, and is told its time."""

    def __init__(self, fake):
        self.fake, self.api = fake, SERVICES[fake.venue]
        self.server_ms = None
        self.requests = 0

    def klines(self, symbol, interval, *, start_ms=None, end_ms=None, limit):
        self.requests += 1
        assert self.requests < 1000, "it pages for ever"
        request = self.api.klines(symbol, interval, start_ms, end_ms, limit)
        body = json.loads(request.body) if request.body else None
        status, answer = self.fake.answer(request.path, request.params, body)
        self.server_ms = self.fake.market.now // 1000 * 1000
        data = self.api.read(json.dumps(answer).encode(), status, symbol, None)
        return self.api.read_klines(data, symbol)


@st.composite
def markets(draw, interval):
    """A market with its listing and its missing bars somewhere near now."""
    step = STEP[interval]
    listed = NOW - draw(st.integers(0, 60)) * step
    missing = set()
    for _ in range(draw(st.integers(0, 3))):
        first = NOW // step - draw(st.integers(0, 70))
        missing |= {(first + i) * step for i in range(draw(st.integers(1, 30)))}
    return Market(listed=listed, missing=missing)


def expected(market, interval, start, end):
    size = STEP[interval]
    return {
        t: market.figures(interval, t)
        for t in market.starts(interval, start, end - 1)
        if t + size <= market.now
    }


def got(klines):
    columns = klines.figures[:5].T.tolist()
    return {t: tuple(row) for t, row in zip(klines.starts.tolist(), columns, strict=True)}


@pytest.mark.parametrize("kind", FAKES, ids=[kind.venue for kind in FAKES])
@settings(max_examples=settings.default.max_examples // 3)  # each is a market and a cache
@given(data=st.data())
def test_random_stretches_of_random_markets_through_one_cache(kind, data):
    interval = data.draw(st.sampled_from(sorted(STEP)))
    step = STEP[interval]
    market = data.draw(markets(interval))
    fake = kind(market)
    rules = SERVICES[kind.venue].rules
    keeps = kind in (Kraken, Hyperliquid)
    if keeps:
        fake.kept = KEPT
        rules = rules._replace(most=KEPT)
    if rules.bounded:
        rules = rules._replace(since_ms=NOW - 60 * DAY)  # years would be walked through in 9 days
    with tempfile.TemporaryDirectory() as folder:
        series = KlineCache(folder).series(kind.venue, fake.symbol, interval)
        for _ in range(data.draw(st.integers(1, 3))):
            client = Direct(fake)
            # This machine's clock is fast now and then.
            pager = Pager(
                client,
                market.now + data.draw(st.sampled_from([0, 3 * step])),
                page=KEPT if keeps else PAGE,
                rules=rules,
            )
            loader = Loader(pager, fake.symbol, interval, series)
            start = market.now - data.draw(st.integers(1, 80)) * step + data.draw(st.integers(0, 9))
            end = start + data.draw(st.integers(1, 90)) * step
            complete = {}
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                try:
                    count = data.draw(st.none() | st.integers(1, 30))
                    if count is None:
                        complete = got(loader.between(start, end))
                        truth = expected(market, interval, start, end)
                    else:
                        complete = got(loader.newest(count, end))
                        truth = expected(market, interval, 0, end)
                        truth = dict(list(truth.items())[-count:])
                except RequestError:
                    complete, truth = None, {}
            assert {warning.category for warning in said} <= {PageWarning}
            if complete is None:
                assert keeps
            elif said:
                # What is lacking is older than what the venue keeps, and was told.
                assert keeps
                held = sorted(expected(market, interval, 0, market.now + 1))[-KEPT:]
                assert {t: v for t, v in truth.items() if t >= held[0] + step}.items() <= (
                    complete.items()
                )
                assert complete.items() <= expected(market, interval, 0, end).items()
            else:
                assert complete == truth
            market.now += data.draw(st.sampled_from([0, step, 7 * step, 2 * DAY]))
