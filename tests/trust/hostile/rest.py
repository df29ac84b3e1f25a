"""An HTTP service that does not know when to stop."""

import contextlib
import gzip
import socket
import threading

SPACES = b" " * (4 << 20)


@contextlib.contextmanager
def hostile_service(answer):
    """A server whose `answer(connection, ended)` writes after each request; yields its URL."""
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
    """A byte of the body every hundredth of a second."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not ended.wait(0.01):
        connection.sendall(b" ")


def drips_in_the_head(connection, ended):
    """A header every hundredth of a second."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not ended.wait(0.01):
        connection.sendall(b"X-A: b\r\n")


def a_large_body(connection, ended):
    """Four megabytes of nothing."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    connection.sendall(head % len(SPACES) + SPACES)


def a_body_that_unpacks(connection, ended):
    """The same in four kilobytes."""
    body = gzip.compress(SPACES)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    connection.sendall(head % len(body) + body)


def a_body_without_end(connection, ended):
    """A chunked body that goes on for as long as it is read."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not ended.is_set():
        connection.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")


IN_DRIPS = {bad.__name__: bad for bad in (drips_in_the_body, drips_in_the_head)}
WITHOUT_MEASURE = {
    bad.__name__: bad for bad in (a_large_body, a_body_that_unpacks, a_body_without_end)
}
