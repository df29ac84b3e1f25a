"""Fuzzes one target with atheris: `python -m tests.fuzz codec --seconds 60`, or `all`.

What is found is printed with its bytes; the exit code is then not 0. Needs `pip install atheris`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import atheris
except ModuleNotFoundError:
    print("atheris is not installed, so nothing was fuzzed: pip install atheris")
    sys.exit(0)

sys.path.insert(0, str(Path(__file__).parent))

with atheris.instrument_imports(include=["mdkit"]):
    from targets import SEEDS, TARGETS


def main() -> None:
    """Fuzz a target in this process, or all of them one after another."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.target == "all":
        failed = [name for name in TARGETS if _alone(name, options) != 0]
        print(f"failed: {', '.join(failed)}" if failed else "nothing was found")
        sys.exit(1 if failed else 0)
    with tempfile.TemporaryDirectory(prefix="mdkit-fuzz-") as folder:
        for number, seed in enumerate(SEEDS[options.target]):
            (Path(folder) / str(number)).write_bytes(seed)
        limits = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]
        limits += [f"-max_total_time={options.seconds}", f"-seed={options.seed}"]
        atheris.Setup([sys.argv[0], *limits, folder], TARGETS[options.target])
        atheris.Fuzz()


def _alone(name: str, options: argparse.Namespace) -> int:
    command = [sys.executable, "-m", "tests.fuzz", name]
    command += ["--seconds", str(options.seconds), "--seed", str(options.seed)]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    main()
