"""`PublicRest`: what the REST services of keyless venues have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import msgspec

from mdkit.errors import (
    InvalidMessage,
    RateLimitError,
    RequestError,
    ServerError,
    ServiceError,
    SettingsError,
)
from mdkit.venues.names import NAMES, PairNames
from mdkit.venues.reading.messages import BROKEN, why_broken
from mdkit.venues.refusals import CLOSED, SLOWER, beginning, does_not_serve, elsewhere
from mdkit.venues.rest.api import KlineRules, Request, UnknownSymbol
from mdkit.venues.rest.klines import Kline, impossible, invalid_bars, when
from mdkit.venues.rest.retry_after import seconds

# Bars outside these years are of another unit of time: seconds read as milliseconds are of 1970.
_FIRST_MS, _LAST_MS = 1_230_768_000_000, 4_102_444_800_000

_read_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

Row = Any
"""A bar as the venue writes it: a list, or an object."""


class Columns(NamedTuple):
    """Where a row has what: places in a list, or names in an object. `unit` is that of `time`
    in milliseconds."""

    time: int | str
    open: int | str
    high: int | str
    low: int | str
    close: int | str
    volume: int | str
    quote_volume: int | str | None = None
    unit: int = 1


class PublicRest:
    """A keyless venue's REST service; see `RestApi`. A subclass is one venue's.

    Symbols may be given in any form that `names` takes.

    Attributes:
        venue: its name in `source=`.
        base_url: where it is.
        names: the venue's symbols.
        intervals: mdkit's names of the intervals it serves, with its own.
        columns: how it writes a bar.
        calls_per_minute: how often it may be asked.
        clock: what asks for its time, or for something as small.
        envelope: under which name the data of an answer stand; "" where they are all of it.
    """

    venue: str
    base_url: str
    names: PairNames
    intervals: ClassVar[Mapping[str, str]]
    columns: ClassVar[Columns]
    calls_per_minute: int
    clock: ClassVar[Request]
    envelope: ClassVar[str] = ""
    max_klines: int
    max_trades: int = 100
    rules: KlineRules

    def __init__(self) -> None:
        self.names = NAMES[self.venue]

    @property
    def title(self) -> str:
        """The venue's name in sentences."""
        return self.names.title

    def headers(self, api_key: str) -> dict[str, str]:
        """Return no headers: nothing here needs a key."""
        return {}

    def klines(
        self, symbol: str, interval: str, start_ms: int | None, end_ms: int | None, limit: int
    ) -> Request:
        """Return what asks for bars that begin in [start_ms, end_ms)."""
        raise NotImplementedError

    def depth(self, symbol: str, levels: int) -> Request:
        """Return what asks for the current book, of at least so many levels where it has them."""
        raise NotImplementedError

    def trades(self, symbol: str, limit: int) -> Request:
        """Return what asks for the latest trades."""
        raise NotImplementedError

    def instruments(self, symbol: str = "") -> Request:
        """Return what asks for all symbols, of the kind of this one where kinds are apart."""
        raise NotImplementedError

    def instrument(self, row: Any) -> str | None:
        """Return the symbol of one instrument, or None where it is not traded.

        Raises `SettingsError` for what can be no symbol.
        """
        raise NotImplementedError

    def rows(self, data: Any) -> Sequence[Row]:
        """Return the completed bars of an answer's data; the running one stays out if it shows."""
        rows: Sequence[Row] = data
        return rows

    def listing(self, data: Any) -> Iterable[Any]:
        """Return the instruments of an answer's data."""
        instruments: Iterable[Any] = data
        return instruments

    def time_of(self, data: Any) -> float | None:
        """Return the service's time in seconds, from the data of an answer to `clock`."""
        return None

    def refused(self, body: Any) -> tuple[int | str | None, str] | None:
        """Return the code and the words of an error, or None where a body is none."""
        return None

    def means(self, code: int | str | None, said: str) -> type[ServiceError]:
        """Return which error the venue's code and words stand for, whatever the HTTP status."""
        return RequestError

    def content(self, body: bytes) -> bytes:
        """Return the data of an answer; raise `InvalidMessage` where it has none."""
        if not self.envelope:
            return body
        try:
            return bytes(_read_parts(body)[self.envelope])
        except BROKEN as error:
            raise InvalidMessage(f"not an answer: {why_broken(error)}") from None
        except KeyError:
            raise InvalidMessage(f"an answer without {self.envelope}") from None

    def since(self, start_ms: int | None, end_ms: int | None) -> int:
        """Return the start to ask from: never before the venue began.

        Some venues answer times that cannot be with their newest bars. Raises `SettingsError` for
        an end that cannot be, as one in seconds.
        """
        if end_ms is not None and end_ms < _FIRST_MS:
            raise SettingsError(
                f"{end_ms} ms since the epoch is {when(end_ms)}, before all bars of {self.title}; "
                "times are in milliseconds, not in seconds."
            )
        return max(start_ms or 0, self.rules.since_ms)

    def interval(self, interval: str) -> str:
        """Return the venue's name of an interval; raise `RequestError` where it has none."""
        try:
            return self.intervals[interval]
        except KeyError:
            raise RequestError(
                f"{self.title} serves no bars of {interval}; it serves {', '.join(self.intervals)}."
            ) from None

    def read(self, body: bytes, status: int, about: str, retry_after: float | None) -> bytes:
        """Return the data of an answer; raise the error that a refusal means."""
        try:
            refused = self.refused(msgspec.json.decode(body))
        except (*BROKEN, TypeError, ValueError) as error:
            if status == 200:
                raise InvalidMessage(f"not an answer: {beginning(why_broken(error))}") from None
            # A page of some proxy: the status is all that it says.
            raise self.refusal(status, None, "", about, retry_after, RequestError) from None
        if status == 200 and refused is None:
            return self.content(body)
        code, said = refused if refused is not None else (None, "")
        raise self.refusal(status, code, said, about, retry_after)

    def refusal(
        self,
        status: int,
        code: int | str | None,
        said: str,
        about: str,
        retry_after: float | None,
        meant: type[ServiceError] | None = None,
    ) -> ServiceError:
        """Return what it means that the venue refused, with this HTTP status, code and words.

        `meant` is which error these stand for, where that is not to be told from them.
        """
        number = code if isinstance(code, int) else None
        http = f" (HTTP {status})" if status != 200 else ""
        told = " ".join(beginning(str(part)) for part in (code, said) if part)
        words = f": {told.rstrip('.')}" if told else ""
        if status in CLOSED:
            sentence = does_not_serve(self.title, elsewhere(self.venue), status, said)
            return RequestError(sentence, code=number)
        meant = meant or self.means(code, said)
        if status in SLOWER or meant is RateLimitError:
            what = "has banned this address" if status == 418 else "wants fewer requests"
            wait = f"; it asks to wait {seconds(retry_after)}" if retry_after is not None else ""
            return RateLimitError(
                f"{self.title} {what}{http}{words}{wait} ({about}).",
                code=number,
                retry_after=retry_after,
            )
        if meant is ServerError or (status >= 500 and meant is RequestError):
            return ServerError(
                f"{self.title} has trouble of its own{http}{words} ({about}).",
                code=number,
                retry_after=retry_after,
            )
        return meant(f"{self.title} refuses {about}{http}{words}.", code=number)

    def read_klines(self, data: bytes, about: str) -> list[Kline]:
        """Return the completed bars of an answer's data, in the order they stand there.

        Raises `InvalidMessage` where they cannot be true: also for times in another unit.
        """
        try:
            rows = self.rows(msgspec.json.decode(data))
            klines = [_kline(row, self.columns) for row in rows]
        except BROKEN as error:
            raise InvalidMessage(f"{about}: {why_broken(error)}") from None
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InvalidMessage(f"{about}: not bars as {self.title} gives them: {error}") from None
        wrong = [f"{when(bar.time)}: {why}" for bar in klines if (why := _why_wrong(bar))]
        if wrong:
            raise InvalidMessage(invalid_bars(about, wrong))
        return klines

    def read_instruments(self, data: bytes) -> tuple[str, ...]:
        """Return the symbols that are traded, in the common form, without those that are none."""
        found: dict[str, None] = {}
        try:
            for row in self.listing(msgspec.json.decode(data)):
                with contextlib.suppress(SettingsError):
                    if (name := self.instrument(row)) is not None:
                        found[name] = None
            return tuple(found)
        except BROKEN as error:
            raise InvalidMessage(f"instruments: {why_broken(error)}") from None
        except (LookupError, TypeError, AttributeError) as error:
            raise InvalidMessage(f"not instruments as {self.title} gives them: {error}") from None

    def read_time(self, data: bytes) -> float | None:
        """Return the service's time in seconds since the epoch, where the answer has it."""
        try:
            return self.time_of(msgspec.json.decode(data))
        except (*BROKEN, LookupError, TypeError, ValueError, AttributeError, OverflowError):
            return None

    def message(self, channel: str, symbol: str, data: bytes) -> bytes:
        """Return an answer's data as a message: `{"rest": channel, "symbol": ..., "data": ...}`."""
        parts = {"rest": channel, "symbol": self.names.common(symbol), "data": msgspec.Raw(data)}
        return msgspec.json.encode(parts)

    def read_saved(self, body: bytes, about: str) -> list[Kline]:
        """Return the bars of a whole answer, as it may lie in a file."""
        try:
            return self.read_klines(self.read(body, 200, about, None), about)
        except ServiceError as refusal:
            raise InvalidMessage(f"{about} is a refusal and holds no bars: {refusal}") from None

    def symbol_of(self, body: bytes) -> str | None:
        """Return None: no answer for bars says of which symbol they are."""
        return None

    def unknown(self, symbol: str) -> UnknownSymbol:
        """Return the error for a symbol that is not traded here."""
        return UnknownSymbol(f"{self.title} does not know {symbol!r}.")


def rounded_up(levels: int, allowed: Sequence[int], title: str) -> int:
    """Return the least allowed number of levels that is enough; raise `RequestError` for none."""
    for most in allowed:
        if levels <= most:
            return most
    raise RequestError(
        f"{title} gives at most {allowed[-1]:,} levels at once, not {levels:,}; ask for fewer."
    )


def _kline(row: Row, columns: Columns) -> Kline:
    quoted = columns.quote_volume
    return Kline(
        int(row[columns.time]) * columns.unit,
        float(row[columns.open]),
        float(row[columns.high]),
        float(row[columns.low]),
        float(row[columns.close]),
        float(row[columns.volume]),
        None if quoted is None else float(row[quoted]),
    )


def _why_wrong(bar: Kline) -> str:
    if not _FIRST_MS <= bar.time < _LAST_MS:
        return "the time is in another unit, or of another century"
    return impossible(
        bar.time, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.quote_volume
    )
