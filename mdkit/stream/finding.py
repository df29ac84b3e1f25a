"""Where the holes of lanes lie in the messages taken out of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mdkit.stream.holes import Hole, Holes
from mdkit.stream.slots import Lane, Message, Slot


def holes_in(lanes: Sequence[Lane], batch: Sequence[Message]) -> dict[int, list[Hole]] | None:
    """Return the holes of lanes that lie in a batch, by the position they lie before.

    What REST filled in comes behind the gap of the channel that it fills.
    """
    broken = [lane for lane in lanes if lane.holes]
    if not broken:
        return None
    found: dict[int, list[Hole]] = {}
    held = Counter(message[0] for message in batch)
    for lane in broken:
        for slot, holes in list(lane.holes.items()):
            _find_holes(slot, holes, batch, held, found)
            if not holes:
                del lane.holes[slot]
    return {position: due for position, due in found.items() if due} or None


def _find_holes(
    slot: Slot,
    holes: Holes,
    batch: Sequence[Message],
    held: Mapping[Slot, int],
    found: dict[int, list[Hole]],
) -> None:
    met: Counter[Slot] = Counter()
    for position, (other, _, _) in enumerate(batch):
        if other.lane is not slot.lane:
            continue
        met[other] += 1
        number = other.left - held[other] + met[other]
        before = found.get(position, [])
        if other is slot:
            found[position] = before + holes.before(number)
        elif other.context.fills(slot.context):
            # First what the message fills, then what is missing of its own kind.
            pushed = slot.left - held[slot] + met[slot]
            found[position] = holes.told_before(pushed + 1, number) + before
        if not holes:
            return
