"""Results written to a file, and read again: numbers and texts alone, no code.

A file is a `.npz` of NumPy: a zip of arrays of numbers, and one of JSON. Nothing of it is ever run
or unpickled, so that a file from somebody else can do no more than be refused.
"""

from __future__ import annotations

import dataclasses
import datetime
import io
import json
import os
import re
import secrets
import zipfile
import zlib
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mdkit.backtesting.account.book_run import FILL_WIDTH, ORDER_WIDTH, BookRun
from mdkit.backtesting.account.contracts import Contract, Fees
from mdkit.backtesting.account.fills import FILL_FIELDS
from mdkit.backtesting.account.leverage import Financing, Margin
from mdkit.backtesting.account.sizing import ATRStop, RiskSize, VolatilityTarget
from mdkit.backtesting.account.terms import Terms
from mdkit.backtesting.bars.bar_run import BarRun
from mdkit.backtesting.bars.columns import WHOLE, BarAnswers
from mdkit.backtesting.compiled.native import Columns
from mdkit.backtesting.data.benchmark import Benchmark
from mdkit.backtesting.data.panel import Panel
from mdkit.backtesting.plots import DrawnResult
from mdkit.backtesting.report.checks import check_answers, check_books, check_fills, check_starts
from mdkit.backtesting.runs import Run
from mdkit.errors import MdkitError, SettingsError
from mdkit.strategies.contract import Runner, Strategy

FORMAT, VERSION = "mdkit result", 1
_KINDS = {
    kind.__name__: kind
    for kind in (Fees, Contract, ATRStop, RiskSize, VolatilityTarget, Margin, Financing)
}
_ANY_SIZE, _MOST_PACKED = 2**28, 100
"""Of a file that unpacks to more bytes, by how much prices can have been packed: about four times;
a little file that unpacks to gigabytes is no result."""
_ZONE = re.compile(r"UTC[+-]\d\d:\d\d|[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")


class SavedStrategy(Strategy):
    """What is known of the strategy of a result that was read: its name and parameters."""

    per = "symbol"
    is_async = False

    def __init__(
        self, name: str, params: dict[str, Any], kinds: tuple[str, ...], shown: str
    ) -> None:
        self.name = name
        self.shown = shown
        self._params = params
        self.kinds = kinds

    @property
    def params(self) -> dict[str, Any]:
        """The values of all parameters, by name; of those that are no numbers or texts a text."""
        return dict(self._params)

    def with_params(self, **changes: Any) -> Strategy:
        """Raise `SettingsError`."""
        raise self._error()

    def instance(self) -> Runner:
        """Raise `SettingsError`."""
        raise self._error()

    def __repr__(self) -> str:
        return self.shown

    def _error(self) -> SettingsError:
        return SettingsError(
            f"strategy {self.name} was read from a file, which holds no code; give your own"
        )


