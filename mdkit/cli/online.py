"""What `mdkit doctor --online` tries: which public venues can be reached from here."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mdkit.errors import FeedError, MdkitError
from mdkit.history.http.client import RestClient
from mdkit.venues.rest.public import PublicRest
from mdkit.venues.services import SERVICES

SECONDS = 6.0
"""How long all attempts together may take."""
_SAID = 70


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt.

    Attributes:
        venue: that was tried.
        what: which service of it.
        reached: whether it answered as it should.
        said: what it answered, or why it did not.
        seconds: how long that took.
    """

    venue: str
    what: str
    reached: bool
    said: str
    seconds: float

    def __str__(self) -> str:
        mark = " " if self.reached else "!"
        return f"{mark} {self.venue:<16} {self.what:<10} {self.seconds:>5.1f} s  {self.said}"


Try = Callable[[float], str]
"""Tries something for at most so many seconds; returns what came, or raises `MdkitError`."""


def rest_attempts(base_urls: Mapping[str, str] | None = None) -> list[tuple[str, str, Try]]:
    """Return what asks each venue's REST service for its time: (venue, what, how)."""
    bases = base_urls or {}
    return [
        (name, "REST", _asking(api, bases.get(name, api.base_url)))
        for name, api in SERVICES.items()
    ]


def heading() -> str:
    """Return the head of the table of attempts."""
    return f"  {'venue':<16} {'what':<10} {'after':>7}  came of it"


def attempt_all(
    attempts: Iterable[tuple[str, str, Try]], seconds: float = SECONDS
) -> list[Attempt]:
    """Make all attempts side by side; return what came of each, in their order.

    It takes at most about `seconds`: what has not ended then counts as no answer.
    """
    planned = list(attempts)
    done: queue.SimpleQueue[tuple[int, Attempt]] = queue.SimpleQueue()
    began = time.monotonic()

    def run(place: int, venue: str, what: str, attempt: Try) -> None:
        try:
            reached, said = True, attempt(seconds)
        except MdkitError as error:
            reached, said = False, _short(error)
        except Exception as error:
            reached, said = False, f"{type(error).__name__}: {error}"
        done.put((place, Attempt(venue, what, reached, said, time.monotonic() - began)))

    for place, (venue, what, attempt) in enumerate(planned):
        # A look-up of a name cannot be ended: no thread is waited for longer than the rest.
        name = f"mdkit doctor {venue}"
        threading.Thread(
            target=run, args=(place, venue, what, attempt), name=name, daemon=True
        ).start()
    found: dict[int, Attempt] = {}
    while len(found) < len(planned):
        left = began + seconds - time.monotonic()
        try:
            place, result = done.get(timeout=max(left, 0.001))
        except queue.Empty:
            break
        found[place] = result
    return [
        found.get(place) or Attempt(venue, what, False, f"no answer within {seconds:g} s", seconds)
        for place, (venue, what, _) in enumerate(planned)
    ]


def conclusion(results: Iterable[Attempt]) -> str:
    """Return what the attempts together say, and what to do."""
    told = list(results)
    proven = [result.venue for result in told if result.reached and result.what == "feed"]
    if proven:
        example = _example(proven[0])
        return (
            f"Books are proven from here: {', '.join(proven)}. "
            f'Try md.live(["{example}"], source="{proven[0]}").'
        )
    reached = list(dict.fromkeys(result.venue for result in told if result.reached))
    if reached:
        example = _example(reached[0])
        return f'Reached: {", ".join(reached)}. Try md.klines("{example}", source="{reached[0]}").'
    return (
        "No venue can be reached from here: there is no network, or a firewall or a proxy stands "
        'between. source="demo" works without.'
    )


def _example(venue: str) -> str:
    names = SERVICES[venue].names
    return names.common(names.example)


def _asking(api: PublicRest, base_url: str) -> Try:
    def attempt(seconds: float) -> str:
        with RestClient(base_url, api=api) as client:
            client.hurry(seconds)
            theirs = client.server_time()
            ours = time.time()
        if theirs is None:
            raise FeedError(f"{client.name} answers something else than its time")
        return f"{client.name} answers; {_ahead(ours - theirs)}"

    return attempt


def _ahead(seconds: float) -> str:
    """Return how this machine's clock stands to a venue's, whose answer took its time."""
    if abs(seconds) < 1.5:
        return "the clocks agree"
    way = "ahead of" if seconds > 0 else "behind"
    return f"this machine's clock is {abs(seconds):,.0f} s {way} its"


def _short(error: MdkitError) -> str:
    text = str(error).partition(": check the network")[0]
    return text if len(text) <= 2 * _SAID else f"{text[: 2 * _SAID]}..."
