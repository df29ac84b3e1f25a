"""A recording played back as a market: the same bytes in the same rhythm, or faster.

What a recording looks like stands in `mdkit.recording.file.recording_file`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from mdkit.errors import ExchangeError, InvalidMessage, RecordingError
from mdkit.events import Bar, Depth, Ticker, Trade
from mdkit.exchange.config import ExchangeConfig
from mdkit.exchange.market.instruments import Instrument, observed_instrument
from mdkit.exchange.market.tape import Tape
from mdkit.exchange.messages import Key, Message, Recorded
from mdkit.recording.reading.files import RecordingFiles
from mdkit.sources.connection import RawMessage
from mdkit.venues.normalized.codec import NORMALIZED
from mdkit.venues.registry import DEFAULT
from mdkit.venues.routes import ANSWER, LIVE, SEVERAL, UNREADABLE, Router

if TYPE_CHECKING:
    from mdkit.exchange.market.history import History

_MS = 1_000_000


class Entry(NamedTuple):
    """A recorded message and when it came: nanoseconds, 0 where the line did not say."""

    received_ns: int
    key: Key | None
    raw: bytes


def _in_our_words(messages: Iterable[RawMessage]) -> Iterator[RawMessage]:
    """Yield messages made of public venues' frames as the data service says them.

    What cannot be used is left out: it was counted when it was recorded.
    """
    router: Router[None] = NORMALIZED.router()
    for raw, received_ns in messages:
        try:
            events = router.route(raw).decode(raw, received_ns)
        except InvalidMessage:
            continue
        for event in events:
            if not isinstance(event, Bar):
                yield DEFAULT.encode(event), received_ns


def load(path: str) -> tuple[list[Entry], list[str]]:
    """Return a recording's messages, and sentences on what is missing of it.

    Raises `RecordingError` naming file and line if it is no recording.

    Of a rotated recording the first file stands for all of its parts beside it. Answers to
    commands, markers and what came by REST are left out. So is what was cut off in being written;
    but a line that is damaged is an error here, since an exchange must not play something else.
    """
    recordings = RecordingFiles(path)
    router: Router[None] = DEFAULT.router()
    entries: list[Entry] = []
    runs = (run for run in recordings.play() if isinstance(run, list))
    messages: Iterable[RawMessage] = chain.from_iterable(runs)
    if recordings.codec is NORMALIZED:
        messages = _in_our_words(messages)
    for raw, received_ns in messages:
        raw = raw.strip()
        route = router.route(raw)
        unreadable = route.channel == UNREADABLE
        if unreadable and not (received_ns and entries):
            raise RecordingError(
                f"{path} is not a recording: its message {len(entries) + 1:,} is not a market "
                f"message ({raw[:40].decode(errors='replace')!r}); expected a time in "
                "nanoseconds, a tab and a message, or a message alone."
            )
        if route.channel == ANSWER or route.origin != LIVE:
            continue
        if route is SEVERAL:
            entries += [
                Entry(received_ns, (part.channel, part.symbol), part_raw)
                for part, part_raw in router.split(raw)
            ]
            continue
        key = None if unreadable or not route.symbol else (route.channel, route.symbol)
        entries.append(Entry(received_ns, key, raw))
    for file in recordings.files:
        if file.damaged:
            raise RecordingError(f"{file.path} is damaged: {file.damage}; record or copy it again.")
    if not entries:
        faults = [fault for file in recordings.files for fault in file.faults]
        why = f"cannot be read: {faults[0]}" if faults else "holds no market messages"
        raise RecordingError(f"{path} {why}; record it again.")
    return entries, recordings.faults


class Playback:
    """A recording as a market. Its clock is the exchange's clock of the recording."""

    def __init__(self, config: ExchangeConfig) -> None:
        path = config.replay or ""
        entries, self.problems = load(path)
        present = tuple(dict.fromkeys(entry.key[1] for entry in entries if entry.key))
        for symbol in config.symbols:
            if symbol not in present:
                raise ExchangeError(
                    f"{path} holds nothing about {symbol}; it has {', '.join(present[:20])}."
                )
        self.symbols = config.symbols or present
        self._entries = [e for e in entries if e.key is None or e.key[1] in self.symbols]
        self.paced = config.speed > 0
        self.finished = False
        self._loop = config.loop
        self._count = config.count
        self._seed = config.seed
        self.opened_ms = _timestamp(self._entries) or self._entries[0].received_ns // _MS
        self.now_ms = self.opened_ms
        self._offsets = self._schedule(config.rate)
        self._index = self._settled = self._taken = 0
        self._lap_began = 0.0
        self._latest: dict[Key, bytes] = {}
        self.instruments: dict[str, Instrument] = {}
        self.tapes: dict[str, Tape] = {}
        self._histories: dict[str, History] = {}
        for entry in self._entries:
            if entry.key is not None:
                self._latest.setdefault(entry.key, entry.raw)
        for symbol in self.symbols:
            self._observe(symbol)

    @property
    def histories(self) -> dict[str, History]:
        """The past before the recording, which is invented and ends at its first price."""
        if not self._histories:
            from mdkit.exchange.market.history import History

            self._histories = {
                symbol: History(spec, self._seed, self.opened_ms, anchor=spec.base)
                for symbol, spec in self.instruments.items()
            }
        return self._histories

    def admit(self, symbol: str) -> bool:
        """Return whether a symbol is in the recording."""
        return symbol in self.instruments

    def prepare(self) -> bool:
        """Return False: a recording is there already."""
        return False

    def begin(self, now_ms: int) -> None:
        """Start playing; the recording's own clock is kept."""

    def take(self, until: float, most: int) -> list[Message]:
        """Return the next messages, at most `most`, that are due at `until` seconds."""
        taken: list[Message] = []
        while len(taken) < most:
            due = self.next_offset()
            if due is None or due > until:
                break
            entry = self._entries[self._index]
            if entry.key is not None:
                self._latest[entry.key] = entry.raw
            taken.append(Recorded(due, entry.key, entry.raw))
            self._index += 1
            self._taken += 1
        if taken:
            self.catch_up(taken[-1].offset)
        return taken

    def next_offset(self) -> float | None:
        """Return when the next message is due, in seconds; None at the end."""
        if self._taken == self._count:
            self.finished = True
            return None
        if self._index == len(self._entries):
            if not self._loop:
                self.finished = True
                return None
            # A lap ends a moment after its last message, or all of a lap were due at once.
            self._lap_began += self._offsets[-1] + 0.001
            self.settle()
            self._index = 0
        return self._lap_began + self._offsets[self._index]

    def catch_up(self, offset: float) -> None:
        """Let the exchange's clock come to `offset` seconds after the beginning."""
        self.now_ms = max(self.now_ms, self.opened_ms + int(offset * 1000))

    def settle(self) -> None:
        """Fold what has been played since the last call into the tapes.

        Decoding costs more than sending, so it waits until somebody asks. Symbols without
        recorded trades are folded from the middle of their books, without volume.
        """
        for entry in self._entries[self._settled : self._index]:
            if entry.key is None:
                continue
            channel, symbol = entry.key
            if channel != "trade" and (channel != "depth" or ("trade", symbol) in self._latest):
                continue
            try:
                events = DEFAULT.decode(entry.raw)
            except InvalidMessage:
                continue
            spec, tape = self.instruments[symbol], self.tapes[symbol]
            for event in events:
                if isinstance(event, Trade):
                    units = spec.units(event.size)
                    tape.record(event.exchange_ns // _MS, spec.ticks(event.price), units)
                    tape.trades.append(event)
                elif isinstance(event, Depth) and event.bids and event.asks:
                    middle = (event.bids[0][0] + event.asks[0][0]) / 2
                    tape.record(event.exchange_ns // _MS, spec.ticks(middle), 0)
        # In further laps the times are those of the first, which must not be folded twice.
        self._settled = max(self._settled, self._index)

    def depth(self, symbol: str) -> Depth:
        """Return the book last played, before the start the first one; empty if there is none."""
        event = self._last(("depth", symbol))
        return event if isinstance(event, Depth) else Depth(symbol, (), (), self.now_ms * _MS)

    def trades(self, symbol: str) -> list[Trade]:
        """Return the last trades played, up to 1,000, oldest first."""
        self.settle()
        return list(self.tapes[symbol].trades)

    def ticker(self, symbol: str) -> Ticker:
        """Return the last price and the quote, as far as the recording tells."""
        event = self._last(("ticker", symbol))
        if isinstance(event, Ticker):
            return event
        self.settle()
        book = self.depth(symbol)
        spec, tape = self.instruments[symbol], self.tapes[symbol]
        return Ticker(
            symbol,
            spec.price(tape.last),
            book.bids[0][0] if book.bids else None,
            book.asks[0][0] if book.asks else None,
            exchange_ns=self.now_ms * _MS,
        )

    def _last(self, key: Key) -> Any:
        raw = self._latest.get(key)
        if raw is None:
            return None
        try:
            return DEFAULT.decode(raw)[-1]
        except InvalidMessage:
            return None

    def _schedule(self, rate: float | None) -> list[float]:
        """Return each message's time in seconds from the first, never decreasing."""
        if rate is not None:
            return [i / rate for i in range(len(self._entries))]
        offsets: list[float] = []
        first: int | None = None
        latest = 0.0
        for entry in self._entries:
            ns = entry.received_ns or _exchange_ms(entry.raw) * _MS
            if ns:
                first = ns if first is None else first
                latest = max(latest, (ns - first) / 1e9)
            offsets.append(latest)
        return offsets

    def _observe(self, symbol: str) -> None:
        prices: list[str] = []
        sizes: list[str] = []
        price = 0.0
        for channel in ("trade", "depth", "ticker"):
            event = self._last((channel, symbol))
            if event is None:
                continue
            _numbers(json.loads(self._latest[channel, symbol]), prices, sizes)
            if isinstance(event, Depth):
                best = (event.bids or event.asks or ((1.0, 0.0),))[0][0]
            else:
                best = event.price if isinstance(event, Trade) else event.last
            price = price or best
        spec = observed_instrument(symbol, price or 1.0, prices, sizes)
        self.instruments[symbol] = spec
        self.tapes[symbol] = Tape(spec.base, self.opened_ms)


def _numbers(value: Any, prices: list[str], sizes: list[str]) -> None:
    """Collect prices and sizes as they are written, to see how many decimals they have."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("price", "last_price"):
                prices.append(str(inner))
            elif name == "quantity":
                sizes.append(str(inner))
            elif name in ("bids", "asks") and isinstance(inner, list):
                prices += [str(level[0]) for level in inner]
                sizes += [str(level[1]) for level in inner]
            else:
                _numbers(inner, prices, sizes)
    elif isinstance(value, list):
        for inner in value:
            _numbers(inner, prices, sizes)


def _exchange_ms(raw: bytes) -> int:
    """Return a message's own time in milliseconds, 0 if it has none."""
    _, found, rest = raw.rpartition(b'"timestamp":')
    digits = rest.lstrip()[:13]
    return int(digits) if found and digits.isdigit() else 0


def _timestamp(entries: list[Entry]) -> int:
    return next((ms for entry in entries if (ms := _exchange_ms(entry.raw))), 0)
