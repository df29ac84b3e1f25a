"""Sessions on a Dask cluster of processes: the same as in one process, also when one is killed.

What needs a cluster runs in a process of its own, as this file's main program: clusters leave
threads behind for a while.
"""

import asyncio
import inspect
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import psutil
import pytest

import mdkit as md
from mdkit.errors import (
    AuthenticationError,
    MdkitError,
    SessionError,
    SettingsError,
    ShardWarning,
    StrategyError,
)
from mdkit.events import Signal
from mdkit.pipeline.explain import Diagnosis
from mdkit.pipeline.health import Health
from mdkit.queue.ledger import COLUMNS
from mdkit.session import opening
from mdkit.session.options import SessionOptions

pytestmark = pytest.mark.outer

SYMBOLS = ("AAPL.US", "MSFT.US", "GOOGL.US", "AMZN.US")
KEY = "open-sesame-4711"
BOOKS = 1200


@pytest.mark.parametrize("scenario", ["spread and failures", "losses"])
def test_on_a_cluster(scenario):
    pytest.importorskip("distributed", reason="needs distributed")
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__, scenario],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.split()[-1:] == ["fine"], done.stdout[-1000:] + done.stderr[-4000:]
    # Dask prints a failed task with its arguments.
    assert ("Compute Failed" in done.stderr) is ("failures" in scenario)
    assert KEY not in done.stdout + done.stderr


# -- scenarios, each in a process of its own -------------------------------------------------------


