"""Messages that are given up: each is counted, in its channel's pending gap, and told."""

from __future__ import annotations

from mdkit.queue.channel import C, Message, OnLoss


def refuse(message: Message[C], on_loss: OnLoss[C] | None) -> None:
    """Drop a message on arrival."""
    channel, _, received_ns = message
    channel.received += 1
    channel.dropped += 1
    channel.refused += 1
    channel.pending.refused(channel.admitted, received_ns)
    if on_loss is not None:
        on_loss(channel, "refused", channel.admitted + channel.refused, 1)


def drop(channel: C, on_loss: OnLoss[C] | None) -> None:
    """Drop the oldest of a channel's messages that wait in memory; there must be one."""
    waiting = channel.lane.messages
    # Nearly always the first; other channels of the symbol may stand before it.
    position = next(i for i, message in enumerate(waiting) if message[0] is channel)
    received_ns = waiting[position][2]
    del waiting[position]
    channel.left += 1
    channel.queued -= 1
    channel.dropped += 1
    channel.pending.dropped(channel.left, received_ns)
    if on_loss is not None:
        on_loss(channel, "dropped", channel.left, 1)


def conflate(channel: C, on_loss: OnLoss[C] | None, *, keep: int) -> int:
    """Take a channel's messages out of its lane, oldest first, until `keep` are left.

    Returns how many were given up.
    """
    waiting = channel.lane.messages
    count = sum(1 for message in waiting if message[0] is channel) - keep
    if count <= 0:
        return 0
    kept, left = [], count
    for message in waiting:
        if left and message[0] is channel:
            left -= 1
        else:
            kept.append(message)
    waiting.clear()
    waiting.extend(kept)
    channel.left += count
    channel.queued -= count
    channel.conflated += count
    if on_loss is not None:
        on_loss(channel, "conflated", channel.left - count + 1, count)
    return count