def write_result(result: DrawnResult, target: Path, more: Mapping[str, Any]) -> None:
    """Write a result; `more` are its fields of plain values."""
    arrays: dict[str, Any] = {}
    run, panel = result.run, result.panel
    for name in ("signals", "equity", "fills", "times", "shown"):
        _keep(arrays, name, getattr(run, name))
    _keep(arrays, "index", panel.starts)
    for s, (own, places) in enumerate(zip(panel.bars, panel.places, strict=True)):
        for name, column in own._asdict().items():
            _keep(arrays, f"{name} {s}", column)
        _keep(arrays, f"places {s}", places)
    told: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        **more,
        "strategy": {
            "name": result.strategy.name,
            "params": {name: _plain(value) for name, value in result.strategy.params.items()},
            "kinds": list(result.strategy.kinds),
            "shown": repr(result.strategy),
        },
        "symbols": list(panel.symbols),
        "zone": None if panel.zone is None else _zone_name(panel.zone),
        "unit": panel.index.unit,
        "positive": panel.positive,
        "single": panel.single,
        "terms": {
            field.name: _coded(getattr(result.terms, field.name), arrays)
            for field in dataclasses.fields(Terms)
        },
    }
    if run.books is not None:
        for name in ("equity", "fills", "orders"):
            _keep(arrays, f"books {name}", getattr(run.books, name))
        told["books"] = {
            name: getattr(run.books, name) for name in ("origin", "market_trades", "latency_note")
        }
    if run.bars is not None:
        for name in ("wanted", "filled", "states", "charged"):
            _keep(arrays, f"bars {name}", getattr(run.bars, name))
        for name, column in run.bars.answers._asdict().items():
            _keep(arrays, f"answers {name}", column)
        told["bars"] = True
    if result.benchmark is not None:
        told["benchmark"] = result.benchmark.name
        _keep(arrays, "benchmark", result.benchmark.values)
    arrays["told"] = np.frombuffer(json.dumps(told, default=_number).encode(), np.uint8)
    draft = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.npz")
    try:
        np.savez_compressed(draft, **arrays)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def read_parts(path: str | Path) -> dict[str, Any]:
    """Return what a `Result` is made of; raise `SettingsError` for what is no saved result."""
    source = Path(path).expanduser()
    try:
        # As bytes: NumPy leaves a file open that turns out to be none of its own.
        packed = source.read_bytes()
        _check_size(packed)
        with np.load(io.BytesIO(packed), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        told = json.loads(arrays.pop("told").tobytes())
        if told["format"] != FORMAT:
            raise ValueError("of another format")
        if told["version"] != VERSION:
            raise SettingsError(
                f"{source.name} is of version {told['version']!r} of saved results; this mdkit "
                f"reads version {VERSION}"
            )
        return _parts(told, arrays)
    except FileNotFoundError:
        raise SettingsError(f"there is no file {source}") from None
    except MdkitError:
        raise
    except (
        OSError, EOFError, ValueError, KeyError, TypeError, IndexError, AttributeError,
        OverflowError, MemoryError, RecursionError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise SettingsError(
            f"{source.name} is no saved result, or damaged ({type(error).__name__}: {error}); "
            'results are saved by result.save("name.npz")'
        ) from error


def _check_size(packed: bytes) -> None:
    """Raise `ValueError` for a file that would fill the memory with nothing."""
    with zipfile.ZipFile(io.BytesIO(packed)) as file:
        size = sum(member.file_size for member in file.infolist())
    if size > max(_ANY_SIZE, _MOST_PACKED * len(packed)):
        raise ValueError(f"{len(packed):,} bytes that unpack to {size:,}")


def _parts(told: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    symbols = tuple(map(str, told["symbols"]))
    count, bars = len(symbols), len(arrays["index"])
    if not count or len(set(symbols)) != count or not isinstance(told["symbols"], list):
        raise ValueError("symbols that are none, or twice there")
    starts = _sized(arrays, "index", bars, np.int64)
    check_starts(starts)
    own, places = [], []
    for s in range(count):
        kinds = [np.float64] * 5 + [np.int64]
        columns = [
            _taken(arrays, f"{name} {s}", kind)
            for name, kind in zip(Columns._fields, kinds, strict=True)
        ]
        own.append(Columns._make(columns))
        where = _taken(arrays, f"places {s}", np.int64) if f"places {s}" in arrays else None
        places.append(where)
        length = bars if where is None else len(where)
        fits = all(column.shape == (length,) for column in columns)
        if where is not None and length:
            fits = fits and where[0] >= 0 and where[-1] < bars and bool((np.diff(where) > 0).all())
        if not fits or not np.array_equal(
            own[-1].start_ns, starts[... if where is None else where]
        ):
            raise ValueError(f"the bars of {symbols[s]} do not fit")
    index = pd.DatetimeIndex(starts).as_unit(told["unit"]).tz_localize("UTC")
    panel = Panel(
        symbols, index, tuple(own), tuple(places), _zone(told["zone"]), bool(told["positive"]),
        max(1, int(told["single"])),
    )  # fmt: skip
    terms = Terms(**{name: _decoded(value, arrays) for name, value in told["terms"].items()})
    fills = _table(arrays, "fills", len(FILL_FIELDS))
    check_fills(fills, bars, count)
    run = Run(
        _sized(arrays, "signals", count * bars),
        _sized(arrays, "equity", bars),
        fills,
        None if "times" not in arrays else _sized(arrays, "times", len(fills), np.int64),
        None if "shown" not in arrays else _sized(arrays, "shown", len(fills)),
        _books(told.get("books"), arrays, count),
        _bars(told.get("bars"), arrays, bars, count),
    )
    named = told["strategy"]
    strategy = SavedStrategy(
        str(named["name"]), dict(named["params"]), tuple(named["kinds"]), str(named["shown"])
    )
    benchmark = None
    if "benchmark" in told:
        benchmark = Benchmark(str(told["benchmark"]), _sized(arrays, "benchmark", bars))
    return {
        "strategy": strategy, "panel": panel, "run": run, "terms": terms,
        "engine": str(told["engine"]), "engine_reason": str(told["engine_reason"]),
        "periods_per_year": told["periods_per_year"], "risk_free": float(told["risk_free"]),
        "benchmark": benchmark,
    }  # fmt: skip


def _books(
    told: Mapping[str, Any] | None, arrays: Mapping[str, Any], symbols: int
) -> BookRun | None:
    if told is None:
        return None
    fills = _table(arrays, "books fills", FILL_WIDTH)
    orders = _table(arrays, "books orders", ORDER_WIDTH)
    check_books(fills, orders, symbols)
    return BookRun(
        _taken(arrays, "books equity", np.float64), fills, orders,
        int(told["origin"]), int(told["market_trades"]), str(told["latency_note"]),
    )  # fmt: skip


def _bars(told: object, arrays: Mapping[str, Any], bars: int, symbols: int) -> BarRun | None:
    if not told:
        return None
    count = len(arrays["answers due"])
    answers = BarAnswers._make(
        _sized(arrays, f"answers {name}", count, np.int64 if name in WHOLE else np.float64)
        for name in BarAnswers._fields
    )
    states = _sized(arrays, "bars states", count, np.int64)
    check_answers(answers, states, bars, symbols)
    return BarRun(
        answers, _sized(arrays, "bars wanted", count), _sized(arrays, "bars filled", count),
        states, _sized(arrays, "bars charged", 2 * bars),
    )  # fmt: skip


def _keep(arrays: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        arrays[name] = np.ascontiguousarray(value)


def _taken(arrays: Mapping[str, Any], name: str, kind: Any) -> Any:
    found = arrays[name]
    if found.dtype != kind:
        raise ValueError(f"{name} is of {found.dtype}")
    return found


def _sized(arrays: Mapping[str, Any], name: str, size: int, kind: Any = np.float64) -> Any:
    found = _taken(arrays, name, kind)
    if found.shape != (size,):
        raise ValueError(f"{name} has the shape {found.shape}")
    return found


def _table(arrays: Mapping[str, Any], name: str, width: int) -> Any:
    found = _taken(arrays, name, np.float64)
    if found.ndim != 2 or found.shape[1] != width:
        raise ValueError(f"{name} has the shape {found.shape}")
    return found


def _zone(name: str | None) -> Any:
    if name is None:
        return None
    # No name of a file, as which pandas would take some.
    if not _ZONE.fullmatch(name) or name.startswith("dateutil"):
        raise ValueError(f"{name!r} is no time zone")
    return pd.Timestamp(0, tz=name).tz


def _zone_name(zone: Any) -> str:
    """Return a zone's name, or where it has none the distance from UTC that it always has."""
    offset = zone.utcoffset(None)
    names = [str(zone)] + ([] if offset is None else [str(datetime.timezone(offset))])
    for name in names:
        try:
            _zone(name)
        except (ValueError, KeyError):
            continue
        return name
    raise SettingsError(
        f"the time zone of the bars, {zone!r}, has no name to be written down; give one that has, "
        'such as bars.tz_convert("Europe/Berlin")'
    )


def _number(value: Any) -> float:
    """Return a number of any type as JSON has it."""
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    raise TypeError(f"{value!r} is no number")


def _plain(value: Any) -> Any:
    """Return a parameter as JSON has it; what JSON has not, as a text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return repr(value)


def _coded(value: Any, arrays: dict[str, Any]) -> Any:
    """Return a term as JSON has it."""
    if isinstance(value, Mapping):
        return {"kind": "dict", "items": [[k, _coded(v, arrays)] for k, v in value.items()]}
    if isinstance(value, pd.Series | pd.DataFrame):
        index = pd.DatetimeIndex(value.index)
        index = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
        _keep(arrays, "funding times", index.as_unit("ns").asi8)
        _keep(arrays, "funding", value.to_numpy(np.float64))
        names = None if isinstance(value, pd.Series) else list(map(str, value.columns))
        return {"kind": "funding", "names": names}
    if type(value).__name__ in _KINDS:
        fields = dataclasses.fields(value)
        values = {field.name: _coded(getattr(value, field.name), arrays) for field in fields}
        return {"kind": type(value).__name__, "values": values}
    return value


def _decoded(value: Any, arrays: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    kind = value["kind"]
    if kind == "dict":
        return {str(key): _decoded(item, arrays) for key, item in value["items"]}
    if kind == "funding":
        index = pd.DatetimeIndex(_taken(arrays, "funding times", np.int64)).tz_localize("UTC")
        rates, names = _taken(arrays, "funding", np.float64), value["names"]
        return pd.Series(rates, index) if names is None else pd.DataFrame(rates, index, names)
    values = {name: _decoded(item, arrays) for name, item in value["values"].items()}
    return _KINDS[kind](**values)
