"""The still says what was seen, and nothing of what was not."""

import io

import numpy as np
import pytest
from PIL import Image

from mdkit.canvas.rings import MS
from mdkit.events import DROPPED
from mdkit.views.dashboard.gaps import Stretch
from mdkit.views.dashboard.still import Seen, _thinned, holds_until, still_png

T0 = 1_700_000_000_000.0
STEP = 50.0


def books(*times, behind_gaps=()):
    rows = np.full((len(times), 15), np.nan)
    rows[:, 0] = T0 + np.array(times)
    rows[:, 1] = [time in behind_gaps for time in times]
    rows[:, 2:6] = 100.0, 5.0, 100.5, 4.0
    rows[:, 8] = 1.25
    rows[:, 11:] = 99.5, 1.0, 101.0, 2.0
    return rows


def gap(begin, end, reason="disconnected"):
    return Stretch((int(T0) + begin) * MS, (int(T0) + end) * MS, reason, 0)


@pytest.mark.parametrize(
    ("rows", "gaps", "seen", "expected"),
    [
        (books(0, 100), [], 500, [100, 500]),
        (books(0, 100), [], 50, [100, 100]),  # seen no further than the newest itself
        (books(0, 100, 400), [gap(150, 350)], 500, [100, 150, 500]),
        (books(0, 100), [gap(150, 350)], 900, [100, 150]),  # nothing has come since
        (books(0, 100), [gap(-50, 30)], 200, [0, 200]),
        (books(0, 100), [gap(20, 80, DROPPED)], 200, [100, 200]),
        (books(0, 100, 300, behind_gaps=[300]), [], 400, [100, 150, 400]),
        (books(), [], 400, []),
    ],
)
def test_a_book_holds_to_the_next_one_but_not_into_what_was_not_seen(rows, gaps, seen, expected):
    assert (holds_until(rows, gaps, T0 + seen, STEP) - T0).tolist() == expected


def test_thinning_leaves_no_gap_out():
    times = np.arange(20_000) * 10.0
    until = np.append(times[1:], times[-1])
    until[[7_777, 12_345]] -= 5
    shown, begins, ends = _thinned(times, until)
    assert len(shown) < 1_000
    open_ends = [end for end, begin in zip(ends, begins[1:], strict=False) if end < begin]
    assert open_ends == [77_775.0, 123_455.0]


def column(png, share):
    """Pixels of the panel of books, at a share of its width."""
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    height, width, _ = image.shape
    return image[int(0.1 * height) : int(0.5 * height), int(width * (0.085 + 0.9 * share))]


@pytest.mark.outer
def test_a_stretch_without_a_feed_is_empty_at_the_end_too():
    def drawn(seen_ms):
        rows = books(*range(0, 10_000, 100))
        until = holds_until(rows, (), T0 + seen_ms, STEP)
        nothing = np.empty((0, 7))
        seen = Seen("A", T0, T0 + 40_000, rows, until, nothing, nothing, ())
        return [bool((column(still_png(seen), x) < 240).any()) for x in (0.1, 0.8)]

    assert drawn(40_000) == [True, True]
    assert drawn(9_900) == [True, False]
