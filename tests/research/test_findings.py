"""Markouts, next moves, lead and lag, profiles, signatures and paths, against plain loops."""

import itertools

import numpy as np
import pandas as pd
import pytest
from markets import T0, leading, noise, trades_of

import mdkit as md
from mdkit.frames import DepthFrame

GAPS = (2000, 4500)


@pytest.fixture(scope="module")
def books():
    return leading(gaps=GAPS)


@pytest.fixture(scope="module")
def trades(books):
    return trades_of(books)


class Known:
    """What a table says of a moment, row by row."""

    def __init__(self, books):
        self.times = books.index.as_unit("ns").asi8.tolist()
        self.mids = books["mid"].tolist()
        self.spreads = books["spread"].tolist()
        self.segments = books["gap"].to_numpy().cumsum().tolist()
        self.ends = dict(zip(self.segments, self.times, strict=True))

    def row(self, time, *, before=False):
        """The row in force, or None behind the end of its stretch."""
        rows = [i for i, t in enumerate(self.times) if t < time or (t == time and not before)]
        if not rows or time > self.ends[self.segments[rows[-1]]]:
            return None
        return rows[-1]

    def later(self, row, time):
        found = self.row(time)
        same = found is not None and self.segments[found] == self.segments[row]
        return found if same else None


def test_markouts_of_trades_and_what_they_cost(books, trades):
    found = md.markouts("trades", {"depth": books, "trade": trades}, ("200ms", "2s"))
    known, few = Known(books), trades.iloc[::7]
    by_hand = md.markouts(few, books, ("200ms", "2s"))
    moved, costs = {200_000_000: [], 2 * 10**9: []}, {200_000_000: [], 2 * 10**9: []}
    for time, trade in zip(few.index.as_unit("ns").asi8, few.itertuples(), strict=True):
        sign = {"buy": 1, "sell": -1}.get(trade.side, 0)
        row = known.row(time, before=True)
        if not sign or row is None:
            continue
        mid = known.mids[row]
        for span in moved:
            end = known.later(row, time + span)
            if end is not None:
                move = sign * (known.mids[end] / mid - 1) * 1e4
                moved[span].append(move)
                effective = 2 * sign * (trade.price / mid - 1) * 1e4
                costs[span].append((known.spreads[row] / mid * 1e4, effective, 2 * move))
    for label, span in (("200ms", 200_000_000), ("2s", 2 * 10**9)):
        row = by_hand.table.loc[label]
        assert row["events"] == len(moved[span])
        assert row["move_bp"] == pytest.approx(np.mean(moved[span]))
        quoted, effective, impact = np.mean(costs[span], axis=0)
        cost = by_hand.costs.loc[label]
        assert cost[["quoted", "effective", "impact"]].tolist() == pytest.approx(
            [quoted, effective, impact]
        )
        assert cost["realised"] == pytest.approx(effective - impact)
    assert found.table.loc["2s", "low"] > 0
    assert repr(found).startswith("after trades the mid of A moves their way: ")
    assert "effective spread" in repr(found)


def test_markouts_of_times_signs_and_fills(books, tmp_path):
    known = Known(books)
    times = pd.to_datetime(
        [known.times[100] + 5, known.times[1999] + 1, known.times[3000]], utc=True
    )
    plain = md.markouts(times, books, "1s")
    assert plain.table.loc["1s", "events"] == 2  # the second falls into a gap
    assert not len(plain.costs)
    one = (known.mids[known.row(known.times[3000] + 10**9)] / known.mids[3000] - 1) * 1e4
    assert plain.moves[1, 0] == pytest.approx(one)
    signed = md.markouts(pd.Series([1.0, -1.0, -1.0], times, name="calls"), books, "1s")
    assert signed.moves[1, 0] == pytest.approx(-one)
    assert signed.name == "calls"
    path = tmp_path / "market.jsonl.gz"
    source = md.Simulated(rate=400.0, count=2000, speed=0)
    md.live("AAPL.US", source=source, record=path).run_blocking()
    result = md.backtest(md.strategies.pressure, path, cash=1000.0)
    fills = md.markouts(result, path, ("1ms", "10ms"))
    assert fills.name == "fills"
    assert fills.table["events"].max() <= len(result.fills)
    assert fills.costs.loc["1ms", "effective"] > 0  # they cross the spread
    assert "points are no times" in str(_error(lambda: md.markouts(["x"], books)))
    assert "give" in str(_error(lambda: md.markouts("fills", books)))
    assert "price and side" in str(_error(lambda: md.markouts(books, books)))


