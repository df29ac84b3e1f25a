"""A peer decides neither over memory nor over time, nor over what becomes of the key."""

import json
import warnings

import pytest

import mdkit as md
from mdkit.errors import InvalidMessage, RecordingError, RecordingWarning
from mdkit.recording.file.recording_file import RecordingFile
from mdkit.redaction import hide, safe_text
from mdkit.session.feeds import key_for
from mdkit.sources.connection import ending
from mdkit.venues import tickdb
from mdkit.venues.tickdb.codes import classify
from tests.trust.hostile.files import DAMAGE, recording, without_line_end
from tests.trust.hostile.sockets import BOOK

KEY = "SECRET+KEY/0123456789 of a test"


@pytest.mark.parametrize(
    "text",
    [
        f"no plan for {KEY}",
        "GET /v1?api_key=SECRET%2BKEY%2F0123456789%20of%20a%20test HTTP/1.1",
        "GET /v1?api_key=SECRET%2BKEY%2F0123456789+of+a+test HTTP/1.1",
        "GET /v1?api_key=secret%2bkey%2f0123456789%20of%20a%20test",
        f"cut off: {KEY[:20]}",
    ],
)
def test_what_a_peer_repeats_is_told_without_the_key(text):
    hide(KEY)
    for told in (
        safe_text(text),
        ending((4001, text), None),
        str(classify(5001, message=text)),
        str(classify(1001, message=text)),
    ):
        assert "***" in told
        assert "0123456789" not in told
        assert "SECRET" not in told


def test_short_keys_and_none_change_nothing():
    hide("abc")
    hide(None)
    assert safe_text("abc and none") == "abc and none"


@pytest.mark.parametrize(
    ("url", "goes"),
    [
        ("wss://api.tickdb.ai/v1/realtime", True),
        ("wss://api.tickdb.ai:443/v1/market/ws", True),
        ("ws://api.tickdb.ai/v1/realtime", False),
        ("wss://api.tickdb.ai:444/v1/realtime", False),
        ("wss://api.tickdb.ai.evil.test/v1/realtime", False),
        ("ws://127.0.0.1:8000/v1/realtime", False),
    ],
)
def test_the_keys_of_settings_go_to_the_configured_place_alone(url, goes):
    settings = md.Settings(tickdb_api_key=KEY)
    assert key_for(url, settings.tickdb_ws_url, settings) == (KEY if goes else None)


def test_a_symbol_of_a_megabyte_is_no_symbol():
    router = tickdb.TickdbRouter(["AAPL.US"])
    long = BOOK % (b"x" * 1_000_000)
    route = router.route(long)
    with pytest.raises(InvalidMessage) as told:
        route.decode(long, 1)
    assert "a symbol of 1,000,000 characters" in str(told.value)
    assert len(str(told.value)) < 100
    assert router.route(BOOK % (b"x" * 64)).decode(BOOK % (b"x" * 64), 1)


@pytest.mark.parametrize("odd", ["A\x1b[2J", "A\x9b31m", "A\u202eB", "A\nB", "\ud800"])
def test_what_a_terminal_would_obey_is_shown_as_unknown(odd):
    told = safe_text(f"refused: {odd}")
    assert told.isprintable()
    assert told.startswith("refused: ")
    raw = BOOK % odd.encode("utf-8", "surrogatepass").replace(b"\n", b"\\n").replace(
        b"\x1b", b"\\u001b"
    )
    route = tickdb.TickdbRouter(["A"]).route(raw)
    with pytest.raises(InvalidMessage) as caught:
        route.decode(raw, 1)
    assert str(caught.value).isprintable()
    assert route.symbol == ""


def test_dollar_signs_are_no_formula():
    from mdkit.chart_style import Picture, png

    figure = Picture()
    axes = figure.subplots()
    axes.plot([1, 2], label=r"$\frac{A}$")
    axes.set_title(r"$\frac{A}$")
    axes.legend()
    assert png(figure).startswith(b"\x89PNG")


def test_blank_lines_are_passed_over(tmp_path):
    path = recording(tmp_path, b"\n" * 2_000_000)
    assert len(md.read_recording(path).frame("depth", "A")) == 2


@pytest.mark.parametrize("line", [b"x", b"# comment", b'{"mdkit":"nothing known"}'])
def test_reading_ends_after_so_many_lines_that_are_no_messages(tmp_path, line):
    path = recording(tmp_path, *[line] * 150_000)
    with pytest.warns(RecordingWarning, match="it was not read on behind line"):
        frame = md.read_recording(path).frame("depth", "A")
    assert len(frame) == 1


@pytest.mark.outer
def test_a_line_without_end_is_refused_by_every_reader(tmp_path):
    path = without_line_end(tmp_path)
    for read in (md.recording_info, lambda p: md.read_recording(p).frame("depth", "A")):
        with pytest.raises(RecordingError, match="does not end"):
            read(path)
    assert list(RecordingFile(path).markers()) == []


def test_a_marker_that_nests_deeply_is_a_damaged_line(tmp_path):
    path = recording(tmp_path, b'{"mdkit":' + b"[" * 100_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordingWarning)
        assert len(md.read_recording(path).frame("depth", "A")) == 2
        assert md.recording_info(path).messages == 2
        assert json.dumps(md.backtest(md.strategies.pressure, path).stats, default=str)


@pytest.mark.outer
@pytest.mark.parametrize("lines", DAMAGE.values(), ids=DAMAGE)
def test_every_reader_of_recordings_meets_every_damage(tmp_path, lines):
    path = recording(tmp_path, *lines)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordingWarning)
        assert len(md.read_recording(path).frame("depth", "A")) in (1, 2)
        assert md.recording_info(path).messages >= 1
        told = md.backtest(md.strategies.pressure, path, trade=False)
        assert "A" in repr(md.read_recording(path).frame("depth").symbol.unique().tolist())
        assert repr(told).replace("\n", "").isprintable()
