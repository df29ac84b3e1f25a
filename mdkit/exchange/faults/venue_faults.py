"""What can go wrong in the dialects of public venues: with diffs, checksums and snapshots."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any

from mdkit.exchange.config import DATA_SERVICE, VENUES, Fault
from mdkit.exchange.faults.kinds import FaultKind
from mdkit.exchange.faults.targets import FaultTargets

_PUBLIC = tuple(venue for venue in VENUES if venue != DATA_SERVICE)
_BY_REST = ("binance", "binance.us", "binance.futures")
_WITH_NOTICE = ("kraken", *_BY_REST, "okx")
_NUMBER = re.compile(rb'(?<=[:\\["])\d+\.\d+(?=[,"}\]])')


def _order(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    assert targets.venue is not None
    targets.venue.order(fault, params, targets.now)


def _notice(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    assert targets.venue is not None
    targets.venue.stop_as_planned(float(params["notice"]))


def _cut(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    assert targets.venue is not None
    targets.venue.cut_at_age(float(params["seconds"]))


def _deepen(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    assert targets.venue is not None
    targets.venue.deepen(fault.symbol, int(params["size"]))


def _cross(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    assert targets.venue is not None
    targets.venue.cross(fault.symbol, fault.count)


def _empty(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    assert targets.venue is not None
    targets.venue.send_empty(fault.symbol)


def _restart(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    assert targets.venue is not None
    targets.venue.restart_ids(fault.symbol)


def _block(targets: FaultTargets, fault: Fault, params: dict[str, Any]) -> None:
    if fault.duration > 0:
        targets.gate.shut(fault.kind, targets.now + fault.duration, params)
    else:
        targets.gate.shut_for(fault.kind, fault.count, params)


def _wrong_status(params: dict[str, Any]) -> str:
    status = params["status"]
    return "" if status in (403, 451) else f"status={status!r} blocks nobody; 403 and 451 do"


VENUE_FAULTS: dict[str, FaultKind] = {
    "lost_diff": FaultKind(
        "the next `count` frames of a book (of `symbol`) never arrive; their numbers are used up",
        {},
        _order,
        venues=_PUBLIC,
    ),
    "repeated_diff": FaultKind(
        "the next `count` frames of a book (of `symbol`) come twice, word for word",
        {},
        _order,
        venues=_PUBLIC,
    ),
    "reordered_diff": FaultKind(
        "the next `count` frames of a book (of `symbol`) come after their successors",
        {},
        _order,
        venues=_PUBLIC,
    ),
    "wrong_checksum": FaultKind(
        "the next `count` frames of a book (of `symbol`) have a checksum that is one off",
        {},
        _order,
        venues=("kraken",),
    ),
    "late_snapshot": FaultKind(
        "the next `count` snapshots by REST (of `symbol`), or all for `duration`, are sent "
        "`pause` seconds after they were taken",
        {"pause": 1.0},
        _order,
        venues=_BY_REST,
    ),
    "stale_snapshot": FaultKind(
        "the next `count` snapshots by REST (of `symbol`), or all for `duration`, show the book "
        "of `seconds` ago",
        {"seconds": 30.0},
        _order,
        venues=_BY_REST,
    ),
    "refused_subscription": FaultKind(
        "the next `count` subscriptions (of `symbol`) are refused with `reason`",
        {"reason": "Subscription refused"},
        _order,
        venues=_PUBLIC,
    ),
    "silent_subscription": FaultKind(
        "the next `count` subscriptions (of `symbol`) are acknowledged, and nothing ever comes",
        {},
        _order,
        venues=_PUBLIC,
    ),
    "shutdown_notice": FaultKind(
        "tell every connection of a planned stop as the venue does (where it does), and close it "
        "`notice` seconds later",
        {"notice": 1.0},
        _notice,
        venues=_PUBLIC,
    ),
    "age_limit": FaultKind(
        "from now on cut every connection that is `seconds` old, as Binance does after 24 hours",
        {"seconds": 86_400.0},
        _cut,
        venues=_PUBLIC,
    ),
    "large_snapshot": FaultKind(
        "let books (of `symbol`) grow until a snapshot of them has about `size` bytes",
        {"size": 5_000_000},
        _deepen,
        venues=_PUBLIC,
    ),
    "crossed_book": FaultKind(
        "for `count` updates a bid stands above the best ask in the venue's own book (of `symbol`)",
        {},
        _cross,
        venues=_PUBLIC,
    ),
    "empty_diff": FaultKind(
        "send a frame that tells of no change of a book (of `symbol`), as the venue does when it "
        "is quiet: OKX with seqId equal to prevSeqId, Coinbase with no updates",
        {},
        _empty,
        venues=("coinbase", "okx"),
    ),
    "restarted_ids": FaultKind(
        "let a book (of `symbol`) go on from lower numbers, as after maintenance: OKX's prevSeqId "
        "still matches",
        {},
        _restart,
        venues=("okx",),
    ),
    "blocked": FaultKind(
        "answer connections and REST calls with 451 (status), as where the venue does not serve, "
        "for `duration` or `count` times",
        {"status": 451},
        _block,
        _wrong_status,
        venues=_PUBLIC,
    ),
}
"""The kinds that only venues' dialects know, beside those of `FAULTS`."""


def malformed_like(sample: bytes, seed: int, count: int) -> list[bytes]:
    """Return frames like `sample` but broken, the same ones for the same seed; valid UTF-8."""
    random = Random(f"{seed}|malformed")
    ways: list[Callable[[], bytes]] = [
        lambda: sample[: 1 + int(random.random() * (len(sample) - 1))],
        lambda: _NUMBER.sub(b"abc", sample, 1),
        lambda: _NUMBER.sub(b"-1", sample, 1),
        lambda: _NUMBER.sub(b"NaN", sample, 1),
        lambda: _NUMBER.sub(b"", sample, 1),
        lambda: sample.replace(b"[", b"{", 1),
        lambda: b"not json at all",
        lambda: b"",
        lambda: b"[]",
        lambda: b"null",
        lambda: b"[" * 2000,
        lambda: b'{"channel":"nonsense","data":[{}]}',
    ]
    return [ways[int(random.random() * len(ways))]() for _ in range(count)]
