"""Build the JupyterLite page: JupyterLab, the notebook and mdkit's wheel, for any web server.

    python -m pip install -e ".[lite]"
    python docs/lite/build.py
    python -m http.server --directory docs/_build/lite

Whoever opens the page needs the network once: it loads Pyodide, and the libraries that mdkit
needs, from where jupyterlite-pyodide-kernel takes them.
"""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def main() -> None:
    """Build the wheel into `pypi`, where the page looks first, and then the page."""
    wheels = HERE / "pypi"
    shutil.rmtree(wheels, ignore_errors=True)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    subprocess.run(command, cwd=ROOT, check=True)
    subprocess.run([sys.executable, "-m", "jupyter", "lite", "build"], cwd=HERE, check=True)


if __name__ == "__main__":
    main()
