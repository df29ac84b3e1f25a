"""Symbols of public venues: any form in, one common form and the venue's own out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdkit.errors import SettingsError
from mdkit.venues.names import NAMES

FORMS = {
    "kraken": {
        "BTC/USD": "BTC/USD BTC-USD BTCUSD btc/usd XBT/USD XBTUSD XXBTZUSD",
        "DOGE/USD": "DOGE/USD XDGUSD XDG/USD DOGEUSD",
        "ETH/BTC": "ETH/BTC XETHXXBT ETHXBT ETHBTC",
        "USDT/USD": "USDT/USD USDTZUSD USDTUSD",
        "DOT/USD": "DOT/USD DOTUSD",  # not DO/TUSD
        "ARB/USD": "ARBUSD",  # not AR/BUSD
        "XTZ/EUR": "XTZEUR",
        "AAPLx/USD": "AAPLx/USD",
    },
    "binance": {
        "BTC/USDT": "BTCUSDT btcusdt BTC/USDT BTC-USDT BTC_USDT",
        "ETH/BTC": "ETHBTC ETH/BTC",
        "BTC/FDUSD": "BTCFDUSD",
        "1000SATS/USDT": "1000SATSUSDT",
        "币安人生/USDT": "币安人生USDT",
    },
    "binance.us": {"BTC/USD": "BTCUSD BTC/USD", "ARB/USD": "ARBUSD", "BTC/USDT": "BTCUSDT"},
    "binance.futures": {"BTC/USDT": "BTCUSDT", "BTCUSDT_250328": "BTCUSDT_250328"},
    "coinbase": {"BTC/USD": "BTC-USD BTC/USD BTCUSD", "BTC-PERP-INTX": "BTC-PERP-INTX"},
    "hyperliquid": {
        "BTC/USD": "BTC btc BTC/USD BTC-USD BTCUSD",
        "KPEPE/USD": "kPEPE KPEPE/USD",
        "PURR/USDC": "PURR/USDC",
        "@107": "@107",
        "xyz:TSLA": "xyz:TSLA",
    },
    "okx": {
        "BTC/USDT": "BTC-USDT BTC/USDT BTCUSDT",
        "BTC-USDT-SWAP": "BTC-USDT-SWAP btc-usdt-swap",
        "BTC-USD-241227": "BTC-USD-241227",
    },
}
NATIVE = {
    "kraken": ("BTC/USD", "BTC/USD"),
    "binance": ("BTC/USDT", "BTCUSDT"),
    "binance.us": ("BTC/USD", "BTCUSD"),
    "binance.futures": ("BTC-USDT", "BTCUSDT"),
    "coinbase": ("BTC/USD", "BTC-USD"),
    "hyperliquid": ("BTC/USD", "BTC"),
    "okx": ("BTC/USDT", "BTC-USDT"),
}
BAD = ["", "BTC USD", "BTC/", "/USD", "BTC//USD", "A" * 65, "AAPL.US", "BTC/USD/EUR", None, 7, "?"]


def test_every_venue_is_tried_here():
    assert set(FORMS) == set(NATIVE) == set(NAMES)


@pytest.mark.parametrize("venue", NAMES)
def test_all_forms_are_one(venue):
    names = NAMES[venue]
    for common, forms in FORMS[venue].items():
        for form in forms.split():
            assert names.common(form) == common
            assert names.native(form) == names.native(common)
            assert names.common(names.native(form)) == common


@pytest.mark.parametrize("venue", NAMES)
def test_the_venues_own_form(venue):
    given, own = NATIVE[venue]
    assert NAMES[venue].native(given) == own


def test_own_forms_that_have_no_other():
    assert NAMES["hyperliquid"].native("KPEPE/USD") == "kPEPE"
    assert NAMES["hyperliquid"].native("PURR/USDC") == "PURR/USDC"
    assert NAMES["okx"].native("btc-usdt-swap") == "BTC-USDT-SWAP"
    assert NAMES["kraken"].rest("BTC/USD") == "XBTUSD"
    assert NAMES["kraken"].rest("DOGE/BTC") == "XDGXBT"


@pytest.mark.parametrize("venue", NAMES)
@pytest.mark.parametrize("symbol", BAD)
def test_what_can_be_no_symbol_gets_the_cure(venue, symbol):
    for form in (NAMES[venue].common, NAMES[venue].native):
        with pytest.raises(SettingsError, match=r"is not a symbol of .* (write|Write) it as"):
            form(symbol)


@pytest.mark.parametrize("venue", sorted(set(NAMES) - {"hyperliquid"}))
def test_an_asset_alone_is_no_symbol(venue):
    with pytest.raises(SettingsError, match=r"'SOL' .* does not name two assets.*SOL/USD"):
        NAMES[venue].common("SOL")


ASSETS = st.from_regex(r"[A-Z0-9]{2,10}", fullmatch=True)


@pytest.mark.parametrize("venue", NAMES)
@given(base=ASSETS, quote=st.sampled_from(["USD", "USDT", "USDC", "EUR", "BTC"]), data=st.data())
def test_names_are_stable_through_all_forms(venue, base, quote, data):
    """The property: what was once translated is translated the same again, either way."""
    names = NAMES[venue]
    separator = data.draw(st.sampled_from(["/", "-", ""]))
    given = f"{base}{separator}{quote}"
    if data.draw(st.booleans()):
        given = given.lower()
    common, native = names.common(given), names.native(given)
    assert names.native(common) == native
    assert names.common(common) == common
    assert names.native(native) == native
    if separator and "/" in common:
        assert common.partition("/")[2] == quote
