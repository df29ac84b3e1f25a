"""Commands for Kraken, and a naive reading of its frames."""

from __future__ import annotations

import json

from venue_clients import NaiveBook, crc


def ask(method="subscribe", **params):
    req_id = params.pop("req_id", None)
    body = {"method": method, "params": params}
    return json.dumps(body if req_id is None else {**body, "req_id": req_id})


def book(symbol="BTC/USD", depth=10, **more):
    return ask(channel="book", symbol=[symbol], depth=depth, **more)


def of(frames, channel, kind=None):
    return [
        frame
        for frame in frames
        if frame.get("channel") == channel and (kind is None or frame["type"] == kind)
    ]


def pairs(rows):
    return [(row["price"], row["qty"]) for row in rows]


def follow(frames, depth):
    """Return (book, checksums that match, that do not) of a book channel's frames."""
    built, good, bad = NaiveBook(), 0, 0
    for frame in of(frames, "book"):
        for data in frame["data"]:
            change = built.replace if frame["type"] == "snapshot" else built.apply
            change(pairs(data["bids"]), pairs(data["asks"]))
            built.truncate(depth)
            if int(data["checksum"]) == crc(built.asks, built.bids):
                good += 1
            else:
                bad += 1
    return built, good, bad
