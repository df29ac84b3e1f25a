"""`Exchange`: the embedded market as an object, in a process of its own or in your loop."""

from __future__ import annotations

import asyncio
import http.client
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import msgspec

from mdkit.errors import ExchangeError, SettingsError
from mdkit.exchange.checks import configure, with_own_symbol
from mdkit.exchange.config import (
    CONTROL_HEADER,
    DATA_SERVICE,
    FLAT_PATH,
    ExchangeConfig,
    Fault,
    PlanLimits,
    bases,
)
from mdkit.exchange.faults.faults import check_fault, make_fault
from mdkit.exchange.process import check_sockets, end_process, start_process
from mdkit.redaction import hide


class Exchange:
    """A real server on this machine that speaks a venue's wire: WebSocket and REST, one port.

    A context manager, both `with` and `async with`; or `start()` and `stop()`. By default it
    runs in a process of its own; with `process=False` in the running loop (`async with` or
    `await open()` only).

    With `venue="kraken"` and the like it speaks the dialect of a public venue, without a key, and
    keeps a deep order book of each symbol, which `true_book` shows.

    Args:
        symbols: the default five; in a playback all of the recording's. At a venue in the common
            form, BTC/USD, or in its own.
        venue: "tickdb", the data service; or "kraken", "binance", "binance.us", "binance.futures",
            "coinbase", "hyperliquid", "okx".
        book_levels: price levels a side of a venue's whole book; None is as many as the venue's own
            snapshots have, or a few more.
        listed: further symbols, each traded from when a client asks for it; not in a playback.
        seed: the same seed and start give the same messages, byte for byte.
        scenario: a name of `SCENARIOS`. It begins with the first subscription.
        opening: with scenario "open": so many depth messages, 1 to 100,000, in its first second,
            before its own course. They are made and written down before the first is sent, which
            takes the exchange's process about 60 µs and 2 kB a message; a session that connects
            at once waits for that.
        rate: depth messages a second over all symbols, in place of the scenario's own course; in a
            playback messages a second.
        speed: time scale of scenario or playback; 0, None or inf as fast as the clients take it.
        count: depth messages (in a playback: messages) after which the exchange falls silent.
        replay, loop: a recording to play back instead, once or again and again.
        start: what the exchange's clock shows at the first subscription; None is now.
        levels: price levels a side, 1 to 50.
        api_key: None accepts any key or none; else others get code 1001, none 1002.
        limits, faults: what the plan allows; what goes wrong by itself.
        compression: whether to offer permessage-deflate.
        keepalive: seconds between the server's pings, and until it gives up on a pong; None is 30,
            or what the venue does.
        buffer_bytes: how far a client may fall behind before it is disconnected (code 1008).
        hours: "us" for a market that trades from 9:30 to 16:00 in New York, Monday to Friday (no
            holidays): outside there are no messages, and no bars. None never closes.
        host, port: 127.0.0.1 and any free port.

    Raises `SettingsError` when made with values that cannot work; starting raises
    `ExchangeError` (a port taken) or `RecordingError` (not a recording).

    Example:
        >>> import requests
        >>> with md.Exchange(["AAPL.US"]) as exchange:
        ...     url = exchange.rest_url + "/market/depth"
        ...     answer = requests.get(url, params={"symbol": "AAPL.US"}, timeout=5).json()
        >>> sorted(answer)
        ['code', 'data', 'message']
    """

    def __init__(
        self,
        symbols: Sequence[str] | None = None,
        *,
        venue: str = DATA_SERVICE,
        book_levels: int | None = None,
        listed: Sequence[str] = (),
        seed: int = 7,
        scenario: str = "steady",
        opening: int | None = None,
        rate: float | None = None,
        speed: float | None = 1.0,
        count: int | None = None,
        replay: str | Path | None = None,
        loop: bool = False,
        start: datetime | str | int | None = None,
        levels: int = 10,
        api_key: str | None = None,
        limits: PlanLimits | None = None,
        faults: Sequence[Fault] = (),
        compression: bool = False,
        keepalive: float | None = None,
        buffer_bytes: int = 64 << 20,
        hours: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        process: bool = True,
    ) -> None:
        api_key = hide(api_key)
        self.config: ExchangeConfig = configure(
            symbols,
            venue=venue,
            book_levels=book_levels,
            listed=listed,
            seed=seed,
            scenario=scenario,
            opening=opening,
            rate=rate,
            speed=speed,
            count=count,
            replay=replay,
            loop=loop,
            start=start,
            levels=levels,
            api_key=api_key,
            limits=limits,
            faults=faults,
            compression=compression,
            keepalive=keepalive,
            buffer_bytes=buffer_bytes,
            hours=hours,
            host=host,
            port=port,
        )
        self._in_process = process
        self._port = 0
        self._child: subprocess.Popen[bytes] | None = None
        self._server: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._closing: asyncio.Task[None] | None = None

    def start(self) -> Self:
        """Start the exchange's process and return self; starting twice is starting once."""
        if not self._in_process:
            raise ExchangeError(
                "An exchange with process=False lives in an event loop: use `async with` or "
                "`await exchange.open()`."
            )
        check_sockets()
        if self._child is None:
            child, self._port = start_process(self.config)
            self._child = child
            # Also runs at exit, and when an exchange is dropped without being stopped.
            self._finalizer = weakref.finalize(self, end_process, child)
        return self

    async def open(self) -> Self:
        """Start without blocking the loop, whichever mode, and return self."""
        check_sockets()
        if self._in_process:
            return await asyncio.to_thread(self.start)
        if self._server is None:
            from mdkit.exchange.server.sockets import ExchangeServer

            server = ExchangeServer(self.config)
            await server.start()
            self._server, self._port = server, server.port
            self._loop = asyncio.get_running_loop()
            _ = server.delivery
        return self

    def stop(self) -> None:
        """Stop the exchange. Stopping twice, or before the start, does nothing.

        With `process=False` it is left to the loop to finish; `await aclose()` waits for it.
        """
        self._port = 0
        if self._finalizer is not None:
            self._finalizer()
            self._child = self._finalizer = None
        server, self._server = self._server, None
        if server is not None and self._loop is not None and not self._loop.is_closed():
            loop = self._loop

            def finish() -> None:
                self._closing = loop.create_task(server.stop())

            if _is_running_here(loop):
                finish()
            else:
                loop.call_soon_threadsafe(finish)

    close = stop

    async def aclose(self) -> None:
        """Stop the exchange and wait until every socket is closed."""
        if self._in_process:
            await asyncio.to_thread(self.stop)
            return
        self.stop()
        if self._closing is not None:
            await self._closing

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    @property
    def running(self) -> bool:
        """Whether the exchange has been started, not stopped, and is alive."""
        if self._child is not None:
            return self._child.poll() is None
        return self._server is not None

    @property
    def port(self) -> int:
        """The port; raises `ExchangeError` before the start and after the stop."""
        if not self._port:
            raise ExchangeError(
                "The exchange is not running; enter it with `with exchange:` or call start()."
            )
        return self._port

    @property
    def pid(self) -> int | None:
        """The exchange's process id; None with `process=False`."""
        return None if self._child is None else self._child.pid

    @property
    def venue(self) -> str:
        """Whose wire is spoken: "tickdb", "kraken", ..."""
        return self.config.venue

    @property
    def ws_url(self) -> str:
        """The WebSocket URL of the `realtime` dialect; of a venue what stands in for its own.

        That is the whole URL where a venue has one (Kraken, Coinbase, Hyperliquid, OKX), and the
        base, to which `/stream` and the like are appended, of Binance's hosts.
        """
        return f"ws://{self._authority}{bases(self.config.venue)[0]}"

    @property
    def flat_ws_url(self) -> str:
        """The WebSocket URL of the `flat` dialect, without its query; not at other venues."""
        if self.config.venue != DATA_SERVICE:
            raise ExchangeError(f"{self.config.venue} has no flat dialect; use ws_url.")
        return f"ws://{self._authority}{FLAT_PATH}"

    @property
    def rest_url(self) -> str:
        """The REST base: `/market/kline` and the like are appended, or the venue's own paths."""
        return f"http://{self._authority}{bases(self.config.venue)[1]}"

    def true_book(
        self,
        symbol: str,
        *,
        update_id: int | None = None,
        time_ns: int | None = None,
        levels: int | None = None,
    ) -> dict[str, Any]:
        """Return a symbol's book as it stood after an update, or at a time; else as it stands.

        What a client has built can be compared with it. `update_id` is the venue's own number
        (Binance's `u`, OKX's `seqId`), `time_ns` the time in a venue's frame, in ns since the
        epoch. The result has `symbol` in the venue's form, `update_id` and `time_ns` of the last
        update in it, and `bids` and `asks`, best first, as pairs of texts (price, size): all of
        them, or the best `levels` of each side.

        Raises `ExchangeError` for an unknown symbol, an update that is still to come, or one of
        more than 8,192 updates ago; `SettingsError` for `levels` below 1, and at the data service,
        whose frames are whole books.
        """
        if levels is not None and levels < 1:
            raise SettingsError(f"levels={levels!r} is too few: ask for 1 or more, or for all.")
        if self.config.venue == DATA_SERVICE:
            raise SettingsError(
                "true_book() is for the dialects of venues: use Exchange(..., venue='kraken'). "
                "Each depth message of the data service is a whole book."
            )
        from mdkit.exchange.venues.instruments import native, pair

        name = native(*pair(symbol, self.config.venue), self.config.venue)
        wanted = {"update_id": update_id, "time_ns": time_ns, "levels": levels}
        params = {"symbol": name, **{k: str(v) for k, v in wanted.items() if v is not None}}
        if self._in_process:
            return self._control("book?" + urlencode(params))
        found: dict[str, Any] = self._in_loop(lambda: self._server.true_book(params))
        return found

    @property
    def _authority(self) -> str:
        host = self.config.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def inject(self, fault: Fault | str, **params: Any) -> None:
        """Let a fault happen, now or at its `at` or `after_messages`.

        `inject("stall", duration=2)` is short for `inject(Fault("stall", duration=2))`. Raises
        `SettingsError` for an unknown kind or parameter. When it returns, it has happened.
        """
        if isinstance(fault, str):
            fault = make_fault(fault, params)
        elif params:
            raise SettingsError("Give either a Fault or a kind with parameters, not both.")
        check_fault(fault, self.config.venue)
        fault = with_own_symbol(fault, self.config.venue)
        if self._in_process:
            plain = {k: v for k, v in fault.as_dict().items() if v is not None}
            extra = {k: msgspec.json.encode(v).decode() for k, v in plain.pop("params").items()}
            self._control("fault?" + urlencode({**plain, **extra}))
        else:
            self._in_loop(lambda: self._server.inject(fault))

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols traded here; a playback's are known once it runs."""
        return self.config.symbols or tuple(self.statistics()["symbols"])

    def statistics(self) -> dict[str, Any]:
        """Return what has happened so far: a dict with

        `symbols`, `connections` (now), `connections_total`, `subscriptions`, `rest_calls`,
        `refused` (by code), `began`, `finished` (nothing more will come), `clock_ms`, `messages`
        (that the market has said), `sent` (by symbol and channel, over all clients), `sent_total`,
        `withheld`, `slow_clients`, `faults` (by kind), `faults_pending` and `problems` (sentences
        on what is missing of a recording that is played back).
        """
        if self._in_process:
            return self._control("statistics")
        found: dict[str, Any] = self._in_loop(lambda: self._server.statistics())
        return found

    def _in_loop(self, call: Callable[[], Any]) -> Any:
        """Call in the server's loop, from whatever thread, and return the result."""
        if self._server is None or self._loop is None:
            _ = self.port
            raise ExchangeError("The exchange is not running; use `async with exchange:`.")
        if _is_running_here(self._loop):
            return call()

        async def run() -> Any:
            return call()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def _control(self, path: str) -> dict[str, Any]:
        host = self.config.host
        target = "127.0.0.1" if host in ("0.0.0.0", "") else "::1" if host == "::" else host
        connection = http.client.HTTPConnection(target, self.port, timeout=10)
        try:
            headers = {CONTROL_HEADER: "1"}
            if self.config.api_key is not None:
                headers["X-API-Key"] = self.config.api_key
            connection.request("GET", f"/_exchange/{path}", headers=headers)
            answer = connection.getresponse()
            body: dict[str, Any] = msgspec.json.decode(answer.read())
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            raise ExchangeError(
                f"The exchange does not answer ({type(error).__name__}); start a new one."
            ) from None
        finally:
            connection.close()
        if answer.status != 200:
            raise ExchangeError(f"The exchange refused: {body.get('message')}")
        return body

    def __repr__(self) -> str:
        state = f"{self.config.host}:{self._port}" if self.running else "stopped"
        what = self.config.replay or self.config.scenario
        symbols = ",".join(self.config.symbols) or "the recording's symbols"
        return f"<Exchange {state}, {what}, {symbols}>"


