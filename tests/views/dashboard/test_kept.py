"""What a page sends as its own picture is kept only if it is one, and of a bounded size."""

import pytest

import mdkit as md

WEBP = b"RIFF\x04\x00\x00\x00WEBP" + bytes(100)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


class Output:
    display_id = "out"

    def __init__(self):
        self.html = []

    def update(self, bundle, raw):
        self.html.append(bundle["text/html"])


@pytest.fixture
def board():
    board = md.live(["AAPL.US"], source=md.Simulated(count=1), name="kept").dashboard()
    board._kept = Output()
    yield board
    board.close()


def still(board, picture, kind="image/webp", **more):
    content = {"kind": "still", "type": kind, "said": "running. <b>", **more}
    board.widget._on_message(None, content, [] if picture is None else [memoryview(picture)])
    return board._kept.html


@pytest.mark.parametrize(("picture", "kind"), [(WEBP, "image/webp"), (PNG, "image/png")])
def test_a_picture_is_put_beside_the_canvas(board, picture, kind):
    (html,) = still(board, picture, kind)
    assert f'src="data:{kind};base64,' in html
    assert "running. &lt;b&gt;" in html


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (None, "image/webp"),
        (b"", "image/webp"),
        (WEBP + bytes(2_000_000), "image/webp"),
        (b"<svg onload='alert(1)'/>", "image/webp"),
        (PNG, "image/webp"),
        (PNG, "image/svg+xml"),
        (PNG, None),
        (PNG, ["image/png"]),
    ],
)
def test_what_is_no_picture_or_too_large_is_not(board, picture, kind):
    assert not still(board, picture, kind)


def test_what_is_said_of_it_is_bounded(board):
    (html,) = still(board, PNG, "image/png", said="x" * 5_000_000)
    assert len(html) < 3_000


def test_nothing_is_kept_once_the_dashboard_has_ended(board):
    board.close()
    assert still(board, PNG, "image/png") == [""]
