"""Studies find what is there, nothing where nothing is, and compute what they say."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from markets import leading, noise

import mdkit as md
from mdkit.research.tools.bootstrap import (
    band,
    correlation,
    correlation_sums,
    drawn_sums,
    ratios,
    widening,
)

SPANS = {"200ms": 200_000_000, "1s": 10**9, "5s": 5 * 10**9}


@pytest.fixture(scope="module")
def books():
    return leading(gaps=(2000, 4500))


@pytest.fixture(scope="module")
def found(books):
    return md.study(md.imbalance, books, tuple(SPANS))


def test_figures_are_those_of_plain_pandas(books, found):
    x, moved = md.imbalance(books), md.forward(books, tuple(SPANS))
    for horizon in SPANS:
        both = pd.DataFrame({"x": x, "y": moved[horizon]}).dropna()
        row = found.ic.loc[horizon]
        assert row["events"] == len(both)
        assert row["ic"] == pytest.approx(both["x"].rank().corr(both["y"].rank()))
        bins = pd.qcut(both["x"], 10, labels=False)
        means = both["y"].groupby(bins).mean()
        np.testing.assert_allclose(found.quantiles.loc[horizon, "move_bp"], means, rtol=1e-9)
        edge = means.iloc[-1] - means.iloc[0]
        assert found.decay.loc[horizon, "top_bottom_bp"] == pytest.approx(edge)
        assert found.break_even.loc[horizon, "edge_bp"] == pytest.approx(abs(edge) / 2)
    spread = (books["spread"] / books["mid"] * 1e4).mean()
    assert found.spread_bp == pytest.approx(spread)
    net = found.break_even["edge_bp"] - spread
    np.testing.assert_allclose(found.break_even["net_bp"], net)
    np.testing.assert_allclose(found.break_even["fee_bp"], net / 2)
    step = moved["1s"] - moved["200ms"]
    both = pd.DataFrame({"x": x, "y": step}).dropna()
    assert found.decay.loc["1s", "step_ic"] == pytest.approx(
        both["x"].rank().corr(both["y"].rank())
    )


def test_halves_and_stretches_are_those_of_their_events(books, found):
    x, y = md.imbalance(books), md.forward(books, "1s")["1s"]
    times = books.index.as_unit("ns").asi8
    first = times < (times[0] + times[-1]) / 2
    for part, column in ((first, "first"), (~first, "second")):
        both = pd.DataFrame({"x": x, "y": y})[part].dropna()
        value = both["x"].rank().corr(both["y"].rank())
        assert found.stability.loc["1s", column] == pytest.approx(value)
    table = found.by("1min", "1s")
    for start, row in table.iterrows():
        inside = (books.index >= start) & (books.index < start + pd.Timedelta("1min"))
        both = pd.DataFrame({"x": x, "y": y})[inside].dropna()
        assert row["events"] == len(both)
        if len(both) > 2:
            assert row["ic"] == pytest.approx(both["x"].rank().corr(both["y"].rank()))
    with pytest.raises(md.MdkitError, match="was not studied"):
        found.by("1min", "7s")


def test_bands_are_those_of_drawing_whole_blocks(books, found):
    """The same by concatenating the events of drawn blocks, again and again."""
    x, y = md.imbalance(books), md.forward(books, "1s")["1s"]
    table = pd.DataFrame({"x": x.rank(), "y": y.rank()})
    valid = pd.DataFrame({"x": x, "y": y}).notna().all(axis=1)
    table = pd.DataFrame({"x": x[valid.to_numpy()].rank(), "y": y[valid.to_numpy()].rank()})
    times = table.index.as_unit("ns").asi8
    segment = books["gap"].to_numpy().cumsum()[valid.to_numpy()]
    starts = {s: times[segment == s][0] for s in np.unique(segment)}
    block = [(s, (t - starts[s]) // (5 * 10**9)) for s, t in zip(segment, times, strict=True)]
    groups = [group.to_numpy() for _, group in table.groupby(pd.factorize(pd.Index(block))[0])]
    assert found.ic.loc["1s", "blocks"] == len(groups)
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(400):
        rows = np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])
        drawn.append(np.corrcoef(rows.T)[0, 1])
    low, high = np.quantile(drawn, [0.025, 0.975])
    row = found.ic.loc["1s"]
    assert row["low"] == pytest.approx(low, abs=0.03)
    assert row["high"] == pytest.approx(high, abs=0.03)


def test_what_leads_is_found_and_said_in_one_sentence(found):
    assert found.is_telling
    assert found.ic.loc["1s", "low"] > 0.1
    assert re.fullmatch(
        r"imbalance leads the mid of A by (200ms|1s|5s): IC 0\.\d\d \(0\.\d\d to 0\.\d\d\), [\d.]+ "
        r"bp top to bottom decile: [\d.]+ bp a trade, (more|less) than the spread of [\d.]+ bp\.",
        repr(found),
    )
    assert found.half_life > 0.2 or math.isnan(found.half_life)
    assert found.stability["same_sign"].all()


@pytest.mark.parametrize(("share", "told"), [(0.9, "more"), (1.1, "less"), (1.9, "less")])
def test_the_sentence_compares_with_the_spread_as_the_table_does(books, share, told):
    """Top less bottom is earned by two trades, each of which pays the spread."""
    found = md.study(md.imbalance, books, tuple(SPANS))
    found.spread_bp = share * found.break_even.loc[found.best, "edge_bp"]
    del found.break_even
    assert f"a trade, {told} than the spread" in found.sentence
    assert (found.break_even.loc[found.best, "net_bp"] > 0) == (told == "more")


def test_the_picture_of_one_stretch_of_time_names_its_moment(books):
    found = md.study(md.imbalance, books.iloc[:200], ("200ms",))
    figure = found.plot()
    figure.canvas.draw()
    axes = figure.get_axes()[3]
    assert len(axes.lines[-1].get_xdata()) == 1
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert len(names) == 1
    assert re.fullmatch(r"\d\d:\d\d:\d\d", names[0])


def test_half_life_lies_where_the_ic_has_halved():
    books = leading(12_000, 3)
    found = md.study(md.imbalance, books, ("200ms", "1s", "5s", "20s", "60s"))
    values = found.ic["ic"].abs()
    after = values[values.idxmax() :]
    half = values.max() / 2
    below = [pd.Timedelta(h).total_seconds() for h, v in after.items() if v <= half]
    above = [pd.Timedelta(h).total_seconds() for h, v in after.items() if v > half]
    assert below
    assert above[-1] < found.half_life <= below[0]


@pytest.mark.outer
@pytest.mark.parametrize("persistence", [0.0, 0.9], ids=["white", "persistent"])
def test_a_placebo_s_band_holds_zero_in_about_95_of_100_seeds(persistence):
    holds = dict.fromkeys(SPANS, 0)
    telling = 0
    for seed in range(100):
        books = PLACEBO_BOOKS[seed % len(PLACEBO_BOOKS)]()
        found = md.study(noise(books, seed, persistence), books, tuple(SPANS), resamples=200)
        for horizon, row in found.ic.iterrows():
            holds[horizon] += row["low"] <= 0.0 <= row["high"]
        telling += found.is_telling
    for horizon, count in holds.items():
        assert 88 <= count <= 100, f"{count} of 100 at {horizon}"
    assert telling <= 12


_made = {}


def _placebo(seed):
    if seed not in _made:
        _made[seed] = leading(3000, seed, gaps=(1200,))
    return _made[seed]


PLACEBO_BOOKS = [lambda s=s: _placebo(s) for s in range(4)]


def test_a_measure_of_what_nothing_follows_tells_nothing():
    books = leading(4000, 9, strength=0.0)
    found = md.study(noise(books, 1), books, tuple(SPANS))
    assert not found.is_telling
    assert "tells nothing of the mid of A" in repr(found)
    assert math.isnan(found.half_life)


def test_a_horizon_without_events_leaves_the_types_of_the_others(books):
    found = md.study(md.imbalance, books, ("1s", "100h"))
    assert found.ic["events"].tolist()[1] == 0
    kinds = {dtype.kind for dtype in found.quantiles.dtypes}
    assert kinds <= {"i", "f"}
    assert found.quantiles.index.unique("horizon").tolist() == ["1s"]


def test_acting_later_earns_what_is_left(books):
    late = md.study(md.imbalance, books, "1s", delay_ms=300)
    times = books.index.as_unit("ns").asi8
    gaps = books["gap"].to_numpy().cumsum()
    mids = books["mid"].to_numpy()
    for i in (10, 1500, 1999, 2000, 4400, 5900):

        def price(t, i=i):
            row = np.searchsorted(times, t, side="right") - 1
            end = times[gaps == gaps[i]][-1]
            return mids[row] if gaps[row] == gaps[i] and t <= end else np.nan

        start, end = price(times[i] + 300_000_000), price(times[i] + 1_300_000_000)
        np.testing.assert_allclose(late.moves[i, 0], (end / start - 1) * 1e4, rtol=1e-9)


@pytest.mark.outer
def test_several_measures_are_compared(books, tmp_path):
    made = md.study(
        {"imbalance": md.imbalance, "noise": noise(books, 3), "OFI": md.OFI(2, "1s")}, books,
        tuple(SPANS),
    )  # fmt: skip
    assert made.table.index[0] in ("imbalance", "OFI")
    assert made.table.index[-1] == "noise"
    assert not made.table.loc["noise", "is_telling"]
    assert made["imbalance"].ic.equals(md.study(md.imbalance, books, tuple(SPANS)).ic)
    assert made.ic.loc["noise", "1s"] == made["noise"].ic.loc["1s", "ic"]
    assert repr(made).endswith("the most of 3 measures.")
    assert made.save(tmp_path / "several.html").read_text().count("<table") == 2
    assert list(md.study([md.imbalance, md.mid], books, "1s").studies) == ["imbalance", "mid"]


@pytest.mark.outer
def test_pages_and_pictures(found, tmp_path):
    page = found.save(tmp_path / "study.html").read_text()
    assert "data:image/png" in page
    assert "imbalance leads the mid of A" in page
    assert found.save(tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")
    assert "<b>imbalance leads" in found._repr_html_()
    with pytest.raises(md.MdkitError, match=r"\.png or \.html"):
        found.save(tmp_path / "study.txt")


def test_a_measure_of_few_values_has_few_bins(books):
    signs = np.sign(md.imbalance(books)).rename("sign")
    table = md.study(signs, books, "1s").quantiles.loc["1s"]
    assert len(table) == 2
    assert table["events"].sum() == md.study(signs, books, "1s").ic.loc["1s", "events"]


@pytest.mark.parametrize("usual", [1.0, -1.0])
def test_a_measure_that_nearly_always_says_the_same_has_two_bins(books, usual):
    rare = np.arange(len(books)) % 20 == 0
    values = pd.Series(np.where(rare, -usual, usual), books.index, name="rare")
    found = md.study(values, books, "1s")
    moved = md.forward(books, "1s")["1s"]
    means = moved.groupby(values.to_numpy()).mean()
    np.testing.assert_allclose(found.quantiles.loc["1s", "move_bp"], means)
    assert found.decay.loc["1s", "top_bottom_bp"] == pytest.approx(means[1.0] - means[-1.0])
    assert len(md.next_move(books, values * 2).table) == 2


def test_what_never_changes_has_no_top_and_no_bottom():
    found = md.study(pd.Series(0.1, leading(300).index, name="one"), leading(300), "1s")
    assert math.isnan(found.decay.loc["1s", "top_bottom_bp"])
    assert math.isnan(found.ic.loc["1s", "ic"])


def test_half_life_begins_where_the_ic_is_told_from_zero(books):
    """Not at a far horizon of few blocks, whose IC is larger by chance."""
    found = md.study(md.imbalance, books, ("200ms", "1s", "5s", "20s"))
    assert found.is_telling
    far = found.ic.copy()
    far.loc["20s", "ic"] = 0.9 * far["ic"].max()
    found.__dict__["ic"] = far  # as it may come out
    expected = found.half_life
    far.loc["20s", "ic"] = 1.0
    errors = found._limits
    errors[-1] = np.inf
    assert found.best != "20s"
    assert found.half_life == expected or (math.isnan(expected) and math.isnan(found.half_life))


def test_a_list_of_events_is_data_as_the_recording_that_they_are_of():
    events = list(md.read_recording(md.sample()))
    one = {"symbol": "AAPL.US"}
    for measure in (md.imbalance, md.strategies.pressure(enter=1.0), md.OFI()):
        ours, theirs = (md.study(measure, data, "1s", **one) for data in (events, md.sample()))
        assert ours.ic.equals(theirs.ic)
    ours, theirs = (md.profile(data, by="5s", **one).table for data in (events, md.sample()))
    assert ours.equals(theirs)
    with pytest.raises(md.MdkitError, match=r"several symbols: say which.*'AAPL\.US'"):
        md.study(md.imbalance, events)
    with pytest.raises(md.MdkitError, match="list is no data: give a recording"):
        md.study(md.imbalance, [*events, "another"])


def test_data_without_an_answer_say_so():
    books = leading(30)
    found = md.study(md.imbalance, books, "60s")
    assert "says nothing" in repr(found)
    found.plot()
    constant = md.study(pd.Series(1.0, books.index, name="one"), leading(300), "1s")
    assert "nothing" in repr(constant)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda b: md.study(5, b), "is no measure"),
        (lambda b: md.study({}, b), "no measure to study"),
        (lambda b: md.study([b["bid"].rename(None), b["ask"].rename(None)], b), "two measures"),
        (lambda b: md.study(md.imbalance, 5), "is no data"),
        (lambda b: md.study(md.imbalance, {"books": b}), "no table of depth or trade"),
        (lambda b: md.study(md.imbalance, b, symbol="B"), "there is no 'B'"),
        (lambda b: md.study(md.imbalance, b, bins=1), "bins is 1"),
        (lambda b: md.study(md.imbalance, b, resamples=0), "resamples is 0"),
        (lambda b: md.study(md.imbalance, b, delay_ms=-1), "delay_ms is -1"),
        (lambda b: md.study(md.imbalance, b, delay_ms=1e300), "of a day"),
        (lambda b: md.study(md.imbalance, b, ("1s", "x")), "horizon is 'x'"),
        (lambda b: md.study(md.TradeImbalance(), b), "trade is needed"),
        (lambda b: md.study(md.strategies.SmaCross, b), "runs on bars"),
        (lambda b: md.study(lambda books: 1.0, b), "returns a float"),
        (
            lambda b: md.study(md.imbalance, b.assign(symbol=["A", "B"] * (len(b) // 2))),
            "say which",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(books, call, told):
    with pytest.raises(md.MdkitError, match=told):
        call(books)


# -- strategies, recordings, sessions --------------------------------------------------------------


@md.strategy("depth")
class Lean:
    decay: float = 0.9

    def start(self):
        self.value = 0.0

    def on_gap(self, gap):
        self.value = 0.0

    def __call__(self, book):
        self.value = self.decay * self.value + md.imbalance(book, 3)
        return self.value


def test_a_strategy_s_values_are_those_of_its_session(tmp_path):
    path = tmp_path / "market.jsonl.gz"
    session = md.live(
        ["AAPL.US", "MSFT.US"],
        source=md.Simulated(rate=400.0, count=3000, speed=0),
        channels=["depth", "trade"],
        strategies=[Lean],
        record=path,
        rows=10_000,
    )
    session.run_blocking()
    said = session.signals()
    own = said[said["symbol"] == "AAPL.US"]["value"].to_numpy()
    recorded = md.study(Lean, path, "100ms", symbol="AAPL.US")
    np.testing.assert_array_equal(recorded.points.values, own)
    held = md.study(Lean, session, "100ms", symbol="AAPL.US")
    np.testing.assert_array_equal(held.points.values, own)
    assert held.ic.equals(recorded.ic)
    tabled = md.study(Lean, session.frame("depth", "AAPL.US", levels=10), "100ms")
    np.testing.assert_array_equal(tabled.points.values, own)
    with pytest.raises(md.MdkitError, match="several symbols"):
        md.study(Lean, session)
    trades = md.study(md.TradeImbalance("100ms"), path, "100ms", symbol="AAPL.US")
    assert len(trades.points.values) == len(session.frame("trade", "AAPL.US"))


@pytest.mark.outer
def test_the_simulated_market_holds_what_its_docstring_says(tmp_path):
    path = tmp_path / "market.jsonl.gz"
    source = md.Simulated(rate=50.0, count=12_000, speed=0)
    session = md.live("AAPL.US", source=source, channels=["depth", "trade"], record=path)
    session.run_blocking()
    books = md.read_recording(path).frame("depth", "AAPL.US", levels=5)
    # Played as fast as it goes: by the exchange's clock it is what it is.
    books.index = pd.DatetimeIndex(books["exchange_time"])
    trades = md.read_recording(path).frame("trade", "AAPL.US")
    trades.index = pd.DatetimeIndex(trades["exchange_time"])
    sides = trades["side"].astype(object).map({"buy": 1.0, "sell": -1.0})
    measures = {
        "imbalance": md.imbalance,
        "noise": noise(books, 1),
        "number of trades": sides.rolling("500ms").mean(),
        "size of trades": md.TradeImbalance("500ms").over(trades),
    }
    found = md.study(measures, books, ("200ms", "1s"))
    assert found["imbalance"].is_telling
    assert found["number of trades"].ic.loc["1s", "low"] > 0.0
    assert found["size of trades"].ic.loc["1s", "ic"] < 0.0
    assert found["imbalance"].ic.loc["1s", "low"] > 0.1
    assert not found["noise"].is_telling


# -- the bootstrap's parts -------------------------------------------------------------------------


def test_few_blocks_have_no_band_and_some_a_wide_one():
    x = np.arange(10.0)
    sums = correlation_sums(x, x**2, np.zeros(10, int), 1)
    found = band(sums, correlation, 100, 0)
    assert found.value[0] == pytest.approx(np.corrcoef(x, x**2)[0, 1])
    assert np.isnan(found.low[0])
    # Student's t at 95 % for 2, 4 and 29 degrees of freedom.
    for blocks, t in ((3, 4.303), (5, 2.776), (30, 2.045)):
        exact = t / 1.95996 * math.sqrt(blocks / (blocks - 1))
        assert widening(blocks) == pytest.approx(exact, rel=0.12 if blocks < 5 else 0.01)


def test_what_rounding_leaves_of_a_constant_is_no_correlation():
    x, y = np.full(7, 0.1), np.array([0.3, 0.1, 0.2, 0.7, 0.5, 0.4, 0.6])
    sums = np.array([7.0, x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()])
    assert np.isnan(correlation(sums)).all()


def test_draws_in_parts_are_those_at_once(monkeypatch):
    sums = np.random.default_rng(1).normal(size=(50, 3))
    whole = drawn_sums(sums, 100, 4)
    monkeypatch.setattr("mdkit.research.tools.bootstrap._AT_ONCE", 50 * 7)
    np.testing.assert_allclose(drawn_sums(sums, 100, 4), whole, rtol=1e-12)


def test_a_band_of_a_mean_has_the_width_of_the_textbook():
    rng = np.random.default_rng(3)
    values = rng.normal(size=400)
    sums = np.stack([np.ones(400), values], axis=1)
    found = band(sums, ratios, 4000, 1)
    half = 1.966 * values.std(ddof=1) / 20
    assert found.high[0] - found.low[0] == pytest.approx(2 * half, rel=0.08)
    assert found.error[0] == pytest.approx(half / 1.966, rel=0.08)
