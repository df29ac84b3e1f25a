"""The columns of a recording, and their copy in Parquet beside it, which is read much faster."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mdkit.books.levels import level_of

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[Any]

_EDITION = 1
"""Raised whenever what is written changes: older copies are made anew."""
_LOOKED_AT = 1 << 16
"""Bytes at either end of a file that are compared, beside its size and time."""
_MARK = b"mdkit.recording"


class Columns(Mapping[str, Array]):
    """Columns of one channel of one symbol, by name: NumPy arrays of equal length.

    Texts are arrays of objects. Takes itself to polars, DuckDB and whatever else reads Arrow's
    stream: `polars.DataFrame(columns)`.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = dict(arrays)

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(next(iter(self._arrays.values()), ()))

    def narrowed(self, levels: int) -> Columns:
        """Return them without the levels behind so many."""
        return Columns({n: array for n, array in self._arrays.items() if level_of(n) <= levels})

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Return Arrow's stream of them; numbers are not copied."""
        return _arrow(self._arrays).__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"<Columns: {self.rows:,} rows of {', '.join(self)}>"


def cached_columns(
    paths: Sequence[Path], what: str, read: Callable[[], pd.DataFrame], *, cache: bool
) -> Columns:
    """Return the columns of what `read` gives, from the copy beside the first file if it holds.

    `what` says which columns these are; with `cache` a copy is made where there is none.
    """
    digest = hashlib.blake2b(what.encode(), digest_size=10).hexdigest()
    copy = paths[0].with_name(f"{paths[0].name}.columns") / f"{digest}.parquet"
    mark = _mark(paths, what) if cache else b""
    if cache and (found := _read(copy, mark)) is not None:
        return Columns(found)
    arrays = _arrays(read())
    # Whoever writes the recording may have gone on: then this is of no one state of it.
    if cache and mark == _mark(paths, what):
        with contextlib.suppress(OSError):
            _write(copy, arrays, mark)
    return Columns(arrays)


def _mark(paths: Sequence[Path], what: str) -> bytes:
    """Return what tells the files' present state from any other."""
    digest = hashlib.blake2b(f"{_EDITION} {what}".encode(), digest_size=20)
    for path in paths:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            digest.update(f"{path.name} {found.st_size} {found.st_mtime_ns} ".encode())
            digest.update(file.read(_LOOKED_AT))
            if found.st_size > _LOOKED_AT:
                file.seek(-_LOOKED_AT, os.SEEK_END)
                digest.update(file.read(_LOOKED_AT))
    return digest.hexdigest().encode()


def _arrays(frame: pd.DataFrame) -> dict[str, Array]:
    """Return a frame's columns, its index first."""
    from mdkit.books.levels import books_of

    whole = books_of(frame)
    arrays: dict[str, Array] = {str(whole.index.name): _array(whole.index.to_series())}
    return arrays | {str(name): _array(whole[name]) for name in whole.columns}


def _array(series: Any) -> Array:
    if series.dtype.kind == "M":
        found: Array = series.dt.tz_convert(None).to_numpy("M8[ns]")
        return found
    kind = np.float64 if series.dtype.kind == "f" else bool if series.dtype.kind == "b" else object
    return np.ascontiguousarray(series.to_numpy(kind))


def _arrow(arrays: Mapping[str, Array]) -> Any:
    import pyarrow as pa

    made = {}
    for name, array in arrays.items():
        if array.dtype.kind == "M":
            made[name] = pa.array(array).cast(pa.timestamp("ns", tz="UTC"))
        elif array.dtype == object:
            made[name] = pa.array(array, pa.string(), from_pandas=True)
        else:
            made[name] = pa.array(array)
    return pa.table(made)


def _read(path: Path, mark: bytes) -> dict[str, Array] | None:
    """Return the arrays of a copy, or None where it is not there, broken or of another state."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException):
        return None
    if (table.schema.metadata or {}).get(_MARK) != mark:
        return None
    return {name: _from_arrow(table.column(name)) for name in table.column_names}


def _from_arrow(column: Any) -> Array:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        found: Array = column.cast(pa.timestamp("ns")).to_numpy()
        return found
    values: Array = column.to_numpy()
    return values.astype(object) if values.dtype == object else values


def _write(path: Path, arrays: Mapping[str, Array], mark: bytes) -> None:
    """Write a copy as a whole; only its owner may read it, as a recording."""
    import pyarrow.parquet as pq

    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f".{path.stem}.{secrets.token_hex(4)}")
    table = _arrow(arrays)
    table = table.replace_schema_metadata({_MARK: mark})
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            pq.write_table(table, file, compression="zstd")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
