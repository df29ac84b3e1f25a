"""The cache: right after crashes, damage and two writers; and never a reason to have no bars."""

import json
import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
from services import DAY, MINUTE, T0, Service, minutes

from mdkit.errors import SettingsError
from mdkit.history import cache as module
from mdkit.history.cache import CacheWarning, KlineCache, cache_folder, file_name
from mdkit.history.columns import Klines, to_frame, without
from mdkit.history.klines import Loader
from mdkit.history.locks import locked
from mdkit.history.paging import Pager

NOW = T0 + 400 * DAY


def bars(first, count, step=MINUTE):
    return Klines.of(minutes(T0 + first * step, count, step=step))


def stretch(first, count):
    return (T0 + first * MINUTE, T0 + (first + count) * MINUTE)


@pytest.fixture
def series():
    return KlineCache().series("api.tickdb.ai/v1", "AAPL.US", "1m")


def test_what_was_stored_is_read_bit_for_bit_in_the_ranges_it_covers(series):
    series.store(bars(0, 100), [stretch(0, 100)])
    series.store(bars(150, 50), [stretch(150, 50)])
    month = series.read(*stretch(50, 150))
    assert month.covered == [stretch(50, 50), stretch(150, 50)]
    both = bars(50, 50).merged(bars(150, 50))
    assert month.klines.starts.tolist() == both.starts.tolist()
    assert np.array_equal(month.klines.figures, both.figures, equal_nan=True)


def test_months_are_files_and_empty_stretches_are_known(series):
    end = T0 + 100 * DAY
    klines = bars(0, 100, step=DAY // 2)
    series.store(klines, [(T0 - 40 * DAY, end)])
    names = sorted(path.name for path in series.folder.glob("*.parquet"))
    assert names == [
        f"{month}.parquet"
        for month in ("2024-11", "2024-12", "2025-01", "2025-02", "2025-03", "2025-04")
    ]
    month = series.read(T0 - 90 * DAY, end)
    assert month.covered == [(T0 - 40 * DAY, end)]
    assert month.klines.bars == 100


def test_bars_outside_of_what_is_covered_are_not_kept(series):
    series.store(bars(0, 100), [stretch(10, 20)])
    assert series.read(T0, NOW).klines.bars == 20


def test_a_file_says_what_it_is_about_in_plain_parquet(series):
    import pandas as pd
    import pyarrow.parquet as pq

    series.store(bars(0, 3), [stretch(0, 3)])
    path = next(series.folder.glob("*.parquet"))
    meta = json.loads(pq.read_schema(path).metadata[b"mdkit"])
    assert meta["symbol"] == "AAPL.US"
    assert meta["covered"] == [list(stretch(0, 3))]
    frame = pd.read_parquet(path)
    assert frame["time"].iloc[0] == pd.Timestamp("2025-01-01", tz="UTC")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body[: len(body) // 2],
        lambda body: b"",
        lambda body: b"x" * len(body),
        lambda body: body[:-20] + bytes(20),
        lambda body: body[:300] + bytes([body[300] ^ 1]) + body[301:],  # one bit, in the data
    ],
    ids=["cut", "empty", "other", "tail", "bit"],
)
def test_a_damaged_file_is_set_aside_and_fetched_again(series, spoil):
    service = Service(minutes(T0, 1000))
    start, end = stretch(0, 1000)
    load = Loader(Pager(service, NOW), "AAPL.US", "1m", series)
    before = load.between(start, end)
    path = next(series.folder.glob("*.parquet"))
    path.write_bytes(spoil(path.read_bytes()))
    service.asked.clear()
    with pytest.warns(CacheWarning, match=r"AAPL\.US 1m are damaged .* fetched again"):
        again = load.between(start, end)
    assert service.asked
    assert np.array_equal(before.figures, again.figures, equal_nan=True)
    assert path.with_name(path.name + ".damaged").exists()
    service.asked.clear()
    assert load.between(start, end).bars == 1000
    assert not service.asked


def test_a_file_about_something_else_is_not_believed(series):
    other = KlineCache().series("api.tickdb.ai/v1", "MSFT.US", "1m")
    other.store(bars(0, 10), [stretch(0, 10)])
    series.folder.mkdir(parents=True)
    path = next(other.folder.glob("*.parquet"))
    (series.folder / path.name).write_bytes(path.read_bytes())
    with pytest.warns(CacheWarning, match="about something else"):
        assert series.read(T0, NOW).covered == []


WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from services import T0, MINUTE, minutes
from mdkit.history.cache import KlineCache
from mdkit.history.columns import Klines
series = KlineCache(sys.argv[2]).series("s", "A", "1m")
for i in range(int(sys.argv[3]), 10**9, 2):
    if i >= int(sys.argv[4]):
        break
    klines = Klines.of(minutes(T0 + i * 10 * MINUTE, 10))
    series.store(klines, [(T0 + i * 10 * MINUTE, T0 + (i + 1) * 10 * MINUTE)])
    print(i, flush=True)
