"""No traceback of mdkit's holds the key, not even where its variables are printed."""

import asyncio
import http.client
import logging
import pickle
import socket
import sys
from urllib.parse import quote, quote_plus

import msgspec
import psutil
import pytest

import mdkit as md
from mdkit.cli.main import app
from mdkit.errors import ExchangeError, MdkitError
from mdkit.exchange import configure, process
from mdkit.exchange.config import ExchangeConfig
from mdkit.history.http.client import RestClient
from mdkit.processes.process import start_process
from mdkit.redaction import Secret, hide
from mdkit.sources.websocket import WebSocketSource

KEY = "SECRET+KEY/0123456789 of a test"
HEADER_KEY = "SECRETKEY-0123456789"
FORMS = ["0123456789", *(how(key) for how in (quote, quote_plus) for key in (KEY, HEADER_KEY))]
DEAD = "127.0.0.1:9"  # nothing listens at the discard port


def chain(error):
    """Yield an exception and those that a traceback shows with it."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def frames(error):
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename != __file__:
            yield trace.tb_frame
        trace = trace.tb_next


def shown(value, depth=3):
    """Return what a notebook could print of a variable, its attributes' attributes included."""
    try:
        texts = [repr(value)]
    except AttributeError:  # of an object that is not made yet
        texts = []
    if depth and type(value).__module__.startswith("mdkit"):
        parts = dict(getattr(value, "__dict__", {}))
        slots = (s for c in type(value).__mro__ for s in getattr(c, "__slots__", ()))
        parts |= {name: getattr(value, name, None) for name in slots}
        texts += [text for part in parts.values() for text in shown(part, depth - 1)]
    return texts


def check(error):
    from IPython.core.ultratb import VerboseTB

    seen = 0
    for one in chain(error):
        assert not any(form in f"{one!r}{one}" for form in FORMS)
        for frame in frames(one):
            seen += 1
            for name, value in frame.f_locals.items():
                for text in shown(value):
                    found = [form for form in FORMS if form in text]
                    assert not found, f"{name} in {frame.f_code.co_qualname} shows the key"
        trace = one.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        if trace is not None:
            text = VerboseTB(color_scheme="NoColor") if _OLD else VerboseTB(theme_name="nocolor")
            printed = "\n".join(text.structured_traceback(type(one), one, trace))
            assert "mdkit" in printed
            assert not any(form in printed for form in FORMS)
    assert seen


try:
    from IPython import version_info

    _OLD = version_info[0] < 9
except ImportError:
    _OLD = False


def settings(**more):
    return md.Settings(
        tickdb_api_key=KEY, tickdb_ws_url=f"ws://{DEAD}", tickdb_rest_url=f"http://{DEAD}", **more
    )


