"""The fuzzers' targets, fed by hypothesis; `python -m tests.fuzz all` goes deeper."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from targets import SEEDS, TARGETS

SYNTAX = (b"{", b"}", b"[", b"]", b'"', b",", b":", b"-", b"1e999", b"null", b"NaN", b"\xff", b"&=")


@st.composite
def spoilt(draw, seeds):
    """A good input with parts cut out, repeated, replaced or put in."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        begin, end = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 2)))
        piece = draw(st.one_of(st.sampled_from(SYNTAX), st.binary(max_size=8)))
        times = draw(st.sampled_from((0, 1, 1, 2, 500)))
        data = data[:begin] + piece * times + data[end:]
    return data


@pytest.mark.outer
@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_taken_or_refused_in_words(name, capsys):
    @settings(suppress_health_check=list(HealthCheck), max_examples=50)
    @given(st.one_of(st.binary(max_size=200), spoilt(SEEDS[name])))
    def check(data):
        TARGETS[name](data)

    check()


def test_seeds_are_good(capsys):
    for name, seeds in SEEDS.items():
        for seed in seeds:
            TARGETS[name](seed)