def spread(cluster, client):
    """A cluster gives what one session gives; everything can be looked at; nothing is left."""
    alone = _seeded(_exchange(), api_key=KEY, runner="thread").start()
    _wait(lambda: _books(alone) == BOOKS)
    alone.stop().result(20)
    exchange = _exchange()
    earlier = _seeded(_exchange(), api_key=KEY, runner="thread").start()
    heard = []
    session = _seeded(exchange, api_key=KEY, client=client)
    assert "not started" in repr(session)
    assert session.explain() == "Not started."
    session.on_signal(heard.append)
    assert session.start() is session.start()
    assert session.running
    _wait(lambda: _books(session) == BOOKS)
    assert not earlier.running  # it had the same name
    assert _plain(session.signals()).equals(_plain(alone.signals()))
    assert session.ledger().equals(alone.ledger())
    whole, part = session.frame("depth"), session.frame("depth", "AAPL.US", 5)
    for symbol in SYMBOLS:
        mine, theirs = whole[whole["symbol"] == symbol], alone.frame("depth", symbol)
        assert np.array_equal(mine["pressure"], theirs["pressure"])
    assert list(part.columns) == list(alone.frame("depth", "AAPL.US", 5).columns)
    assert np.array_equal(part["mid"], alone.frame("depth", "AAPL.US", 5)["mid"])
    assert session.book("MSFT.US").equals(alone.book("MSFT.US"))
    with pytest.raises(SettingsError, match=r"ticker is not subscribed to.*add it to md\.live"):
        session.frame("ticker")
    with pytest.raises(SettingsError, match=r"mean 'AAPL.US'.*Add it to md\.live"):
        session.book("AAPL")
    assert session.gaps().empty
    shards = session.shards()
    assert shards["worker"].nunique() == 2
    assert set(session.symbols) == set(SYMBOLS)
    health = session.health()
    assert (health.connected, health.state) == (True, "normal")
    assert session.explain().startswith("All is well")
    assert session.stats()["shards"] == dict(shards["worker"])
    assert session.memory()["tables"] > 0
    assert set(session.clocks().index) == set(SYMBOLS)
    assert list(session.metrics(2).columns) == list(alone.metrics(2).columns)
    assert session.plot().axes
    assert session.invalid().empty
    assert session.dead_letters().empty
    _order_flow_is_the_same(session, alone)
    _metrics_are_of_all_shards(session)
    diagnosis = session.diagnose()
    assert diagnosis in ("consumer_bound", "producer_bound", "balanced")
    assert "shard 0" in diagnosis.advice
    assert list(session.venues().columns) == list(alone.venues().columns)
    assert session.book("MSFT.US", levels=2).equals(alone.book("MSFT.US", levels=2))
    with tempfile.TemporaryDirectory() as folder:
        report = session.save(folder).read_text(encoding="utf-8")
        assert "overview.png" in report
        assert KEY not in report
        saved = pd.read_csv(f"{folder}/depth.csv")
        assert len(saved) == BOOKS
    session.pause()
    assert session.state == "paused"
    _wait(lambda: all("aused" in snapshot.explanation for snapshot in session._snapshots()))
    session.resume()
    tasks = client.run_on_scheduler(lambda dask_scheduler: repr(dict(dask_scheduler.tasks)))
    for shown in (repr(session), session._repr_html_(), repr(session._coordinator.config), tasks):
        assert KEY not in shown
    assert "mdkit-shard-" in tasks
    assert not any(symbol in tasks for symbol in SYMBOLS)
    before = {symbol: session.frame("trade", symbol) for symbol in SYMBOLS}
    receipt = session.stop().result(20)
    assert receipt is session.receipt
    assert (receipt.balanced, receipt.drained, receipt.connects) == (True, True, 2)
    assert receipt.signals == len(session.signals())
    assert [type(signal) for signal in heard] == [Signal] * receipt.signals
    assert "on 2 shards" in str(receipt)
    # It can still be looked at, though the shards are gone.
    assert all(session.frame("trade", symbol).equals(before[symbol]) for symbol in SYMBOLS)
    assert len(session.frame("trade")) == sum(map(len, before.values()))
    assert session.book("MSFT.US").equals(alone.book("MSFT.US"))
    assert len(session.frame("depth", "AAPL.US", 3)) == 3
    _order_flow_is_the_same(session, alone)
    _metrics_are_of_all_shards(session, up=0.0)
    assert session.diagnose().advice
    assert session.stats()["messages"] == receipt.totals
    assert not exchange.running
    _nothing_left(client)
    with pytest.raises(SessionError, match="has ended"):
        session.start()

    async def in_a_loop():
        async with _seeded(md.Exchange(SYMBOLS), client=client, shards=1) as one:
            await asyncio.to_thread(_wait, lambda: one._snapshots() and one.health().connected)
            return await one.run(0.1)

    receipt = asyncio.run(in_a_loop())
    assert (receipt.shards, receipt.connects) == (1, 1)
    assert _seeded(exchange, api_key=KEY, client=client).run_blocking(0.2).balanced
    assert _seeded(exchange, api_key=KEY, client=client).start().stop().result(20).losses == 0
    _nothing_left(client)


def _order_flow_is_the_same(session, alone):
    symbol, minute = "AAPL.US", {"seconds": None, "price_bins": 8}
    # Times of receipt, and so a heat map's rows, are each one's own.
    whole = md.book_heatmap(session.frame("depth", symbol, levels=10), **minute)
    assert len(whole)
    assert session.heatmap(symbol, **minute).equals(whole), "all levels count, not those shown"
    assert session.volume_profile(symbol).equals(alone.volume_profile(symbol))
    assert session.cvd(symbol)["cvd"].tolist() == alone.cvd(symbol)["cvd"].tolist()
    by_price = [
        one.footprint("1h", symbol).groupby("price")["delta"].sum() for one in (session, alone)
    ]
    assert by_price[0].equals(by_price[1])


def _metrics_are_of_all_shards(session, up=1.0):
    text_string_to_metric_families = pytest.importorskip(
        "prometheus_client.parser"
    ).text_string_to_metric_families
    families = {
        family.name: family for family in text_string_to_metric_families(session.prometheus())
    }
    ups = families["mdkit_session_up"].samples
    assert {(s.labels["shard"], s.labels["session"], s.value) for s in ups} == {
        ("0", session.name, up), ("1", session.name, up)
    }  # fmt: skip
    received = families["mdkit_messages_received"].samples
    assert {s.labels["symbol"] for s in received} >= set(SYMBOLS)
    total = sum(sample.value for sample in received)
    assert total == session.stats()["messages"]["received"]


