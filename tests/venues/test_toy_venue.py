"""A third venue in one file: live, recorded, replayed, filled after a reconnect, and its klines.

Its wire is nothing like TickDB's: JSON arrays, subscriptions by one command for each symbol,
answers that name what they are about, a REST service with paths of its own.
"""

import asyncio
import contextlib
import json
import time
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

import mdkit as md
from mdkit.errors import InvalidMessage, RequestError, ServerError, SubscriptionError
from mdkit.events import Bar, Depth, Trade
from mdkit.history.http.client import RestClient
from mdkit.history.klines import Loader
from mdkit.history.paging import Pager
from mdkit.sources.websocket import WebSocketSource
from mdkit.venues.codec import Answer, Manners
from mdkit.venues.registry import register
from mdkit.venues.rest.api import KlineRules, Request
from mdkit.venues.rest.klines import Kline
from mdkit.venues.routes import (
    ANSWER_ROUTE,
    LIVE,
    REST,
    UNREADABLE,
    Route,
    invalid_route,
)

pytestmark = pytest.mark.outer

MINUTE = 60_000
MS = 1_000_000


def read_book(symbol, raw, received_ns):
    """Decode `["B", symbol, ms, [[price, size], ...], [[price, size], ...]]`."""
    *_, ms, bids, asks = unwrapped(raw)
    sides = [tuple((float(price), float(size)) for price, size in side) for side in (bids, asks)]
    if sides[0] and sides[1] and sides[0][0][0] > sides[1][0][0]:
        raise InvalidMessage("book is crossed")
    return (Depth(symbol, *sides, ms * MS, received_ns),)


def read_deals(symbol, raw, received_ns):
    """Decode `["T", symbol, [[id, ms, price, size], ...]]`; a negative size was sold."""
    return tuple(
        Trade(
            symbol,
            float(p),
            abs(float(s)),
            "buy" if s > 0 else "sell",
            str(i),
            ms * MS,
            received_ns,
        )
        for i, ms, p, s in unwrapped(raw)[2]
    )


def read_bar(symbol, raw, received_ns):
    """Decode `["K", symbol, interval, ms, open, high, low, close, volume]`."""
    _, _, interval, ms, *figures = unwrapped(raw)
    return (Bar(symbol, *map(float, figures), ms * MS, interval),)


READERS = {"B": ("depth", read_book), "T": ("trade", read_deals), "K": ("bar", read_bar)}
LETTERS = {"depth": "B", "trade": "T"}


def unwrapped(raw):
    try:
        message = json.loads(raw)
    except ValueError as error:
        raise InvalidMessage(f"no JSON: {error}") from None
    return message[1] if message[0] == "rest" else message


class ToyRouter:
    """Reads every message to see where it belongs: as simple as can be."""

    def __init__(self, symbols, allow_nonpositive):
        self.allow_nonpositive = allow_nonpositive
        self._routes = {}
        self.expect(symbols)

    def route(self, raw):
        try:
            message = json.loads(raw)
        except ValueError:
            return invalid_route(UNREADABLE, "", "no JSON")
        if isinstance(message, dict):
            return ANSWER_ROUTE
        origin = REST if message[0] == "rest" else LIVE
        letter, symbol, *_ = unwrapped(raw)
        if letter not in READERS:
            return invalid_route(UNREADABLE, "", f"unknown message {letter!r}")
        key = (letter, symbol, origin)
        if key not in self._routes:
            channel, read = READERS[letter]
            self._routes[key] = Route(channel, symbol, read, origin)
        return self._routes[key]

    def split(self, raw):
        yield self.route(raw), raw

    def expect(self, symbols):
        self._expected = frozenset(symbols)

    def expects(self, symbol):
        return symbol in self._expected


class ToyRest:
    """Its REST service answers with bare JSON, and with an HTTP status where it does not."""

    max_klines = 50
    max_trades = 20
    rules = KlineRules()

    def headers(self, api_key):
        return {"Authorization": api_key}

    def klines(self, symbol, interval, start_ms, end_ms, limit):
        asked = {"s": symbol, "i": interval, "a": start_ms, "b": end_ms, "n": limit}
        return Request(
            "/k", {name: str(value) for name, value in asked.items() if value is not None}
        )

    def depth(self, symbol, levels):
        return Request("/b", {"s": symbol})

    def trades(self, symbol, limit):
        return Request("/t", {"s": symbol, "n": str(limit)})

    def read(self, body, status, about, retry_after):
        if status == 200:
            return body
        if status >= 500:
            raise ServerError(f"HTTP {status} for {about}", retry_after=retry_after)
        raise RequestError(f"HTTP {status} for {about}")

    def read_klines(self, data, about):
        return [Kline(ms, *figures) for ms, *figures in json.loads(data)]

    def message(self, channel, symbol, data):
        return b'["rest",%b]' % data

    def read_saved(self, body, about):
        return self.read_klines(body, about)

    def symbol_of(self, body):
        return None


