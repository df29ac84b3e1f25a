"""Prices of 0 and below, where they are allowed: live, recorded, replayed, in processes."""

import asyncio

import pytest

import mdkit as md
from mdkit.errors import InvalidMessage
from mdkit.pipeline.pipeline import Pipeline
from mdkit.recording.recorder.recorder import Recorder
from mdkit.venues import tickdb

pytestmark = pytest.mark.outer

BOOK = (
    b'{"cmd":"depth","data":{"symbol":"CL","bids":[["-37.7","1"],["-38","2"]],'
    b'"asks":[["-37.5","3"],["0","1"],["0.5","1"]],"timestamp":%d}}'
)
TRADES = b'{"cmd":"trade","data":{"symbol":"CL","trades":[%s]}}'
TRADE = b'{"id":"%d","price":"%s","quantity":"1","side":"buy","timestamp":%d}'
PRICES = (b"10.01", b"0.01", b"0", b"-37.63", b"1.1")
AT = 1_700_000_000_000


def messages():
    found = [BOOK % AT]
    for i, price in enumerate(PRICES):
        found.append(TRADES % (TRADE % (i, price, AT + 1000 * (i + 1))))
    several = b",".join(TRADE % (10 + i, price, AT + 9000) for i, price in enumerate(PRICES))
    return [*found, TRADES % several]


@md.strategy("trade")
def price(trade):
    return trade.price


@md.strategy("depth")
def middle(book):
    return md.mid(book)


def played(list_source, **options):
    async def run():
        source = list_source([messages()])
        pipeline = Pipeline(source, [price, middle], **options)
        pipeline.start()
        await pipeline.wait()
        return pipeline

    return asyncio.run(run())


@pytest.mark.parametrize("kind", ["task", "process"])
def test_they_are_prices_where_the_user_allows_them(list_source, tmp_path, kind):
    path = tmp_path / "cl.jsonl"
    pipeline = played(
        list_source, allow_nonpositive=True, worker_kind=kind, workers=1, recorder=Recorder(path)
    )
    prices = [float(x) for x in PRICES]
    said = pipeline.signals.snapshot()
    assert said.value[said.strategy == "price"].tolist() == [*prices, *prices]
    assert said.value[said.strategy == "middle"].tolist() == [-37.6]
    assert pipeline.receipt.totals["invalid"] == 0

    # A recording says so itself, to whoever reads, replays or backtests it.
    assert md.read_recording(path).frame("trade", "CL").price.tolist() == [*prices, *prices]
    assert md.verify(price, path)
    assert md.backtest(price, path, trade=False).signals.iloc[:, 0].tolist()[:5] == prices


def test_elsewhere_each_is_counted_and_told(list_source):
    pipeline = played(list_source)
    said = pipeline.signals.snapshot()
    allowed = [float(x) for x in PRICES if float(x) > 0]
    assert said.value[said.strategy == "price"].tolist() == [*allowed, *allowed]
    assert not (said.strategy == "middle").any()
    assert pipeline.receipt.totals["invalid"] == 3
    assert any(gap.reason == "unusable trades" for gap in pipeline.gaps)


def test_a_crossed_book_is_crossed_below_zero_too():
    crossed = BOOK.replace(b'["-37.5"', b'["-37.8"') % AT
    router = tickdb.TickdbRouter(["CL"], allow_nonpositive=True)
    with pytest.raises(InvalidMessage, match="crossed"):
        router.route(crossed).decode(crossed, 1)
