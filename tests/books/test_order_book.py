"""The levels of a book, changed one at a time and many at once."""

import random

import pytest

from mdkit.books.order_book import BookSide


def steps(seed, count):
    """Levels at few prices, so that they come and go, with their texts."""
    rng = random.Random(seed)
    levels = [(float(rng.randint(1, 400)), float(rng.choice((0, 0, 1, 2)))) for _ in range(count)]
    return levels, [f"{price:g}:{size:g}".encode() for price, size in levels]


def state(side):
    return side.best(1000), side.texts(1000), side.unknown_removed, side.worst_price


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("seed", range(20))
def test_many_levels_at_once_are_as_one_after_the_other(sign, seed):
    together, apart = BookSide(sign), BookSide(sign)
    for part in range(3):
        levels, texts = steps(seed * 3 + part, 1000)
        top = 1 + seed
        changed = together.change(levels, texts, top)
        before = apart.best(top)
        each = [apart.change([one], [text], top) for one, text in zip(levels, texts, strict=True)]
        assert state(together) == state(apart)
        assert changed or before == apart.best(top)
        assert not changed or any(each)


def test_a_snapshot_replaces_everything_whatever_its_length():
    for count in (10, 1000):
        levels, texts = steps(count, count)
        side, fresh = BookSide(1), BookSide(1)
        side.replace([(1000.5, 1.0)], [b"x"])
        side.replace(levels, texts)
        for one, text in zip(levels, texts, strict=True):
            fresh.change([one], [text])
        assert state(side) == state(fresh)
