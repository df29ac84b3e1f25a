"""An opening's books all arrive, wait in a bounded queue, and end where the ledger says.

Nothing here asserts a time: see market_open.py for that.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path

import pytest

import mdkit as md
from mdkit.exchange import configure
from mdkit.exchange.market.simulator import SimulatedFeed
from mdkit.queue.policies import POLICIES
from mdkit.strategies.contract import as_strategy
from mdkit.venues import tickdb

pytestmark = [pytest.mark.outer, pytest.mark.xdist_group("idle machine")]

_FILE = Path(__file__).with_name("market_open.py")
_spec = importlib.util.spec_from_file_location("mdkit_market_open", _FILE)
market_open = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = market_open
_spec.loader.exec_module(market_open)

BOOKS, MAXSIZE = 4000, 50
NOON = 1_735_732_800_000


@pytest.mark.parametrize("policy", POLICIES)
def test_every_book_of_an_opening_is_accounted_for(policy):
    seen = []

    @md.strategy("depth")
    def keep(book):
        seen.append((book.symbol, book.bids, book.asks))

    with market_open.market(BOOKS, start=NOON) as exchange:
        slow = as_strategy(market_open.heavy)  # or the queue would hardly ever be full
        strategies = [slow, as_strategy(keep)]
        opening = asyncio.run(market_open.through(exchange, BOOKS, policy, MAXSIZE, strategies))
    assert opening.sent == opening.totals["received"] == BOOKS
    assert opening.balanced
    assert opening.peak <= MAXSIZE
    given_up = opening.totals["dropped"] + opening.totals["conflated"]
    assert opening.totals["processed"] == BOOKS - given_up == len(seen)
    if policy in ("block", "spill"):
        assert not given_up
    assert in_order(seen, made(BOOKS))


def made(books):
    """What the exchange had to say, by symbol."""
    feed = SimulatedFeed(
        configure(market_open.SYMBOLS, scenario="open", opening=books, count=books), NOON
    )
    feed.begin(NOON)
    said = {}
    for message in feed.take(1.0, 10**9):
        if message.key[0] == "depth":
            for book in tickdb.decode(message.texts("realtime")[0]):
                said.setdefault(book.symbol, []).append((book.bids, book.asks))
    return said


def in_order(seen, said):
    """Whether each symbol's books were seen in the order in which they were said, none twice."""
    rest = {symbol: iter(books) for symbol, books in said.items()}
    return all((bids, asks) in rest[symbol] for symbol, bids, asks in seen)
