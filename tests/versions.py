"""The suite on other versions: every Python found here, with the oldest and the newest libraries.

    python -m tests.versions [--only lowest|newest] [--python python3.12 ...] [pytest arguments]

Each combination gets an environment of its own, which is removed again. The oldest versions are
those that pyproject.toml names. Without pytest arguments the whole ordinary suite runs, which
takes some minutes for each. (Old ipykernels have a matrix of their own: kernel_matrix.py.)
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")


def lowest() -> list[str]:
    """Constraints that hold every library of mdkit to the oldest version it says it takes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = []
    for requirement in project["dependencies"]:
        named, _, marker = requirement.partition(";")
        if "== 'emscripten'" in marker:
            continue
        match = re.fullmatch(r"([\w-]+)>=([\d.]+)", named)
        if match is not None:
            name, version = match.groups()
            parts = version.split(".")
            found.append(f"{name}=={'.'.join([*parts, '0'][:2])}.*")
    return found


def run(python: str, which: str, arguments: list[str]) -> bool:
    """Make an environment, install, run; whether the tests passed."""
    with tempfile.TemporaryDirectory(prefix="mdkit-versions-") as folder:
        home = Path(folder)
        subprocess.run([python, "-m", "venv", home / "venv"], check=True)
        inside = home / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        constraints = home / "constraints.txt"
        constraints.write_text("\n".join(lowest() if which == "lowest" else []))
        install = [inside, "-m", "pip", "install", "-q", "-e", ".[test]", "-c", constraints]
        if subprocess.run(install, cwd=ROOT).returncode:
            print(f"{python}, {which}: cannot be installed")
            return False
        done = subprocess.run([inside, "-m", "pytest", "-q", *arguments], cwd=ROOT)
        print(f"{python}, {which}: {'passed' if done.returncode == 0 else 'FAILED'}", flush=True)
        return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("lowest", "newest"))
    parser.add_argument("--python", nargs="*", default=None, help="interpreters; default: found")
    options, arguments = parser.parse_known_args()
    pythons = options.python or [name for name in PYTHONS if shutil.which(name)]
    whiches = (options.only,) if options.only else ("lowest", "newest")
    print(f"pythons: {', '.join(pythons) or 'none'}; oldest: {', '.join(lowest())}", flush=True)
    results = [run(python, which, arguments) for python in pythons for which in whiches]
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
