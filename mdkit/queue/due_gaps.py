"""Which pending gaps lie in a batch that was taken out of its lanes, and before which message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from mdkit.gap.pending import PendingGap, PendingGaps
from mdkit.queue.channel import C, Lane, Message, QueuedChannel


def due_gaps(
    lanes: Sequence[Lane[C]], batch: Sequence[Message[C]]
) -> dict[int, list[PendingGap]] | None:
    """Return the pending gaps of lanes that lie in a batch, by the position they lie before.

    A gap lies before a position of the batch in one of two cases:

    1. Before the first message of its own channel that was admitted behind it.
    2. Before what REST gave to fill it, which is a channel of its own and comes behind the gap.
       Gaps of REST's own come after the gap that REST fills, and drops that are younger than
       that stay for case 1.

    A message's number among those admitted is `left`, which counts the whole batch already,
    less what of its channel is still behind it in the batch.
    """
    interrupted = [lane for lane in lanes if lane.pending]
    if not interrupted:
        return None
    found: dict[int, list[PendingGap]] = {}
    held: Counter[QueuedChannel] = Counter(message[0] for message in batch)
    for lane in interrupted:
        for channel, pending in list(lane.pending.items()):
            _find(channel, pending, batch, held, found)
            if not pending:
                del lane.pending[channel]
    return {position: due for position, due in found.items() if due} or None


def _find(
    channel: QueuedChannel,
    pending: PendingGaps,
    batch: Sequence[Message[C]],
    held: Mapping[QueuedChannel, int],
    found: dict[int, list[PendingGap]],
) -> None:
    seen: Counter[QueuedChannel] = Counter()
    for position, (other, *_) in enumerate(batch):
        if other.lane is not channel.lane:
            continue
        seen[other] += 1
        number = other.left - held[other] + seen[other]
        before = found.get(position, [])
        if other is channel:
            found[position] = before + pending.before(number)
        elif other.fills(channel):
            pushed = channel.left - held[channel] + seen[channel]
            found[position] = pending.reported_before(pushed + 1, number) + before
        if not pending:
            return
