"""Small REST services that answer for bars as each public venue does, over HTTP on this machine.

One `Market` holds bars, its listing and its clock; a `Fake` is what one venue makes of it: paths,
units, order, limits, the running bar, errors. Written from the venues' documentation and recorded
answers, not from mdkit.
"""

import contextlib
import json
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SIZES = {
    "1m": MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "1h": HOUR,
    "4h": 4 * HOUR,
    "1d": DAY,
}
NOW = 1_780_000_000_000 // DAY * DAY + 10 * HOUR + 17 * MINUTE + 30_000
"""A morning in May 2026, between minutes."""


class Market:
    """Bars of every interval since `listed`; those that begin at a time in `missing` are absent."""

    def __init__(self, *, listed=NOW - 400 * DAY, now=NOW, missing=()):
        self.listed, self.now, self.missing = listed, now, frozenset(missing)
        self.missing_days = frozenset()

    def first(self, interval):
        size = SIZES[interval]
        return -(-self.listed // size) * size

    def starts(self, interval, start, end):
        """Starts of bars within [start, end], the running one included, oldest first."""
        size = SIZES[interval]
        first = max(-(-start // size) * size, self.first(interval))
        # A day without some of its hours is a day with a bar.
        missing = self.missing_days if interval == "1d" else self.missing
        return [t for t in range(first, min(end, self.now) + 1, size) if t not in missing]

    def newest(self, interval, count):
        """Starts of the newest bars, the running one included."""
        reach = count + len(self.missing)
        return self.starts(interval, self.now - reach * SIZES[interval], self.now)[-count:]

    def figures(self, interval, t):
        """Open, high, low, close, volume: all different, and of this bar alone."""
        size = SIZES[interval]
        low = 100 + t // size % 1000
        close = low + 3 if t + size <= self.now else low + 1  # the running bar is not done
        return low + 2, low + 4, low, close, t // size % 97 + 0.5


_KRAKEN = {"1": "1m", "5": "5m", "15": "15m", "60": "1h", "240": "4h", "1440": "1d"}
_COINBASE = {
    "ONE_MINUTE": "1m",
    "FIVE_MINUTE": "5m",
    "FIFTEEN_MINUTE": "15m",
    "ONE_HOUR": "1h",
    "FOUR_HOUR": "4h",
    "ONE_DAY": "1d",
}
_OKX = {"1m": "1m", "5m": "5m", "15m": "15m", "1H": "1h", "4H": "4h", "1Dutc": "1d"}


def text(number):
    return f"{number:.8f}"


class Fake:
    """What all have in common. `answer(path, query, body)` returns (status, object)."""

    venue = symbol = unknown = ""

    def __init__(self, market):
        self.market = market
        self.asked = []


class Kraken(Fake):
    venue, symbol, unknown = "kraken", "BTC/USD", "BTX/USD"
    kept = 720

    def answer(self, path, query, body):
        if path == "/0/public/Time":
            return 200, {"error": [], "result": {"unixtime": self.market.now // 1000}}
        if path == "/0/public/AssetPairs":
            pairs = {
                f"X{b}ZUSD": {"wsname": f"{b}/USD", "status": "online"} for b in ("XBT", "ETH")
            }
            return 200, {"error": [], "result": pairs}
        assert path == "/0/public/OHLC"
        if query["pair"] != "XBTUSD":
            return 200, {"error": ["EQuery:Unknown asset pair"]}
        interval = _KRAKEN[query["interval"]]
        # Whatever `since` is: the newest 720 and the running one, and none older.
        now = self.market.now
        running = now // SIZES[interval] * SIZES[interval]
        kept = self.market.newest(interval, self.kept + 1)
        starts = ([t for t in kept if t < running] + [running])[-self.kept - 1 :]
        since = int(query.get("since", 0))
        rows = []
        for t in starts:
            if t // 1000 > since:
                o, hi, lo, c, v = self.market.figures(interval, t)
                rows.append([t // 1000, *map(text, (o, hi, lo, c, (hi + lo) / 2, v)), 7])
        last = rows[-2][0] if len(rows) > 1 else 0
        return 200, {"error": [], "result": {"XXBTZUSD": rows, "last": last}}


class Binance(Fake):
    venue, symbol, unknown = "binance", "BTC/USDT", "BTX/USDT"
    path, most = "/api/v3", 1000

    def answer(self, path, query, body):
        if path == f"{self.path}/time":
            return 200, {"serverTime": self.market.now}
        if path == f"{self.path}/exchangeInfo":
            return 200, {
                "symbols": [
                    {
                        "symbol": f"{b}USDT",
                        "status": "TRADING",
                        "baseAsset": b,
                        "quoteAsset": "USDT",
                        "contractType": "PERPETUAL",
                    }
                    for b in ("BTC", "ETH")
                ]
            }
        assert path == f"{self.path}/klines"
        if query["symbol"] != "BTCUSDT":
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        interval = query["interval"]
        limit = min(int(query.get("limit", 500)), self.most)
        start, end = query.get("startTime"), int(query.get("endTime", 1 << 62))
        if start is not None and int(start) < 1 << 37:
            start = end = None  # seconds: no error, the newest bars
        starts = self.market.starts(
            interval, int(start or 0), self.market.now if end is None else end
        )
        starts = starts[-limit:] if start is None else starts[:limit]
        rows = []
        for t in starts:
            o, hi, lo, c, v = self.market.figures(interval, t)
            end = t + SIZES[interval] - 1
            quoted = text(c * v)
            rows.append([t, *map(text, (o, hi, lo, c, v)), end, quoted, 3, "0", "0", "0"])
        return 200, rows


class BinanceUs(Binance):
    venue = "binance.us"


class BinanceFutures(Binance):
    venue, path, most = "binance.futures", "/fapi/v1", 1500


class Coinbase(Fake):
    venue, symbol, unknown = "coinbase", "BTC/USD", "BTX/USD"

    def answer(self, path, query, body):
        root = "/api/v3/brokerage"
        if path == f"{root}/time":
            return 200, {"epochMillis": str(self.market.now)}
        if path == f"{root}/market/products":
            return 200, {"products": [{"product_id": f"{b}-USD"} for b in ("BTC", "ETH")]}
        if path != f"{root}/market/products/BTC-USD/candles":
            said = "valid product_id is required"
            return 404, {"error": "NOT_FOUND", "error_details": said, "message": ""}
        interval = _COINBASE[query["granularity"]]
        size = SIZES[interval]
        start, end = self.market.now - 300 * size, self.market.now
        if "start" in query and "end" in query:
            start, end = int(query["start"]) * 1000, int(query["end"]) * 1000
        if (end - start) / size > 350:
            said = "number of candles requested should be less than 350"
            return 400, {"error": "INVALID_ARGUMENT", "error_details": said, "message": ""}
        # Rows from before the start may come.
        starts = self.market.starts(interval, start - 2 * size, end)
        rows = []
        for t in reversed(starts[-min(300, int(query.get("limit", 300))) :]):
            o, hi, lo, c, v = map(text, self.market.figures(interval, t))
            times = {"start": str(t // 1000), "volume": v}
            rows.append(times | {"low": lo, "high": hi, "open": o, "close": c})
        return 200, {"candles": rows}


class Hyperliquid(Fake):
    venue, symbol, unknown = "hyperliquid", "BTC/USD", "BTX/USD"
    kept = 5000

    def answer(self, path, query, body):
        assert path == "/info"
        if body["type"] == "l2Book":
            return 200, {"coin": "BTC", "time": self.market.now, "levels": [[], []]}
        if body["type"] == "meta":
            return 200, {"universe": [{"name": "BTC"}, {"name": "ETH"}]}
        asked = body["req"]
        if asked["coin"] != "BTC":
            return 422, "unknown coin"
        interval = asked["interval"]
        size = SIZES[interval]
        kept = self.market.newest(interval, self.kept)
        start, end = asked["startTime"], asked.get("endTime", self.market.now)
        rows = []
        for t in kept:
            if t + size > start and t <= end:  # the first is that in which the start lies
                o, hi, lo, c, v = map(text, self.market.figures(interval, t))
                rows.append(
                    {"t": t, "T": t + size - 1, "s": "BTC", "i": interval, "n": 5}
                    | {"o": o, "h": hi, "l": lo, "c": c, "v": v}
                )
        return 200, rows


class Okx(Fake):
    venue, symbol, unknown = "okx", "BTC/USDT", "BTX/USDT"

    def answer(self, path, query, body):
        if path == "/api/v5/public/time":
            return self._data([{"ts": str(self.market.now)}])
        if path == "/api/v5/public/instruments":
            return self._data([{"instId": f"{b}-USDT", "state": "live"} for b in ("BTC", "ETH")])
        assert path == "/api/v5/market/history-candles"
        if query["instId"] != "BTC-USDT":
            said = "Instrument ID, Instrument ID code, or Spread ID doesn't exist."
            return 200, {"code": "51001", "msg": said, "data": []}
        interval = _OKX[query["bar"]]  # "1D" would be a day of Hong Kong
        older, newer = int(query.get("after", 1 << 62)), int(query.get("before", 0))
        starts = self.market.starts(interval, newer + 1, older - 1)
        rows = []
        for t in reversed(starts[-min(int(query.get("limit", 100)), 100) :]):
            o, hi, lo, c, v = self.market.figures(interval, t)
            done = str(int(t + SIZES[interval] <= self.market.now))
            rows.append([str(t), *map(text, (o, hi, lo, c, v, c * v, c * v)), done])
        return self._data(rows)

    def _data(self, rows):
        return 200, {"code": "0", "msg": "", "data": rows}


FAKES = (Kraken, Binance, BinanceUs, BinanceFutures, Coinbase, Hyperliquid, Okx)


@contextlib.contextmanager
def serve(fake, *script):
    """Serve a fake; yield its base URL. Its clock is the HTTP Date of each answer.

    Each entry of `script` answers one request in the fake's place: (status, headers, object), or
    None for the ordinary answer.
    """
    left = list(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def do_GET(self):
            self._respond(None)

        def do_POST(self):
            self._respond(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def date_time_string(self, timestamp=None):
            return formatdate(fake.market.now / 1000, usegmt=True)

        def _respond(self, body):
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            fake.asked.append((parts.path, query, body))
            assert len(fake.asked) < 1000, "it pages for ever"
            turn = left.pop(0) if left else None
            if turn is None:
                status, content = fake.answer(parts.path, query, body)
                headers = {}
            else:
                status, headers, content = turn
            text = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
