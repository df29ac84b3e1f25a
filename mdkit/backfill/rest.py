"""What the REST service can give for a stretch that the socket did not: bars, books, trades.

What it gives is put into the stream as messages of their own, marked as coming by REST, before
the live ones go on: so they are counted, recorded, replayed and seen by strategies like any
other message.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from mdkit.errors import FeedError, InvalidMessage, MdkitError, RequestError, ServerError
from mdkit.events import Bar
from mdkit.history.columns import Klines
from mdkit.history.intervals import period_end
from mdkit.history.paging import Pager
from mdkit.sources.connection import RawMessage
from mdkit.venues.codec import Codec
from mdkit.venues.registry import DEFAULT

if TYPE_CHECKING:
    from mdkit.history.http.client import RestClient

_MS = 1_000_000
ROUND_SECONDS = 1.0
"""For all calls of a kind after a reconnect: the live feed waits for them."""
_AT_ONCE = 4
"""Threads that ask; a service that is far away answers few calls a second to one."""
_MOST_NAMED = 10
_AHEAD_MS = 366 * 86_400_000
"""From now; the service's clock may be far from this one, and its newest bars are wanted."""

_T = TypeVar("_T")


@dataclass
class Answers:
    """What REST gave: a message with the time it came for each symbol, and what went wrong."""

    messages: dict[str, RawMessage] = field(default_factory=dict)
    problems: list[MdkitError] = field(default_factory=list)


class RestBackfill:
    """Asks a REST service on behalf of a pipeline, in threads that nobody has to wait for.

    `connect` makes a client; it is called in a thread and again for every round of calls. `codec`
    makes messages of what it gives. `gives_only_bars` where books and trades are not asked for:
    a venue's books come by snapshots of their own.
    """

    def __init__(
        self,
        connect: Callable[[], RestClient],
        codec: Codec = DEFAULT,
        *,
        gives_only_bars: bool = False,
    ) -> None:
        self._connect = connect
        self._codec = codec
        self.gives_only_bars = gives_only_bars

    async def books(self, symbols: Sequence[str]) -> Answers:
        """Return the current book of each symbol, as far as a second suffices for it."""
        return await self._round(_Round("the book", symbols, lambda c, s: c.depth(s)))

    async def trades(self, symbols: Sequence[str]) -> Answers:
        """Return the latest trades of each symbol, at most 1,000; as far as a second suffices."""
        return await self._round(_Round("trades", symbols, lambda c, s: c.trades(s)))

    async def bars(self, symbol: str, interval: str, count: int) -> list[RawMessage]:
        """Return the newest `count` completed bars as messages, oldest first."""
        return await self._patiently(
            lambda client: self._messages(_newest_bars(client, symbol, interval, count))
        )

    async def bar(self, missing: Bar) -> list[RawMessage]:
        """Return the whole bar that a partial one stands for, or nothing when there is none."""
        return await self._patiently(lambda client: self._messages(_one_bar(client, missing)))

    def _messages(self, bars: Sequence[Bar]) -> list[RawMessage]:
        now = time.time_ns()
        return [(self._codec.via_rest(bar), now) for bar in bars]

    async def _round(self, asked: _Round) -> Answers:
        """Ask about many symbols; what is not answered in time is told as a problem."""
        askers = [
            asyncio.ensure_future(_in_thread(lambda: asked.ask(self._connect)))
            for _ in range(min(_AT_ONCE, len(asked.left)))
        ]
        try:
            if askers:
                done, _ = await asyncio.wait(askers, timeout=ROUND_SECONDS)
                for asker in done:
                    asker.result()
        finally:
            for asker in askers:
                asker.cancel()
            answers = asked.end()
            await asyncio.gather(*askers, return_exceptions=True)
        return answers

    async def _patiently(self, ask: Callable[[RestClient], _T]) -> _T:
        """Ask with as many tries as it takes, or until nobody waits for it any more."""
        clients: list[RestClient] = []
        is_over = False

        def work() -> _T:
            with self._connect() as client:
                clients.append(client)
                if is_over:
                    client.give_up()
                return ask(client)

        try:
            return await _in_thread(work)
        finally:
            is_over = True
            for client in clients:
                client.give_up()


