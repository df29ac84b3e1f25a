import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from mdkit.charts.session import MAX_POINTS, busiest, overview, save_png

COLUMNS = ["queued", "spilled", "in_rate", "out_rate", "dropped", "lag_ms"]


def times(count, seconds=60):
    start = pd.Timestamp("2026-11-03 14:30", tz="UTC").value
    stamps = start + np.arange(count) * int(seconds * 1e9 / max(count - 1, 1))
    return pd.DatetimeIndex(stamps).tz_localize("UTC")


def metrics(queued):
    queued = np.asarray(queued, float)
    data = {name: np.zeros(queued.size) for name in COLUMNS}
    return pd.DataFrame({**data, "queued": queued, "in_rate": 5.0}, times(queued.size))


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def panels(figure):
    by_title = {axes.get_title(loc="left"): axes for axes in figure.axes}
    return by_title["Queue depth"], by_title["Order-book pressure"]


def test_it_draws_the_queue_and_a_line_for_every_symbol():
    ratios = pd.Series([1.0, 2.0, 0.5], times(3))
    figure = overview(metrics([1, 7, 3]), {"A": ratios, "B": ratios}, title="demo", maxsize=100)
    queue, books = panels(figure)
    assert list(lines(queue)["queued"].get_ydata()) == [1, 7, 3]
    assert list(lines(books)["A"].get_ydata()) == [1.0, 2.0, 0.5]
    assert "B" in lines(books)
    assert books.get_yscale() == "log"
    assert figure.get_suptitle() == "demo"
    low, high = books.get_ylim()
    assert low * high == pytest.approx(1)


def test_of_many_symbols_the_busiest_are_chosen_and_named():
    index = pd.MultiIndex.from_tuples(
        [(f"S{n}", channel) for n in range(100) for channel in ("depth", "trade")],
        names=["symbol", "channel"],
    )
    received = [n * 7 % 100 if channel == "depth" else 1000 for n, channel in enumerate_rows(index)]
    ledger = pd.DataFrame({"received": received}, index)
    shown, symbols = busiest(ledger)
    assert shown == [f"S{n}" for n in sorted(range(100), key=lambda n: -(n * 7 % 100))[:12]]
    assert symbols == 99  # S0 has had none
    ratios = pd.Series([1.0, 2.0, 0.5], times(3))
    drawn = overview(metrics([1]), dict.fromkeys(shown, ratios), symbols=symbols)
    _, books = panels(drawn)
    assert set(shown) <= set(lines(books))
    said = books.get_xlabel().replace("\n", " ")
    assert f"the 12 busiest of 99 symbols: {', '.join(shown)}" in said
    assert "time (UTC)" in said
    few = overview(metrics([1]), {"A": ratios}, symbols=1)
    assert "busiest" not in panels(few)[1].get_xlabel()


def enumerate_rows(index):
    return [(int(symbol[1:]), channel) for symbol, channel in index]


def test_names_that_are_long_are_cut_between_symbols():
    names = [f"A-VERY-LONG-SYMBOL-{n}.US" for n in range(12)]
    ratios = pd.Series([1.0, 2.0], times(2))
    _, books = panels(overview(metrics([1]), dict.fromkeys(names, ratios), symbols=500))
    assert max(map(len, books.get_xlabel().splitlines())) <= 110
    told = books.get_xlabel().replace("\n", " ").partition("symbols: ")[2]
    assert told.endswith(", ...")
    assert told.removesuffix(", ...").split(", ") == names[: told.count(", ")]


def test_ratios_without_a_logarithm_are_left_out():
    ratios = pd.Series([1.0, np.inf, np.nan, 0.0, 4.0], times(5))
    _, books = panels(overview(metrics([1]), {"A": ratios}, maxsize=100))
    assert list(lines(books)["A"].get_ydata()) == [1.0, 4.0]


@pytest.mark.parametrize(("peak", "marks"), [(40, 0), (96, 2)])
def test_the_marks_of_a_full_queue_appear_when_it_comes_near(peak, marks):
    figure = overview(metrics([0, peak]), {}, maxsize=100)
    queue, _ = panels(figure)
    texts = [text.get_text() for text in queue.texts]
    assert [text for text in texts if text.endswith("of 100")] == ["80% of 100", "95% of 100"][
        :marks
    ]
    shown = [text.get_text() for text in queue.get_legend().get_texts()]
    assert shown == ["queued", "in /s", "out /s"]


def test_spilling_is_shown_only_when_there_was_some():
    quiet, busy = metrics([1, 2]), metrics([1, 2])
    busy["spilled"] = [0.0, 9.0]
    assert "spilled to disk" not in lines(panels(overview(quiet, {}, maxsize=None))[0])
    assert "spilled to disk" in lines(panels(overview(busy, {}, maxsize=None))[0])


def test_many_points_are_thinned_and_the_peak_is_kept():
    queued = np.zeros(50_000)
    queued[31_234] = 77
    ratios = pd.Series(np.linspace(1, 2, 50_000), times(50_000))
    queue, books = panels(overview(metrics(queued), {"A": ratios}, maxsize=None))
    depth = lines(queue)["queued"].get_ydata()
    assert 0.9 * MAX_POINTS < len(depth) <= MAX_POINTS
    assert max(depth) == 77
    drawn = lines(books)["A"].get_ydata()
    assert len(drawn) <= MAX_POINTS
    assert all(np.diff(drawn) > 0)


def test_other_units_of_time_are_understood():
    frame = metrics(np.arange(5_000))
    frame.index = frame.index.as_unit("us")
    assert len(lines(panels(overview(frame, {}, maxsize=None))[0])["queued"].get_ydata()) > 500


@pytest.mark.parametrize("rows", [0, 1])
def test_a_session_that_just_began_can_be_drawn(rows, tmp_path):
    figure = overview(metrics([3] * rows), {}, title="new", maxsize=10)
    written = save_png(figure, tmp_path / "new.png")
    assert written.read_bytes().startswith(b"\x89PNG")
    assert "no order books yet" in [text.get_text() for text in panels(figure)[1].texts]


@pytest.mark.outer
def test_the_users_own_matplotlib_is_neither_followed_nor_touched(tmp_path):
    had_pyplot = "matplotlib.pyplot" in sys.modules
    data = metrics([1, 5, 2])
    plain = save_png(overview(data, {}, title="x", maxsize=6), tmp_path / "a.png").read_bytes()
    dark = {
        "axes.facecolor": "black",
        "figure.facecolor": "black",
        "text.color": "red",
        "axes.labelcolor": "red",
        "xtick.color": "red",
        "font.family": ["monospace"],
        "axes.grid": True,
        "lines.linewidth": 9,
        "axes.spines.top": False,
    }
    with mpl.rc_context(dark):
        before = mpl.rcParams.copy()
        styled = save_png(overview(data, {}, title="x", maxsize=6), tmp_path / "b.png")
        assert mpl.rcParams.copy() == before
    assert styled.read_bytes() == plain
    assert ("matplotlib.pyplot" in sys.modules) == had_pyplot
