"""In which order the messages of a channel came, over all lanes: what "drop_oldest" goes by."""

from __future__ import annotations

from collections import deque
from typing import Generic

from mdkit.queue.channel import C


class Arrivals(Generic[C]):
    """A note for each message, of which those that have left are thrown away now and then.

    Args:
        most: notes on a channel from which on it is worth looking for them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # By channel: whose message, and its number among those admitted of that channel.
        self._notes: dict[str, deque[tuple[C, int]]] = {}

    def note(self, channel: C) -> None:
        """Count a message of a channel as the newest."""
        notes = self._notes.get(channel.channel)
        if notes is None:
            notes = self._notes[channel.channel] = deque()
        # What enters from disk was admitted before, and is older than what is there still.
        notes.append((channel, channel.admitted - channel.spilled))
        if len(notes) > self._most:
            live = [note for note in notes if note[1] > note[0].left]
            notes.clear()
            notes.extend(live)

    def oldest(self, name: str) -> C | None:
        """Return whose message has waited for longest, and forget that one; None for nobody."""
        notes = self._notes.get(name)
        while notes:
            waiting, number = notes.popleft()
            if number > waiting.left:
                return waiting
        return None
