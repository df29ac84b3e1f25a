"""Names that cannot be looked up, and certificates that nobody vouches for."""

import asyncio
import ssl
import subprocess

import pytest
from websockets.asyncio.server import serve

import mdkit as md
from mdkit.exchange import FAULTS, RECOVERABLE
from mdkit.stream.source import WebSocketSource
from mdkit.stream.transports import TRANSPORTS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost that no authority has signed, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    files = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-out", str(files[0]), "-keyout", str(files[1])]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"openssl cannot make a certificate here: {error}")
    return files


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_self_signed_certificate_is_refused_and_said_so(certificate, transport, until):
    if transport == "picows":
        pytest.importorskip("picows")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    talked = []

    async def answer(connection):
        talked.append(connection)

    async def main():
        async with serve(answer, "127.0.0.1", 0, ssl=context) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            session = md.live(
                "AAPL.US",
                source=WebSocketSource(
                    f"wss://127.0.0.1:{port}/v1/realtime",
                    ["depth"],
                    ["AAPL.US"],
                    base_delay=0.01,
                    max_delay=0.05,
                    transport=transport,
                ),
                api_key="not-a-key",
                name="tls",
            ).start()
            await until(lambda: len(session.pipeline.problems) > 2)
            said = session.explain()
            receipt = await session.stop()
            assert receipt.connects == 0
            assert "Not connected" in said
            assert "certificate" in said.lower()
            assert not talked

    asyncio.run(main())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_name_that_does_not_exist_is_said_so(transport, until):
    if transport == "picows":
        pytest.importorskip("picows")

    async def main():
        source = WebSocketSource(
            "ws://no-such-host.invalid/v1/realtime",
            ["depth"],
            ["AAPL.US"],
            base_delay=0.01,
            max_delay=0.05,
            transport=transport,
        )
        session = md.live(source=source, name="dns").start()
        await until(lambda: session.pipeline.problems)
        said = session.explain()
        await session.stop()
        assert "Not connected" in said
        assert "no-such-host.invalid" in said

    asyncio.run(main())


def test_a_burst_is_said_at_once_and_the_market_goes_on_from_there(until):
    async def main():
        async with md.Exchange("AAPL.US", process=False, rate=50) as exchange:
            session = md.live(source=exchange, channels=["depth", "trade"], name="burst").start()
            await until(lambda: session.ledger()["received"].sum() > 5)
            exchange.inject("burst", count=20_000)
            await until(lambda: exchange.statistics()["messages"] > 20_000)
            said = exchange.statistics()["messages"]
            await until(lambda: exchange.statistics()["messages"] > said + 5)
            assert exchange.statistics()["messages"] < said + 5_000  # at its own pace again
            assert (await session.stop()).balanced

    asyncio.run(main())


def test_a_burst_ends_with_a_market_that_ends(until):
    async def main():
        async with md.Exchange("AAPL.US", process=False, rate=50, count=100) as exchange:
            session = md.live(source=exchange, name="short burst").start()
            await until(lambda: session.ledger()["received"].sum())
            exchange.inject("burst", count=20_000)
            await until(lambda: exchange.statistics()["finished"])
            await until(lambda: session.ledger()["received"].sum() == 100)
            await session.stop()

    asyncio.run(main())


@pytest.mark.parametrize("seconds", [3600, -3600])
@pytest.mark.parametrize("dialect", ["ws_url", "article_ws_url"])
def test_the_clock_of_what_is_pushed_jumps(seconds, dialect, until):
    async def main():
        async with md.Exchange("AAPL.US", process=False, rate=200) as exchange:
            url = getattr(exchange, dialect)
            session = md.live("AAPL.US", source=url, name="clock").start()
            await until(lambda: len(session.frame("depth")) > 5)
            exchange.inject("clock", seconds=seconds, duration=0.2)

            def steps():
                return session.frame("depth")["exchange_time"].diff().dt.total_seconds().abs()

            await until(lambda: (steps() > 3000).sum() == 2)  # there, and back
            assert steps().max() == pytest.approx(3600, abs=60)
            await session.stop()

    asyncio.run(main())


def test_a_slow_handshake_is_waited_for_and_a_deaf_exchange_given_no_blame(until):
    async def main():
        async with md.Exchange("AAPL.US", process=False, rate=200) as exchange:
            exchange.inject("slow_handshake", pause=0.2)
            session = md.live(source=exchange, name="deaf").start()
            await until(lambda: session.ledger()["received"].sum() > 5)
            exchange.inject("deaf", duration=0.3)
            before = session.ledger()["received"].sum()
            await until(lambda: session.ledger()["received"].sum() > before + 50)
            assert (await session.stop()).connects == 1

    asyncio.run(main())


def test_recoverable_faults_are_all_but_refused_keys():
    assert set(FAULTS) - set(RECOVERABLE) == {"unauthorized"}
