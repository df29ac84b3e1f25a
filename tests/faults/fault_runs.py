"""Runs a session through a schedule of faults and says what did not hold.

The exchange lives in this process, so both ends of every connection are written down and
compared. Nothing is timed but hangs; how long a recovery took is said, and not judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from fault_plans import (
    BASE_DELAY,
    HEARTBEAT,
    MAX_DELAY,
    STALE_AFTER,
    SYMBOLS,
    Plan,
    make_plan,
)
from wire_log import WireLog, port_of

import mdkit as md
from mdkit.sources.websocket import WebSocketSource

CHANNELS = ("depth", "trade")
MEMORY_BYTES = 300 << 20
NOT_OURS = ["process", "worker_processes", "spill_on_disk"]
OTHER_GAPS = "dropped|silent|frozen|clock|not recorded|filled"
"""The reasons of gaps that are not lost connections."""


@dataclass
class Outcome:
    """What a schedule came to. `complaints` is empty when everything held."""

    seed: int
    plan: str
    complaints: list[str] = field(default_factory=list)
    messages: int = 0
    connects: int = 0
    gaps: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    recovery: float = 0.0
    memory: int = 0
    seconds: float = 0.0


class Witness:
    """A strategy that notes in which order it saw what, and fails now and then."""

    def __init__(self) -> None:
        self.seen: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
        self.calls = 0

    def see(self, event: Any) -> float:
        kind = "depth" if isinstance(event, md.Depth) else "trade"
        self.seen[event.symbol].append((kind, event.received_ns, event.exchange_ns))
        self.calls += 1
        if self.calls % 997 == 0:
            raise md.TransientError("try again")
        if self.calls % 501 == 0:
            raise ValueError("a strategy that fails now and then")
        return 1.0

    def complaints(self) -> Iterator[str]:
        for symbol, seen in self.seen.items():
            stamps = [received for _, received, _ in seen]
            for place, (one, other) in enumerate(itertools.pairwise(stamps)):
                if other < one:
                    yield f"{symbol}: event {place + 1} before its elders: {seen[place:][:2]}"


@md.strategy("depth", "trade")
def silent(event: Any) -> None:
    """For worker processes, whose memory is not ours."""


def run_seed(seed: int, seconds: float) -> Outcome:
    """Run the schedule of a seed in a folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="mdkit-faults-") as folder:
        return run_plan(make_plan(seed, seconds), Path(folder))


def run_plan(plan: Plan, folder: Path) -> Outcome:
    """Run one schedule in a loop of its own and return what came of it."""
    outcome = Outcome(plan.seed, str(plan))
    began = time.monotonic()
    process = psutil.Process()
    threads, sockets = set(threading.enumerate()), _sockets(process)
    files = {file.path for file in process.open_files()}
    children = {child.pid for child in process.children(recursive=True)}
    try:
        asyncio.run(_guarded(plan, folder, outcome))
    except Exception as error:
        outcome.complaints.append(f"{type(error).__name__}: {error}")
    outcome.complaints += _leftovers(process, threads, sockets, files, children)
    outcome.seconds = time.monotonic() - began
    return outcome


async def _guarded(plan: Plan, folder: Path, outcome: Outcome) -> None:
    limit = plan.seconds + 180
    work = asyncio.create_task(_run(plan, folder, outcome))
    done, _ = await asyncio.wait([work], timeout=limit)
    if not done:
        stacks = [f"{task.get_name()}: {task.get_stack(limit=1)}" for task in asyncio.all_tasks()]
        outcome.complaints.append(f"HANG after {limit:.0f} s: {stacks}")
        work.cancel()
        await asyncio.wait([work], timeout=10)
        return
    work.result()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        await asyncio.wait(left, timeout=2.5)  # the exchange's own close handshakes
    still = [task.get_name() for task in left if not task.done()]
    if still:
        outcome.complaints.append(f"tasks left: {still}")


async def _run(plan: Plan, folder: Path, outcome: Outcome) -> None:
    log, witness = WireLog(), Witness()
    with log.listening(), _names_unknown(plan):
        async with md.Exchange(
            SYMBOLS,
            process=False,
            seed=plan.seed,
            rate=plan.rate,
            faults=plan.faults,
            compression=plan.compression,
        ) as exchange:
            session = _session(plan, exchange, folder, witness)
            log.tap(session)
            session.start()
            delivery = exchange._server.market.delivery
            await asyncio.sleep(plan.seconds)
            await _until(lambda: not _faulty(delivery, plan), plan.seconds + 60, "faults to end")
            exchange.inject("drop")
            outcome.recovery = await _recovery(session)
            memory = session.memory()
            outcome.memory = int(
                memory.drop(["process", "worker_processes", "spill_on_disk"]).sum()
            )
            source = session.pipeline.source
            connection = source._connection
            last = connection and session._do(lambda: port_of(connection))
            receipt = await session.stop(timeout=30)
            outcome.faults = exchange.statistics()["faults"]
    outcome.messages = receipt.totals["received"]
    outcome.connects, outcome.gaps = receipt.connects, receipt.gaps
    outcome.complaints += log.complaints(last)
    outcome.complaints += witness.complaints()
    outcome.complaints += _ledger_complaints(session, receipt, log)
    outcome.complaints += _gap_complaints(session, source)
    if outcome.memory > MEMORY_BYTES:
        outcome.complaints.append(f"memory: {dict(memory)}")
    if plan.record:
        outcome.complaints += _recording_complaints(plan, folder, log)


