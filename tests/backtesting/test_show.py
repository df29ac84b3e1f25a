"""A backtest on the canvas: what the page is sent is what the result holds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mdkit as md
from mdkit.backtesting.show import extremes
from mdkit.errors import SettingsError


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(3)
    count = 6_000
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.002, count)))
    index = pd.date_range("2024-01-01", periods=count, freq="h", tz="UTC")
    columns = dict.fromkeys(("open", "high", "low", "close"), close)
    bars = pd.DataFrame({**columns, "volume": 1.0}, index)
    return md.backtest(md.strategies.SmaCross(fast=5, slow=20), bars)


def sent(canvas, **asked):
    messages = []
    canvas.widget.send = lambda message, buffers: messages.append((message, buffers[0]))
    canvas.widget._on_message(None, asked, [])
    message, buffer = messages[-1]
    numbers, parts = np.frombuffer(buffer), {}
    for name, rows, width in message["parts"]:
        parts[name], numbers = numbers[: rows * width].reshape(rows, width), numbers[rows * width :]
    return message, parts


def test_a_close_look_shows_every_bar_and_fill_as_it_is(result):
    canvas = result.show()
    index = result.panel.index
    sent(canvas, kind="hello")
    begin, end = (index[n].timestamp() * 1e3 for n in (1000, 1300))
    message, parts = sent(canvas, kind="range", **{"from": begin, "to": end})
    assert not message["anew"]
    shown = parts["result"]
    inside = result.equity.iloc[999:1302]
    assert shown[:, 0].tolist() == [at.timestamp() * 1e3 for at in inside.index]
    wanted = inside[["equity", "drawdown", "exposure"]].to_numpy()
    assert shown[:, 2:].tobytes() == np.ascontiguousarray(wanted).tobytes()
    assert shown[:, 1].tolist() == result.panel.closes[0, 999:1302].tolist()
    fills = result.fills
    fills = fills[(fills["time"] >= index[1000]) & (fills["time"] <= index[1300])]
    assert parts["fills"][:, 1:].tolist() == fills[["price", "units"]].to_numpy(float).tolist()
    canvas.close()


@pytest.mark.outer
def test_the_whole_is_sent_first_with_its_extremes_and_trades(result):
    canvas = result.show()
    message, parts = sent(canvas, kind="hello")
    head = message["head"]
    assert message["anew"]
    assert head["mode"] == "result"
    assert len(head["trades"]) == min(500, len(result.trades))
    assert head["trades"][0]["gain"] == result.trades["return"].iloc[0]
    assert parts["result"][:, 2].max() == result.equity["equity"].max()
    assert parts["result"][:, 1].min() == np.nanmin(result.panel.closes[0])
    assert len(parts["result"]) < len(result.equity)
    bundle = canvas._repr_mimebundle_()
    assert "image/png" in bundle
    assert "text/plain" in bundle
    canvas.close()


def test_a_symbol_that_is_not_there_is_told(result):
    with pytest.raises(SettingsError, match="no symbol 'NOPE'"):
        result.show("NOPE")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=300))
def test_thinning_keeps_both_ends_and_every_extreme(values):
    line = np.array([values])
    kept = extremes(line, 5)
    assert kept[0] == 0
    assert kept[-1] == len(values) - 1
    assert (np.diff(kept) > 0).all()
    if np.isfinite(line).any():
        assert np.nanmax(line[:, kept]) == np.nanmax(line)
        assert np.nanmin(line[:, kept]) == np.nanmin(line)
    assert len(kept) <= max(10, 2 * 5 + 2)
