"""What all tests share: a clean environment, and a check that nothing is left behind."""

import asyncio
import contextlib
import functools
import gc
import importlib.util
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import hypothesis
import numpy.testing  # noqa: F401 - where NumPy is old, this starts a process
import psutil
import pytest

hypothesis.settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

_OUTER_MODULE = re.compile(r"^pytestmark = .*pytest\.mark\.outer\b", re.MULTILINE)
_GROUP = re.compile(r"^pytestmark = .*pytest\.mark\.xdist_group\(\"([^\"]+)\"\)", re.MULTILINE)

SETTINGS = (
    "TICKDB_WS_URL",
    "TICKDB_REST_URL",
    "TICKDB_API_KEY",
    "MAX_QUEUE_DEPTH",
    "WORKER_COUNT",
    "RECONNECT_BASE_DELAY",
    "RECONNECT_MAX_DELAY",
    "HEARTBEAT_INTERVAL",
    "SUBSCRIBED_SYMBOLS",
    "SPILL_QUOTA_BYTES",
    "REST_CALLS_PER_MINUTE",
    "DASK_PLAIN_KEY",
)


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "leaves_tasks: the test ends its loop while tasks are pending, on purpose"
    )
    config.addinivalue_line(
        "markers", "starts_workers: worker processes are started as for users, not forked"
    )
    if config.option.skipped_to is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Skipped(config.option.skipped_to))
    _keep_bytecode(config)


def _keep_bytecode(config):
    """Keep bytecode in pytest's cache where PYTHONDONTWRITEBYTECODE wants none beside the source.

    Otherwise every worker rewrites the assertions of all modules anew, which takes it twice as
    long as to collect them, and every child process compiles mdkit.
    """
    if not sys.dont_write_bytecode:
        return
    with contextlib.suppress(OSError, AttributeError):  # without a cache of pytest's own
        sys.pycache_prefix = str(config.cache.mkdir("bytecode"))
        sys.dont_write_bytecode = False
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix  # for workers and child processes
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_addoption(parser):
    parser.addoption(
        "--skipped-to",
        metavar="FILE",
        type=Path,
        help="write which tests were skipped, so that `pytest @FILE` runs them",
    )


class _Skipped:
    """Writes the names of the tests, and of whole modules, that were skipped, a line each."""

    def __init__(self, path):
        self.path = path
        path.write_text("")

    def pytest_collectreport(self, report):
        self.pytest_runtest_logreport(report)

    def pytest_runtest_logreport(self, report):
        if report.skipped and not hasattr(report, "wasxfail"):
            with self.path.open("a") as file:
                file.write(f"{report.nodeid}\n")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """Run folders of tests in parallel, but not the browser's, nor single files, nor with --pdb.

    Tests wait more than they compute, so there are three workers a core; those of the inner tier
    only compute. `-n` says another number, `-n 0` none; without pytest-xdist there are none either.
    """
    option = config.option
    if not hasattr(option, "numprocesses") or "PYTEST_XDIST_WORKER" in os.environ:
        return
    if option.numprocesses is None and not (option.usepdb or option.collectonly):
        folders = any(Path(argument.split("::")[0]).is_dir() for argument in config.args)
        folders = folders and option.markexpr != "browser"
        each = 1 if option.markexpr == "inner" else 3
        option.numprocesses = each * (os.cpu_count() or 1) if folders else 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give the tests of a module with `xdist_group` in its `pytestmark` to one worker.

    xdist's own way, a name behind each test's, does nothing with pytest 9.2: it writes an
    attribute that pytest no longer reads.
    """
    if config.option.dist != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    @functools.cache
    def group(file):
        found = _GROUP.search((config.rootpath / file).read_text(encoding="utf-8"))
        return found and found[1]

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group(nodeid.partition("::")[0]) or nodeid

        def schedule(self):
            super().schedule()
            # A worker runs a test once it knows the next one: in place of one that died it has to
            # be given two, and not one.
            for node in self.nodes:
                self._reschedule(node)

        def mark_test_complete(self, node, item_index, duration=0):
            """Forget what is done: xdist counts again what is left of all that a worker ever had.

            With a name for each test that is seconds, since it does so for each.
            """
            test = self.registered_collections[node][item_index]
            workload = self.assigned_work[node]
            scope = self._split_scope(test)
            workload[scope][test] = True
            if all(workload[scope].values()):
                del workload[scope]
            self._reschedule(node)

        def remove_node(self, node):
            """Hand on what a worker that died had not begun, but for the test that it died of.

            xdist hands on what was done as well, of which others then wait for the next.
            """
            workload = self.assigned_work.pop(node)
            left = [(unit, test) for unit in workload.values() for test in unit if not unit[test]]
            if not left:
                return None
            unit, test = left[0]
            unit[test] = True
            for scope, unit in workload.items():
                if not all(unit.values()):
                    self.workqueue[scope] = unit
            for other in self.assigned_work:
                self._reschedule(other)
            return test

    return ByGroup(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Collect tests without the garbage collector, which finds nothing among what is imported."""
    gc.disable()
    try:
        with _compiling_once(session.config):
            return (yield)
    finally:
        gc.enable()


