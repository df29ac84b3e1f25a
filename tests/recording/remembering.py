"""Strategies whose answers depend on all that they were told.

In a module of their own: other processes import it, and it imports little.
"""

import mdkit as md


@md.strategy("depth", "trade")
class Everything:
    """Its answer depends on every event, every gap, and their order."""

    decay: float = 0.7

    def start(self):
        self.value = 0.0

    def __call__(self, event):
        price = event.bids[0][0] if event.kind == "depth" else event.price
        self.value = self.decay * self.value + price * 1e-3
        return self.value

    def on_gap(self, gap):
        self.value = -self.value / 3 - (gap.lost or 0) - (gap.to_ns - gap.from_ns) * 1e-9


@md.strategy("bar")
class Bars:
    def start(self):
        self.value = 0.0

    def __call__(self, bar):
        self.value = 0.9 * self.value + bar.close + bar.volume
        return self.value

    def on_gap(self, gap):
        self.value -= 1e6 + gap.lost