def losses(cluster, client):
    """A killed and a frozen worker: their symbols move, the hole is told, stop stops all."""
    from mdkit.cluster import coordinator

    exchange = md.Exchange(SYMBOLS, scenario="busy").start()
    session = _seeded(exchange, client=client, name="losses").start()
    _wait(lambda: len(session._snapshots()) == 2 and session.health().connected)
    _wait(lambda: session.ledger()["received"].groupby("symbol").sum().min() > 100)
    seen, rows = session.ledger(), session.frame("depth")
    first = session._coordinator.handles[0]
    lost, symbols = first.worker, set(first.symbols)
    os.kill(_pid(cluster, lost), signal.SIGKILL)
    _wait(lambda: len(session.gaps()) == 4, what="for the gaps")
    gaps = session.gaps()
    assert set(zip(gaps["symbol"], gaps["channel"], strict=True)) == {
        (symbol, channel) for symbol in symbols for channel in ("depth", "trade")
    }
    assert gaps["reason"].str.startswith(f"worker lost: {lost}").all()
    assert (gaps["to"] > gaps["from"]).all()
    assert gaps["lost"].isna().all()
    assert first.worker != lost
    assert session.health().connected
    assert "1 moved" in session.explain()
    # What the lost shard was last seen to have done still counts; what its frames held is gone.
    _wait(lambda: (session.ledger()["received"] > seen["received"]).all())
    _balanced(session.ledger())
    assert "what its frames held is gone" in session.explain()
    frame = session.frame("depth")
    taken_over = frame[frame["symbol"].isin(symbols)]
    assert len(taken_over)
    assert (taken_over.index >= gaps["from"].max()).all()
    assert rows[rows["symbol"].isin(symbols)].index.max() < taken_over.index.min()
    for symbol, part in frame.groupby("symbol", observed=True):
        assert part["gap"].sum() == (symbol in symbols)
        assert part["gap"].iloc[0] == (symbol in symbols)
    moved = session.frame("depth", min(symbols))
    assert moved["gap"].sum() == 1
    assert (moved["gap"].idxmax() > gaps["from"]).all()

    # One that does not answer is given up as well.
    client.wait_for_workers(2)
    coordinator.LEASE_SECONDS = 1.0
    frozen = psutil.Process(_pid(cluster, first.worker))
    frozen.suspend()
    try:
        _wait(lambda: len(session._coordinator.losses) >= 2)
        coordinator.LEASE_SECONDS = 30.0
        with warnings.catch_warnings(action="ignore", category=ShardWarning):
            assert "has not answered" in session.stats()["losses"][1]
        _wait(
            lambda: (
                session.health().connected and all(p.actor for p in session._coordinator.handles)
            )
        )
    finally:
        frozen.kill()

    # Killed again and stopped before anybody could take over.
    os.kill(_pid(cluster, session._coordinator.handles[1].worker), signal.SIGKILL)
    receipt = session.stop().result(30)
    assert receipt.balanced
    assert receipt.losses >= 2
    assert "taken over" in str(receipt)
    assert receipt.gaps == len(session.gaps())
    _balanced(session.ledger())
    _wait(lambda: exchange.statistics()["connections"] == 0)
    assert exchange.running  # it was running before
    exchange.stop()
    _nothing_left(client)