@contextlib.contextmanager
def _compiling_once(config):
    """Let one worker collect before the others where nothing is compiled yet.

    They all collect the same: each would compile all modules anew, side by side.
    """
    if not hasattr(config, "workerinput") or not hasattr(config, "cache"):
        yield
        return
    lock = filelock.FileLock(config.cache.mkdir("collecting") / "lock")
    with lock:
        if not _is_compiled(Path(__file__).with_name("test_import.py")):
            yield
            return
    yield


def _is_compiled(module):
    """Return whether a module of tests is compiled as pytest has it, with assertions rewritten."""
    compiled = Path(importlib.util.cache_from_source(str(module)))
    return any(compiled.parent.glob(f"{module.stem}.*-pytest-*.pyc"))


def pytest_ignore_collect(collection_path, config):
    """Pass over modules that are outer as a whole where only the inner tier is wanted.

    To import them all takes each worker a third as long as the tier itself.
    """
    if config.option.markexpr != "inner" or collection_path.suffix != ".py":
        return None
    return True if _OUTER_MODULE.search(collection_path.read_text(encoding="utf-8")) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        kinds = {mark.name for mark in item.iter_markers()}
        if not kinds & {"outer", "slow", "browser"}:
            item.add_marker(pytest.mark.inner)


@pytest.fixture(autouse=True, scope="module")
def collects_only_what_is_new():
    """Collections after tests pass over what was there before their module.

    With every library loaded that is some million objects, and half a second each time.
    """
    opening = sys.modules.get("mdkit.session.opening")
    for session in list(opening._sessions.values()) if opening is not None else ():
        if not session.running:
            opening.forget(session)
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def cache(request, tmp_path_factory):
    """Make a cache for this worker; the compiled code in it is that of all, and of earlier runs.

    The compiler takes ten seconds for an account. What it made is found by all that it depends
    on, mdkit's source among it, so that a test never runs what another source was compiled to.
    """
    folder = tmp_path_factory.mktemp("cache")
    with contextlib.suppress(OSError, AttributeError):  # without a cache of pytest's own
        kept = request.config.cache.mkdir("compiled")
        kept.chmod(0o700)
        folder.joinpath("compiled").symlink_to(kept)
    return folder


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, cache):
    """No test depends on what the machine's environment says about mdkit, nor on its cache."""
    monkeypatch.setenv("MDKIT_CACHE", str(cache))
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def inner_tests_open_nothing(request, monkeypatch):
    """Fail a test of the inner tier that connects, listens or starts a process."""
    if request.node.get_closest_marker("inner") is None:
        return

    def refuse(*_, **__):
        raise AssertionError("this opens a socket or starts a process: mark the test `outer`")

    for name in ("bind", "connect"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)


@pytest.fixture(scope="session")
def exchange_pool():
    """Exchange processes that wait for the next test."""
    pool = _beside("warm_exchanges").WarmExchanges()
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def worker_pool():
    """One process from which worker processes are forked."""
    pool = _beside("forked_workers").ForkedWorkers()
    yield pool
    pool.close()


