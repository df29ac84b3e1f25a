"""Run the kernel tests on several ipykernels, each in an environment of its own.

    python tests/notebook/kernel_matrix.py [6.31.0 7.3.0 newest]

The ordinary suite runs them on the newest. Environments are made anew in a temporary folder.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VERSIONS = ("6.31.*", "7.3.*", "newest")


def run(version: str, folder: Path) -> bool:
    """Return whether the kernel tests pass on one version of ipykernel."""
    home = folder / version.replace("*", "x")
    venv.create(home, with_pip=True)
    python = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    wanted = "ipykernel" if version == "newest" else f"ipykernel=={version}"
    install = [python, "-m", "pip", "install", "--quiet", "-e", f"{ROOT}[test]", wanted]
    subprocess.run(install, check=True)
    found = subprocess.run(
        [python, "-c", "import ipykernel; print(ipykernel.__version__)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    print(f"== ipykernel {found}", flush=True)
    tests = ROOT / "tests" / "notebook" / "test_kernel.py"
    done = subprocess.run([python, "-m", "pytest", "-q", str(tests)], cwd=ROOT, check=False)
    return done.returncode == 0


def main() -> int:
    versions = sys.argv[1:] or VERSIONS
    with tempfile.TemporaryDirectory(prefix="mdkit-kernels-") as folder:
        results = {version: run(version, Path(folder)) for version in versions}
    for version, passed in results.items():
        print(f"{version:<10} {'passed' if passed else 'FAILED'}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
