"""When an alert is told: once an episode, and not again within the cool-down."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """What one look brings: an episode begins, is to be told, or has ended untold."""

    begins: bool = False
    tells: bool = False
    passes: bool = False


class Episodes:
    """The edge rule of one alert.

    An episode is a run of looks at which the condition holds. Each is told at most once: at its
    first look that is at least `cooldown` seconds after the last telling. One that ends before
    is never told, and says so by `passes`.
    """

    def __init__(self, cooldown: float) -> None:
        self._cooldown = cooldown
        self._last_told = float("-inf")
        self._is_open = False
        self._is_told = False

    def look(self, holds: bool, now: float) -> Step:
        """Take in whether the condition holds at `now` (seconds, never falling)."""
        if not holds:
            passes = self._is_open and not self._is_told
            self._is_open = self._is_told = False
            return Step(passes=passes)
        begins = not self._is_open
        self._is_open = True
        tells = not self._is_told and now - self._last_told >= self._cooldown
        if tells:
            self._is_told = True
            self._last_told = now
        return Step(begins=begins, tells=tells)

    def close(self) -> None:
        """End the episode, which was told: what comes next is another one."""
        self._is_open = self._is_told = False
