"""`python -m mdkit explore FILE`: a recording on the live canvas, in JupyterLab."""

from __future__ import annotations

import json
from pathlib import Path

CELL = """import mdkit as md

explorer = md.explore({path!r}, strategies=[{strategies}])
explorer"""


def write_notebook(recording: Path, strategies: list[str], folder: Path) -> tuple[Path, bool]:
    """Write a notebook that explores a recording into a folder; return its path, and True.

    One that is there already is left as it is, since somebody may have worked in it: then False.
    """
    target = folder / f"explore_{recording.name.partition('.')[0]}.ipynb"
    if target.exists():
        return target, False
    listed = ", ".join(f"md.strategies.{name}" for name in strategies)
    source = CELL.format(path=str(recording.resolve()), strategies=listed)
    notebook = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        "cells": [
            {
                "cell_type": "code",
                "id": "explore",
                "metadata": {},
                "execution_count": None,
                "outputs": [],
                "source": source,
            }
        ],
    }
    target.write_text(json.dumps(notebook, indent=1), "utf-8")
    return target, True