def _beside(name):
    """Import a module of this folder, which is not on the path."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def warm_exchanges(request, monkeypatch):
    """Let exchanges run in processes that have served earlier tests of this worker."""
    if request.node.get_closest_marker("inner") is not None:
        return None
    pool = request.getfixturevalue("exchange_pool")
    monkeypatch.setattr("mdkit.exchange.process.start_apart", pool.start)
    return pool


@pytest.fixture(autouse=True)
def forked_workers(request, monkeypatch):
    """Let worker processes be forked where a test is not about how they start."""
    kinds = {mark.name for mark in request.node.iter_markers()}
    if kinds & {"inner", "starts_workers"}:
        return None
    pool = request.getfixturevalue("worker_pool")
    monkeypatch.setattr("mdkit.processes.process.start_apart", pool.start)
    return pool


@pytest.fixture(autouse=True)
def no_leftovers(request, monkeypatch, warm_exchanges, forked_workers):
    """Fail a test that leaves tasks, threads, sockets or child processes behind."""
    if request.node.get_closest_marker("browser") is not None:
        yield  # the browser and its threads outlive a test
        return
    this = psutil.Process()
    threads = set(threading.enumerate())
    sockets, children = _sockets(), _children(this)
    complaints, pending = [], []
    handler = _Complaints(complaints)
    logging.getLogger("asyncio").addHandler(handler)
    cancel_all_tasks = asyncio.runners._cancel_all_tasks

    def note_and_cancel(loop):
        pending.extend(repr(task) for task in asyncio.all_tasks(loop))
        cancel_all_tasks(loop)

    monkeypatch.setattr(asyncio.runners, "_cancel_all_tasks", note_and_cancel)
    began = time.monotonic()
    yield
    busy = time.monotonic() - began > 0.1 or set(threading.enumerate()) - threads
    gc.collect() if busy else gc.collect(0)
    logging.getLogger("asyncio").removeHandler(handler)

    def left_behind():
        left = [f"thread {thread.name}" for thread in set(threading.enumerate()) - threads]
        if opened := _sockets() - sockets:
            left += [f"socket {one}" for one in _connections(this, opened)]
        running = _children(this) - children
        if warm_exchanges is not None:
            running -= {child.pid for child in warm_exchanges.idle}
        if forked_workers is not None:
            if forked_workers.server is not None:
                running.discard(forked_workers.server.pid)
            running |= forked_workers.running()
        left += [f"process {pid}: {_command(pid)}" for pid in running]
        return left

    deadline = time.monotonic() + 20  # a busy machine takes its time to end what was told to
    while (left := left_behind()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left, f"left behind: {', '.join(left)}"
    assert not complaints, f"asyncio complained: {complaints}"
    if request.node.get_closest_marker("leaves_tasks") is None:
        assert not pending, f"asyncio.run had to cancel: {', '.join(pending)}"


class _Complaints(logging.Handler):
    """Collects what asyncio logs as an error: tasks destroyed, exceptions never retrieved."""

    def __init__(self, kept):
        super().__init__(logging.ERROR)
        self.kept = kept

    def emit(self, record):
        self.kept.append(record.getMessage())


def _sockets():
    """Return the file descriptors of this process that are sockets, each with the socket's name."""
    found = set()
    try:
        numbers = os.listdir("/proc/self/fd")
    except FileNotFoundError:  # another system
        return {(c.fd, (c.laddr, c.raddr)) for c in psutil.Process().net_connections("inet")}
    for number in numbers:
        with contextlib.suppress(OSError):  # closed since, as that of the list itself
            name = os.readlink(f"/proc/self/fd/{number}")
            if name.startswith("socket:"):
                found.add((int(number), name))
    return found


def _connections(process, opened):
    """Return those of the sockets that are of the network.

    The system is asked only for what was opened: it lists every connection of the machine, those
    of earlier tests as well that wait to be forgotten, and reading the list takes milliseconds.
    """
    numbers = {number for number, _ in opened}
    return [c for c in process.net_connections("inet") if c.fd in numbers]


