"""Coinbase's older feed, which needs a key today: its recording proves the arithmetic of books."""

import json

from mdkit.venues.assembly.parsed import BookUpdate


def book_update(frame):
    """Return what a frame says of a book, or None where it says nothing."""
    if frame["type"] == "snapshot":
        sides = [[(float(p), float(q)) for p, q in frame[side]] for side in ("bids", "asks")]
        return BookUpdate(frame["product_id"], *sides, is_snapshot=True)
    if frame["type"] != "l2update":
        return None
    changes = [(side, float(p), float(q)) for side, p, q in frame["changes"]]
    bids, asks = ([(p, q) for side, p, q in changes if side == kind] for kind in ("buy", "sell"))
    return BookUpdate(frame["product_id"], bids, asks)


def frames(lines):
    """Yield the frames of a recording's lines."""
    for line in lines:
        _, *rest = line.rstrip(b"\n").split(b"\t")
        if len(rest) == 1:
            yield json.loads(rest[0])
