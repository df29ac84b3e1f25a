"""What holds of the pages as they are written, before they are built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mdkit as md

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PAGES = sorted(
    p for p in DOCS.rglob("*.md") if "_" not in {q[0] for q in p.relative_to(DOCS).parts}
)
ENTRY = re.compile(r"\.\. auto(?:function|class|exception):: mdkit\.(\w+)")
CELL = re.compile(r"```\{code-cell\}.*?\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_that_shows_python_runs_it(page):
    text = page.read_text(encoding="utf-8")
    if "{code-cell}" in text:
        assert text.startswith("---\nfile_format: mystnb\n"), "or its cells are not run"
    assert not re.search(r"```py(thon|con)\n", text), "make it a {code-cell}, which the build runs"


def test_the_reference_lacks_no_public_name_and_uses_each_in_an_example():
    entries, used = set(), set()
    for page in (DOCS / "reference").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        named = set(ENTRY.findall(text))
        cells = "\n".join(CELL.findall(text))
        entries |= named
        used |= {name for name in named if re.search(rf"\bmd\.{name}\b", cells)}
    public = set(md.__all__) - {"strategies", "venues"}
    assert public - entries == set(), "add `.. autoclass:: mdkit.Name` or the like to a page"
    assert entries - used == set(), "use it as `md.name` in a {code-cell} of that page"


def test_the_page_of_errors_quotes_what_is_said():
    text = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    quoted = re.search(r"`SettingsError: ([^`]*krakem[^`]*?) \.\.\.`", text)[1]
    with pytest.raises(md.MdkitError) as caught:
        md.live(["AAPL.US"], source="krakem")
    assert str(caught.value).startswith(quoted)