def _is_running_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


async def serve_forever(
    config: ExchangeConfig, *, announce: Callable[[str], Any] = sys.stdout.write
) -> None:
    """Run an exchange in the foreground until SIGINT or SIGTERM, announcing its URLs.

    `configure(...)` makes the configuration; `announce` gets one text of a few lines.
    """
    from mdkit.exchange.server.sockets import ExchangeServer

    server = ExchangeServer(config)
    await server.start()
    host = f"[{config.host}]" if ":" in config.host else config.host
    base = f"{host}:{server.port}"
    ws_path, rest_path = bases(config.venue)
    flat = f"           ws://{base}{FLAT_PATH}?channel=depth&symbol={server.symbols[0]}\n"
    announce(
        f"WebSocket  ws://{base}{ws_path}\n"
        f"{flat if config.venue == DATA_SERVICE else ''}"
        f"REST       http://{base}{rest_path}\n"
        f"control    curl -H '{CONTROL_HEADER}: 1' http://{base}/_exchange/statistics\n"
    )
    for problem in server.statistics()["problems"]:
        announce(f"{problem}\n")
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    previous = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(ended.set))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        # A signal handler runs between two bytecodes of the main thread: on Windows only
        # something that ticks lets it, so this waits in short stretches.
        while not ended.is_set():
            try:
                await asyncio.wait_for(ended.wait(), 0.5)
            except TimeoutError:
                continue
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        await server.stop()
