"""The site builds without a warning, all its code runs, and its pages need nothing from a network.

It takes some minutes: python -m pytest -m slow tests/docs (with `pip install -e ".[docs]"`).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import mdkit as md

pytest.importorskip("myst_nb")
pytest.importorskip("pydata_sphinx_theme")
pytest.importorskip("sphinx_design")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("site")]

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site with the command that the README names, in another folder."""
    command = re.search(r"python -m sphinx ([^`\n]*) docs docs/_build/html", README)[1]
    out = tmp_path_factory.mktemp("site") / "html"
    arguments = [sys.executable, "-m", "sphinx", *command.split(), "docs", str(out)]
    built = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, env=os.environ)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-6000:]
    return out


class Page(HTMLParser):
    """The addresses that a page loads and links to, and the names that links can end at."""

    def __init__(self, path):
        super().__init__()
        self.loads, self.links, self.anchors = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given["id"]} if given.get("id") else set()
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(given["href"])
        elif tag in ("script", "img", "iframe", "source", "video") and given.get("src"):
            self.loads.append(given["src"])


def pages(site):
    return {path: Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}


def test_pages_load_nothing_from_a_network(site):
    for path, page in pages(site).items():
        outside = [
            a for a in page.loads if urlsplit(a).scheme in ("http", "https") or a[:2] == "//"
        ]
        assert not outside, path
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"@import[^;]*https?:|url\(.?https?:", text), sheet


def test_links_within_the_site_end_somewhere(site):
    found = pages(site)
    for path, page in found.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path}: {link}"
            if parts.fragment and target in found:
                assert unquote(parts.fragment) in found[target].anchors, f"{path}: {link}"


def test_each_public_name_has_an_entry_with_its_docstring(site):
    entries = (site / "reference").rglob("*.html")
    anchors = set().union(*(Page(path).anchors for path in entries))
    public = {name for name in md.__all__ if name not in ("strategies", "venues")}
    assert {f"mdkit.{name}" for name in public} - anchors == set()


def test_each_page_has_a_twin_in_plain_text_which_llms_txt_names(site):
    listed = re.findall(r"\((text/[^)]*\.txt)\)", (site / "llms.txt").read_text())
    sources = [p for p in (ROOT / "docs").rglob("*") if p.suffix in (".md", ".ipynb")]
    sources = [p for p in sources if "_" not in {part[0] for part in p.relative_to(ROOT).parts}]
    assert len(listed) == len(sources)
    assert all((site / name).read_text().strip() for name in listed)