def failures(cluster, client):
    """What cannot work is said at once, and what fails on a worker on the next call."""
    from distributed import Client

    @md.strategy("depth", per="session")
    def together(book):
        return 1.0

    @md.strategy("depth")
    def wrong(book):
        raise ValueError("so it is")

    for options, told in (
        ({"strategies": [together]}, "together must see all symbols together, but 2 shards"),
        ({"shards": 0}, "shards=0 is not usable"),
        ({"source": md.replay.__class__}, "is not a source"),
        ({"record": "x.jsonl"}, "record= cannot be had with client="),
    ):
        with pytest.raises(SettingsError, match=told):
            _seeded(**{"source": "demo", "client": client, **options})
    assert _seeded("demo", strategies=[together], client=client, shards=1).state == "not started"
    with pytest.raises(SessionError, match="before it started"):
        _seeded("demo", client=client).stop().result()

    session = _seeded(_exchange(), api_key="another", client=client).start()
    _wait(lambda: not session.running)
    with pytest.raises(AuthenticationError):
        session.ledger()
    assert session.state == "failed"
    assert session.explain().startswith("Stopped by AuthenticationError")
    assert len(session.ledger()) == 0
    with pytest.raises(AuthenticationError):
        session.stop().result()
    _nothing_left(client)

    source = md.Exchange(SYMBOLS, scenario="busy")
    failing = _seeded(source, strategies=[wrong], on_error="raise", client=client)
    with pytest.raises(StrategyError, match="so it is"):
        failing.run_blocking(20)
    letters = _seeded(source, strategies=[wrong], client=client).start()
    _wait(lambda: len(letters.dead_letters()) > 3)
    letters.stop().result(20)
    assert letters.dead_letters()["error"].str.contains("so it is").all()
    _balanced(letters.ledger())

    # A worker that cannot make its shard: Dask logs the task, which must not show the key.
    here = sys.modules["only_here"] = types.ModuleType("only_here")
    exec("import mdkit as md\n@md.strategy('depth')\ndef lonely(book): return 1.0", vars(here))
    session = _seeded(_exchange(), api_key=KEY, strategies=[here.lonely], client=client)
    with pytest.raises(SettingsError, match="cannot import 'only_here'"):
        session.run_blocking(20)
    _nothing_left(client)

    # A client that goes away takes the shards with it.
    other = Client(cluster)
    exchange = md.Exchange(SYMBOLS).start()
    session = _seeded(exchange, client=other).start()
    _wait(lambda: exchange.statistics()["connections"] == 2)
    other.close()
    _wait(lambda: not session.running)
    with pytest.raises(SessionError, match="client was closed before the session was stopped"):
        session.signals()
    _wait(lambda: exchange.statistics()["connections"] == 0)
    exchange.stop()
    _nothing_left(client)
    with pytest.raises(SettingsError, match="client= is closed"):
        _seeded("demo", client=other)


def _exchange():
    """A seeded market that waits, once the first has subscribed, until all have."""
    hold = md.Fault("stall", at=0.0, duration=1.0, params={"hold": True})
    start = "2025-01-02T15:00:00"
    return md.Exchange(SYMBOLS, start=start, rate=3000, count=BOOKS, faults=[hold], api_key=KEY)


def _seeded(source, **options):
    options = {"channels": ["depth", "trade"], "strategies": [md.strategies.pressure], **options}
    return md.live(SYMBOLS, source=source, **options)


def _books(session):
    return int(session.ledger().query("channel == 'depth'")["processed"].sum())


def _plain(signals):
    """Signals by symbol, in its order, without what differs from run to run."""
    rows = signals.sort_values("symbol", kind="stable").reset_index(drop=True)
    return rows[["symbol", "strategy", "value", "exchange_time"]]


def _balanced(ledger):
    assert (ledger["received"] == ledger[list(COLUMNS[1:])].sum(axis=1)).all()


def _pid(cluster, address):
    return next(w.process.pid for w in cluster.workers.values() if w.worker_address == address)


def _wait(condition, timeout=30.0, what=""):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout} s in vain {what}"
        time.sleep(0.02)


