"""The page's modules joined into one ES module, since a widget may bring only one.

The files are plain ES modules that import each other by name, so that they can be read, and tested
under Node, as they are. Joined, each becomes a function of its own that returns what it exports:
names of one module cannot meet those of another.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_IMPORT = re.compile(r'^import\s+(\{[^}]*\}|\* as \w+)\s+from\s+"\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const|let|function|class)", re.MULTILINE)
_NAMED = re.compile(r"^export (?:const|let|function|class) (\w+)", re.MULTILINE)
_ENTRY = "main"


@cache
def page_module() -> str:
    """Return the one module that the widget brings, with `main`'s default export."""
    order: list[str] = []
    sources: dict[str, str] = {}

    def visit(name: str) -> None:
        if name in sources:
            return
        sources[name] = _read(f"{name}.js")
        for _, needed in _IMPORT.findall(sources[name]):
            visit(needed)
        order.append(name)

    visit(_ENTRY)
    parts = [_wrapped(name, sources[name]) for name in order[:-1]]
    return "\n".join([*parts, _IMPORT.sub(_import, sources[_ENTRY])])


@cache
def page_style() -> str:
    """Return the style sheet."""
    return _read("canvas.css")


def _wrapped(name: str, source: str) -> str:
    body = _EXPORT.sub("", _IMPORT.sub(_import, source))
    names = ", ".join(_NAMED.findall(source))
    return f"const mdkit_{name} = (() => {{\n{body}\nreturn {{ {names} }};\n}})();\n"


def _import(found: re.Match[str]) -> str:
    names, module = found.groups()
    if names.startswith("*"):
        return f"const {names.removeprefix('* as ')} = mdkit_{module};\n"
    return f"const {names.replace(' as ', ': ')} = mdkit_{module};\n"


def _read(name: str) -> str:
    return (files("mdkit.canvas") / "static" / name).read_text("utf-8")
