"""Whatever a public venue sends, only proven books are shown, and the rest is told in few words."""

import asyncio
import contextlib

import pytest

import mdkit as md
from mdkit.errors import InvalidMessage, ServiceError, SubscriptionError
from mdkit.venues.services import SERVICES
from tests.trust.hostile.rest import WITHOUT_MEASURE, hostile_service
from tests.trust.hostile.sockets import HostileServer, frame
from tests.trust.hostile.venues import (
    CONTROL,
    DEEP,
    FRAMES,
    MEGA,
    NUMBERS,
    WRONG,
    binance,
    binance_snapshot,
    kraken_book,
    repeats,
    sends,
)

pytestmark = pytest.mark.outer

BEFORE, AFTER = 100, 200
"""The bids of the good books that come before what is bad, and after it."""


def kinds(venue, *without):
    """Return the frames of each kind, with its name."""
    chosen = {name: frames for name, frames in FRAMES[venue].items() if name not in without}
    return pytest.mark.parametrize("bad", chosen.values(), ids=chosen)


def short(texts):
    """Whether all texts can be shown, and are not long."""
    return all(text.isprintable() and len(text) < 600 for text in texts)


def check(session, symbol):
    """Assert what holds of a session whatever it was sent."""
    frame, gaps, invalid = session.frame("depth"), session.gaps(), session.invalid()
    assert set(frame["symbol"]) <= {symbol}
    assert set(frame["bid"]) <= {BEFORE, AFTER}
    assert set(frame["ask"]) <= {BEFORE + 1, AFTER + 1}
    assert set(session.ledger().index.get_level_values("symbol")) <= {symbol, ""}
    assert set(gaps["symbol"]) <= {symbol, ""}
    assert short(gaps["reason"])
    assert short(invalid["reason"])
    assert short([session.explain()])


def replayed(path, live):
    """Assert that the recording of a session shows the books that the session has shown."""
    with contextlib.suppress(md.errors.SettingsError):
        assert md.read_recording(path).frame("depth").equals(live.frame("depth"))


@kinds("kraken", "words")
def test_what_kraken_sends(bad, until, tmp_path):
    async def main():
        talk = sends([kraken_book(BEFORE)], bad, [kraken_book(AFTER)])
        async with HostileServer(talk, book=False) as server:
            session = md.live(
                ["BTC/USD"],
                channels=["depth", "trade"],
                source=md.venue("kraken", ws_url=server.url, rest_url="http://127.0.0.1:9"),
                record=tmp_path / "hostile.jsonl.gz",
            ).start()
            await until(lambda: AFTER in set(session.frame("depth")["bid"]))
            assert server.connects == 1
            receipt = await session.stop()
        assert receipt.balanced
        check(session, "BTC/USD")
        assert set(session.frame("trade")["side"]) <= {"buy", "sell", "neutral"}
        replayed(tmp_path / "hostile.jsonl.gz", session)

    asyncio.run(main())


@pytest.mark.parametrize("bad", FRAMES["kraken"]["words"], ids=["mega", "control"])
def test_refusals_without_end_in_a_million_words_are_told_once_in_few(bad, until):
    async def main():
        async with HostileServer(repeats(bad), book=False) as server:
            source = md.venue("kraken", ws_url=server.url, rest_url="http://127.0.0.1:9")
            session = md.live(["BTC/USD"], channels=["depth"], source=source).start()
            await until(lambda: not session.running)
            with pytest.raises(SubscriptionError) as told:
                await session.stop()
        assert short([str(told.value)])
        assert len(session.gaps()) == 1
        check(session, "BTC/USD")

    asyncio.run(main())


def service(*bodies):
    """Return an HTTP service's answers, the last for all that follow."""
    left = list(bodies)

    def answer(connection, ended):
        body = left.pop(0) if len(left) > 1 else left[0]
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        connection.sendall(head % len(body) + body)

    return answer


DIFF = binance(b'["%d","1"]' % BEFORE, b"", b"11", b"11")


def last(number):
    """Return the diff of this number, which raises all prices."""
    bids, asks = (
        b'["%d","1"],["%d","0"]' % prices for prices in ((AFTER, BEFORE), (AFTER + 1, BEFORE + 1))
    )
    return binance(bids, asks, b"%d" % number, b"%d" % number)


