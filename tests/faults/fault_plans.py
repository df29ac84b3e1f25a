"""What a fault run tries: a session's options and a schedule of faults, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from mdkit.exchange import RECOVERABLE, Fault, random_faults

SYMBOLS = ("AAPL.US", "MSFT.US", "700.HK")
BASE_DELAY = 0.05
MAX_DELAY = 0.4
HEARTBEAT = 0.25
STALE_AFTER = 1.0


@dataclass(frozen=True)
class Plan:
    """One schedule: the session's options, and what goes wrong when.

    `dns` are windows (at, seconds) in which names cannot be looked up.
    """

    seed: int
    seconds: float
    dialect: str
    runner: str
    overflow: str
    compression: bool
    record: bool
    backfill: bool
    worker_kind: str
    maxsize: int
    rate: float
    dns: tuple[tuple[float, float], ...]
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        options = (
            f"{self.dialect} {self.runner} {self.overflow} maxsize={self.maxsize} "
            f"rate={self.rate:.0f} {self.worker_kind}"
        )
        switches = [
            name for name in ("compression", "record", "backfill", "dns") if getattr(self, name)
        ]
        kinds = ",".join(fault.kind for fault in self.faults)
        return f"{options} {'+'.join(switches)} [{kinds}]"


def make_plan(seed: int, seconds: float) -> Plan:
    """Return the plan of a seed; the same one every time."""
    random = Random(f"{seed}|plan")
    count = random.randint(2, 8)
    faults = random_faults(seed, seconds=seconds, count=count, kinds=RECOVERABLE)
    if random.random() < 0.3:
        # Long enough for a heartbeat to give the connection up.
        at = round(random.uniform(0.0, seconds), 3)
        faults += (Fault("freeze", at=at, duration=1.5),)
    runner = random.choice(("notebook", "thread"))
    dns: tuple[tuple[float, float], ...] = ()
    if runner == "notebook" and random.random() < 0.3:
        dns = ((random.uniform(0.0, seconds / 2), random.uniform(0.3, 1.0)),)
    return Plan(
        seed=seed,
        seconds=seconds,
        dialect=random.choice(("realtime", "flat")),
        runner=runner,
        overflow=random.choice(("block", "drop_oldest", "drop_newest", "conflate", "spill")),
        compression=random.random() < 0.5,
        record=random.random() < 0.4,
        backfill=random.random() < 0.7,
        worker_kind="process" if random.random() < 0.1 else "task",
        maxsize=random.choice((50, 500, 5_000, 50_000)),
        rate=random.choice((100.0, 500.0, 2_000.0)),
        dns=dns,
        faults=faults,
    )
