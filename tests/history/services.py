"""Services that answer for bars as awkwardly as their documentation allows, and worse.

`Service` decides what an answer holds; `serve` puts it behind a real HTTP server, which can be
told to misbehave for some requests.
"""

import contextlib
import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from mdkit.errors import RequestError
from mdkit.venues.tickdb.rest import Kline

MINUTE = 60_000
DAY = 86_400_000
T0 = 1_735_689_600_000
"""2025-01-01 00:00 UTC."""


def kline(ms, price=None):
    price = 100.0 + (ms // MINUTE) % 1000 / 10 if price is None else price
    return Kline(ms, price, price + 1.0, price - 1.0, price + 0.5, (ms // MINUTE) % 97 + 1.0, None)


def minutes(first, count, *, step=MINUTE, skip=()):
    return [kline(first + i * step) for i in range(count) if i not in skip]


class Service:
    """Holds bars, and gives up to `cap` of those asked for.

    order: of a page: "ascending", "descending" or "shuffled".
    bounds: which bounds are inclusive: "both", "start", "end" or "neither".
    takes: the end of a long stretch that is served: "first" or "last".
    overlap: so many bars more than asked for, on both sides.
    stuck: ignores what it is asked for and gives this page again and again.
    widest: refuses stretches longer than this (ms), with code 2003.
    """

    def __init__(
        self,
        klines,
        *,
        order="ascending",
        bounds="both",
        takes="first",
        cap=1000,
        overlap=0,
        stuck=None,
        widest=None,
    ):
        self.all = sorted(klines, key=lambda k: k.time)
        self.order, self.bounds, self.takes = order, bounds, takes
        self.cap, self.overlap, self.stuck, self.widest = cap, overlap, stuck, widest
        self.asked = []

    def klines(self, symbol, interval, *, start_ms=None, end_ms=None, limit):
        self.asked.append((start_ms, end_ms, limit))
        assert len(self.asked) < 500, "it pages for ever"
        if self.stuck is not None:
            return list(self.stuck)
        if self.widest and start_ms is not None and end_ms - start_ms > self.widest:
            raise RequestError("2003: the time range is wrong", code=2003)
        low = start_ms if start_ms is None or self.bounds in ("both", "start") else start_ms + 1
        high = end_ms if end_ms is None or self.bounds in ("both", "end") else end_ms - 1
        inside = [
            i
            for i, k in enumerate(self.all)
            if (low is None or k.time >= low) and (high is None or k.time <= high)
        ]
        if self.overlap and inside:
            inside = range(
                max(0, inside[0] - self.overlap),
                min(len(self.all), inside[-1] + 1 + self.overlap),
            )
        count = min(limit, self.cap)
        newest = self.takes == "last" or start_ms is None
        page = [self.all[i] for i in (inside[-count:] if newest else inside[:count])]
        if self.order == "descending":
            page.reverse()
        elif self.order == "shuffled":
            random.Random(len(self.asked)).shuffle(page)
        return page


def body(klines, *, bare=False, numbers=False, quoted=False):
    rows = []
    for k in klines:
        row = {"time": k.time, "surprise": {"a": [1]}}
        for name in ("open", "high", "low", "close", "volume"):
            row[name] = getattr(k, name) if numbers else repr(getattr(k, name))
        if quoted:
            row["quote_volume"] = "12.5"
        rows.append(row)
    data = rows if bare else {"symbol": "A.US", "type": "stock", "klines": rows}
    return json.dumps({"code": 0, "message": "success", "data": data}).encode()


class Requests(list):
    """What the server was asked: (path, query as a dict, headers)."""


@contextlib.contextmanager
def serve(service, *script, **shape):
    """Serve on this machine; yield (base URL, the list of requests).

    Each entry of `script` answers one request in place of the service: (status, headers, body),
    "broken off" (a body shorter than announced), "silent" (no answer while the test lasts), or
    None for the ordinary answer. `shape` goes to `body`.
    """
    seen, left = Requests(), list(script)
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def do_GET(self):
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            seen.append((parts.path, query, dict(self.headers)))
            turn = left.pop(0) if left else None
            if turn == "silent":
                ended.wait(5)
                self.close_connection = True
                return
            if turn is None or turn == "broken off":
                start, end = query.get("start_time"), query.get("end_time")
                page = service.klines(
                    query["symbol"],
                    query["interval"],
                    start_ms=int(start) if start else None,
                    end_ms=int(end) if end else None,
                    limit=int(query["limit"]),
                )
                status, headers, content = 200, {}, body(page, **shape)
            else:
                status, headers, content = turn
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if turn == "broken off":
                content = content[: len(content) // 2]
                self.close_connection = True
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", seen
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