@kinds("binance")
def test_what_binance_sends(bad, until, tmp_path):
    async def main():
        gate = asyncio.Event()

        async def talk(writer):
            writer.write(frame(DIFF))
            await gate.wait()
            await sends([], bad, [last(12 + 2 * (bad is FRAMES["binance"]["levels"]))])(writer)

        # Frames that cannot be read leave the book unproven: it is asked for again, as it is then.
        snapshots = [binance_snapshot(BEFORE, number) for number in (10, 11)]
        with hostile_service(service(*snapshots)) as rest:
            async with HostileServer(talk, book=False) as server:
                session = md.live(
                    ["BTC/USDT"],
                    channels=["depth", "trade"],
                    source=md.venue("binance", ws_url=server.url, rest_url=rest),
                    record=tmp_path / "hostile.jsonl.gz",
                ).start()
                await until(lambda: BEFORE in set(session.frame("depth")["bid"]))
                gate.set()
                await until(lambda: AFTER in set(session.frame("depth")["bid"]))
                assert server.connects == 1
                receipt = await session.stop()
        assert receipt.balanced
        check(session, "BTC/USDT")
        replayed(tmp_path / "hostile.jsonl.gz", session)

    asyncio.run(main())


REFUSALS = {
    "code": b'{"code":"one","msg":"%b"}' % CONTROL,
    "words": b'{"code":-1,"msg":"%b"}' % MEGA,
    "another symbol": binance_snapshot(50, 1),
    "deep": DEEP,
    "deeper": b'{"lastUpdateId":%b}' % DEEP,
    **{
        f"price {number}": b'{"lastUpdateId":10,"bids":[[%b,"1"]],"asks":[]}' % number
        for number in NUMBERS[:6]
    },
}


@pytest.mark.parametrize("bad", REFUSALS.values(), ids=REFUSALS)
def test_what_the_rest_service_of_binance_answers(bad, until):
    """The book is shown once a snapshot is good, and not before."""

    async def main():
        with hostile_service(service(bad, binance_snapshot(BEFORE, 10))) as rest:
            async with HostileServer(sends([DIFF], [], []), book=False) as server:
                source = md.venue("binance", ws_url=server.url, rest_url=rest)
                session = md.live(["BTC/USDT"], channels=["depth"], source=source).start()
                await until(lambda: len(session.frame("depth")))
                receipt = await session.stop()
        assert receipt.balanced
        check(session, "BTC/USDT")

    asyncio.run(main())


def test_a_book_without_end_is_no_book(until):
    """Nothing is shown, and that is told."""

    async def main():
        with hostile_service(WITHOUT_MEASURE["a_body_without_end"]) as rest:
            async with HostileServer(sends([DIFF], [], []), book=False) as server:
                source = md.venue("binance", ws_url=server.url, rest_url=rest)
                session = md.live(["BTC/USDT"], channels=["depth"], source=source).start()
                await until(lambda: session.pipeline.problems)
                assert not len(session.frame("depth"))
                receipt = await session.stop()
        assert receipt.balanced
        check(session, "BTC/USDT")

    asyncio.run(main())


@pytest.mark.parametrize("api", SERVICES.values(), ids=SERVICES)
@pytest.mark.parametrize("status", [200, 400, 429, 451, 503])
def test_services_refuse_in_words_that_can_be_shown(api, status):
    """Whatever a body is, it is an answer's data or one of the errors that callers know."""
    fields = ("code", "msg", "error", "message", "error_details", "data", "result")
    bodies = [
        MEGA,
        DEEP,
        *WRONG,
        *(b'{"%b":%b}' % (name.encode(), wrong) for name in fields for wrong in WRONG),
        *(b'{"code":%b,"msg":"%b"}' % (wrong, CONTROL) for wrong in (*WRONG, *NUMBERS)),
        b'{"error":["%b"],"message":"%b"}' % (MEGA, MEGA),
    ]
    told = []
    for body in bodies:
        try:
            api.read_klines(api.read(body, status, "klines", None), "klines")
        except (ServiceError, InvalidMessage) as error:
            told.append(str(error))
    assert short(told)
    assert len(told) > len(bodies) / 2
