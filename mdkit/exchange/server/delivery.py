"""From the market to the connections: the clock, the faults on the way, the writing.

A market does not wait. A paced feed goes on whatever the clients do, and a client that falls
behind by `buffer_bytes` is disconnected. Only an unpaced feed (`flood`, or speed 0), whose pace
is the clients', waits for them: for the slowest, and for the first one to come.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from mdkit.events import Depth, Ticker, Trade
from mdkit.exchange.config import ExchangeConfig, Fault
from mdkit.exchange.dialects import Dialect
from mdkit.exchange.faults.faults import check_fault, kind_of
from mdkit.exchange.faults.targets import AdmissionGate, FaultTargets, Outbox, VenueTargets
from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.market.tape import Tape
from mdkit.exchange.messages import Key, Message, text_frame

if TYPE_CHECKING:
    # Loading numpy takes longer than starting the server.
    from mdkit.exchange.market.history import History

_GRACE = 0.05
"""Seconds from the first subscription to the first message, for the commands right behind it."""
_PACED_BATCH = 1024
_UNPACED_BATCH = 256


class Feed(Protocol):
    """A market: what is said when, and what can be asked. Simulated or played back."""

    instruments: dict[str, Instrument]
    tapes: dict[str, Tape]
    opened_ms: int
    now_ms: int
    paced: bool
    problems: list[str]
    """Sentences on what is amiss with it, such as a recording that was cut off."""

    @property
    def symbols(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def finished(self) -> bool: ...  # noqa: D102
    @property
    def histories(self) -> dict[str, History]: ...  # noqa: D102
    def admit(self, symbol: str) -> bool: ...  # noqa: D102
    def prepare(self) -> bool: ...  # noqa: D102
    def begin(self, now_ms: int) -> None: ...  # noqa: D102
    def take(self, until: float, most: int) -> list[Message]: ...  # noqa: D102
    def next_offset(self) -> float | None: ...  # noqa: D102
    def catch_up(self, offset: float) -> None: ...  # noqa: D102
    def settle(self) -> None: ...  # noqa: D102
    def depth(self, symbol: str) -> Depth: ...  # noqa: D102
    def trades(self, symbol: str) -> list[Trade]: ...  # noqa: D102
    def ticker(self, symbol: str) -> Ticker: ...  # noqa: D102


class Client:
    """An open connection, its dialect and what it has subscribed to."""

    def __init__(self, connection: ServerConnection, dialect: Dialect, compressed: bool) -> None:
        self.connection = connection
        self.dialect = dialect
        self.keys: set[Key] = set()
        self.closing = False
        self.over_limit = False
        self._compressed = compressed
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        """Whether something written now can still arrive."""
        # The transport knows first of a client that is gone.
        connection = self.connection
        return (
            not self.closing
            and connection.protocol.state is State.OPEN
            and not connection.transport.is_closing()
        )

    @property
    def backlog(self) -> int:
        """Bytes written that the client has not taken yet."""
        return self.connection.transport.get_write_buffer_size() if self.is_open else 0

    def reply(self, text: bytes) -> None:
        """Send one text now."""
        self._write_texts((text,), text_frame(text))

    def push(self, messages: list[Message], sent: Counter[Key | None]) -> None:
        """Send those of the messages that were subscribed to, and count them in `sent`."""
        if not self.keys or not self.is_open:
            return
        keys, dialect = self.keys, self.dialect
        mine = [m for m in messages if m.key in keys or m.key is None]
        if self._compressed:
            for message in mine:
                self._write_texts(message.texts(dialect), b"")
        elif mine:
            self.connection.transport.write(b"".join([m.frames(dialect) for m in mine]))
        for message in mine:
            sent[message.key] += 1

    def close(self, code: int, reason: str) -> None:
        """Close with a close frame, in the background."""
        if not self.closing:
            self.closing = True
            task = asyncio.create_task(self.connection.close(code, reason))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def abort(self) -> None:
        """Cut the TCP connection without a close frame."""
        self.closing = True
        self.connection.transport.abort()

    def freeze(self, seconds: float) -> None:
        """Stop reading for a while, so that not even pings are answered."""
        transport = self.connection.transport
        if self.is_open:
            transport.pause_reading()
            loop = asyncio.get_running_loop()
            loop.call_later(seconds, self._thaw)

    def _thaw(self) -> None:
        if self.is_open:
            self.connection.transport.resume_reading()

    def _write_texts(self, texts: tuple[bytes, ...], frames: bytes) -> None:
        if not self.is_open:
            return
        if not self._compressed:
            self.connection.transport.write(frames)
            return
        for text in texts:
            self.connection.protocol.send_text(text)
        self.connection.send_data()


class Delivery:
    """Runs the market's clock and hands its messages to the clients."""

    def __init__(self, config: ExchangeConfig, feed: Feed) -> None:
        self.config = config
        self.feed = feed
        self.clients: set[Client] = set()
        self.gate = AdmissionGate()
        self.outbox = Outbox()
        self.sent: Counter[Key | None] = Counter()
        self.passed = 0
        self.slow_clients = 0
        self.injected: Counter[str] = Counter()
        self.venue: VenueTargets | None = None
        """What the faults of a venue act on, where the exchange speaks a venue's dialect."""
        self._began: float | None = None
        self._hurried = 0
        self._ahead = 0.0
        self._wake = asyncio.Event()
        self._subscribed = asyncio.Event()
        pending = [f for f in config.faults if f.at is not None or f.after_messages is not None]
        self._by_time = sorted((f for f in pending if f.at is not None), key=lambda f: f.at or 0.0)
        self._by_count = sorted(
            (f for f in pending if f.at is None), key=lambda f: f.after_messages or 0
        )

    @property
    def began(self) -> bool:
        """Whether the scenario or playback is under way."""
        return self._began is not None

    def apply_initial_faults(self) -> None:
        """Apply the faults that wait for nothing."""
        for fault in self.config.faults:
            if fault.at is None and fault.after_messages is None:
                self.inject(fault)

    def wake(self) -> None:
        """Look again at once: a subscription has come, or a fault."""
        if any(client.keys for client in self.clients):
            self._subscribed.set()
        self._wake.set()

    def inject(self, fault: Fault) -> None:
        """Let a fault happen now; if it names a later moment, then."""
        params = check_fault(fault, self.config.venue)
        if fault.at is not None and self._elapsed() < fault.at:
            self._by_time = sorted([*self._by_time, fault], key=lambda f: f.at or 0.0)
        elif fault.after_messages is not None and self.passed < fault.after_messages:
            self._by_count = sorted([*self._by_count, fault], key=lambda f: f.after_messages or 0)
        else:
            self.injected[fault.kind] += 1
            now = asyncio.get_running_loop().time()
            seed = self.config.seed + self.injected[fault.kind] - 1
            targets = FaultTargets(
                self.gate, self.outbox, self, now, seed, self.feed.symbols, self.venue
            )
            kind_of(fault.kind).apply(targets, fault, params)
        self.wake()

    def disconnect(self, code: int, reason: str) -> None:
        """Close every connection with a close frame."""
        for client in tuple(self.clients):
            client.close(code, reason)

    def drop(self) -> None:
        """Abort every connection without a close frame."""
        for client in tuple(self.clients):
            client.abort()

    def freeze(self, seconds: float) -> None:
        """Neither read nor answer on any connection for a while."""
        for client in tuple(self.clients):
            client.freeze(seconds)

    def hurry(self, count: int) -> None:
        """Say the next messages at once. An unpaced market hurries anyway."""
        if self.feed.paced:
            self._hurried += count

    def refresh(self) -> None:
        """Bring the market's clock up to now, but not past a message that is still to come."""
        feed = self.feed
        if not self.began:
            if self.config.start_ms is None and self.config.replay is None:
                feed.now_ms = max(feed.now_ms, time.time_ns() // 1_000_000)
        elif feed.paced:
            due = feed.next_offset()
            # While the books are ahead of the clock by a message that is due, stay before it.
            now = self._market_time(self._elapsed())
            feed.catch_up(now if due is None else min(now, due))
        feed.settle()

    async def run(self) -> None:
        """Deliver until cancelled."""
        # Between two parts whoever connects meanwhile has a turn.
        while self.feed.prepare():  # noqa: ASYNC110
            await asyncio.sleep(0)
        await self._subscribed.wait()
        await asyncio.sleep(_GRACE)
        start_ms = self.config.start_ms
        self.feed.begin(time.time_ns() // 1_000_000 if start_ms is None else start_ms)
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        while True:
            self._wake.clear()
            wait = self._paced_turn() if self.feed.paced else await self._unpaced_turn()
            if wait is None:
                await self._wake.wait()
            elif wait > 0:
                handle = loop.call_later(wait, self._wake.set)
                await self._wake.wait()
                handle.cancel()
            else:
                await asyncio.sleep(0)

    def _paced_turn(self) -> float | None:
        """Send what is due; return the seconds until something is, None if nothing will be."""
        elapsed = self._elapsed()
        if self._hurried:
            return self._hurried_turn()
        # Messages up to a fault's moment go before it, however late this turn is.
        until = min(elapsed, self._by_time[0].at or 0.0) if self._by_time else elapsed
        full = self._send(self._market_time(until), _PACED_BATCH)
        self._fire(until)
        if full or until < elapsed:
            return 0.0
        due = self.feed.next_offset()
        waits = [] if due is None else [(due - self._ahead) / self.config.speed - elapsed]
        return self._soonest(waits)

    def _hurried_turn(self) -> float:
        """Send a part of a burst, and let the market's time pass that it would have taken."""
        before = self.passed
        full = self._send(math.inf, min(self._hurried, _PACED_BATCH))
        sent = self.passed - before
        # The market may be at its end, or a fault at a certain message comes before the rest.
        self._hurried = self._hurried - sent if sent or full else 0
        due = self.feed.next_offset()
        if due is not None:
            behind = due - self._market_time(self._elapsed())
            self._ahead += max(0.0, behind)
        return 0.0

    def _market_time(self, elapsed: float) -> float:
        """Return what the feed's clock shows, in seconds, when `elapsed` have really passed."""
        return elapsed * self.config.speed + self._ahead

    async def _unpaced_turn(self) -> float | None:
        """Send a batch and wait until all clients have taken it."""
        loop = asyncio.get_running_loop()
        self._fire(self._elapsed())
        if self.outbox.blocks(loop.time()):
            self._send(-1.0, 0)
            return self._soonest([])
        clients = [client for client in self.clients if client.keys and client.is_open]
        if not clients or self.feed.next_offset() is None:
            self._send(-1.0, 0)
            return self._soonest([])
        self._send(math.inf, _UNPACED_BATCH)
        for client in clients:
            try:
                await client.connection.drain()
            except Exception:
                # The client went away while being waited for, however it did so.
                continue
        return 0.0

    def _send(self, until: float, most: int) -> bool:
        """Take, disturb and write messages; return whether there may be more at once."""
        if self._by_count:
            most = min(most, max(0, (self._by_count[0].after_messages or 0) - self.passed))
        taken = self.feed.take(until, most) if most else []
        self.passed += len(taken)
        self.write(taken)
        fired = self._fire_counted()
        return fired or (most > 0 and len(taken) == most)

    def write(self, messages: list[Message]) -> None:
        """Disturb messages as the faults ask, and write what is to be sent now."""
        messages = self.outbox.pass_on(messages, asyncio.get_running_loop().time())
        if not messages:
            return
        for client in tuple(self.clients):
            client.push(messages, self.sent)
            if client.backlog > self.config.buffer_bytes and self.feed.paced:
                self.slow_clients += 1
                client.close(1008, "too slow")

    def _fire_counted(self) -> bool:
        fired = False
        while self._by_count and (self._by_count[0].after_messages or 0) <= self.passed:
            self.inject(self._by_count.pop(0))
            fired = True
        return fired

    def _fire(self, elapsed: float) -> None:
        while self._by_time and (self._by_time[0].at or 0.0) <= elapsed:
            fault = self._by_time.pop(0)
            self.inject(fault)

    def _soonest(self, waits: list[float]) -> float | None:
        now = asyncio.get_running_loop().time()
        if self._by_time:
            waits.append((self._by_time[0].at or 0.0) - self._elapsed())
        wake_at = self.outbox.wake_at(now)
        if wake_at is not None:
            waits.append(wake_at - now)
        return max(0.0, min(waits)) if waits else None

    def _elapsed(self) -> float:
        """Return the seconds since the first message could be sent; negative before."""
        if self._began is None:
            return -1.0
        return asyncio.get_running_loop().time() - self._began

    def statistics(self) -> dict[str, Any]:
        """Return what was delivered, JSON-ready."""
        sent: dict[str, dict[str, int]] = {}
        for key, number in self.sent.items():
            channel, symbol = key or ("fault", "*")
            sent.setdefault(symbol, {})[channel] = number
        return {
            "began": self.began,
            "finished": self.feed.finished,
            "clock_ms": self.feed.now_ms,
            "messages": self.passed,
            "sent": sent,
            "sent_total": sum(self.sent.values()),
            "withheld": self.outbox.withheld,
            "slow_clients": self.slow_clients,
            "faults": dict(self.injected),
            "faults_pending": len(self._by_time) + len(self._by_count),
            "problems": self.feed.problems,
        }
