"""`read_klines`: bars from a CSV, Parquet or JSON file, compressed or not."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mdkit.errors import InvalidMessage, RecordingError
from mdkit.history.columns import FIGURES, Klines, join_frames, to_frame
from mdkit.wire.rest import decode_answer_or_data, invalid_bars, symbol_of, when

if TYPE_CHECKING:
    import pandas as pd

_TIMES = ("time", "timestamp", "datetime", "date", "open_time", "start")
_NEEDED = FIGURES[:4]
_FORMATS = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet", ".json": "json"}


def read_klines(path: str | Path) -> pd.DataFrame:
    """Return the bars in a file as `md.klines` would: UTC index, floats, sorted, unique.

    The format is told by the name: `.csv`, `.parquet`, or `.json` in the shape of the service's
    `/v1/market/kline` (a whole answer, its `data`, or a bare list); `.gz` behind any of them. A
    table has a column or index of bar starts, named time, timestamp, datetime, date, open_time
    or start (text, or a number of seconds, ms, us or ns since the epoch; without a zone UTC), the
    columns open, high, low and close, and perhaps volume, quote_volume and symbol; a symbol
    column gives the frame a symbol level. Of bars with the same start the last one counts.

    Raises `RecordingError` when the file is none of these, `InvalidMessage` when bars in it
    cannot be true, and `FileNotFoundError`.
    """
    path = Path(path)
    body = path.read_bytes()
    if body[:2] == b"\x1f\x8b":
        try:
            body = gzip.decompress(body)
        except (OSError, EOFError, zlib.error) as error:
            raise RecordingError(f"{path.name} is damaged: {error}.") from None
    name = path.name.lower().removesuffix(".gz")
    kind = next((kind for end, kind in _FORMATS.items() if name.endswith(end)), None)
    if kind is None:
        raise RecordingError(
            f"{path.name} is not a file of bars: its name must end in "
            f"{', '.join(_FORMATS)}, perhaps followed by .gz."
        )
    if kind == "json":
        return _from_json(body, path.name)
    try:
        table = _table(body, kind)
    except Exception as error:  # pandas and pyarrow raise whatever their parsers raise
        reason = str(error).partition("\n")[0]
        raise RecordingError(f"{path.name} is not readable as {kind}: {reason}.") from None
    return _from_table(table, path.name)


def _from_json(body: bytes, name: str) -> pd.DataFrame:
    try:
        klines = decode_answer_or_data(body, name)
    except InvalidMessage as error:
        if "invalid bar" in str(error):
            raise
        raise RecordingError(f"{error}: not bars in the shape of /v1/market/kline.") from None
    return to_frame(Klines.of(klines), symbol_of(body))


def _table(body: bytes, kind: str) -> pd.DataFrame:
    import pandas as pd

    if kind == "csv":
        return pd.read_csv(io.BytesIO(body))
    return pd.read_parquet(io.BytesIO(body))


def _from_table(table: pd.DataFrame, name: str) -> pd.DataFrame:
    if any(label is not None for label in table.index.names):
        table = table.reset_index()
    elif table.index.inferred_type.startswith("datetime"):
        table = table.rename_axis("time").reset_index()
    columns = {str(column).strip().lower(): column for column in table.columns}
    stamp = next((columns[label] for label in _TIMES if label in columns), None)
    missing = [label for label in _NEEDED if label not in columns]
    if stamp is None or missing:
        what = ", ".join([*missing, *([] if stamp is not None else ["time"])])
        raise RecordingError(
            f"{name} has no column {what}; its columns are {', '.join(map(str, columns.values()))}."
        )
    starts = _starts(table[stamp], name)
    figures = np.full((len(FIGURES), len(table)), np.nan)
    for row, label in zip(figures, FIGURES, strict=True):
        if label in columns:
            try:
                row[:] = table[columns[label]].to_numpy(np.float64)
            except (TypeError, ValueError):
                raise RecordingError(f"{name}: column {label} holds more than numbers.") from None
        elif label == "volume":
            row[:] = 0.0
    _check(starts, figures, name)
    if "symbol" not in columns:
        return to_frame(Klines(starts, figures).sorted())
    symbols = table[columns["symbol"]].astype(str).to_numpy(object)
    frames = {}
    for symbol in dict.fromkeys(symbols):
        mine = symbols == symbol
        frames[str(symbol)] = to_frame(Klines(starts[mine], figures[:, mine]).sorted())
    return join_frames(frames) if frames else to_frame(Klines.empty())


def _starts(column: Any, name: str) -> npt.NDArray[np.int64]:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(np.float64)
        if not np.isfinite(values).all():
            raise RecordingError(f"{name}: some bars have no time.")
        largest = float(np.abs(values).max(initial=0.0))
        # Seconds, ms, us and ns of any time after 1973 are a factor of 1000 apart.
        scale = 1000.0 if largest < 1e11 else 1.0 if largest < 1e14 else 1e-3
        if largest >= 1e17:
            scale = 1e-6
        millis: npt.NDArray[np.int64] = np.rint(values * scale).astype(np.int64)
        return millis
    try:
        stamps = pd.DatetimeIndex(pd.to_datetime(column, utc=True))
    except (ValueError, TypeError, OverflowError) as error:
        reason = str(error).partition("\n")[0]
        raise RecordingError(f"{name}: the times are not readable: {reason}.") from None
    if stamps.hasnans:
        raise RecordingError(f"{name}: some bars have no time.")
    starts: npt.NDArray[np.int64] = stamps.tz_localize(None).to_numpy("M8[ms]").view(np.int64)
    return starts


def _check(starts: npt.NDArray[np.int64], figures: npt.NDArray[np.float64], name: str) -> None:
    """Raise `InvalidMessage` naming the bars that cannot be true; nan fails every comparison."""
    open_, high, low, close, volume, _ = figures
    prices = figures[:4]
    checks = {
        "a price is not a positive number": ~((prices > 0) & (prices < np.inf)).all(axis=0),
        "the volume is not a number of 0 or more": ~((volume >= 0) & (volume < np.inf)),
        "high is below low, open or close": high < np.maximum(np.maximum(open_, close), low),
        "low is above open or close": low > np.minimum(open_, close),
    }
    wrong: dict[int, str] = {}
    for reason, bad in checks.items():
        for place in np.flatnonzero(bad):
            wrong.setdefault(int(place), reason)
    if wrong:
        said = [f"{when(int(starts[place]))}: {wrong[place]}" for place in sorted(wrong)]
        raise InvalidMessage(invalid_bars(name, said))
