"""CSV files of bars as tables: symbols and times stay the text that they are.

pandas guesses what a column holds, and takes the symbol NA for nothing and 00700 for 700.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mdkit.errors import RecordingError

if TYPE_CHECKING:
    import pandas as pd

_DELIMITERS = ",;\t|"
_ABSENT = ["", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "None", "-"]
_FIRST_LINES = 65_536
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def plain_label(label: object) -> str:
    """Return a column's name as it is compared: `<DATE>` and `Open time` as date and open_time."""
    return str(label).strip().strip("<>").strip().lower().replace(" ", "_")


def check_doubled(labels: Iterable[object], used: Iterable[str], name: str) -> None:
    """Raise `RecordingError` where one of the names in `used` stands over two columns."""
    seen: dict[str, object] = {}
    wanted = set(used)
    for label in labels:
        plain = plain_label(label)
        if plain in seen and plain in wanted:
            raise RecordingError(
                f"{name} has two columns for {plain} ({seen[plain]} and {label}): keep one."
            )
        seen[plain] = label


def read_csv(
    body: bytes, figures: tuple[str, ...], used: tuple[str, ...], name: str
) -> pd.DataFrame:
    """Return a CSV file's table: columns named as in `figures` are numbers, all others text.

    The names in `used` must not stand over two columns. Fields are separated by commas,
    semicolons, tabs or bars, whichever the header has most of. Raises `RecordingError` for a
    header that is none, and what pandas raises for the rest.
    """
    import pandas as pd

    if body[:2] in _UTF16:
        body = body.decode("utf-16").encode()
    start = body[:_FIRST_LINES].decode("utf-8-sig", "replace")
    head = start.lstrip().partition("\n")[0]
    if head[:9].lower() == "<!doctype" or head[:5].lower() == "<html":
        raise RecordingError(f"{name} is a web page, not a table: was it saved in its place?")
    delimiter = max(_DELIMITERS, key=head.count)
    lines = csv.reader(io.StringIO(start), delimiter=delimiter)
    rows = [row for row, _ in zip((line for line in lines if line), range(2), strict=False)]
    if rows:
        _check_header(rows[0], rows[1] if rows[1:] else [], figures, name)
        check_doubled(rows[0], used, name)  # pandas would call the second one close.1
    columns = {label: plain_label(label) for label in rows[0]} if rows else {}
    with warnings.catch_warnings():
        # Without this pandas cuts lines off that are longer than the header, or shifts columns.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            io.BytesIO(body),
            sep=delimiter,
            index_col=False,
            keep_default_na=False,
            dtype={label: str for label, plain in columns.items() if plain not in figures},
            na_values={label: _ABSENT for label, plain in columns.items() if plain in figures},
        )


def _check_header(header: list[str], first: list[str], figures: tuple[str, ...], name: str) -> None:
    labels = [plain_label(label) for label in header]
    if not any(label in figures for label in labels) and header:
        if all(_is_figure(label) or label[:1].isdigit() for label in labels):
            raise RecordingError(
                f"{name} has no header: it begins with {', '.join(header[:3])}. Put a line in "
                "front that names its columns, such as time,open,high,low,close,volume."
            )
        return
    under = [value for label, value in zip(labels, first, strict=False) if label in figures[:4]]
    if under and not any(_is_figure(value) for value in under) and any(under):
        raise RecordingError(
            f"{name} has two lines of column names, {', '.join(header[:3])} and "
            f"{', '.join(first[:3])}, as frames of several symbols have: {TWO_LEVELS}"
        )


def _is_figure(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


TWO_LEVELS = (
    "keep one line of names, and say the symbol in a column "
    '(frame.stack(level=1) or frame.xs("AAPL", axis=1, level=1)).'
)
"""What to do about a frame whose columns have two levels."""
