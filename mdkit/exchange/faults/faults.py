"""What can go wrong, as a table: every kind of fault, its parameters and what it does."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from mdkit.errors import SettingsError
from mdkit.exchange.config import Fault
from mdkit.exchange.faults.kinds import FaultKind
from mdkit.exchange.faults.targets import FaultTargets
from mdkit.exchange.faults.venue_faults import VENUE_FAULTS, malformed_like
from mdkit.exchange.messages import Message

# RFC 6455, section 7.4, and the registry it founded: 1004 to 1006 and 1015 stand for what is
# not sent.
_CLOSE_CODES = (*range(1000, 1004), *range(1007, 1015))
_REASON_BYTES = 123


def _wrong_close(params: dict[str, Any]) -> str:
    code, reason = params["code"], params["reason"]
    if type(code) is not int or not (code in _CLOSE_CODES or 3000 <= code <= 4999):
        return (
            f"code={code!r} cannot be sent in a close frame; 1000 to 1003, 1007 to 1014 and 3000 "
            "to 4999 can"
        )
    if len(reason.encode()) > _REASON_BYTES:
        return f"reason is longer than the {_REASON_BYTES} bytes that fit a close frame"
    return ""


def _wrong_status(params: dict[str, Any]) -> str:
    status = params["status"]
    if type(status) is not int or not 300 <= status <= 599:
        return f"status={status!r} refuses nobody; 300 to 599 do"
    return ""


def _disconnect(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    targets.connections.disconnect(params["code"], params["reason"])


def _drop(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    targets.connections.drop()


def _freeze(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    targets.connections.freeze(fault.duration)
    targets.outbox.stall(targets.now + fault.duration, False)


def _deaf(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    targets.connections.freeze(fault.duration)


def _burst(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    targets.connections.hurry(fault.count)


def _clock(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    until = targets.now + fault.duration if fault.duration > 0 else math.inf
    targets.outbox.skew(until, float(params["seconds"]))


def _gate(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    if fault.duration > 0:
        targets.gate.shut(fault.kind, targets.now + fault.duration, params)
    else:
        targets.gate.shut_for(fault.kind, fault.count, params)


def _stall(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    targets.outbox.stall(targets.now + fault.duration, bool(params["hold"]))


def _slow(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    targets.outbox.slow(targets.now + fault.duration, float(params["pause"]))


def _duplicate(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    targets.outbox.repeat(fault.symbol, fault.count)


def _reorder(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    targets.outbox.swap(fault.symbol, fault.count)


def _malformed(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    if targets.venue is None:
        texts = malformed(targets.seed, fault.count, fault.symbol or targets.symbols[0])
    else:
        texts = malformed_like(targets.venue.sample(), targets.seed, fault.count)
    targets.outbox.add(Message.verbatim(0.0, None, text, "realtime", "flat") for text in texts)


def _oversized(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    text = b'{"cmd":"depth","data":{"symbol":"%b","padding":"%b"}}' % (
        (fault.symbol or targets.symbols[0]).encode(),
        b"x" * int(params["size"]),
    )
    message = Message.verbatim(0.0, None, text, "realtime", "flat")
    targets.outbox.add([message] * fault.count)


FAULTS: dict[str, FaultKind] = {
    "disconnect": FaultKind(
        "close every connection, with a close frame (code, reason)",
        {"code": 1012, "reason": "service restart"},
        _disconnect,
        _wrong_close,
    ),
    "drop": FaultKind("abort every connection's TCP, without a close frame", {}, _drop),
    "refuse": FaultKind(
        "answer new connections with HTTP 503 (status), for `duration` or `count` times",
        {"status": 503},
        _gate,
        _wrong_status,
    ),
    "slow_handshake": FaultKind(
        "let new connections wait `pause` seconds for the answer to their handshake, for "
        "`duration` or `count` times",
        {"pause": 1.0},
        _gate,
    ),
    "accept_then_close": FaultKind(
        "accept new connections and close them at once, for `duration` or `count` times",
        {"code": 1013, "reason": "try again later"},
        _gate,
        _wrong_close,
    ),
    "rate_limit": FaultKind(
        "answer connections and REST calls with 429 and Retry-After (retry_after, default: the "
        "seconds left), for `duration` or `count` times",
        {"retry_after": None},
        _gate,
    ),
    "unauthorized": FaultKind(
        "answer connections and REST calls with 401 (code: 1001, or 1003, 1004 with 403), for "
        "`duration` or `count` times",
        {"code": 1001},
        _gate,
    ),
    "server_error": FaultKind(
        "answer REST calls with code 5000 (code), for `duration` or `count` times",
        {"code": 5000},
        _gate,
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


def kind_of(name: str) -> FaultKind:
    """Return a kind of fault; raise `SettingsError` for one that there is not."""
    kind = FAULTS.get(name) or VENUE_FAULTS.get(name)
    if kind is None:
        known = ", ".join([*FAULTS, *VENUE_FAULTS])
        raise SettingsError(f"fault {name!r} is unknown; the faults are {known}.")
    return kind


def faults_of(venue: str) -> tuple[str, ...]:
    """Return the kinds after which a client of that venue goes on by itself, sooner or later.

    At the data service they are `RECOVERABLE`; "blocked" is never among them.
    """
    own = [name for name, kind in VENUE_FAULTS.items() if venue in kind.venues]
    return (*RECOVERABLE, *(name for name in own if name != "blocked"))


def check_fault(fault: Fault, venue: str | None = None) -> dict[str, Any]:
    """Return the fault's complete parameters; raise `SettingsError` for one that cannot be.

    With a `venue`, also for one that has no meaning in its dialect.
    """
    kind = kind_of(fault.kind)
    if venue is not None and kind.venues and venue not in kind.venues:
        raise SettingsError(
            f"fault {fault.kind!r} has no meaning at {venue}; it is known by "
            f"{', '.join(kind.venues)}."
        )
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
    params = {**kind.params, **fault.params}
    if wrong := kind.wrong(params):
        raise SettingsError(f"fault {fault.kind!r}: {wrong}.")
    return params


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
    except (TypeError, ValueError, OverflowError):
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