class _Round:
    """One question about many symbols, which several threads ask; the answers by symbol.

    Where the service cannot be reached, or wants to be asked less, no further symbol is tried.
    """

    def __init__(
        self, what: str, symbols: Sequence[str], ask: Callable[[RestClient, str], bytes]
    ) -> None:
        self.left = deque(dict.fromkeys(symbols))
        self._what = what
        self._symbols = tuple(self.left)
        self._ask = ask
        self._answers = Answers()
        self._failed: set[str] = set()
        self._is_over = False
        self._lock = threading.Lock()

    def ask(self, connect: Callable[[], RestClient]) -> None:
        """Ask about one symbol after the other; several threads may do so at once."""
        try:
            with connect() as client:
                client.hurry(ROUND_SECONDS)
                while (symbol := self._next()) is not None:
                    try:
                        self._note(symbol, self._ask(client, symbol))
                    except (RequestError, ServerError, InvalidMessage) as error:
                        self._note_trouble(error, symbol)
        except MdkitError as error:
            self._note_trouble(error)

    def end(self) -> Answers:
        """Return what has come; what comes later is nothing to anybody."""
        with self._lock:
            self._is_over = True
            self.left.clear()
            known = self._answers.messages.keys() | self._failed
            missing = [symbol for symbol in self._symbols if symbol not in known]
            if missing:
                few = ", ".join(missing[:_MOST_NAMED]) + (", ..." if missing[_MOST_NAMED:] else "")
                said = (
                    f"REST gave no answer about {self._what} within the {ROUND_SECONDS:g} s after "
                    f"a reconnect for {len(missing)} of {len(self._symbols)} symbols: {few}. What "
                    "was missed of them stays missing."
                )
                self._answers.problems.append(FeedError(said))
            return self._answers

    def _next(self) -> str | None:
        with self._lock:
            return self.left.popleft() if self.left else None

    def _note(self, symbol: str, raw: bytes) -> None:
        now = time.time_ns()
        with self._lock:
            if not self._is_over:
                self._answers.messages[symbol] = (raw, now)

    def _note_trouble(self, error: MdkitError, symbol: str | None = None) -> None:
        """Keep the first error of each kind; one that is about no symbol ends the round."""
        with self._lock:
            if symbol is None:
                self.left.clear()
            else:
                self._failed.add(symbol)
            problems = self._answers.problems
            if not self._is_over and type(error) not in map(type, problems):
                problems.append(error)


async def _in_thread(work: Callable[[], _T]) -> _T:
    """Return what a function returns, from a thread that no one waits for at the end.

    The loop's own threads are waited for when it closes, which a slow service would put off.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(value: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(value)

    def run() -> None:
        value, failure = None, None
        try:
            value = work()
        except Exception as error:
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, name="mdkit REST", daemon=True).start()
    return await done


def _newest_bars(client: RestClient, symbol: str, interval: str, count: int) -> list[Bar]:
    end = time.time_ns() // _MS + _AHEAD_MS
    if client.api.rules.bounded:
        # Asked for in parts, one after the other: a year of empty ones would have to come first.
        theirs = client.server_time()
        end = time.time_ns() // _MS if theirs is None else int(theirs * 1000)
    pager = Pager(client, page=client.api.max_klines, rules=client.api.rules)
    pages = [page.klines for page in pager.newest(symbol, interval, end, count)]
    return _bars(symbol, interval, Klines.empty().merged(*pages), count)


def _one_bar(client: RestClient, missing: Bar) -> list[Bar]:
    start = missing.start_ns // _MS
    end = period_end(missing.interval, start)
    got = client.klines(missing.symbol, missing.interval, start_ms=start, end_ms=end, limit=10)
    bars = Klines.of(got).between(start, end)
    return _bars(missing.symbol, missing.interval, bars, 1)


def _bars(symbol: str, interval: str, klines: Klines, count: int) -> list[Bar]:
    """Return the last `count` klines as events."""
    return [
        Bar(symbol, *prices[:5], start_ns=start * _MS, interval=interval)  # type: ignore[misc]
        for start, prices in zip(
            klines.starts[-count:].tolist(), klines.figures[:, -count:].T.tolist(), strict=True
        )
    ]
