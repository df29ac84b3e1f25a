"""`read_klines`: bars from a CSV, Parquet or JSON file, compressed or not."""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mdkit.errors import InvalidMessage, RecordingError, RecordingWarning
from mdkit.history.columns import FIGURES, Klines, to_frame
from mdkit.history.files.csv_tables import TWO_LEVELS, check_doubled, plain_label, read_csv
from mdkit.history.files.stamps import TIMES, bar_starts, check_starts
from mdkit.history.prices import keep_possible
from mdkit.venues.registry import DEFAULT_REST
from mdkit.venues.rest.klines import invalid_bars, when

if TYPE_CHECKING:
    import pandas as pd

_MOST_UNPACKED = 4 << 30
_NEEDED = FIGURES[:4]
_SYMBOLS = ("symbol", "ticker")
_ALIASES = {"vol": "volume"}
_USED = (*TIMES, *FIGURES, *_SYMBOLS, *_ALIASES)
_FORMATS = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet", ".json": "json"}


def read_klines(
    path: str | Path, *, dayfirst: bool | None = None, allow_nonpositive: bool = False
) -> pd.DataFrame:
    """Return the bars in a file as `md.klines` would: UTC index, floats, sorted, unique.

    The format is told by the name: `.csv`, `.parquet`, or `.json` in the shape of the service's
    `/v1/market/kline` (a whole answer, its `data`, or a bare list); `.gz` behind any of them. A
    table has the columns open, high, low and close, perhaps volume, quote_volume and symbol (or
    ticker), and a column or index of bar starts, named time, timestamp, datetime, date, open_time
    or start; a date may have its time of day in another of these. Times are text (without a zone
    UTC), numbers of seconds, ms, us or ns since the epoch, YYYYMMDD, or a spreadsheet's count of
    days; each row may have its own. A symbol column is text and gives the frame a symbol level.
    Of bars with the same start the last one counts, and where they differ a warning says so.

    Args:
        path: of the file; `~` is your home.
        dayfirst: how to read 05/11/2023 where no other date of the file tells.
        allow_nonpositive: keep bars with prices of 0 and below, as spreads, power and for a day
            oil have had them. Unless set they are left out, and a warning names them.

    Raises `RecordingError` when the file is none of these, or its dates can be read in two ways;
    `InvalidMessage` when bars in it cannot be true; and `FileNotFoundError`.

    Example:
        >>> import pandas as pd
        >>> row = {"time": "2025-01-06", "open": 100, "high": 102, "low": 99, "close": 101}
        >>> pd.DataFrame([row]).to_csv("bars.csv", index=False)
        >>> md.read_klines("bars.csv")["close"].tolist()
        [101.0]
    """
    path = Path(path).expanduser()
    if path.exists() and not path.is_file():
        raise RecordingError(f"{path} is no regular file; give the path of a file of bars.")
    body = path.read_bytes()
    if body[:2] == b"\x1f\x8b":
        try:
            body = _unpacked(body, path.name)
        except (OSError, EOFError, zlib.error) as error:
            raise RecordingError(f"{path.name} is damaged: {error}.") from None
    name = path.name.lower().removesuffix(".gz")
    kind = next((kind for end, kind in _FORMATS.items() if name.endswith(end)), None)
    if kind is None:
        raise RecordingError(
            f"{path.name} is not a file of bars: its name must end in "
            f"{', '.join(_FORMATS)}, perhaps followed by .gz. A recording is backtested in Python: "
            "md.backtest(strategy, path)."
        )
    if kind == "json":
        return _from_json(body, path.name, allow_nonpositive)
    try:
        table = _table(body, kind, path.name)
    except RecordingError:
        raise
    except Exception as error:  # pandas and pyarrow raise whatever their parsers raise
        reason = str(error).partition("\n")[0]
        raise RecordingError(f"{path.name} is not readable as {kind}: {reason}.") from None
    return _from_table(table, path.name, dayfirst, allow_nonpositive)


