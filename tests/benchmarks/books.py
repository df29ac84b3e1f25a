"""Backtests on books beside hftbacktest, on one recording and one strategy, results compared.

    python tests/benchmarks/books.py RECORDING [--symbol BTCUSDT] [--rounds 5]

The strategy follows the imbalance of the best level with constant units: it holds +1 unit above
0.7 and -1 below 0.3, by orders that take what is shown and give up the rest, 51 ms later. Books are
loaded before the clock starts, on either side in the form that it takes. `pip install hftbacktest`
is needed for this script alone; what it compiles is not counted. Medians of the rounds.

Then results are compared, order by order: with a unit so small that every order fills whole at the
touch, and with one as large as what the median book shows on a side, of which about half the orders
get a part. hftbacktest does not take what was filled out of its book, mdkit does until the size
shown grows; so orders may differ that come to a level that an earlier one has taken from.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time

import numba
import numpy as np
import pandas as pd

import mdkit as md

MS = 1_000_000
LATENCY = 51
HIGH, LOW = 0.7, 0.3
UNIT = 0.001


def median(work, rounds):
    """Return the median of `rounds` timings in seconds, after one that is not counted."""
    work()
    times = []
    for _ in range(rounds):
        gc.collect()
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


@md.strategy("depth")
class Follow:
    unit: float = UNIT

    def start(self):
        self.side = 0
        self.begun = False

    def __call__(self, book):
        if not self.begun:  # hftbacktest has no book yet when its clock begins
            self.begun = True
            return None
        bid, ask = book.bids[0][1], book.asks[0][1]
        share = bid / (bid + ask)
        wanted = 1 if share > HIGH else (-1 if share < LOW else self.side)
        if wanted == self.side:
            return None
        size = (wanted - self.side) * self.unit
        self.side = wanted
        return md.Limit(book.asks[0][0] * 2 if size > 0 else book.bids[0][0] / 2, size, "IOC")


def books_of(path, symbol):
    """Return a symbol's books with both sides, of which no two have the same time."""
    found = {}
    for event in md.read_recording(path):
        if isinstance(event, md.Depth) and event.symbol == symbol and event.bids and event.asks:
            found[event.received_ns] = event
    return [found[at] for at in sorted(found)]


def as_hftbacktest(books):
    """Return the books as changes of levels, as hftbacktest takes them, all by one clock."""
    from hftbacktest import BUY_EVENT, DEPTH_EVENT, EXCH_EVENT, LOCAL_EVENT, SELL_EVENT
    from hftbacktest.types import event_dtype

    base = DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT
    rows, before = [], ({}, {})
    for book in books:
        now = (dict(book.bids), dict(book.asks))
        changes = [
            (now[side].get(price, 0.0), price, base | flag)
            for side, flag in ((0, BUY_EVENT), (1, SELL_EVENT))
            for price in before[side].keys() | now[side].keys()
            if now[side].get(price, 0.0) != before[side].get(price, 0.0)
        ]
        # What goes goes first: there a book that is crossed on the way loses levels.
        at = book.received_ns
        for size, price, event in sorted(changes):
            rows.append((event, at, at, price, size, 0, 0, 0.0))
        before = now
    return np.array(rows, event_dtype)


@numba.njit
def follow(hbt, times, latency, unit, prices, filled, stamps, high, low):
    """Do what `Follow` does; return how many orders were done.

    Writes of each the price of its last fill, how much was filled, and when.
    """
    side = 0
    done = 0
    order_id = 0
    for at in times:
        hbt.elapse(at - hbt.current_timestamp)
        while done < order_id:
            order = hbt.orders(0).get(done + 1)
            if order is None or order.status == 0 or order.req != 0:
                break
            prices[done] = order.exec_price
            filled[done] = order.qty - order.leaves_qty
            stamps[done] = order.exch_timestamp
            done += 1
        depth = hbt.depth(0)
        bid = depth.bid_qty_at_tick(depth.best_bid_tick)
        ask = depth.ask_qty_at_tick(depth.best_ask_tick)
        share = bid / (bid + ask) if bid + ask > 0.0 else 0.5
        wanted = 1 if share > high else (-1 if share < low else side)
        if wanted != side:
            size = abs(wanted - side) * unit
            order_id += 1
            # Time in force 3 is IOC there, and order type 0 a limit.
            if wanted > side:
                hbt.submit_buy_order(0, order_id, depth.best_ask * 2, size, 3, 0, False)
            else:
                hbt.submit_sell_order(0, order_id, depth.best_bid / 2, size, 3, 0, False)
            side = wanted
    return done


