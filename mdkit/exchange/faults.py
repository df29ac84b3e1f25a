"""What can go wrong, as a table: every kind of fault, its parameters and what it does.

A fault acts on one of two places. The door (`Door`) decides about new connections and REST
calls; the way out (`Outlet`) decides what becomes of messages between the market, which never
waits, and the connections.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, NamedTuple, Protocol

from mdkit.errors import SettingsError
from mdkit.exchange.config import Fault
from mdkit.exchange.messages import Message


class Connections(Protocol):
    """What faults may do to the open connections."""

    def disconnect(self, code: int, reason: str) -> None:
        """Close every connection with a close frame."""

    def drop(self) -> None:
        """Abort every connection's TCP without a close frame."""

    def freeze(self, seconds: float) -> None:
        """Read nothing, so answer nothing, on any connection for a while."""

    def hurry(self, count: int) -> None:
        """Say the market's next messages at once, and have its clock run ahead by as much."""


class Door:
    """What happens to new connections and REST calls. Times are of the loop's clock."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, dict[str, Any]]] = {}
        self._left: dict[str, tuple[int, dict[str, Any]]] = {}

    def shut(self, what: str, until: float, params: dict[str, Any]) -> None:
        """Apply `what` to everybody who comes before `until`."""
        self._until[what] = (until, params)

    def shut_for(self, what: str, count: int, params: dict[str, Any]) -> None:
        """Apply `what` to the next `count` who come."""
        left = self._left.get(what, (0, params))[0]
        self._left[what] = (left + count, params)

    def check(self, what: str, now: float) -> tuple[float, dict[str, Any]] | None:
        """Return (seconds left, parameters) if `what` applies to somebody who comes now."""
        if what in self._until:
            until, params = self._until[what]
            if now < until:
                return until - now, params
            del self._until[what]
        if what in self._left:
            count, params = self._left.pop(what)
            if count > 1:
                self._left[what] = (count - 1, params)
            return 0.0, params
        return None


class Outlet:
    """The way out: delays, repeats, swaps and spoils messages as the faults ask."""

    def __init__(self) -> None:
        self._held: deque[Message] = deque()
        self._stalled_until = 0.0
        self._stall_holds = False
        self._slow_until = 0.0
        self._pause = 0.0
        self._next_free = 0.0
        self._repeats: list[list[Any]] = []
        self._swaps: list[list[Any]] = []
        self._waiting: dict[Any, Message] = {}
        self._extra: deque[Message] = deque()
        self._skewed_until = 0.0
        self._skew_ns = 0
        self.withheld = 0

    def stall(self, until: float, hold: bool) -> None:
        """Send nothing until then; with `hold` send it afterwards, else never."""
        self._stalled_until, self._stall_holds = until, hold

    def slow(self, until: float, pause: float) -> None:
        """Let at least `pause` seconds pass between two messages until then."""
        self._slow_until, self._pause = until, pause

    def repeat(self, symbol: str | None, count: int) -> None:
        """Send each of the next `count` messages twice."""
        self._repeats.append([symbol, count])

    def swap(self, symbol: str | None, count: int) -> None:
        """Send the next `count` messages after their successors of the same channel."""
        self._swaps.append([symbol, count])

    def skew(self, until: float, seconds: float) -> None:
        """Have what the market says tell a time that is `seconds` off until then."""
        self._skewed_until, self._skew_ns = until, round(seconds * 1000) * 1_000_000

    def add(self, messages: Iterable[Message]) -> None:
        """Put messages in front of whatever comes next."""
        self._extra.extend(messages)

    def blocks(self, now: float) -> bool:
        """Whether a feed that can wait should: nothing new would be sent now."""
        if now < self._slow_until:
            return bool(self._held) or now < self._next_free or now < self._stalled_until
        return now < self._stalled_until

    def wake_at(self, now: float) -> float | None:
        """Return when there is something to do without a new message; None if never."""
        if self._extra:
            return now
        if now < self._stalled_until:
            return self._stalled_until
        if now < self._slow_until:
            return min(max(now, self._next_free) if self._held else math.inf, self._slow_until)
        return now if self._held else None

    def pass_on(self, messages: list[Message], now: float) -> list[Message]:
        """Return what is to be sent now, given what the market has just said."""
        if now < self._skewed_until:
            messages = [message.shifted(self._skew_ns) for message in messages]
        if self._repeats or self._swaps or self._waiting:
            messages = self._disturb(messages)
        if self._extra:
            messages = [*self._extra, *messages]
            self._extra.clear()
        if now < self._stalled_until:
            if self._stall_holds:
                self._held.extend(messages)
            else:
                self.withheld += len(messages)
            return []
        if now < self._slow_until:
            self._held.extend(messages)
            if now < self._next_free or not self._held:
                return []
            self._next_free = now + self._pause
            return [self._held.popleft()]
        if self._held:
            messages = [*self._held, *messages]
            self._held.clear()
        return messages

    def _disturb(self, messages: list[Message]) -> list[Message]:
        disturbed: list[Message] = []
        for message in messages:
            if message.key in self._waiting:
                disturbed += (message, self._waiting.pop(message.key))
                continue
            if _claim(self._swaps, message):
                self._waiting[message.key] = message
                continue
            disturbed.append(message)
            if _claim(self._repeats, message):
                disturbed.append(message)
        return disturbed


def _claim(orders: list[list[Any]], message: Message) -> bool:
    """Return whether one of the (symbol, count) orders is for this message, counting it."""
    for order in orders:
        if order[0] is None or (message.key is not None and message.key[1] == order[0]):
            order[1] -= 1
            if order[1] <= 0:
                orders.remove(order)
            return True
    return False


class Stage(NamedTuple):
    """Where a fault acts."""

    door: Door
    outlet: Outlet
    connections: Connections
    now: float
    seed: int
    symbols: Sequence[str]


class FaultKind(NamedTuple):
    """A kind of fault: what it does, its parameters with their defaults, and how."""

    description: str
    params: dict[str, Any]
    apply: Callable[[Stage, Fault, dict[str, Any]], None]


def _disconnect(stage: Stage, fault: Fault, params: dict[str, Any]) -> None:
    stage.connections.disconnect(params["code"], params["reason"])


def _drop(stage: Stage, fault: Fault, params: dict[str, Any]) -> None:
    stage.connections.drop()


def _freeze(stage: Stage, fault: Fault, params: dict[str, Any]) -> None:
    stage.connections.freeze(fault.duration)
    stage.outlet.stall(stage.now + fault.duration, False)


def _deaf(stage: Stage, fault: Fault, params: dict[str, Any]) -> None:
    stage.connections.freeze(fault.duration)


def _burst(stage: Stage, fault: Fault, params: dict[str, Any]) -> None:
    stage.connections.hurry(fault.count)


def _clock(stage: Stage, fault: Fault, params: dict[str, Any]) -> None:
    until = stage.now + fault.duration if fault.duration > 0 else math.inf
    stage.outlet.skew(until, float(params["seconds"]))


def _door(stage: Stage, fault: Fault, params: dict[str, Any]) -> None:
    if fault.duration > 0:
        stage.door.shut(fault.kind, stage.now + fault.duration, params)
    else:
        stage.door.shut_for(fault.kind, fault.count, params)


def _stall(stage: Stage, fault: Fault, params: dict[str, Any]) -> None:
    stage.outlet.stall(stage.now + fault.duration, bool(params["hold"]))


def _slow(stage: Stage, fault: Fault, params: dict[str, Any]) -> None:
    stage.outlet.slow(stage.now + fault.duration, float(params["pause"]))


def _duplicate(stage: Stage, fault: Fault, params: dict[str, Any]) -> None:
    stage.outlet.repeat(fault.symbol, fault.count)


def _reorder(stage: Stage, fault: Fault, params: dict[str, Any]) -> None:
    stage.outlet.swap(fault.symbol, fault.count)


def _malformed(stage: Stage, fault: Fault, params: dict[str, Any]) -> None:
    texts = malformed(stage.seed, fault.count, fault.symbol or stage.symbols[0])
    stage.outlet.add(Message.verbatim(0.0, None, text, "realtime", "article") for text in texts)


def _oversized(stage: Stage, fault: Fault, params: dict[str, Any]) -> None:
    text = b'{"cmd":"depth","data":{"symbol":"%b","padding":"%b"}}' % (
        (fault.symbol or stage.symbols[0]).encode(),
        b"x" * int(params["size"]),
    )
    message = Message.verbatim(0.0, None, text, "realtime", "article")
    stage.outlet.add([message] * fault.count)


FAULTS: dict[str, FaultKind] = {
    "disconnect": FaultKind(
        "close every connection, with a close frame (code, reason)",
        {"code": 1012, "reason": "service restart"},
        _disconnect,
    ),
    "drop": FaultKind("abort every connection's TCP, without a close frame", {}, _drop),
    "refuse": FaultKind(
        "answer new connections with HTTP 503 (status), for `duration` or `count` times",
        {"status": 503},
        _door,
    ),
    "slow_handshake": FaultKind(
        "let new connections wait `pause` seconds for the answer to their handshake, for "
        "`duration` or `count` times",
        {"pause": 1.0},
        _door,
    ),
    "accept_then_close": FaultKind(
        "accept new connections and close them at once, for `duration` or `count` times",
        {"code": 1013, "reason": "try again later"},
        _door,
    ),
    "rate_limit": FaultKind(
        "answer connections and REST calls with 429 and Retry-After (retry_after, default: the "
        "seconds left), for `duration` or `count` times",
        {"retry_after": None},
        _door,
    ),
    "unauthorized": FaultKind(
        "answer connections and REST calls with 401 (code: 1001, or 1003, 1004 with 403), for "
        "`duration` or `count` times",
        {"code": 1001},
        _door,
    ),
    "server_error": FaultKind(
        "answer REST calls with code 5000 (code), for `duration` or `count` times",
        {"code": 5000},
        _door,
    ),
    "stall": FaultKind(
        "send nothing for `duration`, though connected; what the market says meanwhile is lost, "
        "or with hold=true sent afterwards",
        {"hold": False},
        _stall,
    ),
    "freeze": FaultKind(
        "neither read nor send for `duration`: not even pings are answered", {}, _freeze
    ),
    "deaf": FaultKind(
        "go on sending, but read nothing for `duration`: pings are not answered", {}, _deaf
    ),
    "burst": FaultKind(
        "the market's next `count` messages at once; its clock is ahead by as much afterwards",
        {},
        _burst,
    ),
    "clock": FaultKind(
        "what is pushed tells a time that is `seconds` ahead (behind: negative), for `duration`, "
        "or from now on where that is 0",
        {"seconds": 3600.0},
        _clock,
    ),
    "slow": FaultKind(
        "at least `pause` seconds between two messages for `duration`, then all that is late",
        {"pause": 0.1},
        _slow,
    ),
    "malformed": FaultKind(
        "`count` messages that are broken in seeded ways, about `symbol`", {}, _malformed
    ),
    "oversized": FaultKind(
        "`count` messages of `size` bytes, above the usual limit of 1 MiB",
        {"size": 2 << 20},
        _oversized,
    ),
    "duplicate": FaultKind("the next `count` messages (of `symbol`) come twice", {}, _duplicate),
    "reorder": FaultKind(
        "the next `count` messages (of `symbol`) come after their successors", {}, _reorder
    ),
}


RECOVERABLE = tuple(kind for kind in FAULTS if kind != "unauthorized")
"""The kinds after which a client goes on by itself, sooner or later."""


def check_fault(fault: Fault) -> dict[str, Any]:
    """Return the fault's complete parameters; raise `SettingsError` for one that cannot be."""
    kind = FAULTS.get(fault.kind)
    if kind is None:
        raise SettingsError(f"fault {fault.kind!r} is unknown; the faults are {', '.join(FAULTS)}.")
    unknown = fault.params.keys() - kind.params.keys()
    if unknown:
        known = ", ".join(["duration", "count", "symbol", *kind.params])
        raise SettingsError(
            f"fault {fault.kind!r} has no parameter {sorted(unknown)[0]!r}; it knows {known}."
        )
    for name in ("at", "after_messages", "duration"):
        value = getattr(fault, name)
        if value is not None and not 0 <= value < 1e9:
            raise SettingsError(f"fault {fault.kind!r}: {name}={value!r} must be 0 or more.")
    if not 1 <= fault.count <= 1_000_000:
        raise SettingsError(f"fault {fault.kind!r}: count={fault.count!r} must be 1 to 1000000.")
    for name, value in fault.params.items():
        default = kind.params[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            fine = isinstance(value, type(default))
        else:
            least = -1e9 if name == "seconds" else 0
            fine = default is None or (
                not isinstance(default, (bool, str)) and least <= value <= 1e9
            )
        if not fine:
            raise SettingsError(f"fault {fault.kind!r}: {name}={value!r} cannot be used.")
    return {**kind.params, **fault.params}


def make_fault(kind: str, params: dict[str, Any]) -> Fault:
    """Return a checked fault from a kind and loose parameters, which may be strings."""
    fields: dict[str, Any] = {}
    others: dict[str, Any] = {}
    numbers: dict[str, type] = {"at": float, "after_messages": int, "duration": float, "count": int}
    try:
        for name, value in params.items():
            if name in numbers:
                fields[name] = None if value is None else numbers[name](value)
            elif name == "symbol":
                fields[name] = value
            else:
                others[name] = _loosely(value)
    except (TypeError, ValueError):
        raise SettingsError(f"fault {kind!r}: {name}={value!r} is not a number.") from None
    fault = Fault(kind, params=others, **fields)
    check_fault(fault)
    return fault


def _loosely(value: Any) -> Any:
    """Return what a URL's text most likely means: 3, 0.5, true, or the text itself."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def malformed(seed: int, count: int, symbol: str) -> list[bytes]:
    """Return broken messages, the same ones for the same seed; all of them are valid UTF-8."""
    random = Random(f"{seed}|malformed")
    levels = '"bids":[["100.10","5"],["100.00","3"]],"asks":[["100.20","4"],["100.30","2"]]'
    good = f'{{"cmd":"depth","data":{{"symbol":"{symbol}",{levels},"timestamp":1700000000000}}}}'
    ways: list[Callable[[], str]] = [
        lambda: good[: 1 + int(random.random() * (len(good) - 1))],
        lambda: good.replace('"100.10"', '"abc"'),
        lambda: good.replace('"100.10"', "null"),
        lambda: good.replace('"100.10"', '"-1"'),
        lambda: good.replace('"100.10"', '"NaN"'),
        lambda: good.replace('"100.10"', '"100.90"'),
        lambda: good.replace('"bids":[[', '"bids":[{').replace("]],", "}],", 1),
        lambda: good.replace('"depth"', '"nonsense"'),
        lambda: good.replace(f'"{symbol}"', '""'),
        lambda: good.replace('"timestamp":1700000000000', '"timestamp":"soon"'),
        lambda: "not json at all",
        lambda: "",
        lambda: "[]",
        lambda: "[" * 2000,
        lambda: f'{{"cmd":"trade","data":{{"symbol":"{symbol}","trades":"none"}}}}',
    ]
    return [ways[int(random.random() * len(ways))]().encode() for _ in range(count)]


def random_faults(
    seed: int, *, seconds: float, count: int, kinds: Sequence[str] | None = None
) -> tuple[Fault, ...]:
    """Return a schedule of `count` faults spread over `seconds`, the same for the same seed.

    `kinds` defaults to seven common ones; `RECOVERABLE` has all after which a client goes on by
    itself. Bursts are of 10,000 to 50,000 messages.
    """
    kinds = tuple(
        kinds or ("disconnect", "drop", "refuse", "stall", "malformed", "duplicate", "slow")
    )
    random = Random(f"{seed}|schedule of faults")
    times = sorted(random.random() * seconds for _ in range(count))
    faults = []
    for at in times:
        kind = kinds[int(random.random() * len(kinds))]
        duration = round(0.1 + random.random() * seconds / 20, 3)
        number = 1 + int(random.random() * 5)
        params: dict[str, Any] = {}
        if kind == "burst":
            number *= 10_000
        elif kind == "oversized":
            params["size"] = int(random.random() * (24 << 20))
        elif kind == "clock":
            params["seconds"] = round(random.uniform(-7200.0, 7200.0))
        faults.append(Fault(kind, at=round(at, 3), duration=duration, count=number, params=params))
        check_fault(faults[-1])
    return tuple(faults)