def _nothing_left(client):
    """No task on the scheduler; no thread, and no connection but Dask's own, on the workers."""
    _wait(lambda: not client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks)))

    def threads():
        import threading

        from mdkit.session import opening

        return [t.name for t in threading.enumerate() if "mdkit" in t.name] + list(
            opening._sessions
        )

    _wait(lambda: not any(client.run(threads).values()), what=f"for {client.run(threads)}")
    _wait(lambda: not [t for t in threading.enumerate() if "mdkit" in t.name])


def main(scenario):
    from distributed import Client, LocalCluster

    size = {"n_workers": 2, "threads_per_worker": 1}
    with LocalCluster(**size, dashboard_address=":0") as cluster, Client(cluster) as client:
        for name in scenario.split(" and "):
            globals()[name](cluster, client)
    print("fine")


# -- what needs no cluster -------------------------------------------------------------------------


def test_without_dask_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SettingsError, match="pip install dask distributed"):
        md.live(SYMBOLS, source="demo", client=object())


def test_a_client_is_checked():
    pytest.importorskip("distributed", reason="needs distributed")
    with pytest.raises(SettingsError, match=r"is not a dask\.distributed\.Client"):
        md.live(SYMBOLS, source="demo", client="tcp://127.0.0.1:8786")


@pytest.fixture
def shard(exchange_process):
    """A shard in this very process, as a worker would make it."""
    from mdkit.cluster.shard import Shard, ShardConfig
    from mdkit.processes.process import pickled

    exchange = exchange_process(SYMBOLS, scenario="busy")
    strategies = pickled([md.strategies.pressure])
    config = ShardConfig(SessionOptions(source=exchange.ws_url), strategies)
    made = Shard(config, SYMBOLS[:2], "a shard")
    yield made
    made.close()


def test_a_look_brings_what_the_last_one_did_not(shard, wait_until):
    first = wait_until(lambda: (snapshot := shard.snapshot(0, 0)).signals and snapshot)
    assert first.signals_from == 0
    assert first.signal_count == len(first.signals)
    later = wait_until(
        lambda: (snapshot := shard.snapshot(first.signal_count, 0)).signals and snapshot
    )
    assert later.signals_from == first.signal_count
    assert later.signals[0][0] >= first.signals[-1][0]
    for _, _, (received, *rest) in later.accounts:
        assert received == sum(rest)
    assert {symbol for symbol, *_ in later.accounts} == set(SYMBOLS[:2])
    shard.stop(5.0)
    ended = wait_until(lambda: (snapshot := shard.snapshot(0, 0)).receipt and snapshot)
    assert ended.receipt.drained
    assert set(shard.remains(5).books) == set(SYMBOLS[:2])
    assert all(len(table) <= 5 for table in shard.remains(5).frames.values())


def test_what_a_session_can_do_one_on_a_cluster_can_do_or_says_what_can():
    from mdkit.cluster import ClusterSession
    from mdkit.cluster.absent import ABSENT, AbsentError

    def public(kind):
        return {name for name in dir(kind) if not name.startswith("_")}

    whole = public(md.Session) - {"pipeline", "runner"}
    assert whole - public(ClusterSession) == set(ABSENT), (
        "give it there, or say in ABSENT what does"
    )
    assert public(ClusterSession) - whole == {"shards"}
    for name in whole - set(ABSENT):
        mine, theirs = getattr(ClusterSession, name), getattr(md.Session, name)
        if callable(theirs):
            assert inspect.signature(mine).parameters == inspect.signature(theirs).parameters, name
    session = object.__new__(ClusterSession)
    for name in ABSENT:
        with pytest.raises(AbsentError, match=rf"has no {name}: .{{30}}") as told:
            getattr(session, name)
        assert isinstance(told.value, SessionError)
        assert not hasattr(session, name)
        for named in re.findall(r"session\.(\w+)\(", str(told.value)):
            assert hasattr(ClusterSession, named), "the cure must be there"
    with pytest.raises(AttributeError, match="no attribute 'subscirbe'"):
        getattr(session, "subscirbe")  # noqa: B009 - mypy knows better


