"""A run over real recordings agrees exactly with a recomputation in plain Python."""

import asyncio
import gzip
import json
from collections import defaultdict

import pytest

import mdkit as md

pytestmark = pytest.mark.outer

MESSAGES = 62_650


def test_every_recorded_book_is_processed_and_agrees_with_plain_python(market, until):
    path = market / "depth.jsonl.gz"
    last, pressures, stamps = {}, defaultdict(list), defaultdict(list)
    with gzip.open(path, "rt") as lines:
        for line in lines:
            data = json.loads(line.partition("\t")[2])["data"]
            bids, asks = (
                tuple((float(price), float(size)) for price, size in data[side])
                for side in ("bids", "asks")
            )
            bid = ask = 0.0
            for _, size in bids[:5]:
                bid += size
            for _, size in asks[:5]:
                ask += size
            last[data["symbol"]] = (bids, asks)
            pressures[data["symbol"]].append(bid / ask)
            stamps[data["symbol"]].append(data["timestamp"])
    assert sum(map(len, pressures.values())) == MESSAGES

    async def main():
        exchange = md.Exchange(replay=path, speed=0)
        session = md.live(
            source=exchange,
            strategies=[md.strategies.pressure],
            rows=MESSAGES,
            maxsize=2000,
            name="recordings",
        )
        async with session:
            await until(
                lambda: session.ledger()["processed"].sum() == MESSAGES or not session.running, 60
            )
            frames = {symbol: session.frame("depth", symbol) for symbol in last}
            books = {symbol: session.pipeline.frames.book(symbol) for symbol in last}
            ladders = {symbol: session.book(symbol) for symbol in last}
        return session.receipt, frames, books, ladders

    receipt, frames, books, ladders = asyncio.run(main())
    assert receipt.balanced
    assert receipt.drained
    assert receipt.totals["received"] == receipt.totals["processed"] == MESSAGES
    assert receipt.gaps == 0
    for symbol, (bids, asks) in last.items():
        assert (books[symbol].bids, books[symbol].asks) == (bids, asks)
        assert ladders[symbol]["bid"].tolist() == [price for price, _ in bids]
        assert ladders[symbol]["ask_size"].tolist() == [size for _, size in asks]
        assert frames[symbol]["pressure"].tolist() == pressures[symbol]
        exchange_ms = frames[symbol]["exchange_time"].astype("int64") // 1_000_000
        assert exchange_ms.tolist() == stamps[symbol]
