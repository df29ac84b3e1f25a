"""In which order the messages of a channel came, over all lanes: what "drop_oldest" goes by."""

from __future__ import annotations

from collections import deque

from mdkit.stream.slots import Slot


class Arrivals:
    """A note for each message, of which those that have left are thrown away now and then.

    Args:
        most: notes on a channel from which on it is worth looking for them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # By channel: whose message, and its number among those admitted to that slot.
        self._notes: dict[str, deque[tuple[Slot, int]]] = {}

    def note(self, slot: Slot) -> None:
        """Take note that a message of a slot has come in."""
        notes = self._notes.get(slot.account.channel)
        if notes is None:
            notes = self._notes[slot.account.channel] = deque()
        # What enters from disk was admitted before, and is older than what is there still.
        notes.append((slot, slot.admitted - slot.spilled))
        if len(notes) > self._most:
            live = [note for note in notes if note[1] > note[0].left]
            notes.clear()
            notes.extend(live)

    def oldest(self, channel: str) -> Slot | None:
        """Return whose message has waited for longest, and forget that one; None for nobody."""
        notes = self._notes.get(channel)
        while notes:
            slot, number = notes.popleft()
            if number > slot.left:
                return slot
        return None