def test_the_advice_of_shards_names_them():
    from mdkit.cluster.merging import merged_diagnosis

    calm, busy = Diagnosis("balanced", "none helps"), Diagnosis("consumer_bound", "one core helps")
    both = merged_diagnosis([(0, calm), (1, pickle.loads(pickle.dumps(busy))), (2, calm)])
    assert both == "consumer_bound"
    assert both.advice == "shard 0, 2: none helps; shard 1: one core helps"
    assert merged_diagnosis([]) == "balanced"


def test_a_shard_that_nobody_looks_at_ends(request, wait_until, monkeypatch):
    monkeypatch.setattr("mdkit.cluster.shard.LEASE_SECONDS", 0.3)
    shard = request.getfixturevalue("shard")
    wait_until(lambda: shard._session.receipt)
    wait_until(lambda: "a shard" not in opening._sessions)


def test_the_worst_of_the_shards_is_the_health(shard, wait_until):
    from mdkit.cluster.merging import merged_health, merged_ledger

    wait_until(lambda: shard.snapshot(0, 0).accounts)
    snapshot = shard.snapshot(0, 0)
    calm = Health("normal", "producer_bound", 0.1, 100.0, 100.0, 0.2, 0.0, True)
    full = Health("critical", "consumer_bound", 0.99, 50.0, 20.0, 1.0, 0.3, True, 2.0)
    both = merged_health([replace(snapshot, health=calm), replace(snapshot, health=full)], 0)
    assert both == Health("critical", "consumer_bound", 0.99, 150.0, 120.0, 1.2, 0.3, True, 2.0)
    assert not merged_health([replace(snapshot, health=calm)], 1).connected
    assert not merged_health([], 0).connected
    twice = merged_ledger([snapshot, snapshot])
    assert twice.totals()["received"] == 2 * merged_ledger([snapshot]).totals()["received"]
    assert not twice.imbalance()


def test_a_worker_elsewhere_is_known_by_its_address():
    from mdkit.cluster.clients import is_here

    assert is_here("tcp://127.0.0.1:4000")
    assert is_here("inproc://10.0.0.5/4000/1")
    assert not is_here("tcp://192.0.2.1:4000")
    assert not is_here("tls://[2001:db8::1]:4000")


@pytest.mark.parametrize(
    ("error", "turns", "told"),
    [
        (RuntimeError("Worker holding Actor was lost"), 5, "lost its worker 5 times"),
        (TypeError("an older mdkit"), 1, "could not make its shard"),
        (ModuleNotFoundError("no", name="mdkit"), 1, "cannot import 'mdkit'"),
    ],
)
def test_what_ends_every_worker_does_not_go_through_the_whole_cluster(error, turns, told):
    from mdkit.cluster.coordinator import Coordinator
    from mdkit.cluster.shard import ShardConfig

    coordinator = Coordinator(_Fatal(error), ShardConfig(SessionOptions(source="ws://x"), b""))
    coordinator.begin(["A"], 1)
    for _ in range(turns - 1):
        coordinator.turn()
    with pytest.raises(MdkitError, match=told):
        coordinator.turn()
    coordinator.end(0.1)
    workers = {reason.split()[2] for reason in coordinator.losses}
    assert len(workers) == min(len(coordinator.losses), 2)  # it never stayed where it was lost
    assert len(coordinator.gaps) == bool(coordinator.losses)


class _Fatal:
    """A Dask client on whose workers every task fails."""

    status = "running"

    def __init__(self, error):
        self.error = error

    def nthreads(self):
        return {"tcp://a:1": 1, "tcp://b:1": 1}

    def submit(self, *args, **options):
        exception = lambda: self.error  # noqa: E731
        return types.SimpleNamespace(status="error", exception=exception, release=lambda: None)

    def cancel(self, futures, force):
        pass


