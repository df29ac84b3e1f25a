"""The recording of Coinbase's older feed: books are never crossed, their tops the ticker's."""

import gzip

from coinbase_exchange_frames import book_update, frames

from mdkit.venues.assembly.builder import BookBuilder
from mdkit.venues.assembly.rules import ConnectionCounter


def test_books_of_ten_products_agree_with_the_tickers(market):
    builders = {}
    begun = set()
    compared = 0
    with gzip.open(market / "venues" / "coinbase_exchange_2021.jsonl.gz") as lines:
        for frame in frames(lines):
            update = book_update(frame)
            if update is not None:
                if update.is_snapshot:
                    builders[update.symbol] = BookBuilder(ConnectionCounter(), levels=10)
                builders[update.symbol].feed(update, 1)
                assert builders[update.symbol].book.crossing is None
            elif frame["type"] == "ticker":
                product = frame["product_id"]
                if product in begun:
                    bids, asks = builders[product].book.best(1)
                    best = float(frame["best_bid"]), float(frame["best_ask"])
                    assert (bids[0][0], asks[0][0]) == best, product
                    compared += 1
                begun.add(product)  # the first is of a trade from before the snapshot
    assert len(builders) == len(begun) == 10
    assert {b.state for b in builders.values()} == {"in step"}
    assert not sum(b.faults for b in builders.values())
    assert compared == 97