"""


def writer(folder, first, last):
    here = os.path.dirname(__file__)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WRITER, here, str(folder), str(first), str(last)],
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.outer
def test_two_processes_lose_nothing_of_each_other(tmp_path):
    writers = [writer(tmp_path, first, 60) for first in (0, 1)]
    for process in writers:
        with process.stdout:
            process.stdout.read()
        assert process.wait(60) == 0
    month = KlineCache(tmp_path).series("s", "A", "1m").read(T0, NOW)
    assert month.covered == [stretch(0, 600)]
    assert month.klines.bars == 600


@pytest.mark.outer
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_after_kill_9_everything_that_was_stored_is_there_and_right(tmp_path):
    series = KlineCache(tmp_path).series("s", "A", "1m")
    reached = 0
    for turn in range(3):
        process = writer(tmp_path, reached, 10**6)
        with process.stdout:
            done = [int(process.stdout.readline()) for _ in range(5 + turn)]
            process.send_signal(signal.SIGKILL)
            done += [int(line) for line in process.stdout.read().split()]
        process.wait(30)
        reached = done[-1] + 2
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            month = series.read(T0, NOW)
        for i in range(0, done[-1] + 1, 2):
            assert not without(stretch(i * 10, 10), month.covered), i
            part = month.klines.between(*stretch(i * 10, 10))
            assert part.figures[0].tolist() == bars(i * 10, 10).figures[0].tolist()
    (series.folder / "dead.tmp").write_bytes(b"half a file")
    series.store(bars(0, 1), [stretch(0, 1)])
    assert not list(series.folder.glob("*.tmp"))


def test_a_lock_that_another_holds_is_a_warning_and_not_the_end(series, monkeypatch):
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.05)
    series.store(bars(0, 10), [stretch(0, 10)])
    service = Service(minutes(T0, 30))
    load = Loader(Pager(service, NOW), "AAPL.US", "1m", series)
    told = pytest.warns(CacheWarning, match="locked by another process")
    with locked(series.folder / "lock", 1.0), told:
        assert load.between(*stretch(0, 30)).bars == 30
    assert len(service.asked) == 1


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")
    series = KlineCache(tmp_path / "file").series("s", "A", "1m")
    load = Loader(Pager(Service(minutes(T0, 30)), NOW), "A", "1m", series)
    with pytest.warns(CacheWarning, match="this load goes without"):
        assert load.between(*stretch(0, 30)).bars == 30


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "../../x",
        "a/b",
        "a\\b",
        "CON",
        "con",
        "NUL.US",
        "A.",
        ".A",
        "A:B",
        "*",
        "%41",
        "A",
        "a",
        "700.HK",
        "日経",
        "a b",
        "C:\\x",
        "-",
        "1m",
        "1M",
    ],
)
def test_any_text_is_a_plain_file_name(name, tmp_path):
    made = file_name(name)
    assert made not in (".", "..")
    assert not set(made) & set('/\\:*?"<>| ')
    assert not made.endswith(".")
    assert (tmp_path / made).resolve().parent == tmp_path.resolve()
    (tmp_path / made).mkdir()


def test_names_differ_also_where_case_is_not_told_apart():
    names = ["A", "a", "%41", "1m", "1M", "AAPL.US", "aapl.us", "CON", "con", "A.", "A"]
    assert len({file_name(name).upper() for name in names}) == len(set(names))
    assert file_name("AAPL.US") == "AAPL.US"
    for name in ("", "x" * 200):
        with pytest.raises(SettingsError, match="empty or too long"):
            file_name(name)


def test_the_folder_is_the_users_unless_said_otherwise(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("MDKIT_CACHE")
    for platform, variable, value, expected in [
        ("linux", "XDG_CACHE_HOME", str(tmp_path), tmp_path / "mdkit"),
        ("linux", "XDG_CACHE_HOME", "", tmp_path / ".cache" / "mdkit"),
        ("linux", "XDG_CACHE_HOME", "not/absolute", tmp_path / ".cache" / "mdkit"),
        ("darwin", "XDG_CACHE_HOME", "", tmp_path / "Library" / "Caches" / "mdkit"),
        ("win32", "LOCALAPPDATA", str(tmp_path), tmp_path / "mdkit" / "Cache"),
        ("win32", "LOCALAPPDATA", "", tmp_path / "AppData" / "Local" / "mdkit" / "Cache"),
    ]:
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setenv(variable, value)
        monkeypatch.setattr(module.Path, "home", lambda: tmp_path)
        assert cache_folder() == expected


def test_clearing(series):
    other = KlineCache().series("demo", "AAPL.US", "1m")
    for one in (series, other):
        one.store(bars(0, 10), [stretch(0, 10)])
    KlineCache().clear("api.tickdb.ai/v1", "AAPL.US")
    assert series.read(T0, NOW).klines.bars == 0
    assert other.read(T0, NOW).klines.bars == 10
    KlineCache().clear()
    assert other.read(T0, NOW).klines.bars == 0
    with pytest.raises(SettingsError):
        KlineCache().clear(symbol="A")


@pytest.mark.outer
def test_half_a_million_cached_bars_load_without_a_request(series):
    count = 500_000
    klines = bars(0, count)
    series.store(klines, [stretch(0, count)])
    service = Service([])
    load = Loader(Pager(service, T0 + 400 * DAY), "AAPL.US", "1m", series)
    frame = to_frame(load.between(*stretch(0, count)), "AAPL.US", "1m")
    assert len(frame) == count
    assert not service.asked
