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

from mdkit import __version__
from mdkit.books.levels import level_of

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[Any]

_EDITION = 2
"""Raised whenever what is written changes: older copies are made anew."""
_PIECE = 1 << 20
_STORED = {"int64": "M8[ns]", "uint8": "?"}
"""What times and truths are stored as, which come back as they were."""
_MARK, _SHAPE = b"mdkit.recording", b"mdkit.columns"


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
    """Return what tells the files' content, and what this mdkit makes of it, from any other.

    Sizes and times would miss a file that was put in the place of another. Hashing a recording
    takes about a hundredth of the time of reading its columns.
    """
    digest = hashlib.blake2b(f"{__version__} {_EDITION} {what}".encode(), digest_size=20)
    for path in paths:
        whole = hashlib.blake2b()
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                whole.update(piece)
        digest.update(whole.digest())
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
    from pyarrow.parquet import ParquetFile  # read_table imports pandas, which takes far longer

    try:
        with ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
            if table.schema.metadata != {_MARK: mark, _SHAPE: _shape(table)}:
                return None
            return {name: _from_arrow(table.column(name)) for name in table.column_names}
    except (OSError, pa.ArrowException, ValueError):
        return None


def _shape(table: Any) -> bytes:
    """Return what a table's head says, of which Parquet keeps no checksum."""
    kinds = [(field.name, str(field.type)) for field in table.schema]
    return repr((table.num_rows, kinds)).encode()


def _from_arrow(column: Any) -> Array:
    """Return a column as an array: numbers without pandas, which takes longer to import."""
    import pyarrow as pa

    if column.type == pa.string():
        return _texts(column)
    if not len(column):
        return np.empty(0, _STORED.get(str(column.type), column.type.to_pandas_dtype()))
    numbers: Array = np.from_dlpack(column.combine_chunks()).copy()
    return numbers.view(_STORED.get(str(column.type), numbers.dtype))


def _texts(column: Any) -> Array:
    if column.null_count == len(column):
        return np.full(len(column), None, object)
    if column.null_count:
        found: Array = column.to_numpy()
        return found
    encoded = column.dictionary_encode().combine_chunks()
    words = np.array(encoded.dictionary.to_pylist(), object)
    texts: Array = words[np.from_dlpack(encoded.indices)]
    return texts


def _write(path: Path, arrays: Mapping[str, Array], mark: bytes) -> None:
    """Write a copy as a whole; only its owner may read it, as a recording."""
    import pyarrow.parquet as pq

    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f".{path.stem}.{secrets.token_hex(4)}")
    kinds = {np.dtype(kind): stored for stored, kind in _STORED.items()}
    plain = {n: array.view(kinds.get(array.dtype, array.dtype)) for n, array in arrays.items()}
    table = _arrow(plain)
    table = table.replace_schema_metadata({_MARK: mark, _SHAPE: _shape(table)})
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
