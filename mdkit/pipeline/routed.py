"""Raw messages with the channels that they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mdkit.channels.channel import Channel
from mdkit.channels.channels import Channels
from mdkit.queue.channel import Message
from mdkit.sources.connection import RawMessage
from mdkit.venues.reading.messages import MAX_MESSAGE_BYTES, stub
from mdkit.venues.routes import ANSWER, SEVERAL, Router


def routed(
    batch: Sequence[RawMessage],
    places: Iterable[int],
    router: Router[Channel],
    channels: Channels,
) -> tuple[list[Message[Channel]], list[bytes]]:
    """Return messages for the queue, at their places, and the answers among them."""
    route_of = router.route
    messages: list[Message[Channel]] = []
    answers: list[bytes] = []
    for (raw, received_ns), place in zip(batch, places, strict=False):
        route = route_of(raw)
        channel = route.place
        if channel is None:
            if route.channel == ANSWER:
                answers.append(raw)
                continue
            if route is SEVERAL:
                for number, (part, item) in enumerate(router.split(raw), 1):
                    own = place + number if place else 0
                    messages.append((channels.of(part), item, received_ns, own))
                continue
            channel = channels.of(route)
        messages.append(
            (channel, raw if len(raw) <= MAX_MESSAGE_BYTES else stub(raw), received_ns, place)
        )
    return messages, answers