def _unpacked(body: bytes, name: str) -> bytes:
    """Return what gzip packed; raise `RecordingError` where that is without measure."""
    with gzip.open(io.BytesIO(body)) as file:
        text = file.read(_MOST_UNPACKED + 1)
    if len(text) > _MOST_UNPACKED:
        raise RecordingError(
            f"{name} holds more than {_MOST_UNPACKED >> 30} GiB when unpacked: split it, or unpack "
            "it yourself."
        )
    return text


def _from_json(body: bytes, name: str, allow_nonpositive: bool) -> pd.DataFrame:
    try:
        klines = DEFAULT_REST.read_saved(body, name)
    except InvalidMessage as error:
        if "invalid bar" in str(error):
            raise
        raise RecordingError(f"{error}: not bars in the shape of /v1/market/kline.") from None
    symbol = DEFAULT_REST.symbol_of(body)
    check_starts(np.array([kline.time for kline in klines], np.int64), name)
    return to_frame(keep_possible(Klines.of(klines), symbol or name, allow_nonpositive), symbol)


def _table(body: bytes, kind: str, name: str) -> pd.DataFrame:
    import pandas as pd

    if kind == "csv":
        return read_csv(body, (*FIGURES, *_ALIASES), _USED, name)
    return pd.read_parquet(io.BytesIO(body))


def _from_table(
    table: pd.DataFrame, name: str, dayfirst: bool | None, allow_nonpositive: bool
) -> pd.DataFrame:
    if any(label is not None for label in table.index.names):
        table = table.reset_index()
    elif table.index.inferred_type.startswith("datetime"):
        table = table.rename_axis("time").reset_index()
    columns = _columns(table, name)
    stamps = [label for label in TIMES if label in columns]
    missing = [label for label in _NEEDED if label not in columns]
    if not stamps or missing:
        what = ", ".join([*missing, *([] if stamps else ["time"])])
        raise RecordingError(
            f"{name} has no column {what}; its columns are {', '.join(map(str, table.columns))}."
        )
    starts = bar_starts({label: columns[label] for label in stamps}, name, dayfirst)
    figures = np.full((len(FIGURES), len(table)), np.nan)
    for row, label in zip(figures, FIGURES, strict=True):
        if label in columns:
            row[:] = _figures(columns[label], f"{name}: column {label}")
        elif label == "volume":
            row[:] = 0.0
    _check(starts, figures, name)
    symbol = next((label for label in _SYMBOLS if label in columns), None)
    if symbol is None:
        return to_frame(_in_order(starts, figures, name, allow_nonpositive))
    symbols = _symbols(columns[symbol], f"{name}: column {symbol}")
    return _by_symbol(symbols, starts, figures, name, allow_nonpositive)


def _by_symbol(
    symbols: npt.NDArray[np.object_],
    starts: npt.NDArray[np.int64],
    figures: npt.NDArray[np.float64],
    name: str,
    allow_nonpositive: bool,
) -> pd.DataFrame:
    """Return the bars of several symbols in one frame, in the order in which symbols appear."""
    import pandas as pd

    codes, names = pd.factorize(symbols)
    order = np.lexsort((starts, codes))
    codes, starts, figures = codes[order], starts[order], figures[:, order]
    # Few symbols have bars to be told about; the others are right as they stand.
    twice = np.flatnonzero((codes[1:] == codes[:-1]) & (starts[1:] == starts[:-1]))
    odd = np.isin(codes, [*codes[twice], *codes[(figures[:4] <= 0).any(axis=0)]])
    parts = [(codes[~odd], starts[~odd], figures[:, ~odd])]
    for code in np.unique(codes[odd]):
        mine = codes == code
        about = f"{name}, {names[code]}"
        bars = _in_order(starts[mine], figures[:, mine], about, allow_nonpositive)
        parts.append((np.full(bars.bars, code), bars.starts, bars.figures))
    codes = np.concatenate([part[0] for part in parts])
    starts = np.concatenate([part[1] for part in parts])
    figures = np.concatenate([part[2] for part in parts], axis=1)
    order = np.lexsort((starts, codes))
    frame = to_frame(Klines(starts[order], figures[:, order]))
    if len(codes):
        named = pd.Index([str(one) for one in names]).take(codes[order])
        frame.index = pd.MultiIndex.from_arrays([named, frame.index], names=["symbol", "time"])
    return frame


