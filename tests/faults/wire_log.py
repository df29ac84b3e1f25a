"""What was said on each connection and what arrived, text by text, by the client's port."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from mdkit.exchange.server.delivery import Client
from mdkit.session.session import Session
from mdkit.venues.routes import ANSWER, LIVE, SEVERAL
from mdkit.venues.tickdb import TickdbRouter as Router


class WireLog:
    """Both ends of every connection of one session to one exchange in this process."""

    def __init__(self) -> None:
        self.sent: dict[int, list[bytes]] = defaultdict(list)
        self.arrived: dict[int, list[bytes]] = defaultdict(list)
        self.closed_by_exchange: set[int] = set()
        self.cut_by_exchange: set[int] = set()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Write down what the exchange pushes, and which connections it ends and how."""
        push, close, abort = Client.push, Client.close, Client.abort

        def logged_push(client: Client, messages: list[Any], sent: Any) -> None:
            if client.keys and client.is_open:
                said = self.sent[_peer(client)]
                for message in messages:
                    if message.key is None or message.key in client.keys:
                        said += message.texts(client.dialect)
            push(client, messages, sent)

        def logged_close(client: Client, code: int, reason: str) -> None:
            self.closed_by_exchange.add(_peer(client))
            close(client, code, reason)

        def logged_abort(client: Client) -> None:
            self.cut_by_exchange.add(_peer(client))
            abort(client)

        Client.push, Client.close, Client.abort = logged_push, logged_close, logged_abort
        try:
            yield
        finally:
            Client.push, Client.close, Client.abort = push, close, abort

    def tap(self, session: Session) -> None:
        """Write down what the session's source delivers, before anything becomes of it."""
        pipeline = session.pipeline
        source, deliver = pipeline.source, pipeline.deliver

        async def logged(batch: Sequence[tuple[bytes, int]]) -> list[bytes]:
            port = port_of(source._connection)
            # Not the answers to commands, and not what REST has filled in.
            routes = [(raw, pipeline.router.route(raw)) for raw, _ in batch]
            self.arrived[port] += [
                raw for raw, route in routes if route.channel != ANSWER and route.origin == LIVE
            ]
            return await deliver(batch)

        pipeline.deliver = logged

    def parts(self, router: Router) -> int:
        """Return how many messages the ledger must have counted."""
        total = 0
        for texts in self.arrived.values():
            for raw in texts:
                several = router.route(raw) is SEVERAL
                total += len(list(router.split(raw))) if several else 1
        return total

    def complaints(self, last_port: int | None) -> Iterator[str]:
        """Yield what arrived otherwise than it was said, connection by connection.

        All that was said before a close frame must have arrived; of a connection that was cut,
        or that the client gave up, a beginning.
        """
        for port, texts in self.arrived.items():
            said = self.sent[port]
            if texts != said[: len(texts)]:
                first = next(
                    (i for i, (a, b) in enumerate(zip(texts, said, strict=False)) if a != b),
                    len(said),
                )
                yield f"connection {port}: message {first} of {len(texts)} is not what was said"
        for port in self.closed_by_exchange - self.cut_by_exchange:
            lost = len(self.sent[port]) - len(self.arrived[port])
            gave_up = any(len(text) > 16 << 20 for text in self.sent[port])
            if lost and not gave_up and port != last_port:
                yield f"connection {port}: {lost} of {len(self.sent[port])} messages are missing"


def port_of(connection: Any) -> int:
    """Return the port at our end of a source's connection."""
    return int(connection._reader().get_extra_info("sockname")[1])


def _peer(client: Client) -> int:
    return int(client.connection.remote_address[1])