def _session(plan: Plan, exchange: md.Exchange, folder: Path, witness: Witness) -> md.Session:
    url = exchange.ws_url if plan.dialect == "realtime" else exchange.flat_ws_url
    source = WebSocketSource(
        url.replace("127.0.0.1", "localhost") if plan.dns else url,
        CHANNELS,
        SYMBOLS,
        base_delay=BASE_DELAY,
        max_delay=MAX_DELAY,
        heartbeat=HEARTBEAT,
        stale_after=STALE_AFTER,
        connects_per_minute=100_000,
        compression=plan.compression,
    )
    overflow = plan.overflow
    see = md.strategy("depth", "trade")(lambda event: witness.see(event))
    return md.live(
        source=source,
        strategies=[silent if plan.worker_kind == "process" else see],
        workers=2,
        worker_kind=plan.worker_kind,
        maxsize=plan.maxsize,
        overflow=overflow,
        block_timeout=HEARTBEAT,
        runner=plan.runner,
        rows=1_000,
        backfill=plan.backfill,
        record=_recording(plan, folder) if plan.record else None,
        name=f"faults {plan.seed}",
    )


def _recording(plan: Plan, folder: Path) -> Path:
    return folder / f"{plan.seed}.jsonl.gz"


def _faulty(delivery: Any, plan: Plan) -> bool:
    """Whether faults are still to come, or lie upon everybody. Faults for the next to come do
    not count: they wait for ever where nobody comes."""
    now = asyncio.get_running_loop().time()
    upon = [until for until, _ in delivery.gate._until.values()]
    upon += [delivery.outbox._stalled_until, delivery.outbox._slow_until]
    return bool(
        delivery._by_time
        or delivery._hurried
        or not delivery.began
        or max(upon) > now
        or delivery._elapsed() < max((f.at or 0) + f.duration for f in plan.faults)
    )


async def _recovery(session: md.Session) -> float:
    """Return the seconds until something arrives on a living connection."""
    source = session.pipeline.source
    began, before = time.monotonic(), source.connects
    received = -1

    def recovered() -> bool:
        nonlocal received
        now = session.pipeline.ledger.totals()["received"]
        if source.connects == before or not source.connected:
            return False
        received = now if received < 0 else received
        return now > received

    await _until(recovered, 60, "the session to recover")
    return time.monotonic() - began


def _ledger_complaints(session: md.Session, receipt: Any, log: WireLog) -> Iterator[str]:
    if not receipt.balanced or session.pipeline.ledger.imbalance():
        yield f"the ledger does not balance: {session.pipeline.ledger.imbalance()}"
    if not receipt.drained:
        yield f"not drained: {receipt}"
    ledger = session.ledger()
    channels = ledger.index.get_level_values(-1)
    counted = int(ledger[~channels.str.endswith(":rest")]["received"].sum())
    arrived = log.parts(session.pipeline.router)
    if counted != arrived:
        yield f"the ledger has {counted} messages, {arrived} have arrived"


def _gap_complaints(session: md.Session, source: WebSocketSource) -> Iterator[str]:
    gaps = session.gaps()
    mine = gaps[~gaps["reason"].astype(str).str.contains(OTHER_GAPS)]
    found = Counter(zip(mine["symbol"], mine["channel"], strict=True))
    for symbol in SYMBOLS:
        for channel in CHANNELS:
            lost = source.connects - 1
            if found[symbol, channel] < lost:
                told = f"{found[symbol, channel]} gaps of {channel} {symbol}"
                yield f"{told} for {lost} lost connections: {sorted(set(gaps['reason']))}"


def _recording_complaints(plan: Plan, folder: Path, log: WireLog) -> Iterator[str]:
    arrived = sum(len(texts) for texts in log.arrived.values())
    info = md.recording_info(_recording(plan, folder))
    if info.messages != arrived and not info.complete:
        yield f"the recording has {info.messages} messages, {arrived} have arrived: {info!r}"
    elif info.messages < arrived:
        yield f"the recording has {info.messages} messages, {arrived} have arrived"


@contextlib.contextmanager
def _names_unknown(plan: Plan) -> Iterator[None]:
    """Let looking up names fail in the plan's windows, for loops that ask Python's resolver."""
    began, look_up = time.monotonic(), socket.getaddrinfo

    def failing(host: Any, *args: Any, **kwargs: Any) -> Any:
        since = time.monotonic() - began
        if host == "localhost" and any(at <= since < at + long for at, long in plan.dns):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *args, **kwargs)

    socket.getaddrinfo = failing
    try:
        yield
    finally:
        socket.getaddrinfo = look_up


async def _until(condition: Any, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s in vain for {what}")
        await asyncio.sleep(0.005)


def _sockets(process: psutil.Process) -> set[Any]:
    return {(c.laddr, c.raddr, c.type) for c in process.net_connections("inet")}


def _leftovers(
    process: psutil.Process,
    threads: set[Any],
    sockets: set[Any],
    files: set[str],
    children: set[int],
) -> list[str]:
    def left() -> list[str]:
        found = [f"thread {t.name}" for t in set(threading.enumerate()) - threads]
        found += [f"socket {s}" for s in _sockets(process) - sockets]
        found += [f"file {f.path}" for f in process.open_files() if f.path not in files]
        others = {child.pid for child in process.children(recursive=True)} - children
        found += [f"process {pid}" for pid in others]
        return found

    deadline = time.monotonic() + 5
    while left() and time.monotonic() < deadline:
        time.sleep(0.02)
    return [f"left behind: {what}" for what in left()]