def _columns(table: pd.DataFrame, name: str) -> dict[str, pd.Series[Any]]:
    """Return the columns by plain names; raise `RecordingError` where a name stands for two."""
    if table.columns.nlevels > 1:
        levels = table.columns.nlevels
        raise RecordingError(f"{name} has column names of {levels} levels: {TWO_LEVELS}")
    check_doubled(table.columns, _USED, name)
    columns: dict[str, pd.Series[Any]] = {}
    for place, label in enumerate(table.columns):
        plain = plain_label(label)
        # MetaTrader's volume is `vol`; where there is a column of the full name, that one counts.
        columns.setdefault(_ALIASES.get(plain, plain), table.iloc[:, place])
        if plain in FIGURES:
            columns[plain] = table.iloc[:, place]
    return columns


def _figures(column: pd.Series[Any], what: str) -> npt.NDArray[np.float64]:
    try:
        numbers: npt.NDArray[np.float64] = column.to_numpy(np.float64)
    except (TypeError, ValueError):
        value = next((str(v) for v in column if not _is_number(v)), "")
        raise RecordingError(
            f"{what} holds more than numbers, such as {value[:40]!r}: write 1234.5, without "
            "signs of money or thousands."
        ) from None
    return numbers


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _symbols(column: pd.Series[Any], what: str) -> npt.NDArray[np.object_]:
    """Return symbols; raise `RecordingError` for what is no text: 1 may have been 000001."""
    symbols = column.to_numpy(object)
    for row, symbol in enumerate(symbols):
        if not isinstance(symbol, str):
            raise RecordingError(
                f"{what} holds {symbol!r} in row {row}, which is no text: whatever wrote it may "
                "have changed symbols such as 000001 or NA. Write them as text."
            )
        if not symbol.strip():
            raise RecordingError(f"{what} is empty in row {row}: every bar needs its symbol.")
    return symbols


def _in_order(
    starts: npt.NDArray[np.int64],
    figures: npt.NDArray[np.float64],
    about: str,
    allow_nonpositive: bool,
) -> Klines:
    """Return bars in order, once each; warn of those that another with the same start replaces."""
    bars = Klines(starts, figures)
    ordered = bars.sorted()
    if ordered.bars < bars.bars:
        kept = np.searchsorted(ordered.starts, starts)
        same = np.isclose(figures, ordered.figures[:, kept], rtol=0, atol=0, equal_nan=True)
        lost = np.flatnonzero(~same.all(axis=0))
        if lost.size:
            warnings.warn(
                f"{about}: {lost.size:,} bars begin when another with other figures does, the "
                f"first at {when(int(starts[lost[0]]))}; of each such time the last one is kept.",
                RecordingWarning,
                stacklevel=4,
            )
    return keep_possible(ordered, about, allow_nonpositive)


def _check(starts: npt.NDArray[np.int64], figures: npt.NDArray[np.float64], name: str) -> None:
    """Raise `InvalidMessage` naming the bars that cannot be true; nan fails every comparison."""
    open_, high, low, close, volume, _ = figures
    prices = figures[:4]
    positive = (prices > 0).all(axis=0)  # `keep_possible` looks after the others
    checks = {
        "a price is not a number": ~np.isfinite(prices).all(axis=0),
        "the volume is not a number of 0 or more": ~((volume >= 0) & (volume < np.inf)),
        "high is below low, open or close": positive
        & (high < np.maximum(np.maximum(open_, close), low)),
        "low is above open or close": positive & (low > np.minimum(open_, close)),
    }
    wrong: dict[int, str] = {}
    for reason, bad in checks.items():
        for place in np.flatnonzero(bad):
            wrong.setdefault(int(place), reason)
    if wrong:
        said = [f"{when(int(starts[place]))}: {wrong[place]}" for place in sorted(wrong)]
        raise InvalidMessage(invalid_bars(name, said))
