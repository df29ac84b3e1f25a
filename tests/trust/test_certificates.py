"""Servers whose certificates cannot be trusted: never talked to, and said so."""

import asyncio
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from websockets.asyncio.server import serve

import mdkit as md
from mdkit.errors import FeedError
from mdkit.history.http.client import RestClient
from mdkit.sources.websocket import WebSocketSource

pytestmark = pytest.mark.outer

CONFIG = """
[ca]
default_ca = all
[all]
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = names
x509_extensions = extensions
unique_subject = no
[names]
commonName = supplied
[extensions]
subjectAltName = {names}
"""
OURS = "DNS:localhost,IP:127.0.0.1"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """`certificates(names, end)` is the file of a self-signed certificate and its key."""
    made = {}

    def openssl(*command):
        try:
            subprocess.run(["openssl", *map(str, command)], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"openssl cannot make a certificate here: {error}")

    def make(names=OURS, end="20491231000000Z"):
        if (names, end) not in made:
            folder = tmp_path_factory.mktemp("certificate")
            (folder / "config").write_text(CONFIG.format(folder=folder.as_posix(), names=names))
            (folder / "index.txt").touch()
            (folder / "serial").write_text("01\n")
            key, request, file = folder / "key.pem", folder / "request.pem", folder / "cert.pem"
            openssl(
                "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=mdkit", "-out", request,
                "-keyout", key, "-config", folder / "config", "-section", "none",
            )  # fmt: skip
            openssl(
                "ca", "-batch", "-selfsign", "-notext", "-config", folder / "config",
                "-in", request, "-keyfile", key, "-out", file,
                "-startdate", "20200101000000Z", "-enddate", end,
            )  # fmt: skip
            made[names, end] = file, key
        return made[names, end]

    return make


class Server:
    """Says one book of AAPL.US to whoever comes, again and again, over TLS."""

    def __init__(self, certificate):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        self.talked = []

    async def __aenter__(self):
        self.server = await serve(self.answer, "127.0.0.1", 0, ssl=self.context)
        self.url = f"wss://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/v1/realtime"
        return self

    async def __aexit__(self, *error):
        self.server.close()
        await self.server.wait_closed()

    async def answer(self, connection):
        self.talked.append(connection)
        book = '{"cmd":"depth","data":{"symbol":"AAPL.US","bids":[["1","1"]],"asks":[["2","1"]]}}'
        while True:
            await connection.send(book)
            await asyncio.sleep(0.01)


def session_on(server, runner="notebook"):
    source = WebSocketSource(
        server.url,
        ["depth"],
        ["AAPL.US"],
        base_delay=0.01,
        max_delay=0.05,
        connects_per_minute=10_000,
    )
    return md.live(source=source, runner=runner, backfill=False, name="certificates").start()


BAD = pytest.mark.parametrize(
    ("served", "trusted", "reason", "cure"),
    [
        ({}, False, "self-signed", "SSL_CERT_FILE"),
        ({"end": "20210101000000Z"}, True, "expired", "clock"),
        ({"names": "DNS:elsewhere.test"}, True, "mismatch", "made out to"),
    ],
)


@pytest.mark.parametrize("runner", ["notebook", "thread"])
@BAD
def test_a_certificate_that_was_never_good_ends_the_session(
    served, trusted, reason, cure, certificates, runner, monkeypatch
):
    certificate = certificates(**served)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    async def main():
        async with Server(certificate) as server:
            session = session_on(server, runner)
            with pytest.raises(FeedError) as caught:
                await session.run()
            said = str(caught.value)
            assert "the certificate of 127.0.0.1 cannot be trusted" in said
            assert reason in said
            assert cure in said
            assert said in session.explain()
            assert session.receipt.connects == 0
            assert not server.talked

    asyncio.run(main())


def test_a_certificate_that_goes_bad_is_tried_again_until_it_is_good(
    certificates, until, monkeypatch
):
    good, bad = certificates(), certificates(end="20210101000000Z")
    monkeypatch.setenv("SSL_CERT_FILE", str(good[0]))

    async def main():
        async with Server(good) as server:
            session = session_on(server)
            await until(lambda: len(session.frame("depth")))
            server.context.load_cert_chain(*bad)  # for those who come from now on
            server.talked[0].transport.abort()
            await until(lambda: len(session.pipeline.problems) > 2)
            said = session.explain()
            assert "Not connected" in said
            assert "the certificate of 127.0.0.1 cannot be trusted" in said
            server.context.load_cert_chain(*good)
            await until(lambda: len(server.talked) == 2)
            await until(lambda: len(session.gaps()))
            assert (await session.stop()).connects == 2

    asyncio.run(main())


@pytest.fixture
def history():
    """`history(certificate)` is the URL of a REST service over TLS, and who was answered."""
    servers = []

    def serve_klines(certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        asked = []

        class Klines(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                body = b'{"code":0,"message":"success","data":[]}'
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = HTTPServer(("127.0.0.1", 0), Klines)
        server.handle_error = lambda *args: None
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"https://127.0.0.1:{server.server_port}/v1", asked

    yield serve_klines
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@BAD
def test_history_does_not_try_a_bad_certificate_again(
    served, trusted, reason, cure, certificates, history, monkeypatch
):
    certificate = certificates(**served)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    url, asked = history(certificate)
    with RestClient(url, sleep=lambda seconds: pytest.fail("tried again")) as client:
        with pytest.raises(FeedError) as caught:
            client.klines("AAPL.US", "1m", limit=10)
        assert client.requests == 1
    said = str(caught.value)
    assert "the certificate of 127.0.0.1 cannot be trusted" in said
    assert reason in said
    assert cure in said
    assert not asked


def test_history_trusts_what_the_feed_trusts(certificates, history, monkeypatch):
    certificate = certificates()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    url, asked = history(certificate)
    with RestClient(url) as client:
        assert client.klines("AAPL.US", "1m", limit=10) == []
    assert len(asked) == 1
