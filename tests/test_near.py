"""What may have been meant by a name that does not exist."""

import pytest

from mdkit.suggestions import instead, near

SYMBOLS = ("AAPL.US", "MSFT.US", "BTCUSDT", "BTCUSD_PERP", "700.HK")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("AAPL", "AAPL.US"),
        ("aapl.us", "AAPL.US"),
        ("APPL.US", "AAPL.US"),
        ("700", "700.HK"),
        ("BTCUSD", "BTCUSD_PERP"),
        ("BTCUSTD", "BTCUSDT"),
    ],
)
def test_the_likeliest_comes_first(name, first):
    assert near(name, SYMBOLS)[0] == first
    assert f"did you mean {first!r}" in instead(name, SYMBOLS)


def test_where_nothing_is_near_what_there_is_is_listed():
    assert near("", SYMBOLS) == near("QQQQ", SYMBOLS) == ()
    assert instead("QQQQ", SYMBOLS[:2]) == "there are AAPL.US, MSFT.US"
    assert instead("QQQQ", SYMBOLS[:1]) == "there is AAPL.US"
    assert instead("QQQQ", ()) == "there is none"
    assert instead("QQQQ", map(str, range(99))).endswith("9, 10, 11, ...")
