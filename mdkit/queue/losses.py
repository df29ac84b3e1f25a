"""Messages that are given up: each is counted, in its channel's pending gap, and told."""

from __future__ import annotations

from mdkit.queue.channel import C, Message, OnLoss


def refuse(message: Message[C], on_loss: OnLoss | None) -> None:
    """Drop a message on arrival."""
    channel, _, received_ns, place = message
    channel.received += 1
    channel.dropped += 1
    channel.refused += 1
    channel.pending.refused(channel.admitted, received_ns)
    if on_loss is not None:
        on_loss("refused", (place,))


def drop(channel: C, on_loss: OnLoss | None) -> None:
    """Drop the oldest of a channel's messages that wait in memory; there must be one."""
    waiting = channel.lane.messages
    # Nearly always the first; other channels of the symbol may stand before it.
    position = next(i for i, message in enumerate(waiting) if message[0] is channel)
    _, _, received_ns, place = waiting[position]
    del waiting[position]
    channel.left += 1
    channel.queued -= 1
    channel.dropped += 1
    channel.pending.dropped(channel.left, received_ns)
    if on_loss is not None:
        on_loss("dropped", (place,))


def conflate(channel: C, on_loss: OnLoss | None, *, keep: int) -> int:
    """Take a channel's messages out of its lane, oldest first, until `keep` are left.

    Returns how many were given up.
    """
    waiting = channel.lane.messages
    count = sum(1 for message in waiting if message[0] is channel) - keep
    if count <= 0:
        return 0
    kept: list[Message[C]] = []
    places: list[int] = []
    for message in waiting:
        if len(places) < count and message[0] is channel:
            places.append(message[3])
        else:
            kept.append(message)
    waiting.clear()
    waiting.extend(kept)
    channel.left += count
    channel.queued -= count
    channel.conflated += count
    if on_loss is not None:
        on_loss("conflated", places)
    return count