REFUSED = {
    "live, no such channel": lambda: md.live("A", channels="none", api_key=KEY),
    "live, no such source": lambda: md.live("A", source=object(), api_key=KEY),
    "live, no such policy": lambda: md.live("A", source="tickdb", overflow="none", api_key=KEY),
    "live, a key in the URL": lambda: md.live("A", source=f"ws://{DEAD}/?api_key={quote(KEY)}"),
    "live, a password": lambda: md.live("A", source=f"http://me:{HEADER_KEY}@{DEAD}"),
    "live, key of the settings": lambda: md.live("A", overflow="none", settings=settings()),
    "settings, wrong elsewhere": lambda: settings(worker_count=0),
    "settings, a wrong address": lambda: md.Settings(tickdb_ws_url=f"x://{DEAD}?k={KEY}"),
    "klines, no such interval": lambda: md.klines("A", "7x", api_key=KEY),
    "klines, no such source": lambda: md.klines("A", "1h", source=f"x?k={KEY}", api_key=KEY),
    "klines, a key no header takes": lambda: md.klines(
        "A", "1h", source=f"http://{DEAD}", api_key=KEY + "\n"
    ),
    "klines, key in the URL": lambda: md.klines("A", "1h", source=f"https://x/?api_key={KEY}"),
    "client, a password": lambda: RestClient(f"https://me:{HEADER_KEY}@x"),
    "source, no such address": lambda: asyncio.run(
        WebSocketSource(f"x://me:{HEADER_KEY}@{DEAD}", ["depth"], ["A"], api_key=KEY).run(None)
    ),
    "exchange, no such symbol": lambda: md.Exchange("no such", api_key=KEY),
    "exchange, no such scenario": lambda: configure(["A"], scenario="none", api_key=KEY),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_shows_no_key(call):
    pytest.importorskip("IPython")
    with pytest.raises(MdkitError) as caught:
        call()
    check(caught.value)


def read(exchange, path="/v1/realtime"):
    session = md.live("A", source=f"ws://127.0.0.1:{exchange.port}{path}", api_key=KEY)
    return session.run_blocking(20)


CONNECTED = {
    "realtime": read,
    "flat": lambda exchange: read(exchange, "/v1/market/ws"),
    "klines": lambda exchange: md.klines(
        "A", "1h", source=exchange.rest_url, api_key=HEADER_KEY, cache=False, limit=5
    ),
    "control": lambda exchange: md.Exchange(port=exchange.port, api_key=KEY).start(),
}


@pytest.mark.outer
@pytest.mark.parametrize("call", CONNECTED.values(), ids=CONNECTED)
def test_what_a_service_refuses_shows_no_key(call, exchange_process):
    pytest.importorskip("IPython")
    exchange = exchange_process("A", api_key="another-" + KEY)
    with pytest.raises(MdkitError) as caught:
        call(exchange)
    check(caught.value)


@pytest.mark.outer
def test_problems_that_a_session_survives_show_no_key(until):
    pytest.importorskip("IPython")

    async def main():
        source = WebSocketSource(f"ws://{DEAD}/", ["depth"], ["A"], api_key=KEY, base_delay=0.01)
        session = md.live(source=source, api_key=KEY).start()
        await until(lambda: len(session.pipeline.problems) > 1)
        await session.stop()
        return list(session.pipeline.problems)

    for problem in asyncio.run(main()):
        assert not any(form in repr(problem) for form in FORMS)
        for one in chain(problem):
            for frame in frames(one):
                assert not any(form in repr(frame.f_locals) for form in FORMS)


COMMANDS = {
    "record": ["record", "A", "--source", "tickdb", "--out", "a.jsonl"],
    "record, elsewhere": ["record", "A", "--source", f"ws://{DEAD}/?api_key={quote(KEY)}"],
    "klines": ["klines", "A", "--source", "tickdb", "--limit", "5", "--out", "a.csv"],
    "klines, no such interval": ["klines", "A", "--source", "tickdb", "--interval", "7x"],
    "backtest": ["backtest", "A", "--source", "tickdb", "--out", "a"],
}


@pytest.mark.outer
@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_command_that_fails_shows_no_key(
    words, exchange_process, monkeypatch, tmp_path, capfd, caplog
):
    pytest.importorskip("IPython")
    caplog.set_level(logging.DEBUG)
    exchange = exchange_process("A", api_key="another-" + HEADER_KEY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TICKDB_API_KEY", HEADER_KEY)
    monkeypatch.setenv("TICKDB_WS_URL", exchange.ws_url)
    monkeypatch.setenv("TICKDB_REST_URL", exchange.rest_url)
    with pytest.raises(MdkitError) as caught:
        app(words, standalone_mode=False)
    if "?api_key" not in "".join(words):  # which click's own frames hold as it was typed
        check(caught.value)
    printed = "".join((*capfd.readouterr(), caplog.text, str(caught.value)))
    assert not any(form in printed for form in FORMS)


class Noted:
    """The exceptions that are raised in mdkit, each where it is first seen, with all its frames."""

    def __init__(self):
        self.errors = []

    def __call__(self, frame, event, argument):
        if "/mdkit/" not in frame.f_code.co_filename:
            return None
        if event == "exception":
            self.errors.append(argument[1])
        return self


@pytest.fixture
def noted():
    """What was raised in mdkit while the test ran, whether anybody saw it or not."""
    noted, before = Noted(), sys.gettrace()
    sys.settrace(noted)
    yield noted.errors
    sys.settrace(before)


@pytest.mark.outer
def test_an_exchanges_process_that_cannot_serve_shows_no_key(noted, capfd):
    """What its process runs, run here: the port is taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = configure(["A"], api_key=KEY, port=taken.getsockname()[1])
        sent = msgspec.json.decode(msgspec.json.encode(config, enc_hook=str), type=ExchangeConfig)
        asyncio.run(process._serve_child(sent))
    sys.settrace(None)
    assert any(isinstance(error, ExchangeError) for error in noted)
    for error in noted:
        check(error)
    printed = "".join(capfd.readouterr())
    assert "cannot listen" in printed
    assert not any(form in printed for form in FORMS)


@md.strategy("depth")
def fails(book):
    raise ValueError("on purpose")


@pytest.mark.outer
@pytest.mark.starts_workers
def test_worker_processes_are_not_given_the_key(exchange_process, until, monkeypatch):
    """So no traceback of theirs can show it."""
    given = []

    async def start(number, setup, symbols):
        given.append(pickle.dumps(setup))
        return await start_process(number, setup, symbols)

    monkeypatch.setattr("mdkit.processes.lanes.start_process", start)
    monkeypatch.setenv("TICKDB_API_KEY", HEADER_KEY)
    exchange = exchange_process("A", api_key=HEADER_KEY)

    async def main():
        session = md.live(
            "A", source=exchange, strategies=[fails], worker_kind="process", api_key=HEADER_KEY
        ).start()
        await until(lambda: len(session.dead_letters()) > 0)
        environments = [
            child.environ()
            for child in psutil.Process().children()
            if "worker" in str(child.cmdline())
        ]
        letters = session.dead_letters()
        await session.stop()
        return environments, letters

    environments, letters = asyncio.run(main())
    assert environments
    assert given
    assert "on purpose" in letters["traceback"].iloc[0]
    for thing in (*map(repr, environments), letters.to_string(), *map(repr, given)):
        assert not any(form in thing for form in FORMS)


def test_a_cell_that_is_interrupted_while_it_asks_shows_no_key(monkeypatch):
    pytest.importorskip("IPython")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(http.client.HTTPConnection, "connect", interrupted)
    urllib3 = sys.modules["urllib3.connection"]
    monkeypatch.setattr(urllib3.HTTPConnection, "connect", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        md.klines("A", "1h", source=f"http://{DEAD}", api_key=HEADER_KEY, cache=False, limit=5)
    check(caught.value)


def test_a_secret_is_a_text_in_all_else():
    secret = hide(KEY)
    assert secret == KEY
    assert f"{secret} {secret!s}" == f"{KEY} {KEY}"
    assert "0123456789" not in f"{secret!r} {[secret]} { ({'key': secret}) }"
    assert type(str(secret)) is str
    assert isinstance(secret, Secret)
