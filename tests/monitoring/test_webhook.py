"""Webhooks, against a real server on this machine."""

import asyncio
import http.server
import json
import logging
import socket
import threading
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import requests

import mdkit as md
from mdkit.errors import FeedError, SettingsError
from mdkit.monitoring.alerts import Notice
from mdkit.monitoring.webhook import Webhook
from mdkit.redaction import hide

pytestmark = pytest.mark.outer

QUOTED = 'a "quoted" Schlüssel'  # which JSON writes in another way
NOTICE = Notice("default", "gap", "1 gap", datetime(2026, 1, 2, tzinfo=UTC), {"gaps": 1})


@contextmanager
def _service(*statuses, headers=()):
    """Serve POST with these statuses in turn, the last again and again; yields url and posts."""
    posts, left = [], list(statuses)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hooks/T0K3N", posts
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _webhook(url, pauses=None, **options):
    kept = [] if pauses is None else pauses
    given = {"timeout": 10.0, "retries": 2, "headers": {}, "body": None, **options}
    return Webhook(url, **given, pause=kept.append)


def test_it_posts_json_of_which_chat_services_show_the_text():
    with _service(200) as (url, posts):
        md.webhook(url, headers={"X-Team": "desk"})(NOTICE)
    ((path, headers, body),) = posts
    assert path == "/hooks/T0K3N"
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Team"] == "desk"
    assert body == {
        "text": "mdkit session 'default', gap: 1 gap",
        "session": "default",
        "alert": "gap",
        "time": "2026-01-02T00:00:00+00:00",
        "figures": {"gaps": 1},
    }


def test_another_form_can_be_sent():
    with _service(204) as (url, posts):
        md.webhook(url, body=lambda notice: {"content": notice.text})(NOTICE)
    assert posts[0][2] == {"content": "1 gap"}


def test_keys_are_taken_out_of_what_is_sent():
    hide("sk-very-secret-9")
    with _service(200) as (url, posts):
        md.webhook(url, body=lambda notice: {"text": "of sk-very-secret-9 here"})(NOTICE)
        md.webhook(url, body=lambda notice: {"text": f"{hide(QUOTED)!s}, too"})(NOTICE)
    assert posts[0][2] == {"text": "of *** here"}
    assert posts[1][2] == {"text": "***, too"}


@pytest.mark.parametrize(
    ("statuses", "attempts", "pauses", "said"),
    [
        ([500, 503, 200], 3, [0.5, 1.0], None),
        ([429, 200], 2, [0.5], None),
        ([500], 3, [0.5, 1.0], r"127\.0\.0\.1 answered 500 \(3 attempts\)"),
        ([404], 1, [], r"127\.0\.0\.1 answered 404$"),
        ([401], 1, [], r"127\.0\.0\.1 answered 401$"),
    ],
)
def test_what_may_pass_is_tried_again_and_a_refusal_is_not(statuses, attempts, pauses, said):
    waited = []
    with _service(*statuses) as (url, posts):
        if said is None:
            _webhook(url, waited)(NOTICE)
        else:
            with pytest.raises(FeedError, match=said):
                _webhook(url, waited)(NOTICE)
    assert len(posts) == attempts
    assert waited == pauses


def test_no_redirect_is_followed():
    with (
        _service(200) as (elsewhere, stolen),
        _service(307, headers=[("Location", elsewhere)]) as (url, posts),
        pytest.raises(FeedError, match="307, a redirect, which is not followed"),
    ):
        _webhook(url)(NOTICE)
    assert len(posts) == 1
    assert stolen == []


def _silent(drips):
    """A server that takes a request and never answers whole; return it and its thread."""
    server = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve():
        with server.accept()[0] as caller:
            while not ended.wait(0.05):
                if drips:
                    try:
                        caller.sendall(b"H" if drips is True else drips)
                    except OSError:
                        return

    thread = threading.Thread(target=serve)
    thread.start()
    return server, ended, thread


