"""All benchmarks, one after the other, each in a process of its own.

    python -m tests.benchmarks [--quick] [name ...]

Names: throughput, ways, scale, costs, market_open, recordings, venues, dashboard, backtests.
Ratios within a table are of one run on one machine; nothing else should run meanwhile. `backtests`
needs the extra `compare`, and `venues` compares with cryptofeed where that is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

QUICK = {
    "throughput": ["--messages", "20000", "--rounds", "1"],
    "ways": ["--seconds", "1"],
    "scale": ["--messages", "20000", "--rounds", "1", "--seconds", "2"],
    "costs": ["--seconds", "1"],
    "market_open": ["--books", "1000", "10000"],
    "recordings": [],
    "venues": ["--rounds", "1"],
    "dashboard": ["--seconds", "4"],
    "backtests": [],
}
NEEDS = {"backtests": ("backtesting", "vectorbt", "numba"), "dashboard": ("jupyter_client",)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(QUICK)}; default all")
    parser.add_argument("--quick", action="store_true", help="a look in a minute or two")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in QUICK:
            parser.error(f"there is no benchmark {name!r}: choose from {', '.join(QUICK)}")
    worst = 0
    for name in arguments.names or QUICK:
        missing = [m for m in NEEDS.get(name, ()) if importlib.util.find_spec(m) is None]
        print(f"\n== {name} ==", flush=True)
        if missing:
            print(f"left out: {', '.join(missing)} not installed")
            continue
        script = Path(__file__).with_name(f"{name}.py")
        done = subprocess.run([sys.executable, script, *(QUICK[name] if arguments.quick else [])])
        worst = max(worst, done.returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
