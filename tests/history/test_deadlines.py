"""Every answer has an end, whatever the server does."""

import contextlib
import gzip
import socket
import threading

import pytest

from mdkit.errors import FeedError
from mdkit.history.http import client as clients
from mdkit.history.http.client import RestClient

pytestmark = pytest.mark.outer


@contextlib.contextmanager
def raw_service(answer):
    """A server whose `answer(connection, ended)` writes bytes after each request."""
    ended = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threads.append(threading.Thread(target=talk, args=(connection,)))
                threads[-1].start()

    def talk(connection):
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            answer(connection, ended)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for one in threads:
            one.join()


def drips_in_the_body(connection, ended):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not ended.wait(0.01):
        connection.sendall(b" ")


def drips_in_the_head(connection, ended):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not ended.wait(0.01):
        connection.sendall(b"X-A: b\r\n")


@pytest.mark.parametrize("answer", [drips_in_the_body, drips_in_the_head])
def test_an_answer_in_drips_ends(answer):
    with raw_service(answer) as url, RestClient(url, sleep=lambda seconds: None) as client:
        client._adapter.seconds = lambda: 0.2
        with pytest.raises(FeedError):
            client.klines("A", "1m", limit=1)
        # The next call has a time of its own.
        with pytest.raises(FeedError):
            client.klines("A", "1m", limit=1)
        assert client.requests >= 2


def test_whoever_gives_up_ends_the_call_of_another_thread():
    begun, told = threading.Event(), []

    def answer(connection, ended):
        begun.set()
        drips_in_the_body(connection, ended)

    def ask():
        try:
            client.klines("A", "1m", limit=1)
        except FeedError as error:
            told.append(error)

    with raw_service(answer) as url, RestClient(url) as client:
        thread = threading.Thread(target=ask)
        thread.start()
        assert begun.wait(10)
        client.give_up()
        thread.join()
    assert "Nobody waits" in str(told[0])


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_without_measure_is_refused(packed, monkeypatch):
    monkeypatch.setattr(clients, "MAX_ANSWER_BYTES", 1 << 20)
    spaces = b" " * (4 << 20)
    body = gzip.compress(spaces) if packed else spaces

    def answer(connection, ended):
        encoding = b"Content-Encoding: gzip\r\n" if packed else b""
        connection.sendall(
            b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (encoding, len(body), body)
        )

    told = pytest.raises(FeedError, match="is larger than 1 MiB")
    with raw_service(answer) as url, RestClient(url) as client, told:
        client.klines("A", "1m", limit=1)
