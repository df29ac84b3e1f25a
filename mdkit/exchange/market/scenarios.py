"""Scenarios: how many depth messages come when. Names to schedules, nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random

import msgspec

from mdkit.errors import SettingsError


class Scenario(msgspec.Struct, frozen=True):
    """A course of the day: `windows` of (seconds, exact number of depth messages), then `rate`.

    `rate` is in depth messages a second over all symbols, None for as fast as the clients take
    them. Trades (about `trade_share` of the depth messages) and tickers come in addition.
    """

    description: str
    rate: float | None
    windows: tuple[tuple[float, int], ...] = ()
    trade_share: float = 0.3


SCENARIOS: dict[str, Scenario] = {
    "calm": Scenario("a quiet afternoon: 10 depth messages a second over all symbols", 10.0),
    "steady": Scenario("an ordinary hour: 100 depth messages a second over all symbols", 100.0),
    "busy": Scenario("news is out: 2,000 depth messages a second over all symbols", 2000.0),
    "open": Scenario(
        "the opening: 3,200, 1,800, 900 and 4,100 depth messages in four windows of 5 s, 847 of "
        "them in the first 2.3 s, then steady; opening= puts a second of up to 100,000 before it",
        100.0,
        ((2.3, 847), (2.7, 3200 - 847), (5.0, 1800), (5.0, 900), (5.0, 4100)),
    ),
    "flood": Scenario(
        "as fast as the client takes them, or at a steady rate: 20,000 depth messages, prepared "
        "once and repeated",
        None,
    ),
}


def scenario_named(name: str, opening: int | None = None) -> Scenario:
    """Return the scenario of that name; raise `SettingsError` listing the names if unknown.

    An `opening` is a number of depth messages in one second, which the scenario's own course
    follows.
    """
    try:
        found = SCENARIOS[name]
        if opening is None:
            return found
        return msgspec.structs.replace(found, windows=((1.0, opening), *found.windows))
    except KeyError:
        raise SettingsError(
            f"scenario={name!r} is unknown; the scenarios are {', '.join(SCENARIOS)}."
        ) from None


def offsets(scenario: Scenario, rate: float | None, random: Random) -> Iterator[float]:
    """Yield the depth messages' times in seconds since the scenario began, never decreasing.

    `rate` replaces the scenario's own course. A window of n messages is cut into n equal slots
    and each message falls anywhere in its own, so that counts are exact and gaps uneven.
    """
    began = 0.0
    if rate is None:
        for seconds, number in scenario.windows:
            for i in range(number):
                # random() is below 1, but a product could still round up to the window's end.
                yield began + min((i + random.random()) / number, 1 - 1e-9) * seconds
            began += seconds
        # An unpaced stream still needs a clock of its own for its timestamps.
        rate = scenario.rate or 20_000.0
    for i in count():
        yield began + (i + random.random()) / rate
