"""Runs sessions through random schedules of faults: `python -m tests.faults --schedules 200`.

Each schedule is drawn from a seed of its own and can be repeated alone with `--seed`.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fault_runs import Outcome, run_seed


def main() -> int:
    """Run schedules, several at once; print the failures with what repeats them, and figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1, help="how many, from --seed on")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4.0, help="faults of each schedule")
    parser.add_argument("--jobs", type=int, default=2, help="schedules at a time")
    parser.add_argument("--verbose", action="store_true", help="a line for each schedule")
    options = parser.parse_args()
    began = time.monotonic()
    seeds = range(options.seed, options.seed + options.schedules)
    outcomes: list[Outcome] = []
    # Processes are new now and then, so that what one schedule leaves cannot help the next.
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=20) as pool:
        work = functools.partial(run_seed, seconds=options.seconds)
        for outcome in pool.imap_unordered(work, seeds):
            outcomes.append(outcome)
            if outcome.complaints or options.verbose or options.schedules == 1:
                _report(outcome, options.seconds)
    _summary(outcomes, time.monotonic() - began)
    return 1 if any(outcome.complaints for outcome in outcomes) else 0


def _report(outcome: Outcome, seconds: float) -> None:
    verdict = "FAILED" if outcome.complaints else "held"
    print(
        f"seed {outcome.seed} {verdict}: {outcome.plan}\n"
        f"    {outcome.messages:,} messages, {outcome.connects} connections, {outcome.gaps} gaps, "
        f"recovered in {outcome.recovery:.2f} s, {outcome.memory / 1e6:.0f} MB, "
        f"{outcome.seconds:.1f} s",
        flush=True,
    )
    for complaint in outcome.complaints:
        print(f"    {complaint[:2000]}")
    if outcome.complaints:
        print(f"    again: python -m tests.faults --seed {outcome.seed} --seconds {seconds:g}")


def _summary(outcomes: list[Outcome], seconds: float) -> None:
    faults: Counter[str] = Counter()
    for outcome in outcomes:
        faults.update(outcome.faults)
    failed = sum(1 for outcome in outcomes if outcome.complaints)
    print(
        f"{len(outcomes)} schedules in {seconds:.0f} s, {failed} failed: "
        f"{sum(o.messages for o in outcomes):,} messages, "
        f"{sum(o.connects for o in outcomes):,} connections, "
        f"{sum(o.gaps for o in outcomes):,} gaps; slowest recovery "
        f"{max(o.recovery for o in outcomes):.2f} s, "
        f"at most {max(o.memory for o in outcomes) / 1e6:.0f} MB\n"
        f"faults: {', '.join(f'{kind} {n}' for kind, n in sorted(faults.items()))}"
    )


if __name__ == "__main__":
    sys.exit(main())