def test_a_fill_that_took_is_measured_from_the_book_it_took_from():
    """At once: the move of the book that led to an order is none that came after it."""
    books = [
        md.Depth("A", ((mid - 1.0, 5.0),), ((mid + 1.0, 5.0),), 0, T0 + i * 10**9)
        for i, mid in enumerate((100.0, 110.0, 110.0, 110.0))
    ]

    @md.strategy("depth")
    def buy_the_jump(book):
        return 1.0 if book.bids[0][0] > 105.0 else 0.0

    result = md.backtest(buy_the_jump, books, cash=100.0)
    table = DepthFrame(10)
    table.extend(books)
    found = md.markouts(result, table.snapshot(levels=1), "1s")
    assert found.moves.tolist() == [[0.0]]
    assert found.costs.loc["1s", "effective"] == pytest.approx(2 * (111 / 110 - 1) * 1e4)

    @md.strategy("depth")
    def offer(book):
        return md.Limit(105.0, -1.0)

    rested = md.backtest(offer, books, cash=100.0)
    assert rested.fills["maker"].all()
    ((moved,),) = md.markouts(rested, table.snapshot(levels=1), "1s").moves
    assert moved == pytest.approx(-(110 / 100 - 1) * 1e4)  # sold at 105 before it went to 110


def _error(call):
    with pytest.raises(md.MdkitError) as caught:
        call()
    return caught.value


def test_the_next_move_by_queue_imbalance(books):
    found = md.next_move(books)
    mids, segments = books["mid"].to_numpy(), books["gap"].to_numpy().cumsum()
    x = md.imbalance(books, 1).to_numpy()
    up = []
    for i in range(len(books)):
        later = next(
            (
                k
                for k in range(i + 1, len(books))
                if segments[k] != segments[i] or mids[k] != mids[i]
            ),
            None,
        )
        same = later is not None and segments[later] == segments[i]
        up.append(float(mids[later] > mids[i]) if same else np.nan)
    up = np.array(up)
    place = np.clip(((x + 1) / 2 * 5).astype(int), 0, 4)
    for b in range(5):
        inside = (place == b) & np.isfinite(up)
        assert found.table["events"][b + 1] == inside.sum()
        assert found.table["p_up"][b + 1] == pytest.approx(up[inside].mean())
    assert found.table["p_up"].iloc[-1] - found.table["p_up"].iloc[0] > 0.2
    assert "moves the chance that the mid of A goes up next" in repr(found)
    nothing = md.next_move(books, noise(books, 1))
    assert "does not move" in repr(nothing)
    assert len(md.next_move(books, bins=3).table) == 3
    with pytest.raises(md.MdkitError, match="other times"):
        md.next_move(books, noise(books, 1)[::-1])
    below = books.assign(mid=books["mid"] - 1000.0)
    pd.testing.assert_frame_equal(md.next_move(below).table, found.table)
    still = books.assign(mid=1.0)
    assert "never moves" in repr(md.next_move(still))


