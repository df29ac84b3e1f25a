"""Several measures side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from mdkit.research.finding import Finding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mdkit.research.study import Study


class Studies(Finding):
    """Studies of several measures on the same market; `studies["name"]` is one of them."""

    def __init__(self, studies: Mapping[str, Study]) -> None:
        self.studies = dict(studies)
        self.name = ", ".join(self.studies)

    def __getitem__(self, name: str) -> Study:
        return self.studies[name]

    def __len__(self) -> int:
        return len(self.studies)

    @property
    def table(self) -> pd.DataFrame:
        """A row a measure, the most telling first.

        `horizon` (the best one), `ic low high` there, `top_bottom_bp`, `half_life` in seconds,
        `is_telling` (see `Study`), `events`.
        """
        rows = {}
        for name, one in self.studies.items():
            best = one.best
            row = one.ic.loc[best]
            rows[name] = {
                "horizon": best,
                **row[["ic", "low", "high"]].to_dict(),
                "top_bottom_bp": one.decay.loc[best, "top_bottom_bp"],
                "half_life": one.half_life,
                "is_telling": one.is_telling,
                "events": int(row["events"]),
            }
        found = pd.DataFrame.from_dict(rows, "index").rename_axis("measure")
        order = found["ic"].abs().where(found["is_telling"], found["ic"].abs() - 1.0)
        return found.loc[order.sort_values(ascending=False, na_position="last").index]

    @property
    def ic(self) -> pd.DataFrame:
        """The ICs: a row a measure, a column a horizon."""
        return pd.DataFrame({name: one.ic["ic"] for name, one in self.studies.items()}).T

    @property
    def sentence(self) -> str:
        """Which says most, in one sentence."""
        table = self.table
        telling = table[table["is_telling"]]
        if not len(telling):
            return f"none of {self.name} tells anything of the mid"
        others = len(table) - 1
        compared = f", the most of {others + 1} measures" if others else ""
        return f"{self.studies[str(telling.index[0])].sentence}{compared}"

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """What a saved page shows."""
        return {"Measures": self.table, "IC by horizon": self.ic}

    def plot(self) -> Figure:
        """Return a figure: IC by horizon with bands, and top less bottom in bp, a colour each."""
        from mdkit.research.plots import draw_studies

        return draw_studies(self.studies)
