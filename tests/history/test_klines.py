"""Paging: every bar once, whatever the service does, and never for ever."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from services import DAY, MINUTE, T0, Service, kline, minutes

from mdkit.errors import RequestError
from mdkit.history.cache import CacheWarning, KlineCache
from mdkit.history.columns import Klines
from mdkit.history.klines import Loader
from mdkit.history.paging import Pager, PageWarning
from mdkit.history.progress import Progress

NOW = T0 + 30 * DAY


def loader(service, interval="1m", now=NOW, **options):
    return Loader(Pager(service, now), "A.US", interval, **options)


def times(klines):
    return klines.starts.tolist()


def expected(service, start, end):
    return [k.time for k in service.all if start <= k.time < end]


@pytest.mark.parametrize("takes", ["first", "last"])
@pytest.mark.parametrize("bounds", ["both", "start", "end", "neither"])
@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
@pytest.mark.parametrize("overlap", [0, 3])
def test_every_bar_comes_once_and_in_order(order, bounds, takes, overlap):
    service = Service(
        minutes(T0, 5000, skip=range(1500, 2900)),
        order=order,
        bounds=bounds,
        takes=takes,
        overlap=overlap,
    )
    start, end = T0 + 7 * MINUTE, T0 + 4500 * MINUTE
    got = loader(service).between(start, end)
    assert times(got) == expected(service, start, end)
    assert got.figures[0].tolist() == [k.open for k in service.all if start <= k.time < end]
    assert len(service.asked) <= 8


@given(
    st.sets(st.integers(0, 400), max_size=120),
    st.sampled_from(["ascending", "descending", "shuffled"]),
    st.sampled_from(["both", "start", "end", "neither"]),
    st.sampled_from(["first", "last"]),
    st.integers(2, 60),
    st.integers(0, 2),
    st.integers(-5, 405),
    st.integers(-5, 405),
)
def test_any_bars_any_habits_any_page_size(
    places, order, bounds, takes, cap, overlap, first, second
):
    # A page that the service's extra bars fill up on both sides can bring nothing asked for.
    cap = max(cap, 4 * overlap + 4)
    service = Service(
        [kline(T0 + i * MINUTE) for i in places],
        order=order,
        bounds=bounds,
        takes=takes,
        cap=cap,
        overlap=overlap,
    )
    start, end = sorted((T0 + first * MINUTE, T0 + second * MINUTE))
    load = loader(service)
    assert times(load.between(start, end)) == expected(service, start, end)
    assert times(load.first(10, start, end)) == expected(service, start, end)[:10]
    assert times(load.newest(10, end)) == expected(service, 0, end)[-10:]


def test_which_end_is_served_first_is_learnt_and_saves_requests():
    service = Service(minutes(T0, 20_000), takes="first")
    load = loader(service)
    load.between(T0 - DAY, T0 + 10_000 * MINUTE)
    assert load.pager.takes == "first"
    assert len(service.asked) == 11  # ten pages and one look at what lies before them
    service.asked.clear()
    load.between(T0 + 10_000 * MINUTE, T0 + 20_000 * MINUTE)
    assert len(service.asked) == 10


def test_a_service_that_gives_the_same_page_for_ever_is_left_and_said_so():
    service = Service(minutes(T0, 50), stuck=minutes(T0, 50))
    with pytest.warns(PageWarning, match="A.US 1m: asked for bars from .* may lack bars"):
        got = loader(service).between(T0 - DAY, T0 + DAY)
    assert times(got) == expected(service, T0, T0 + DAY)
    assert len(service.asked) == 3


def test_what_the_service_did_not_answer_is_not_taken_as_empty(own_cache):
    series = KlineCache().series("s", "A.US", "1m")
    stuck = Service([], stuck=minutes(T0, 50))
    with pytest.warns(PageWarning):
        loader(stuck, series=series).between(T0 - DAY, T0 + DAY)
    honest = Service(minutes(T0 - DAY, 2880))
    assert loader(honest, series=series).between(T0 - DAY, T0 + DAY).bars == 2880


def test_an_empty_service_is_asked_once():
    service = Service([])
    assert loader(service).between(T0, T0 + DAY).bars == 0
    assert len(service.asked) == 1


def test_only_completed_bars():
    now = T0 + 10 * MINUTE + 30_000
    service = Service(minutes(T0, 11))  # the last one still forms
    assert times(loader(service, now=now).between(T0, T0 + DAY))[-1] == T0 + 9 * MINUTE
    assert times(loader(service, now=now).newest(3, T0 + DAY))[-1] == T0 + 9 * MINUTE


def test_bars_off_the_grid_are_complete_when_their_own_period_is_over():
    """A daily bar that begins at 05:00 is complete at 05:00 of the next day, not at midnight."""
    off = 5 * 60 * MINUTE
    service = Service([kline(T0 + i * DAY + off) for i in range(4)])
    before = loader(service, "1d", now=T0 + 3 * DAY + off - 1).between(T0, NOW)
    after = loader(service, "1d", now=T0 + 3 * DAY + off).between(T0, NOW)
    assert times(before) == [T0 + off, T0 + DAY + off]
    assert times(after) == [T0 + off, T0 + DAY + off, T0 + 2 * DAY + off]


def test_a_service_that_refuses_long_stretches_is_asked_for_short_ones():
    service = Service(minutes(T0, 5000), widest=1001 * MINUTE)
    assert loader(service).between(T0, T0 + 5000 * MINUTE).bars == 5000
    short = Service([], widest=1)
    with pytest.raises(RequestError, match="2003"):
        loader(short).between(T0, T0 + 10 * MINUTE)


def test_the_newest_need_one_request_and_more_need_more():
    service = Service(minutes(T0, 5000), order="shuffled")
    end = T0 + 5000 * MINUTE
    assert times(loader(service).newest(100, end)) == expected(service, 0, end)[-100:]
    assert len(service.asked) == 1
    assert times(loader(service).newest(2500, end)) == expected(service, 0, end)[-2500:]
    assert loader(service).newest(9000, end).bars == 5000


def test_the_newest_from_a_service_that_begins_with_the_oldest():
    class Oldest(Service):
        def klines(self, symbol, interval, *, start_ms=None, end_ms=None, limit):
            start = 0 if start_ms is None else start_ms
            return super().klines(symbol, interval, start_ms=start, end_ms=end_ms, limit=limit)

    service = Oldest(minutes(T0, 20_000))
    end = T0 + 20_000 * MINUTE
    assert times(loader(service).newest(10, end)) == expected(service, 0, end)[-10:]


def test_the_first_so_many_are_not_paid_for_with_all():
    service = Service(minutes(T0, 100_000))
    assert loader(service, now=T0 + 100 * DAY).first(1500, T0, T0 + 90 * DAY).bars == 1500
    assert len(service.asked) <= 3


@pytest.mark.parametrize("interval", ["1w", "1M"])
def test_weeks_and_months(interval):
    starts = {
        "1w": [T0 + (5 + 7 * i) * DAY for i in range(8)],
        "1M": [int(np.datetime64(f"2025-{m:02}", "ms").astype(int)) for m in range(1, 10)],
    }[interval]
    service = Service([kline(ms) for ms in starts])
    now = starts[-1] + DAY
    assert times(loader(service, interval, now=now).between(T0, now)) == starts[:-1]


# -- the cache behind it --------------------------------------------------------------------------


@pytest.fixture
def series():
    return KlineCache().series("service", "A.US", "1m")


def test_a_second_load_asks_nothing(series):
    service = Service(minutes(T0, 3000, skip=range(900, 1700)))
    first = loader(service, series=series).between(T0 - DAY, T0 + 2 * DAY)
    service.asked.clear()
    again = loader(service, series=series).between(T0 - DAY, T0 + 2 * DAY)
    assert not service.asked
    assert times(first) == times(again) == expected(service, T0 - DAY, T0 + 2 * DAY)
    assert np.array_equal(first.figures, again.figures, equal_nan=True)


def test_only_what_is_missing_is_asked_for(series):
    service = Service(minutes(T0, 5000))
    loader(service, series=series).between(T0 + 1000 * MINUTE, T0 + 2000 * MINUTE)
    service.asked.clear()
    got = loader(service, series=series).between(T0, T0 + 3000 * MINUTE)
    assert times(got) == expected(service, T0, T0 + 3000 * MINUTE)
    # And beside it the bar that is cached already, to see whether it is still the same.
    assert [(a + 1, b) for a, b, _ in service.asked] == [
        (T0, T0 + 1000 * MINUTE + 1),
        (T0 + 1000 * MINUTE, T0 + 1000 * MINUTE + 1),
        (T0 + 1999 * MINUTE, T0 + 3000 * MINUTE),
        (T0 + 2999 * MINUTE, T0 + 3000 * MINUTE),
    ]


def test_what_is_published_late_is_still_found(series):
    """A bar that the service has not made yet when first asked must not count as missing."""
    now = T0 + 100 * MINUTE + 500
    service = Service(minutes(T0, 98))
    assert loader(service, now=now, series=series).between(T0, now).bars == 98
    service.all = minutes(T0, 100)
    assert loader(service, now=now, series=series).between(T0, now).bars == 100
    service.asked.clear()
    assert loader(service, now=now, series=series).between(T0, now).bars == 100
    assert not service.asked


def test_an_old_hole_is_taken_as_empty(series):
    service = Service(minutes(T0, 10))
    later = T0 + 3 * DAY
    loader(service, now=later, series=series).between(T0, T0 + DAY)
    service.asked.clear()
    loader(service, now=later, series=series).between(T0, T0 + DAY)
    assert not service.asked


def test_the_newest_come_from_the_cache_and_only_newer_ones_are_asked_for(series):
    service = Service(minutes(T0, 4000))
    now = T0 + 3000 * MINUTE
    loader(service, now=now, series=series).newest(1500, now)
    service.asked.clear()
    got = loader(service, now=now, series=series).newest(1500, now)
    assert not service.asked
    assert times(got) == expected(service, 0, now)[-1500:]
    later = now + 5 * MINUTE
    got = loader(service, now=later, series=series).newest(1500, later)
    assert times(got) == expected(service, 0, later)[-1500:]
    assert [(a + 1, b) for a, b, _ in service.asked] == [(now - MINUTE, later)]


def test_pages_that_came_before_an_error_are_kept(series):
    class Failing(Service):
        def klines(self, *args, **page):
            if len(self.asked) == 3:
                raise KeyboardInterrupt
            return super().klines(*args, **page)

    failing = Failing(minutes(T0, 5000))
    with pytest.raises(KeyboardInterrupt):
        loader(failing, series=series).between(T0, T0 + 5000 * MINUTE)
    service = Service(failing.all)
    assert loader(service, series=series).between(T0, T0 + 5000 * MINUTE).bars == 5000
    assert len(service.asked) == 3  # the two pages begin a bar before, to compare it


def test_nothing_from_the_final_time_on_is_cached(series):
    service = Service(minutes(T0, 2000))
    final = T0 + 1000 * MINUTE
    loader(service, series=series, final_ms=final).between(T0, T0 + 2000 * MINUTE)
    assert series.read(T0, NOW).covered == [(T0, final)]
    assert series.read(T0, NOW).klines.bars == 1000


@pytest.mark.outer
@given(
    st.sets(st.integers(0, 90), max_size=60),
    st.lists(st.tuples(st.integers(0, 95), st.integers(0, 95)), min_size=1, max_size=5),
    st.sampled_from(["first", "last"]),
)
def test_loads_in_any_order_are_the_same_with_a_cache_and_without(
    tmp_path_factory, places, ranges, takes
):
    service = Service([kline(T0 + i * DAY // 2) for i in places], takes=takes, cap=7)
    now = T0 + 100 * DAY
    cached = KlineCache(tmp_path_factory.mktemp("c")).series("s", "A", "1m")
    for a, b in ranges:
        start, end = T0 + a * DAY // 2, T0 + b * DAY // 2
        got = loader(service, now=now, series=cached).between(start, end)
        assert times(got) == expected(service, start, end)
        newest = loader(service, now=now, series=cached).newest(5, end)
        assert times(newest) == expected(service, 0, end)[-5:]


def test_merging_keeps_the_later_bar():
    one = Klines.of([kline(T0, 1.5), kline(T0 + MINUTE, 2.5)])
    two = Klines.of([kline(T0 + MINUTE, 9.5), kline(T0 + MINUTE, 3.5)])
    assert one.merged(two).figures[0].tolist() == [1.5, 3.5]


def test_a_bar_shows_after_a_few_pages_or_a_long_wait(capsys):
    service = Service(minutes(T0, 9000))
    for show, end, shown in [(None, 900, False), (None, 9000, True), (True, 9, True)]:
        progress = Progress("A.US 1m", show)
        loader(service, progress=progress).between(T0, T0 + end * MINUTE)
        progress.close()
        assert ("A.US 1m" in capsys.readouterr().err) == shown
    progress = Progress("A.US 1m", False)
    loader(service, progress=progress).between(T0, T0 + 9000 * MINUTE)
    progress.waiting(10, "no reason")
    progress.close()
    assert capsys.readouterr().err == ""
    progress = Progress("A.US 1m")
    progress.waiting(1, "a moment")
    assert capsys.readouterr().err == ""
    progress.waiting(42, "the budget")
    progress.close()
    assert "waiting 42 s: the budget" in capsys.readouterr().err


def split(service, since, factor):
    """Restate prices of bars from `since` on, as a service does after a split."""
    for k in service.all:
        if k.time >= since:
            for name in ("open", "high", "low", "close"):
                setattr(k, name, getattr(k, name) / factor)


@pytest.mark.parametrize("way", ["later", "earlier", "between", "newest", "older newest"])
def test_prices_that_were_restated_are_loaded_anew_with_a_warning(series, way):
    service = Service(minutes(T0, 3000))
    one = loader(service, series=series)
    if way == "between":
        one.between(T0, T0 + 500 * MINUTE)
        one.between(T0 + 1000 * MINUTE, T0 + 1500 * MINUTE)
    elif way == "newest":
        one.between(T0, T0 + 2000 * MINUTE)
    elif way == "older newest":
        one.newest(300, T0 + 3000 * MINUTE)
    else:
        one.between(T0 + 1000 * MINUTE, T0 + 2000 * MINUTE)
    split(service, T0, 10)
    two = loader(service, series=series)
    load = {
        "later": lambda: two.between(T0 + 1500 * MINUTE, T0 + 2500 * MINUTE),
        "earlier": lambda: two.between(T0 + 500 * MINUTE, T0 + 1500 * MINUTE),
        "between": lambda: two.between(T0, T0 + 1500 * MINUTE),
    }.get(way, lambda: two.newest(2500, T0 + 3000 * MINUTE))
    with pytest.warns(CacheWarning, match=r"A\.US 1m: the service has restated .* after a split"):
        got = load()
    begin, end = int(got.starts[0]), int(got.starts[-1]) + 1
    assert times(got) == expected(service, begin, end)
    assert got.figures[3].tolist() == [k.close for k in service.all if begin <= k.time < end]
    service.asked.clear()
    again = loader(service, series=series).between(begin, end)
    assert again.figures[3].tolist() == got.figures[3].tolist()


def test_one_bar_that_was_corrected_is_taken_over_without_a_word(series):
    service = Service(minutes(T0, 200))
    loader(service, series=series).between(T0, T0 + 100 * MINUTE)
    service.all[99].close += 0.25
    got = loader(service, series=series).between(T0, T0 + 200 * MINUTE)
    assert got.figures[3].tolist() == [k.close for k in service.all]
    service.asked.clear()
    again = loader(service, series=series).between(T0, T0 + 200 * MINUTE)
    assert again.figures[3].tolist() == [k.close for k in service.all]
    assert not service.asked


@pytest.mark.parametrize("bars", [1, 17, 300, 1007, 3000])
@pytest.mark.parametrize("count", [1, 10, 500, 2000])
def test_the_newest_bars_of_a_young_symbol_are_its_newest(bars, count):
    """Also of a service that begins with the oldest, though all its bars are of these days."""

    class OldestFirst(Service):
        def klines(self, symbol, interval, *, start_ms=None, end_ms=None, limit):
            start_ms = 0 if start_ms is None else start_ms
            return super().klines(symbol, interval, start_ms=start_ms, end_ms=end_ms, limit=limit)

    now = T0 + bars * MINUTE
    service = OldestFirst(minutes(T0, bars))
    got = loader(service, now=now).newest(count, now)
    assert times(got) == expected(service, 0, now)[-count:]


def test_a_closed_market_costs_one_more_question_a_load():
    service = Service(minutes(T0, 3000))
    now = T0 + 4000 * MINUTE
    got = loader(service, now=now).newest(2500, now)
    assert times(got) == expected(service, 0, now)[-2500:]
    assert len(service.asked) == 4