def shifted(books, by_ns, seed=4):
    """The same market seen later, at moments of its own, without some of its books."""
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.choice(len(books), len(books) * 2 // 3, replace=False))
    later = books.iloc[kept].copy()
    later["gap"] = False
    later.index = later.index + pd.Timedelta(by_ns, "ns")
    later.attrs["symbol"] = "B"
    return later


def test_lead_and_lag_of_the_same_market_seen_twice():
    books = leading(3000, 2, step_ns=10_000_000)
    late = shifted(books, 300_000_000)
    found = md.leadlag({"A": books, "B": late}, "A", "B", "1s", lags=21)
    assert found.best_lag == pytest.approx(0.3)
    assert found.table.loc[found.best_lag, "correlation"] > 0.8
    assert repr(found).startswith("A leads B by 300ms: correlation ")
    assert found.lead_lag_ratio > 1
    back = md.leadlag({"A": books, "B": late}, "B", "A", "1s", lags=21)
    assert back.best_lag == pytest.approx(-0.3)
    apart = md.leadlag({"A": books, "B": shifted(leading(3000, 8), 0)}, "A", "B", "1s", lags=5)
    low, high = apart.table["low"], apart.table["high"]
    assert (low.fillna(-1) < 0.2).all()
    assert (high > -0.2).all()


@pytest.mark.outer
def test_of_many_lags_none_leads_where_there_is_nothing():
    named = 0
    for seed in range(0, 40, 2):
        books = [leading(2000, seed + own, step_ns=50_000_000) for own in (1, 2)]
        data = {"A": books[0], "B": shifted(books[1], 0)}
        found = md.leadlag(data, "A", "B", "2s", resamples=300)
        named += "do not move together" not in found.sentence
    assert named <= 3, "one of twenty is what 95 % means; each lag for itself gave every second"


def test_of_two_books_at_one_nanosecond_the_last_counts_and_no_move_is_lost():
    whole = leading(300, 2)
    twice = pd.concat([whole.assign(mid=whole["mid"] * 2), whole]).sort_index(kind="stable")
    late = shifted(whole, 30_000_000)
    for a in (whole, twice):
        found = md.leadlag({"A": a, "B": late}, "A", "B", "200ms", lags=3).table
        if a is whole:
            expected = found
    pd.testing.assert_frame_equal(found, expected)


def test_hayashi_and_yoshida_by_two_loops():
    a, b = leading(300, 2, gaps=(120,)), shifted(leading(300, 2), 30_000_000)

    def moves(table):
        times, mids = table.index.as_unit("ns").asi8.tolist(), table["mid"].tolist()
        gaps = table["gap"].tolist()
        kept = [i for i in range(len(mids)) if i == 0 or gaps[i] or mids[i] != mids[i - 1]]
        broken = np.cumsum(gaps)
        return [
            (times[i], times[k], np.log(mids[k] / mids[i]))
            for i, k in itertools.pairwise(kept)
            if broken[i] == broken[k]
        ]

    found = md.leadlag({"A": a, "B": b}, "A", "B", "200ms", lags=3)
    first, second = moves(a), moves(b)
    for lag, row in found.table.iterrows():
        shift = round(lag * 1e9)
        total = sum(
            x * y
            for begin, end, x in first
            for start, stop, y in second
            if start - shift < end and begin < stop - shift
        )
        scale = sum(x * x for *_, x in first) * sum(y * y for *_, y in second)
        assert row["correlation"] == pytest.approx(total / np.sqrt(scale), abs=1e-9)


def test_profile_is_by_time_and_by_sum(books, trades):
    found = md.profile(
        {"depth": books, "trade": trades},
        "20s",
        ("spread", "depth", "volume", "trades", "books", "volatility"),
    ).table
    known = Known(books)
    start = found.index[3]
    low, high = start.value, start.value + 20 * 10**9
    weights = total = depth = 0.0
    sizes = (books["bid_depth"] + books["ask_depth"]).tolist()
    for i in range(len(books) - 1):
        if known.segments[i] != known.segments[i + 1]:
            continue
        part = min(known.times[i + 1], high) - max(known.times[i], low)
        if part > 0:
            weights += part
            total += part * known.spreads[i] / known.mids[i] * 1e4
            depth += part * sizes[i]
    assert found["spread_bp"].iloc[3] == pytest.approx(total / weights)
    assert found["depth"].iloc[3] == pytest.approx(depth / weights)
    inside = trades[(trades.index >= start) & (trades.index < start + pd.Timedelta("20s"))]
    assert found["volume"].iloc[3] == pytest.approx(inside["size"].sum())
    assert found["trades"].sum() == len(trades)
    assert found["books"].sum() == len(books)
    moved = [
        (known.mids[i + 1] / known.mids[i] - 1) * 1e4
        for i in range(len(books) - 1)
        if low <= known.times[i + 1] < high and known.segments[i] == known.segments[i + 1]
    ]
    assert found["volatility_bp"].iloc[3] == pytest.approx(np.sqrt(np.sum(np.square(moved))))
    assert "spread" in str(_error(lambda: md.profile(books, of="spred")))
    assert "of which the data have" in str(_error(lambda: md.profile(books, "1us", of="depth")))


def test_the_signature_of_a_random_walk_is_flat_and_that_of_a_bounce_falls():
    rng = np.random.default_rng(5)
    steps = rng.choice([-1.0, 1.0], 8000)
    index = pd.to_datetime(T0 + np.arange(8000) * 100_000_000, utc=True)

    def table(mids):
        found = pd.DataFrame({"bid": mids - 0.01, "ask": mids + 0.01, "mid": mids}, index)
        return found.assign(bid_size=1.0, ask_size=1.0)

    walk = table(1000 + 0.01 * steps.cumsum())
    found = md.signature(walk, ("100ms", "1s", "10s"))
    row = found.table.loc["100ms"]
    assert row["moves"] == 7999
    exact = np.sqrt(np.mean((np.diff(walk["mid"]) / walk["mid"].iloc[:-1].to_numpy()) ** 2) * 600)
    assert row["volatility_bp"] == pytest.approx(exact * 1e4)
    assert "is flat within its bands" in repr(found)
    with pytest.raises(md.MdkitError, match="of which the data have 799,900,000"):
        md.signature(walk, ("1us",))
    bounce = table(1000 + 0.01 * steps.cumsum() + rng.choice([-0.03, 0.03], 8000))
    assert "falls: moves turn back" in repr(md.signature(bounce, ("100ms", "1s", "10s")))


@md.strategy("depth")
def heavy(book):
    lean = md.imbalance(book, 2)
    return float(np.sign(lean)) if abs(lean) > 0.6 else None


def test_paths_around_moments(books):
    known = Known(books)
    times = [known.times[i] for i in (50, 900, 1990, 2500, 5000)]
    found = md.around(books, pd.to_datetime(times, utc=True), "2s", "4s", steps=7)
    assert found.table.index.tolist() == [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    for offset, row in found.table.iterrows():
        moved = []
        for time in times:
            start = known.row(time)
            end = known.later(start, time + round(offset * 1e9))
            if end is not None:
                moved.append((known.mids[end] / known.mids[start] - 1) * 1e4)
        assert row["events"] == len(moved)
        assert row["move_bp"] == pytest.approx(np.mean(moved) if moved else np.nan, nan_ok=True)
    gaps = md.around(books, "gap", "2s", "4s", steps=7).table
    assert gaps["events"].tolist() == [0, 0, 2, 2, 2, 2, 2]
    mask = books["spread"] > 0.03
    assert md.around(books, mask, steps=7).count == mask.sum()
    calls = md.around(books, heavy, "1s", "3s")
    assert calls.table["low"].iloc[-1] > 0
    assert f"after {calls.count:,} signals of heavy the mid of A stands" in repr(calls)
    title = calls.plot().get_axes()[0].get_title(loc="left")
    assert title == f"Mid around {calls.count:,} signals of heavy"
    assert " gaps the mid" in repr(md.around(books, "gap", "2s", "4s", steps=7))
    assert md.around(books, "burst").count == 0
    assert "give" in str(_error(lambda: md.around(books, "nonsense")))


def test_a_burst_is_a_run_of_busy_seconds():
    calm = T0 // 10**9 * 10**9 + np.arange(30) * 10**9
    busy = calm[10] + np.arange(1, 60) * 10_000_000
    also = calm[11] + np.arange(1, 60) * 10_000_000
    times = np.sort(np.concatenate([calm, busy, also]))
    table = leading(len(times), 1)
    table.index = pd.to_datetime(times, utc=True)
    found = md.around(table, "burst", "1s", "2s")
    assert found.count == 1


def findings(books, trades):
    both = {"depth": books, "trade": trades}
    return [
        md.study(md.imbalance, books, ("200ms", "1s")),
        md.study([md.imbalance, md.OFI()], books, ("200ms", "1s")),
        md.markouts("trades", both, ("200ms", "1s")),
        md.next_move(books),
        md.leadlag({"A": books, "B": shifted(books, 10**8)}, "A", "B"),
        md.profile(both, "30s"),
        md.signature(books, ("200ms", "1s", "5s")),
        md.around(books, "gap"),
    ]


@pytest.mark.outer
def test_every_finding_has_a_sentence_a_picture_and_a_page(books, trades, tmp_path):
    nothing = leading(3)
    empty = findings(nothing, trades_of(leading(40), count=20).iloc[:2])
    for number, found in enumerate(findings(books, trades) + empty):
        said = repr(found)
        assert said.endswith(".")
        assert "\n" not in said
        assert "nan" not in said
        assert found.plot().get_axes()
        page = found.save(tmp_path / f"{number}.html").read_text()
        assert "data:image/png" in page
        assert "<table" in page
        assert found._repr_html_().startswith("<div><b>")


def test_on_the_real_market_the_figures_are_alike_those_of_an_independent_computation(market):
    """Of another five minutes of that night: IC .36 at 1 s, .20 at 5 s; P(up) .24 to .75."""
    recorded = md.read_recording(market / "depth.jsonl.gz")
    books = recorded.frame("depth", "BTCUSD_PERP", levels=5)
    found = md.study(md.imbalance, books)
    assert found.ic.loc["1s", "ic"] == pytest.approx(0.36, abs=0.06)
    assert found.ic.loc["5s", "ic"] == pytest.approx(0.20, abs=0.06)
    assert found.best == "1s"
    table = md.next_move(books).table
    assert table["p_up"].iloc[0] == pytest.approx(0.24, abs=0.08)
    assert table["p_up"].iloc[-1] == pytest.approx(0.75, abs=0.12)
    placebo = md.study(noise(books, 1), books)
    assert not placebo.is_telling
