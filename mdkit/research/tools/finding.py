"""What every result of research can do: a sentence, a picture, tables and one HTML page."""

from __future__ import annotations

import base64
import html
import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mdkit.arrow import ArrowTable
from mdkit.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body{{font:14px system-ui,sans-serif;color:#1f2933;max-width:1100px;margin:2em auto;padding:0 1em}}
table{{border-collapse:collapse}}td,th{{padding:2px 8px;text-align:right;border-bottom:1px solid
#e4e7eb}}img{{max-width:100%}}</style></head><body><h1>{title}</h1><p>{sentence}.</p>
<img alt="{title}" src="data:image/png;base64,{picture}">{tables}</body></html>
"""
_MOST_ROWS = 200


class Finding(ArrowTable, ABC):
    """A result: `sentence`, `tables`, `plot()` and `save()`; its repr is the sentence."""

    name: str

    @property
    @abstractmethod
    def sentence(self) -> str:
        """What was found, in one sentence without a full stop."""

    @property
    @abstractmethod
    def tables(self) -> dict[str, pd.DataFrame]:
        """What a saved page shows, by headings."""

    @abstractmethod
    def plot(self) -> Figure:
        """Return a figure of it."""

    def save(self, path: str | Path) -> Path:
        """Write one HTML page with sentence, picture and tables, or with .png the picture.

        Raises `SettingsError` for another suffix.
        """
        from mdkit.chart_style import png

        target = Path(path).expanduser()
        suffix = target.suffix.lower()
        if suffix not in (".html", ".htm", ".png"):
            raise SettingsError(f"{target.name}: give a name that ends in .png or .html")
        picture = png(self.plot())
        if suffix == ".png":
            target.write_bytes(picture)
            return target
        tables = "".join(
            f"<h3>{html.escape(heading)}</h3>{_html(table)}"
            for heading, table in self.tables.items()
        )
        page = _PAGE.format(
            title=html.escape(f"{type(self).__name__} of {self.name}"),
            sentence=html.escape(self.sentence),
            picture=base64.b64encode(picture).decode(),
            tables=tables,
        )
        target.write_text(page, encoding="utf-8")
        return target

    def _arrow_table(self) -> pd.DataFrame:
        return next(iter(self.tables.values()))

    def __repr__(self) -> str:
        return f"{self.sentence}."

    def _repr_html_(self) -> str:
        heading, table = next(iter(self.tables.items()))
        return (
            f"<div><b>{html.escape(self.sentence)}.</b>"
            f"<div>{html.escape(heading)}</div>{_html(table)}</div>"
        )


def with_band(row: Any, name: str, digits: str = ".2g") -> str:
    """Return a figure of a table's row with its band, in words where there is none."""
    value, low, high = (float(row[key]) for key in (name, "low", "high"))
    if math.isnan(low) or math.isnan(high):
        return f"{value:{digits}} (too few for a band)"
    return f"{value:{digits}} ({low:{digits}} to {high:{digits}})"


def _html(table: pd.DataFrame) -> str:
    shown = table.head(_MOST_ROWS)
    more = (
        f"<small>{len(table) - _MOST_ROWS:,} further rows</small>"
        if len(table) > len(shown)
        else ""
    )
    return f"{shown.to_html(border=0, float_format='{:,.4g}'.format)}{more}"
