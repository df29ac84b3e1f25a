"""Tear sheets, benchmarks, and results in files."""

import datetime
import io
import json
import pickle
import zipfile
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from dateutil import tz

import mdkit as md
from mdkit.backtesting.engine import backtest
from mdkit.backtesting.report.saved import SavedStrategy
from mdkit.errors import SettingsError
from mdkit.strategies import SmaCross, strategy


@pytest.fixture
def bars(seeded_bars):
    return seeded_bars(400, 6, interval="1D", volatility=0.02)


@pytest.fixture
def result(bars):
    return backtest(SmaCross(fast=4, slow=12, short=True), bars, fee=0.001, engine="python")


def test_months_multiply_up_to_the_whole(result):
    table = result.tear_sheet().monthly
    months = table.drop(columns="year")
    assert np.prod(months.stack() + 1.0) - 1.0 == pytest.approx(result.stats["return"])
    assert np.prod(table["year"] + 1.0) - 1.0 == pytest.approx(result.stats["return"])
    equity = result.equity["equity"]
    second = equity[equity.index.month == 2].iloc[-1] / equity[equity.index.month == 1].iloc[-1]
    by_hand = equity["2024-02"].iloc[-1] / equity["2024-01"].iloc[-1] - 1.0
    year = int(equity.index[0].year)
    assert table.loc[year, "Feb"] == pytest.approx(by_hand if year == 2024 else second - 1.0)


def test_months_are_those_of_the_markets_own_clock(seeded_bars):
    bars = seeded_bars(24 * 70, 3, interval="1h")
    local = bars.set_axis(bars.index.tz_convert("Asia/Tokyo"))
    table = backtest(SmaCross(fast=4, slow=12), local, engine="python").tear_sheet().monthly
    equity = backtest(SmaCross(fast=4, slow=12), local, engine="python").equity["equity"]
    months = equity.tz_convert("Asia/Tokyo").groupby(lambda t: (t.year, t.month)).last()
    first = months.index[0]
    assert table.loc[first[0]].iloc[first[1] - 1] == pytest.approx(months.iloc[0] / 10_000.0 - 1.0)


def test_the_rolling_sharpe_ratio_is_that_of_its_returns(result):
    sheet = result.tear_sheet(window=50)
    returns = result.account.returns[100:150]
    expected = returns.mean() / returns.std(ddof=1) * np.sqrt(365.0)
    assert sheet.rolling_sharpe.iloc[149] == pytest.approx(expected)
    assert sheet.rolling_sharpe.iloc[:49].isna().all()
    with pytest.raises(SettingsError, match="window is 1;"):
        result.tear_sheet(window=1)


def test_drawdowns_are_the_deepest_stretches_below_a_high(result):
    table = result.tear_sheet().drawdowns
    fallen = result.equity["drawdown"]
    assert table["depth"].iloc[0] == fallen.min()
    assert table["bottom"].iloc[0] == fallen.idxmin()
    assert table["depth"].is_monotonic_increasing
    below = fallen < 0.0
    assert len(table) == min(5, int((below & ~below.shift(fill_value=False)).sum()))
    for _, row in table.iterrows():
        end = row["recovered"] if not pd.isna(row["recovered"]) else fallen.index[-1]
        within = fallen[(fallen.index > row["peak"]) & (fallen.index < end)]
        assert (within < 0.0).all()
        assert fallen[row["peak"]] == 0.0


