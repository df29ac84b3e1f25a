"""What the build makes of other things: docstrings, the command line's help, plain-text twins."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import typer.main

_AS_IT_IS = re.compile(r"(?<=/)\*|\|(?=\w)|(?<=\w)\|")
"""What RST would take for markup: patterns of files, and absolute values."""
_SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes|Examples?|Notes?):$")


def docstrings(app, what, name, obj, options, lines):
    """Mark a docstring's indented examples, trees and tables as literal blocks of RST.

    Those are what is indented behind an empty line; what is indented behind the name of a section
    is the section's own. An example of `>>>` is one already, up to the next empty line.
    """
    language = "text" if re.search(r"[├└│]", "".join(lines)) else "python"
    marked, before, inside, example = [], "", False, False
    for line in lines:
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>> "))
        if line.strip():
            begins = line.startswith("    ") and marked[-1:] == [""] and not _SECTION.match(before)
            if begins and not inside:
                marked += [f".. code-block:: {language}", ""]
            inside = line.startswith("    ") and (inside or begins)
            before = line.strip()
        marked.append(line if inside or example else _AS_IT_IS.sub(r"\\\g<0>", line))
    lines[:] = marked


def command_line(path):
    """Write the help of every command as a page's middle part."""
    from mdkit.cli.main import app

    group = typer.main.get_command(app)
    text = [_command(f"python -m mdkit {name}", group.commands[name]) for name in group.commands]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(text), encoding="utf-8")


def _command(name, command):
    rows = []
    for parameter in command.params:
        if parameter.name == "help" or getattr(parameter, "hidden", False):
            continue
        called = parameter.name
        if parameter.param_type_name == "option":
            called = ", ".join((*parameter.opts, *parameter.secondary_opts))
        told = " ".join((getattr(parameter, "help", None) or "").split())
        told = told.replace("|", "\\|").replace("<", "&lt;")
        if parameter.default not in (None, False, "") and "default" not in told.lower():
            told += f" Default: {parameter.default}."
        rows.append(f"| `{called}` | {told} |")
    told = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    table = "\n".join(["| | |", "|---|---|", *rows]) if rows else ""
    return f"## `{name}`\n\n{told}\n\n{table}\n"


def plain_text(app, error):
    """Write each page once more as plain text beside it, and llms.txt, which lists them."""
    if error is not None or app.builder.name != "html":
        return
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "text", "-d", str(app.doctreedir)]
    subprocess.run([*command, str(app.srcdir), str(app.outdir / "text")], check=True)
    lines = [f"# {app.config.project}", "", "> " + SENTENCE, ""]
    for docname in sorted(app.env.found_docs):
        title = app.env.titles[docname].astext()
        lines.append(f"- [{title}](text/{docname}.txt)")
    Path(app.outdir, "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


SENTENCE = (
    "A live order book in your notebook: one feed, one bounded queue, your function, and the same "
    "function, unchanged, on what was recorded."
)
