"""A venue's dialect: what an exchange says on its behalf, and how it answers.

A dialect is one class. Its market (`VenueFeed`) moves books and makes streams of frames; the
server owns sockets. The dialect is between them: it knows paths, commands, acknowledgements,
limits, heartbeats and REST bodies, and nothing of sockets.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, NamedTuple

import msgspec

from mdkit.exchange.config import ExchangeConfig, bases
from mdkit.exchange.market.instruments import Instrument
from mdkit.exchange.messages import Key
from mdkit.exchange.venues.feed import VenueFeed
from mdkit.exchange.venues.numbers import fixed
from mdkit.exchange.venues.wire import Stream, Subscriber, WireMessage


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str] | None = None


class NotServed(Exception):  # noqa: N818 - an answer, not a failure
    """A request that the venue answers with an error."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body.decode(errors="replace"))
        self.answer = answer


Endpoint = Callable[[dict[str, str]], Answer | Awaitable[Answer]]


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """Return a JSON answer."""
    return Answer(status, msgspec.json.encode(body), headers)


class Dialect:
    """What all dialects have in common; a subclass is one venue's.

    Class attributes: `venue` its name, `book_levels` how deep its books are, `level_bytes` about
    what a level takes in a snapshot, `id_gap` how far ids may jump between two updates,
    `beat_every` seconds between two `beat`s, `messages` how many messages in how many seconds a
    client may send, `lifetime` seconds after which a connection is cut (None: never).
    """

    venue: ClassVar[str] = ""
    book_levels: ClassVar[int] = 1000
    level_bytes: ClassVar[int] = 40
    id_gap: ClassVar[int] = 0
    beat_every: ClassVar[float] = 1.0
    messages: ClassVar[tuple[int, float]] = (100, 1.0)
    lifetime: ClassVar[float | None] = None

    def __init__(self, config: ExchangeConfig, feed: VenueFeed) -> None:
        self.config = config
        self.feed = feed
        self.send: Callable[[WireMessage], None] = lambda message: None
        self.wake: Callable[[], None] = lambda: None
        self.endpoints: dict[str, Endpoint] = {}
        feed.make_stream = self.make_stream

    # -- what a venue says -----------------------------------------------------------------------

    def check(self, path: str, params: dict[str, str]) -> None:
        """Raise `NotServed` where there is no socket."""
        if path != (bases(self.venue)[0] or "/"):
            raise NotServed(Answer(404, b"Not Found"))

    def opened(self, client: Subscriber) -> None:
        """Say what the venue says on connecting; subscribe to what the URL asks for."""

    def command(self, client: Subscriber, text: str | bytes) -> None:
        """Do what a client's message says, and answer it."""
        raise NotImplementedError

    def too_fast(self, client: Subscriber) -> None:
        """Answer a client that sends more messages than it may."""
        client.close(1008, "Too many requests")

    def beat(self, client: Subscriber, now: float) -> None:
        """Say what the venue says from time to time; every `beat_every` seconds."""

    def render(self, client: Subscriber, message: WireMessage) -> bytes:
        """Return a frame as this connection gets it."""
        return message.text

    def notice(self, client: Subscriber) -> None:
        """Say what the venue says before a planned stop, if anything."""

    def sample(self) -> bytes:
        """Return a well-formed frame of a book, for faults to break."""
        raise NotImplementedError

    def make_stream(self, key: Key) -> Stream:
        """Return a new stream of a key that a subscription was accepted for."""
        raise NotImplementedError

    def texts(self, spec: Instrument, ticks: int, units: int) -> tuple[str, str]:
        """Return a price and a size as they stand in the venue's frames."""
        return (
            fixed(ticks * spec.step, spec.decimals),
            fixed(units, spec.size_decimals),
        )

    async def respond(self, path: str, params: dict[str, str], body: bytes | None) -> Answer:
        """Answer a REST call; `body` is what was posted, None for a GET."""
        endpoint = self.endpoints.get(path)
        if body is not None:
            return Answer(405, b"Method Not Allowed")
        if endpoint is None:
            return Answer(404, b"Not Found")
        try:
            found = endpoint(params)
            return found if isinstance(found, Answer) else await found
        except NotServed as refusal:
            return refusal.answer

    # -- what all have in common -----------------------------------------------------------------

    def received(self, client: Subscriber, text: str | bytes) -> None:
        """Count a client's message against the limit, then do what it says."""
        loop_time = asyncio.get_running_loop().time()
        count, seconds = self.messages
        recent: deque[float] = client.state.setdefault("messages", deque())
        while recent and recent[0] <= loop_time - seconds:
            recent.popleft()
        recent.append(loop_time)
        if len(recent) > count:
            self.too_fast(client)
            return
        self.command(client, text)

    def claims(self, kind: str, symbol: str | None) -> dict[str, Any] | None:
        """Return the parameters of a fault that is to happen now, if one is."""
        return self.feed.orders.claim(kind, symbol, asyncio.get_running_loop().time())

    def subscribe(self, client: Subscriber, key: Key, *, snapshot: bool = True) -> None:
        """Let a client have a stream, from its first frames on where it begins with some."""
        for message in self.feed.pending(key):
            self.send(message)
        stream = self.feed.stream(key)
        firsts = stream.first() if snapshot else []
        if not firsts:
            client.keys.add(key)
        else:
            client.expected.add(key)
            for encode in firsts:
                self.send(WireMessage(0.0, key, stream.book.ns, encode, only=client))
        self.wake()

    def unsubscribe(self, client: Subscriber, key: Key) -> None:
        """Take a stream from a client."""
        client.keys.discard(key)
        client.expected.discard(key)

    async def snapshot(self, symbol: str, compose: Callable[[Any], Answer]) -> Answer:
        """Return a book by REST, late or stale where a fault wants it so."""
        book = self.feed.book(symbol)
        found = book.top()
        stale = self.claims("stale_snapshot", symbol)
        if stale is not None:
            past = max(book.oldest_ns, book.ns - int(float(stale["seconds"]) * 1e9))
            found = book.at(ns=past)
        body = compose(found)
        late = self.claims("late_snapshot", symbol)
        if late is not None:
            await asyncio.sleep(float(late["pause"]))
        return body
