"""Tables for polars, DuckDB and whatever else reads Arrow's stream (its PyCapsule interface)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


class ArrowTable:
    """Gives its table as an Arrow stream: `polars.DataFrame(it)`, `pyarrow.table(it)`."""

    def _arrow_table(self) -> pd.DataFrame:
        raise NotImplementedError

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """Return Arrow's stream of the table, its index first; numbers are not copied again."""
        return stream(self._arrow_table(), requested_schema)


def stream(table: pd.DataFrame, requested_schema: Any = None) -> Any:
    """Return a DataFrame as an Arrow stream (a capsule), its index first unless it only counts.

    nan is null there. A column that says nothing at all has no type of its own; it is text, as it
    is once it says something. All is done in the thread that asks, which may be one of DuckDB's.
    """
    import pandas as pd
    import pyarrow as pa

    if isinstance(table.index, pd.RangeIndex) and table.index.name is None:
        whole = pa.Table.from_pandas(table, preserve_index=False, nthreads=1)
    else:
        levels = table.index.nlevels
        if None in table.index.names:  # pandas calls them so where it makes columns of them
            unnamed = ["index"] if levels == 1 else [f"level_{n}" for n in range(levels)]
            pairs = zip(table.index.names, unnamed, strict=True)
            table = table.rename_axis([other if name is None else name for name, other in pairs])
        whole = pa.Table.from_pandas(table, preserve_index=True, nthreads=1)
        places = range(whole.num_columns)
        whole = whole.select([*places[-levels:], *places[:-levels]])  # pyarrow puts them last
    for place, field in enumerate(whole.schema):
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_null(kind):
            whole = whole.set_column(place, field.name, whole.column(place).cast(pa.string()))
    return whole.__arrow_c_stream__(requested_schema)