@pytest.mark.parametrize("drips", [b"", b"HTTP/1.1 200 OK\r\nX-A: "])
def test_a_service_that_never_ends_its_answer_is_left(drips):
    server, ended, thread = _silent(drips)
    try:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/T0K3N"
        with pytest.raises(FeedError, match=r"did not answer within 0\.3 s") as caught:
            _webhook(url, timeout=0.3, retries=0)(NOTICE)
        assert "T0K3N" not in str(caught.value)
    finally:
        ended.set()
        thread.join()
        server.close()


def test_nobody_there_is_a_sentence_without_the_address():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(FeedError, match=r"127\.0\.0\.1 cannot be reached") as caught:
        _webhook(f"http://127.0.0.1:{port}/hooks/T0K3N?token=abc", retries=1)(NOTICE)
    assert "T0K3N" not in str(caught.value)
    assert caught.value.__context__ is None or "T0K3N" not in str(caught.value.__context__)


def test_its_address_is_shown_nowhere():
    hook = md.webhook("https://someone:pass-word-7@chat.example/services/T0K3N?key=abcdef")
    assert repr(hook) == "<Webhook to chat.example>"
    assert "T0K3N" not in repr(vars(hook))


def test_no_log_shows_its_address(caplog):
    caplog.set_level(logging.DEBUG)
    with _service(500) as (url, posts):
        with pytest.raises(FeedError):
            _webhook(url)(NOTICE)
        assert len(posts) == 3
        assert "T0K3N" not in caplog.text
        requests.post(url, json={})  # what others post is logged as before
        assert "T0K3N" in caplog.text


@pytest.mark.parametrize("url", ["https://[::1/hooks/T0K3N", "ftp://x/T0K3N"])
def test_a_traceback_with_variables_shows_no_key_of_what_is_refused(url):
    with pytest.raises(SettingsError, match="begins with https://") as caught:
        md.webhook(url, headers={"Authorization": "Bearer T0K3N", "X-Room": "T0K3N"})
    ours = [entry.frame.f_locals for entry in caught.traceback if entry.path.stem == "webhook"]
    assert ours
    assert "T0K3N" not in repr(ours)


@pytest.mark.parametrize("headers", [{"X": 5}, {5: "x"}, {"Authorization": b"Bearer x"}])
def test_headers_are_texts(headers):
    with pytest.raises(SettingsError, match=r"The header .* is no text"):
        md.webhook("https://chat.example", headers=headers)


def test_a_header_that_no_service_can_be_sent_is_a_sentence():
    with _service(200) as (url, posts):
        with pytest.raises(FeedError, match=r"127\.0\.0\.1 cannot be asked \(UnicodeEncodeError\)"):
            _webhook(url, headers={"X-Room": "\u20ac"})(NOTICE)
        assert not posts


@pytest.mark.parametrize(
    "url",
    ["", "chat.example/hook", "ftp://chat.example", "https://", "https://[::1/hook", 7, None],
)
def test_what_is_no_address_is_refused_without_showing_it(url):
    with pytest.raises(SettingsError, match="begins with https:// or http:// and a host"):
        md.webhook(url)


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": True}, {"timeout": "5"}, {"retries": -1}]
)
def test_numbers_out_of_range_are_refused(options):
    with pytest.raises(SettingsError, match="is not usable"):
        md.webhook("https://chat.example", **options)


def test_a_session_posts_its_alert_and_a_failure_is_a_row(until):
    async def main():
        with _service(200) as (url, posts), _service(403) as (refusing, refused):
            session = md.live(source="simulated", name="hook")
            session.alert("received > 5", md.webhook(url))
            session.alert("received > 5", md.webhook(refusing))
            session.start()
            await until(lambda: posts and refused)
            await session.stop()
        assert posts[0][2]["alert"] == "received > 5"
        table = session.alerts()
        assert table["state"].tolist() == ["told", "failed"]
        assert table["error"].iloc[1] == "FeedError: 127.0.0.1 answered 403"
        assert "127.0.0.1 answered 403" in str(session.stats()["problems"])

    asyncio.run(main())
