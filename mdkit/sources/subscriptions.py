"""What a feed is asked for, connection after connection, and what the service says to that."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from mdkit.errors import (
    InvalidMessage,
    MdkitError,
    RateLimitError,
    RequestError,
    ServiceError,
    SubscriptionError,
)
from mdkit.sources.connection import Connection, ConnectionEndedError
from mdkit.venues.codec import Subscription, Wire


class Subscriptions:
    """The channels and symbols that are wanted, and the commands that ask for them.

    Args:
        codec: makes the commands, and reads the answers.
        market: passed on as the service's `type`, for symbols that are ambiguous.
        patience: seconds to wait where the service asks for slowness and does not say how long.

    Attributes:
        wanted: the subscriptions, in order.
        refused: those that the service refused for good, and why. They are wanted no more.
    """

    def __init__(
        self,
        wanted: Iterable[Subscription],
        codec: Wire,
        *,
        market: str | None = None,
        patience: float = 1.0,
    ) -> None:
        self.wanted: dict[Subscription, None] = dict.fromkeys(wanted)
        self.refused: dict[Subscription, ServiceError] = {}
        self._codec = codec
        self._market = market
        self._patience = patience
        self._connection: Connection | None = None
        self._is_asked = False
        self._dropped: dict[Subscription, int] = {}
        # Answers carry no reference to their command, but come in the order of the commands.
        self._unanswered: deque[tuple[str, tuple[str, ...]]] = deque()
        self._sending: asyncio.Future[None] | None = None
        self._retried: set[Subscription] = set()  # which are asked for again soon
        self._next_command = 0.0
        self._closed = asyncio.Event()

    @property
    def is_settled(self) -> bool:
        """Whether everything was asked for on a connection, and all of it was answered."""
        return self._connection is not None and self._is_asked and not self._unanswered

    async def open(self, connection: Connection) -> None:
        """Ask a new connection for everything, unless its URL has done so already."""
        self._connection = connection
        self._closed.clear()
        self._is_asked = self._codec.subscribes_in_url
        if self._is_asked:
            return
        by_channel: dict[str, list[str]] = {}
        for channel, symbol in self.wanted:
            by_channel.setdefault(channel, []).append(symbol)
        for channel, symbols in by_channel.items():
            await self._ask(connection, channel, symbols)
        self._is_asked = True

    def close(self) -> None:
        """Forget the connection, which is gone, and the answers that it owed."""
        self._connection = None
        self._closed.set()
        self._unanswered.clear()
        self._retried.clear()

    async def add(self, channel: str, symbols: Sequence[str]) -> None:
        """Want more; takes effect at once when connected."""
        new = [symbol for symbol in symbols if (channel, symbol) not in self.wanted]
        for symbol in new:
            self.wanted[channel, symbol] = None
            self._dropped.pop((channel, symbol), None)
            self.refused.pop((channel, symbol), None)
        if new:
            await self._change(channel, new, cancel=False)

    async def remove(self, channel: str, symbols: Sequence[str], at_ns: int) -> None:
        """Want less; messages already under way may still arrive. `at_ns` is remembered,
        0 where nothing could come of them yet."""
        old = [symbol for symbol in dict.fromkeys(symbols) if (channel, symbol) in self.wanted]
        for symbol in old:
            del self.wanted[channel, symbol]
            self._dropped[channel, symbol] = at_ns
        if old:
            await self._change(channel, old, cancel=True)

    def dropped_since(self, subscription: Subscription) -> int:
        """Return when a subscription was removed that is not wanted again yet; else 0."""
        return self._dropped.get(subscription, 0)

    async def _change(self, channel: str, symbols: Sequence[str], *, cancel: bool) -> None:
        if self._connection is None:
            return
        if self._codec.subscribes_in_url:
            # What is wanted stands in the URL: only a new connection can change it.
            await self._connection.hang_up()
        else:
            await self._ask(self._connection, channel, symbols, cancel=cancel)

    async def _ask(
        self, connection: Connection, channel: str, symbols: Sequence[str], *, cancel: bool = False
    ) -> None:
        manners = self._codec.manners
        for start in range(0, len(symbols), manners.symbols_per_command):
            named = tuple(symbols[start : start + manners.symbols_per_command])
            await self._keep_pace(manners.command_seconds)
            self._unanswered.append(("" if cancel else channel, named))
            await connection.send_text(
                self._codec.command(channel, named, market=self._market, cancel=cancel)
            )

    async def _keep_pace(self, seconds: float) -> None:
        """Wait until so many seconds have passed since the last command."""
        if seconds:
            loop = asyncio.get_running_loop()
            self._next_command, due = (
                max(self._next_command, loop.time()) + seconds,
                self._next_command,
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), max(0.0, due - loop.time()))
                raise ConnectionEndedError("the connection ended before a command was sent")

    async def repeat(self, channel: str, symbol: str) -> None:
        """End a subscription and begin it again."""
        if self._connection is not None and not self._codec.subscribes_in_url:
            await self._ask(self._connection, channel, [symbol], cancel=True)
        if self._connection is not None and not self._codec.subscribes_in_url:
            await self._ask(self._connection, channel, [symbol])

    def answered(
        self,
        raw: bytes,
        problem: Callable[[MdkitError], None],
        refused: Callable[[Subscription, MdkitError], None],
    ) -> None:
        """Take an answer to a command; `problem` is told what the feed survives, and `refused`
        of each subscription that cannot be had.

        Raises the `ServiceError` that it does not.
        """
        channel, symbols = self._unanswered[0] if self._unanswered else ("", ())
        about = f"{channel} {', '.join(symbols)}".strip()
        try:
            answer = self._codec.read_answer(raw, about)
        except InvalidMessage as error:
            problem(error)
            return
        for subscription in answer.accepted:
            self._settle(subscription)
        if answer.is_heartbeat:
            return
        named = answer.subscription or self._command_about(answer.symbol)
        if named is not None:
            channel, symbols = named[0], (named[1],)
            self._settle(named)
        elif self._unanswered:
            self._unanswered.popleft()
        verdict = answer.error
        if verdict is None:
            return
        if isinstance(verdict, SubscriptionError | RequestError):
            if len(symbols) > 1:
                # One bad symbol must not cost the others: ask for each by itself.
                self._ask_one_by_one(self._connection, channel, symbols)
                return
            for symbol in symbols if channel else ():  # no channel: an end of subscriptions
                self.wanted.pop((channel, symbol), None)
                self.refused[channel, symbol] = verdict
                refused((channel, symbol), verdict)
            problem(verdict)
            if self.wanted:
                return
        elif isinstance(verdict, RateLimitError) and symbols:
            problem(verdict)
            again = {(channel, symbol) for symbol in symbols} & self.wanted.keys()
            if again - self._retried:  # and not once more for each time that it is said
                self._retried |= again
                wait = verdict.retry_after or self._patience
                asyncio.get_running_loop().call_later(
                    wait, self._ask_one_by_one, self._connection, channel, symbols
                )
            return
        raise verdict

    def _command_about(self, symbol: str) -> Subscription | None:
        """Return what the oldest unanswered command asks for a symbol; None where none does."""
        for channel, symbols in self._unanswered:
            if symbol in symbols:
                return channel, symbol
        return None

    def _settle(self, subscription: Subscription) -> None:
        """Take what an answer names off the commands that are still unanswered."""
        channel, symbol = subscription
        for position, (asked, symbols) in enumerate(self._unanswered):
            if asked in ("", channel) and symbol in symbols:
                left = tuple(other for other in symbols if other != symbol)
                if left:
                    self._unanswered[position] = (asked, left)
                else:
                    del self._unanswered[position]
                return

    def _ask_one_by_one(
        self, connection: Connection | None, channel: str, symbols: Sequence[str]
    ) -> None:
        """Ask again, unless there is another connection by now, which was asked afresh."""
        if connection is None or connection is not self._connection:
            return
        for symbol in symbols:
            self._unanswered.append((channel, (symbol,)))
            self._retried.discard((channel, symbol))
        commands = [self._codec.command(channel, [s], market=self._market) for s in symbols]
        # Kept, so that the task lives; a failure to send ends the connection.
        self._sending = asyncio.ensure_future(_send_all(connection, commands))


async def _send_all(connection: Connection, commands: Sequence[str]) -> None:
    with contextlib.suppress(ConnectionEndedError):
        for command in commands:
            await connection.send_text(command)
