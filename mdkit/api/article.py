"""The shape of the article that mdkit grew out of, for scripts written against it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from typing import Any

from mdkit.api.live import live
from mdkit.errors import SessionError
from mdkit.exchange import Exchange
from mdkit.pipeline.receipt import Receipt
from mdkit.session.session import Session
from mdkit.session.stopping import awaitable
from mdkit.settings import Settings
from mdkit.sources.source import Source
from mdkit.strategies.contract import messages


class MarketDataPipeline:
    """Runs one function over a feed: `await start()`, `await monitor(10)`, `await shutdown()`.

    `strategy_fn(message)` gets each market message as a plain dict (`type`, `symbol`, `bids`,
    `asks`, `timestamp` for depth) and may be a coroutine function. SIGINT and SIGTERM end
    `monitor`, after which `shutdown` handles what is queued.

    Args:
        strategy_fn: your function.
        symbols, channels, source, settings: as for `mdkit.live`.
        num_workers, max_queue_depth: WORKER_COUNT and MAX_QUEUE_DEPTH unless given.

    Example:
        >>> import asyncio
        >>> async def main(count=100):
        ...     market = md.Simulated(["AAPL.US"], speed=None, count=count)
        ...     pipeline = md.MarketDataPipeline(lambda book: book["bids"][0][0], source=market)
        ...     await pipeline.start()
        ...     await pipeline.monitor()
        ...     return await pipeline.shutdown()
        >>> asyncio.run(main()).totals["received"]
        100
    """

    def __init__(
        self,
        strategy_fn: Callable[[dict[str, Any]], Any],
        symbols: Sequence[str] | None = None,
        *,
        channels: Sequence[str] = ("depth",),
        num_workers: int | None = None,
        max_queue_depth: int | None = None,
        source: str | Source | Exchange | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.strategy_fn = strategy_fn
        self.session: Session = live(
            symbols,
            channels=channels,
            source=source,
            strategies=[messages(strategy_fn)],
            workers=num_workers,
            maxsize=max_queue_depth,
            name="article",
            settings=settings,
        )
        self._asked_to_stop = asyncio.Event()

    async def start(self) -> None:
        """Begin; returns when the session runs, before its first message."""
        self.session.start()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            # Windows' loops and threads other than the main one cannot take signals.
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(name, self._asked_to_stop.set)

    async def monitor(self, interval: float = 10.0) -> None:
        """Print a line every `interval` seconds until a signal, `shutdown` or the feed ends it."""
        asked = asyncio.ensure_future(self._asked_to_stop.wait())
        ends: tuple[asyncio.Future[Any], ...] = (asked, awaitable(self.session._ended))
        try:
            while not self._asked_to_stop.is_set():
                await asyncio.wait(ends, timeout=interval, return_when=asyncio.FIRST_COMPLETED)
                if not self.session.running:
                    return
                print(f"{self.session!r}\n{self.session.explain()}", flush=True)  # noqa: T201
        finally:
            for end in ends:
                end.cancel()  # to wait no longer, which the session does not notice

    async def shutdown(self, timeout: float = 30.0) -> Receipt:
        """Stop reading, handle what is queued for up to `timeout` seconds, give the receipt."""
        if not self.session.running and self.session.receipt is None:
            raise SessionError("The pipeline has not been started: await start() first.")
        self._asked_to_stop.set()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.remove_signal_handler(name)
        return await self.session.stop(timeout)