class _Silent:
    """A shard on a worker that does not answer."""

    def frame(self, *args):
        return types.SimpleNamespace(done=lambda: False, result=lambda timeout: None)

    book = table = frame


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_shard_that_does_not_answer_is_absent_and_said_to_be(shard, wait_until, is_lost):
    """Neither a silent worker's frames nor a lost one's are served as they once were."""
    from mdkit.cluster import ClusterSession
    from mdkit.cluster import shards as together
    from mdkit.cluster.coordinator import Coordinator
    from mdkit.cluster.handle import ShardHandle
    from mdkit.cluster.shard import ShardConfig

    class Here(_Silent):
        """A shard that answers at once."""

        def frame(self, *args):
            table = shard.frame(*args)
            return types.SimpleNamespace(done=lambda: True, result=lambda timeout: table)

    snapshot = wait_until(lambda: (snapshot := shard.snapshot(0, 0)).signals and snapshot)
    coordinator = Coordinator(None, ShardConfig(SessionOptions(source="ws://x"), b""))
    coordinator.handles = [
        ShardHandle(0, tuple(SYMBOLS[:2]), "tcp://a:1", actor=Here(), snapshot=snapshot),
        ShardHandle(1, ("Z",), "tcp://b:1", actor=_Silent(), snapshot=snapshot),
    ]
    if is_lost:
        coordinator._lose(coordinator.handles[1], "its process ended")
    session = object.__new__(ClusterSession)
    session.__dict__.update(_failed=None, _coordinator=coordinator, _wanted=(*SYMBOLS[:2], "Z"))
    session._options = SessionOptions()
    said = "was lost, and no other has taken over" if is_lost else "does not answer"
    told = rf"Not all shards are in this: shard 1 \(Z\) on tcp://b:1 {said}; see shards"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together, "ASK_SECONDS", 0.2)
        with pytest.warns(ShardWarning, match=told):
            assert set(session.frame("depth")["symbol"]) <= set(SYMBOLS[:2])
        with pytest.warns(ShardWarning, match=told):
            assert session.frame("depth", "Z").empty
    assert len(session.frame("depth", SYMBOLS[0]))  # without a warning


def test_a_shard_that_takes_over_begins_with_a_gap(exchange_process, wait_until):
    from mdkit.cluster.shard import Shard, ShardConfig
    from mdkit.processes.process import pickled

    exchange = exchange_process(SYMBOLS, scenario="busy")
    options = SessionOptions(source=exchange.ws_url, channels=("depth", "trade"))
    config = ShardConfig(options, pickled([]))
    shard = Shard(config, SYMBOLS[:2], "a shard", True)
    try:
        for symbol in SYMBOLS[:2]:
            for channel in ("depth", "trade"):
                wait_until(lambda c=channel, s=symbol: len(shard.frame(c, s, None)) > 1)
                rows = shard.frame(channel, symbol, None)
                assert list(rows["gap"]) == [True] + [False] * (len(rows) - 1)
    finally:
        shard.close()


def test_tables_of_shards_are_put_together_by_time():
    from mdkit.cluster.merging import by_time, merged_metrics

    def table(*seconds, **columns):
        return pd.DataFrame(columns, pd.to_datetime(seconds, unit="s", utc=True))

    a = table(1, 4, symbol=["A", "A"], gap=[False, False])
    b = table(2, 3, symbol=["B", "A"], gap=[False, False])
    assert list(by_time([a, a.iloc[:0], b])["symbol"]) == ["A", "B", "A", "A"]
    assert by_time([a, b], 1).equals(a.iloc[1:])
    slow = table(1.01, 1.1, 1.3, queued=[10, 20, 5], lag_ms=[1, 1, 1])
    fast = table(1.05, queued=[7], lag_ms=[9])
    merged = merged_metrics([slow, fast])
    assert list(merged["queued"]) == [15 + 7, 5]
    assert list(merged["lag_ms"]) == [9, 1]


if __name__ == "__main__":
    main(sys.argv[1])