def hft_run(data, times, tick, partial, unit=UNIT):
    from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest

    asset = (
        BacktestAsset().data(data).linear_asset(1.0).constant_order_latency(LATENCY * MS, 0)
        .power_prob_queue_model(2.0).trading_value_fee_model(0.0, 0.0).tick_size(tick)
        .lot_size(UNIT)
    )  # fmt: skip
    asset = asset.partial_fill_exchange() if partial else asset.no_partial_fill_exchange()
    hbt = HashMapMarketDepthBacktest([asset])
    prices, filled = np.zeros(len(times)), np.zeros(len(times))
    stamps = np.zeros(len(times), np.int64)
    count = follow(hbt, times, LATENCY * MS, unit, prices, filled, stamps, HIGH, LOW)
    hbt.close()
    return pd.DataFrame({"at": stamps, "price": prices, "filled": filled})[:count]


def compared(result, theirs):
    """Return a sentence on how far two runs' orders agree."""
    orders = result.orders
    last = result.fills.groupby("order")["price"].last().reindex(orders.index)
    mine = pd.DataFrame(
        {"at": orders["due"].astype("int64"), "price": last, "filled": orders["filled"].abs()}
    )
    # hftbacktest's clock ends with the last book; what was due later is in neither.
    part = orders["filled"].abs() < orders["wanted"].abs() * (1 - 1e-9)
    both = mine.merge(theirs, on="at", suffixes=("", "_theirs"))
    sizes = np.isclose(both["filled"], both["filled_theirs"], rtol=1e-9, atol=1e-9)
    prices = np.isclose(both["price"], both["price_theirs"], rtol=1e-12, atol=0)
    return (
        f"{len(mine):,} orders, {int(part.sum()):,} of them filled in part, hftbacktest "
        f"{len(theirs):,}; {len(both):,} at the same nanosecond, {int(sizes.sum()):,} of them of "
        f"the same size, {int((sizes & prices).sum()):,} of those to the same last price"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording")
    parser.add_argument("--symbol", default="BTCUSDT")
    parser.add_argument("--tick", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    books = books_of(options.recording, options.symbol)
    data = as_hftbacktest(books)
    times = np.array([book.received_ns for book in books], np.int64)

    loaded = md.load_books(books)

    def mdkit_run(engine, unit=UNIT, fills="touch", data=loaded):
        return md.backtest(
            Follow(unit=unit), data, fills=fills, latency_ms=LATENCY, cash=1e9, engine=engine
        )

    # Books in columns, and one account over what was said: what a sweep over cash or fees repeats.
    again = mdkit_run("native").run.books.again
    terms = mdkit_run("native").terms
    print(f"{len(books):,} books of {options.symbol}, {len(data):,} changes of levels")
    print(f"{'hftbacktest, strategy compiled':<44}", end="")
    theirs = median(lambda: hft_run(data, times, options.tick, False), options.rounds)
    print(f"{theirs * 1e3:9.1f} ms")
    fastest = mdkit_run("native")
    assert fastest.engine_reason == "asked for", fastest.engine_reason
    slowest = mdkit_run("python", data=books)
    assert fastest.run.fills.tobytes() == slowest.run.fills.tobytes()
    assert fastest.run.equity.tobytes() == slowest.run.equity.tobytes()
    for name, work in (
        ("mdkit, compiled, loaded books", lambda: mdkit_run("native")),
        ("mdkit, compiled, a list of events", lambda: mdkit_run("native", data=books)),
        ("mdkit, in Python, a list of events", lambda: mdkit_run("python", data=books)),
        ("mdkit, the compiled account alone", lambda: again(terms)),
        ("mdkit, loading a list of events", lambda: md.load_books(books)),
    ):
        mine = median(work, options.rounds)
        print(f"{name:<44}{mine * 1e3:9.1f} ms  {theirs / mine:6.2f} x")
    large = round(statistics.median(sum(size for _, size in book.asks) for book in books), 3)
    for unit, fills, partial in ((UNIT, "touch", False), (large, "book", True)):
        theirs = hft_run(data, times, options.tick, partial, unit)
        kind = "partial fills" if partial else "no partial fills"
        print(f"{kind}, {unit:g} a unit: {compared(mdkit_run('native', unit, fills), theirs)}")


if __name__ == "__main__":
    main()