def _children(process):
    """Return the ids of this process's children. psutil looks at every process there is."""
    tasks = Path("/proc/self/task")
    try:
        texts = [task.joinpath("children").read_text() for task in tasks.iterdir()]
    except FileNotFoundError:  # another system, or a thread that ended just now
        return {child.pid for child in process.children()}
    return {int(pid) for text in texts for pid in text.split()}


def _command(pid):
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return "gone by now"


_REST = 4
"""Times as long as a condition took to look at: a table is made for many, again and again."""


class _HandClock:
    """Stands in a module for `time`, whose clocks show `now`."""

    now = 100.0

    def perf_counter(self):
        return self.now

    monotonic = perf_counter


@pytest.fixture
def hand_clock():
    """A clock that a test moves by hand: `monkeypatch.setattr(module, "time", hand_clock)`."""
    return _HandClock()


@pytest.fixture
def wait_until():
    """`wait_until(condition)` polls until it holds and returns its value; for plain threads."""

    def wait(condition, timeout=180.0, what=""):
        deadline = (asked := time.monotonic()) + timeout
        while not (value := condition()):
            now = time.monotonic()
            assert now < deadline, f"waited {timeout} s in vain {what}"
            time.sleep(max(0.005, _REST * (now - asked)))
            asked = time.monotonic()
        return value

    return wait


@pytest.fixture
def until():
    """`await until(condition)` polls until it holds and returns its value; for coroutines."""

    async def wait(condition, timeout=180.0, what=""):
        deadline = (asked := time.monotonic()) + timeout
        while not (value := condition()):
            now = time.monotonic()
            assert now < deadline, f"waited {timeout} s in vain {what}"
            await asyncio.sleep(max(0.002, _REST * (now - asked)))
            asked = time.monotonic()
        return value

    return wait


@pytest.fixture
def exchange_process():
    """`exchange_process(...)` starts an `md.Exchange` in a process of its own."""
    import mdkit as md

    started = []

    def start(*args, **options):
        exchange = md.Exchange(*args, **options).start()
        started.append(exchange)
        return exchange

    yield start
    for exchange in started:
        exchange.stop()


@pytest.fixture
def list_source():
    """`list_source(batches)` is a Source that delivers batches of raw messages, then ends."""
    return ListSource


class ListSource:
    """Delivers batches of raw messages, one nanosecond apart, and ends (or waits for stop)."""

    name = "list"
    connected = True
    stale_for = 0.0

    def __init__(self, batches, symbols=(), *, ends=True):
        self.batches = batches
        self.symbols = tuple(symbols)
        self.ends = ends
        self.answers = []
        self.delivered = 0
        self._stopping = asyncio.Event()

    def clock_ns(self):
        return time.time_ns()

    async def run(self, sink):
        stamp = 1_700_000_000_000_000_000
        for batch in self.batches:
            if self._stopping.is_set():
                return
            stamped = []
            for raw in batch:
                stamp += 1
                stamped.append((raw, stamp))
            self.answers += await sink.deliver(stamped)
            self.delivered += len(batch)
            await asyncio.sleep(0)
        if not self.ends:
            await self._stopping.wait()

    def stop(self):
        self._stopping.set()


@pytest.fixture(scope="session")
def market():
    """The folder of real recordings beside the repository; tests skip where it is absent."""
    folder = Path(__file__).resolve().parent.parent.parent / "shared" / "market"
    if not folder.is_dir():
        pytest.skip("the real recordings (../shared/market) are not on this machine")
    return folder


@pytest.fixture
def depth_message():
    """`depth_message(symbol, n)` is the n-th book of a symbol; its best bid tells n."""

    def make(symbol, n=0, levels=3):
        bids = [[f"{100_000 + n - i}.0", f"{1 + i}.5"] for i in range(levels)]
        asks = [[f"{100_001 + n + i}.0", f"{2 + i}.25"] for i in range(levels)]
        text = str({"symbol": symbol, "bids": bids, "asks": asks, "timestamp": 1_700_000_000_000})
        return f'{{"cmd":"depth","data":{text}}}'.replace("'", '"').replace(" ", "").encode()

    return make