@pytest.mark.outer
def test_the_sheet_is_a_picture_and_a_page(result, seeded_bars, tmp_path):
    sheet = result.tear_sheet()
    titles = {axes.get_title(loc="left") for axes in sheet.plot().axes}
    assert {"Equity", "Underwater", "Returns by month, %", "Returns of trades"} <= titles
    assert sheet.save(tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    page = sheet.save(tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "Deepest drawdowns" in page
    assert "Jan" in str(sheet)
    with pytest.raises(SettingsError, match="ends in"):
        sheet.save(tmp_path / "sheet.pdf")
    quiet = backtest(SmaCross, seeded_bars(5), engine="python").tear_sheet()
    assert len(quiet.plot().axes) == 5
    assert len(quiet.drawdowns) == 0
    untraded = backtest(SmaCross, seeded_bars(50), trade=False, engine="python")
    with pytest.raises(SettingsError, match="nothing was traded"):
        untraded.tear_sheet()


def test_a_benchmark_is_what_alpha_and_beta_are_against(bars):
    other = bars["close"] ** 0.5
    chosen = SmaCross(fast=4, slow=12)
    result = backtest(chosen, bars, benchmark=other.rename("ROOT"), engine="python")
    index = other.pct_change()
    index.iloc[0] = 0.0
    own = result.account.returns
    slope = np.cov(own, index, ddof=1)[0, 1] / np.var(index, ddof=1)
    active = own - index.to_numpy()
    assert result.stats["beta"] == pytest.approx(slope)
    assert result.stats["information_ratio"] == pytest.approx(
        active.mean() / active.std(ddof=1) * np.sqrt(365.0)
    )
    assert result.stats["benchmark"] == "ROOT"
    assert result.stats["benchmark_return"] == pytest.approx(other.iloc[-1] / other.iloc[0] - 1.0)
    held = backtest(chosen, bars, engine="python")
    assert result.stats["buy_and_hold"] == held.stats["buy_and_hold"]
    assert result.run.equity.tobytes() == held.run.equity.tobytes()
    labels = [line.get_label() for line in result.plot().axes[2].get_lines()]
    assert "ROOT" in labels


def test_a_benchmark_begins_at_the_last_price_before_the_bars(bars):
    prices = bars["close"]
    late = backtest(SmaCross, bars.iloc[100:], benchmark=prices, engine="python")
    assert late.stats["benchmark_return"] == pytest.approx(prices.iloc[-1] / prices.iloc[99] - 1.0)
    weekly = prices[prices.index.day_of_week == 0]
    coarse = backtest(SmaCross, bars.iloc[100:], benchmark=weekly, engine="python")
    before = weekly[weekly.index < bars.index[100]].iloc[-1]
    assert coarse.stats["benchmark_return"] == pytest.approx(weekly.iloc[-1] / before - 1.0)
    hours = pd.Series(range(1, 101 * 24 + 1), pd.date_range(bars.index[0], periods=2424, freq="1h"))
    fine = backtest(SmaCross, bars.iloc[:101], benchmark=hours, engine="python")
    assert fine.benchmark.values[-1] * hours.iloc[23] == pytest.approx(2424.0), "to a bar's end"


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("other", [None, "UTC", "America/New_York", "Asia/Tokyo"])
def test_days_are_compared_with_days_in_whatever_zone_they_are_written(bars, zone, other):
    local = bars.set_axis(bars.index.tz_localize(None).tz_localize(zone))
    prices = bars["close"].set_axis(bars.index.tz_localize(None).tz_localize(other))
    held = pd.Series([1.0], local.index[:1])
    result = backtest(signals=held, bars=local, benchmark=prices, engine="python")
    returns = bars["close"].pct_change().to_numpy()[2:]
    assert result.account.benchmark_returns[2:] == pytest.approx(returns)
    assert result.account.returns[2:] == pytest.approx(returns)


def test_a_symbol_may_be_the_benchmark(seeded_bars):
    two = {"A": seeded_bars(60), "B": seeded_bars(60, 2)}
    result = backtest(SmaCross(fast=3, slow=8), two, benchmark="B", engine="python")
    close = two["B"]["close"]
    assert result.stats["benchmark_return"] == pytest.approx(close.iloc[-1] / close.iloc[0] - 1.0)


def test_a_symbol_that_begins_at_zero_is_no_benchmark(bars):
    spread = bars - bars["open"].iloc[0]
    spread["close"] -= spread["close"].iloc[0]
    spread["high"], spread["low"] = spread.max(axis=1), spread.min(axis=1)
    with pytest.raises(SettingsError, match="begins at 0, of which"):
        backtest(
            SmaCross, spread.assign(volume=1.0), benchmark="asset", engine="python",
            allow_nonpositive=True,
        )  # fmt: skip


def test_what_is_no_benchmark_is_refused(bars):
    close = bars["close"]
    for wrong, why in (
        ("B", "there is no 'B'"), (3, "give a symbol of the bars"), (close.iloc[200:], "begins at"),
        (close.iloc[:200], "ends at"), (close * -1.0, "above zero"), (close[::-1], "not in order"),
        (bars[["open"]], "without a column close"), (close.astype(str), "give numbers"),
        (close > 1.0, "is of bool"), (close * 1j, "of complex"), (close.iloc[:0], "no prices"),
    ):  # fmt: skip
        with pytest.raises(SettingsError, match=why):
            backtest(SmaCross, bars, benchmark=wrong, engine="python")


@strategy("bar")
class Orders:
    wide: float = 0.01

    def __call__(self, bar):
        return md.OCO(
            md.Stop(bar.close * (1 + self.wide), exposure=1.0),
            md.Limit(bar.close * (1 - 2 * self.wide), 1.0),
        )


def saved(seeded_bars, tmp_path):
    day = seeded_bars(120, 6, interval="1D", volatility=0.02)
    times = pd.date_range(day.index[0], periods=200, freq="8h")
    everything = backtest(
        Orders(wide=0.02), {"A": day, "B": day.iloc[10:] * 2.0}, fee=md.Fees(0.0001, 0.0004),
        stop_loss=md.ATRStop(2), trailing_stop=0.1, margin=md.Margin(0.5, 0.25),
        financing=md.Financing({"A": 0.03}, 0.05, pd.Series(0.0001, times)), benchmark=day["close"],
        weights={"A": 0.7, "B": 0.7}, engine="python",
    )  # fmt: skip
    plain = backtest(
        SmaCross(fast=4, slow=12), day.set_axis(day.index.tz_convert("America/New_York")),
        size=md.VolatilityTarget(0.2), engine="python",
    )  # fmt: skip
    two = {"A": day, "../B": day.iloc[:50]}
    signals = pd.DataFrame({"A": [1.0], "../B": [-1.0]}, day.index[[3]])
    india = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    return {
        "everything": everything,
        "plain": plain,
        "signals of two, one delisted": backtest(
            signals=signals, bars=two, engine="python", benchmark="../B",
            periods_per_year=np.int64(252), fee=Fraction(1, 1000), cash=np.float32(1000.0),
        ),
        "nothing traded, parameters of all kinds": backtest(
            Odd(), day.set_axis(day.index.tz_convert(india)), trade=False, engine="python"
        ),
    }  # fmt: skip


@strategy("bar")
class Odd:
    lags: tuple = (1, 2)
    size: object = np.int64(3)
    name: str = "ü"

    def __call__(self, bar):
        return 1.0


@pytest.mark.parametrize(
    "which",
    [
        "everything",
        "plain",
        "signals of two, one delisted",
        "nothing traded, parameters of all kinds",
    ],
)
def test_a_result_is_read_as_it_was_written(seeded_bars, tmp_path, which):
    result = saved(seeded_bars, tmp_path)[which]
    path = result.save(tmp_path / "run.npz")
    again = md.read_result(path)
    pd.testing.assert_series_equal(again.stats, result.stats)
    for name in ("trades", "fills", "equity", "signals"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(result, name), check_freq=False)
    if which == "everything":
        pd.testing.assert_frame_equal(again.orders, result.orders)
        pd.testing.assert_series_equal(again.financing, result.financing, check_freq=False)
    assert again.notes == result.notes
    assert (repr(again), str(again)) == (repr(result), str(result))
    if result.terms.trade:
        assert again.tear_sheet().monthly.equals(result.tear_sheet().monthly)
    assert isinstance(again.strategy, SavedStrategy)
    with pytest.raises(SettingsError, match="holds no code"):
        again.strategy.instance()
    twice = again.save(tmp_path / "again.npz")
    assert md.read_result(twice).run.equity.tobytes() == result.run.equity.tobytes()


def test_a_zone_without_a_name_is_written_as_its_distance_or_refused(seeded_bars, tmp_path):
    bars = seeded_bars(60, interval="1D")
    named = datetime.timezone(datetime.timedelta(hours=9), "KST")
    result = backtest(SmaCross, bars.set_axis(bars.index.tz_convert(named)), engine="python")
    again = md.read_result(result.save(tmp_path / "zone.npz"))
    assert again.panel.calendar.ends.tolist() == result.panel.calendar.ends.tolist()
    nameless = tz.gettz("Europe/Berlin")
    result = backtest(SmaCross, bars.set_axis(bars.index.tz_convert(nameless)), engine="python")
    with pytest.raises(SettingsError, match="has no name to be written down"):
        result.save(tmp_path / "zone.npz")


def test_a_saved_result_is_as_open_to_others_as_other_files(result, tmp_path):
    (tmp_path / "file").touch()
    mode = result.save(tmp_path / "run.npz").stat().st_mode
    assert mode == (tmp_path / "file").stat().st_mode
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "run.npz"]


def test_a_result_of_books_is_read_as_it_was_written(tmp_path):
    books = [
        md.Depth("A", ((99.0 + n % 3, 5.0),), ((100.0 + n % 3, 2.0),), 0, 10**9 * (n + 1))
        for n in range(50)
    ]

    @strategy("depth")
    def lean(book):
        return 1.0 if book.bids[0][0] < 100.0 else -0.5

    result = backtest(lean, books, engine="python", contracts={"A": md.Contract(2.0)})
    again = md.read_result(result.save(tmp_path / "books.npz"))
    pd.testing.assert_series_equal(again.stats, result.stats)
    pd.testing.assert_frame_equal(again.orders, result.orders)
    pd.testing.assert_frame_equal(again.fills, result.fills)
    with pytest.raises(SettingsError):
        again.capacity()


class Evil:
    def __reduce__(self):
        return (print, ("unpickled",))


def changed(path, name, data):
    """Write the file again with one member replaced."""
    with zipfile.ZipFile(path) as file:
        members = {each: file.read(each) for each in file.namelist()}
    members[f"{name}.npy"] = data
    with zipfile.ZipFile(path, "w") as file:
        for each, bytes_ in members.items():
            file.writestr(each, bytes_)
    return path


def as_npy(array):
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


@pytest.mark.outer
def test_a_file_that_would_fill_the_memory_is_refused_unread(result, tmp_path):
    path = result.save(tmp_path / "run.npz")
    header = io.BytesIO()
    about = {"descr": "<f8", "fortran_order": False, "shape": (10**13,)}
    np.lib.format.write_array_header_1_0(header, about)
    with pytest.raises(SettingsError, match="no saved result, or damaged"):
        md.read_result(changed(path, "equity", header.getvalue()))
    result.save(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file, file.open("more", "w") as more:
        for _ in range(2**9):
            more.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    with pytest.raises(SettingsError, match="that unpack to 53"):
        md.read_result(path)


def test_orders_of_a_file_are_of_bars_and_symbols_that_there_are(seeded_bars, tmp_path):
    result = saved(seeded_bars, tmp_path)["everything"]
    path = tmp_path / "run.npz"
    for name in ("due", "sent", "symbol", "slot", "kind", "name", "pair", "life"):
        column = getattr(result.run.bars.answers, name) + 10**6
        with pytest.raises(SettingsError, match=f"orders: {name} that there are not"):
            md.read_result(changed(result.save(path), f"answers {name}", as_npy(column)))
    with pytest.raises(SettingsError, match="orders: states that there are not"):
        md.read_result(
            changed(result.save(path), "bars states", as_npy(result.run.bars.states - 7))
        )


def test_a_file_from_a_stranger_runs_nothing_and_a_damaged_one_is_refused(result, tmp_path, capsys):
    path = tmp_path / "run.npz"
    evil = as_npy(np.array([Evil()], object))
    assert b"print" in evil
    with pytest.raises(SettingsError, match="no saved result"):
        md.read_result(changed(result.save(path), "equity", evil))
    assert "unpickled" not in capsys.readouterr().out
    for name, array in (
        ("equity", np.zeros(3)), ("fills", np.zeros((2, 5))), ("index", np.zeros(400)),
        ("fills", np.full((1, 6), 1e9)), ("told", np.frombuffer(b"{", np.uint8)),
        ("told", np.frombuffer(b"[]", np.uint8)), ("told", np.frombuffer(b"[" * 10**5, np.uint8)),
        ("fills", result.run.fills[::-1]), ("fills", result.run.fills + np.eye(6)[5] * 9),
        ("fills", result.run.fills + 0.5), ("fills", result.run.fills * np.nan),
        ("index", result.panel.starts[::-1]), ("index", np.full(400, np.iinfo(np.int64).min)),
        ("index", result.panel.starts + 1), ("start_ns 0", result.panel.starts * 0),
    ):  # fmt: skip
        with pytest.raises(SettingsError, match="no saved result, or damaged"):
            md.read_result(changed(result.save(path), name, as_npy(array)))
    for change in ({"zone": "dateutil//dev/null"}, {"zone": "tzlocal()"}, {"symbols": "A"}):
        told = json.loads(np.load(result.save(path))["told"].tobytes()) | change
        text = np.frombuffer(json.dumps(told).encode(), np.uint8)
        with pytest.raises(SettingsError, match="no saved result, or damaged"):
            md.read_result(changed(path, "told", as_npy(text)))
    told = json.dumps({"format": "mdkit result", "version": 99}).encode()
    with pytest.raises(SettingsError, match="version 99"):
        md.read_result(changed(result.save(path), "told", as_npy(np.frombuffer(told, np.uint8))))
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Evil()))
    for name in ("text.npz", "pickle.npz"):
        with pytest.raises(SettingsError, match="no saved result"):
            md.read_result(tmp_path / name)
    with pytest.raises(SettingsError, match="there is no file"):
        md.read_result(tmp_path / "nothing.npz")
    whole = result.save(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SettingsError, match="no saved result"):
        md.read_result(path)
