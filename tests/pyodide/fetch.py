"""Bring Pyodide and the wheels for it into a folder: `python -m tests.pyodide.fetch FOLDER`.

Takes npm and pip as they are set up. What the index has no wheel of for WebAssembly (today numpy,
pandas, matplotlib, pyarrow and Pillow) is named; those are in Pyodide's own distribution, whose
files can be put into the folder by hand, and then the whole of the checks runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

BARE = ("lazy-loader", "msgspec", "pydantic-settings")
"""What the parts of mdkit without numpy and pandas need."""
REST = (
    *("numpy", "pandas", "pyarrow", "matplotlib", "pillow", "anywidget", "ipywidgets"),
    *("cloudpickle", "rich", "tqdm", "typer"),
)


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = ["npm", "pack", "pyodide", "--pack-destination", scratch]
        subprocess.run(command, check=True, capture_output=True)
        with tarfile.open(next(Path(scratch).glob("*.tgz"))) as archive:
            for member in archive.getmembers():
                member.name = member.name.removeprefix("package/")
                archive.extract(member, folder, filter="data")
    info = json.loads((folder / "pyodide-lock.json").read_text(encoding="utf-8"))["info"]
    version = ".".join(info["python"].split(".")[:2])
    wheels = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    wheels += ["--platform", f"pyemscripten_{info['abi_version']}_{info['arch']}"]
    wheels += ["--python-version", version, "--implementation", "cp", "--dest", str(folder)]
    wheels += ["--abi", f"cp{version.replace('.', '')}"]
    subprocess.run([*wheels, *BARE], check=True)
    missing = [
        name
        for name in REST
        if subprocess.run([*wheels, name], check=False, capture_output=True).returncode
    ]
    print(f"Pyodide for Python {info['python']} and its wheels are in {folder}.")
    if missing:
        print(f"Not to be had as wheels for it: {', '.join(missing)}; see this script's docstring.")
    print(f"Now: MDKIT_PYODIDE={folder} python -m pytest tests/pyodide")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve()))