class Toy:
    """The venue."""

    name = "toy"
    channels = ("depth", "trade")
    subscribes_in_url = False
    manners = Manners()
    rest = ToyRest()

    def router(self, symbols=(), *, allow_nonpositive=False):
        return ToyRouter(symbols, allow_nonpositive)

    def decode(self, raw, received_ns=0):
        return self.router().route(raw).decode(raw, received_ns)

    def encode(self, event):
        if isinstance(event, Bar):
            figures = event.open, event.high, event.low, event.close, event.volume
            message = ["K", event.symbol, event.interval, event.start_ns // MS, *figures]
        elif isinstance(event, Depth):
            message = ["B", event.symbol, event.exchange_ns // MS, event.bids, event.asks]
        else:
            raise InvalidMessage(f"{event!r} is not pushed")
        return json.dumps(message).encode()

    def via_rest(self, event):
        return b'["rest",%b]' % self.encode(event)

    def url(self, url, api_key, subscriptions):
        return url

    def command(self, channel, symbols, *, market=None, cancel=False):
        return json.dumps({"want": not cancel, "of": LETTERS[channel], "symbols": list(symbols)})

    def read_answer(self, raw, about):
        answer = json.loads(raw)
        channel = READERS[answer["of"]][0]
        error = SubscriptionError(f"{about}: {answer['no']}") if "no" in answer else None
        return Answer(error, subscription=(channel, answer["symbol"]))

    def refusal(self, status, body, retry_after):
        return ServerError(f"HTTP {status}", retry_after=retry_after)


class ToyExchange:
    """A server of the toy wire, WebSocket and REST on one port, in the test's loop."""

    def __init__(self):
        self.number = 0
        self.deals = []
        self.clients = {}

    async def __aenter__(self):
        self.server = await serve(self.client, "127.0.0.1", 0, process_request=self.rest)
        self.port = self.server.sockets[0].getsockname()[1]
        self.pushing = asyncio.create_task(self.push())
        return self

    async def __aexit__(self, *error):
        self.pushing.cancel()
        await asyncio.gather(self.pushing, return_exceptions=True)
        self.server.close()
        await self.server.wait_closed()

    def source(self):
        return WebSocketSource(
            f"ws://127.0.0.1:{self.port}/",
            ["depth", "trade"],
            ["X", "NOPE"],
            base_delay=0.01,
            codec=TOY,
            rest_url=f"http://127.0.0.1:{self.port}",
            name="toy",
        )

    def cut(self):
        for connection in self.clients:
            connection.transport.abort()

    async def client(self, connection):
        wanted = self.clients[connection] = set()
        with contextlib.suppress(ConnectionClosed):
            async for text in connection:
                command = json.loads(text)
                for symbol in command["symbols"]:
                    answer = {"of": command["of"], "symbol": symbol}
                    if symbol == "NOPE":
                        answer["no"] = "not traded here"
                    elif command["want"]:
                        wanted.add((command["of"], symbol))
                    await connection.send(json.dumps(answer))
        del self.clients[connection]

    def book(self):
        bid = 100 + self.number % 7
        return ["B", "X", time.time_ns() // MS, [[bid, 1 + self.number % 3]], [[bid + 1, 2]]]

    async def push(self):
        while True:
            await asyncio.sleep(0.002)
            self.number += 1
            size = 2 if self.number % 2 else -1
            deal = [self.number, time.time_ns() // MS, 100 + self.number % 7, size]
            self.deals.append(deal)
            for connection, wanted in list(self.clients.items()):
                with contextlib.suppress(ConnectionClosed):
                    if ("B", "X") in wanted:
                        await connection.send(json.dumps(self.book()))
                    if ("T", "X") in wanted:
                        await connection.send(json.dumps(["T", "X", [deal]]))

    def rest(self, connection, request):
        """Answer what is no handshake."""
        if "Upgrade" in request.headers:
            return None
        parts = urlsplit(request.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/b":
            body = self.book()
        elif parts.path == "/t":
            body = ["T", "X", self.deals[-int(asked["n"]) :]]
        elif parts.path == "/k":
            end = min(int(asked["b"]), time.time_ns() // MS // MINUTE * MINUTE)
            start = max(int(asked.get("a", 0)), end - int(asked["n"]) * MINUTE)
            first = -(-start // MINUTE)
            body = [
                [n * MINUTE, n % 9 + 1, n % 9 + 2, n % 9 + 1, n % 9 + 1, n % 5]
                for n in range(first, -(-end // MINUTE))
            ]
        else:
            return connection.respond(HTTPStatus.NOT_FOUND, "no such thing\n")
        text = json.dumps(body).encode()
        headers = Headers({"Content-Length": str(len(text)), "Connection": "close"})
        return Response(200, "OK", headers, text)


TOY = Toy()
register(TOY)


@md.strategy("depth", "trade")
class Leaning:
    """Its answer depends on every event and every gap."""

    def start(self):
        self.value = 0.0

    def __call__(self, event):
        size = event.bids[0][1] if event.kind == "depth" else -event.size
        self.value = 0.9 * self.value + size
        return self.value

    def on_gap(self, gap):
        self.value += 100.0


def test_live_recorded_replayed_and_verified(until, tmp_path):
    path = tmp_path / "toy.jsonl.gz"

    async def main():
        async with ToyExchange() as exchange:
            session = md.live(source=exchange.source(), strategies=[Leaning], record=path)
            async with session:
                await until(lambda: len(session.frame("trade", "X")) > 50)
                exchange.cut()
                await until(lambda: (session.gaps()["reason"] != "").sum() >= 4)
                seen = len(session.frame("trade", "X"))
                await until(lambda: len(session.frame("trade", "X")) > seen + 50)
            return session

    live = asyncio.run(main())
    assert live.receipt.balanced
    books, trades, gaps = live.frame("depth", "X"), live.frame("trade", "X"), live.gaps()
    assert (books.ask - books.bid == 1).all()
    assert set(trades.side) == {"buy", "sell"}
    refused = gaps[gaps.symbol == "NOPE"]
    assert set(refused.channel) == {"depth", "trade"}
    assert refused.reason.str.contains("not traded here").all()
    # What REST gave after the reconnect: the book at once, and all trades that were missed.
    assert (books.source == "rest").sum() == 1
    numbers = trades.id.astype(int).to_numpy()
    assert (numbers[1:] == numbers[:-1] + 1).all()
    assert gaps[(gaps.symbol == "X") & (gaps.channel == "trade")].lost.tolist() == [0]

    info = md.recording_info(path)
    assert info.complete
    assert info.sources == ("toy",)
    read = md.read_recording(path)
    assert read.frame("trade", "X").id.tolist() == trades.id.tolist()

    async def again():
        session = md.live(source=md.replay(path, speed=None), strategies=[Leaning])
        await session.run()
        return session

    replayed = asyncio.run(again())
    assert replayed.signals().value.tolist() == live.signals().value.tolist()
    assert replayed.frame("depth", "X").equals(books)
    assert md.verify(Leaning, path)


def test_its_klines_are_paged_and_bars_are_warmed_by_them(until):
    async def main():
        async with ToyExchange() as exchange:

            def load():
                with RestClient(f"http://127.0.0.1:{exchange.port}", api=TOY.rest) as client:
                    pager = Pager(client, 10_000 * MINUTE, page=TOY.rest.max_klines)
                    return Loader(pager, "X", "1m").between(0, 170 * MINUTE), client.requests

            klines, requests = await asyncio.to_thread(load)
            source = exchange.source()
            async with md.live(source=source, bars="1m", warmup=7, name="warm") as session:
                await until(lambda: len(session.frame("bar", "X")) >= 7)
                return klines, requests, session.frame("bar", "X")

    klines, requests, bars = asyncio.run(main())
    assert klines.starts.tolist() == [n * MINUTE for n in range(170)]
    assert requests >= 4
    assert (bars.source == "rest").sum() == 7


def test_worker_processes_read_its_wire(until):
    async def main():
        async with ToyExchange() as exchange:
            source = exchange.source()
            session = md.live(source=source, strategies=[Leaning], worker_kind="process", workers=1)
            async with session:
                await until(lambda: len(session.signals()) > 50)
            return session

    session = asyncio.run(main())
    assert session.receipt.balanced
    assert session.invalid().empty
    assert len(session.frame("depth", "X")) > 0
