"""Tables print whole, in 80 columns, and prices with their decimals."""

import pickle

import numpy as np
import pandas as pd
import pytest

from mdkit.events import Depth
from mdkit.frames import Frames, SignalFrame, book_frame
from mdkit.frames.display import Table, decimals
from mdkit.queue.ledger import Ledger

PRICES = (0.00001234, 0.000012, 1.5)


def depth_table():
    frames = Frames()
    for number, price in enumerate(PRICES):
        book = Depth("A", ((price, 1.0),), ((2 * price, 1.0),), received_ns=number + 1)
        frames.extend("depth", "A", [book])
    return frames.frame("depth", levels=5)


def ledger_table():
    ledger = Ledger()
    ledger.counts("A", "depth").received = 7
    return ledger.frame()


def signals_table():
    frame = SignalFrame()
    frame.append((1, "AAPL.US", "a_strategy_of_a_long_name", 1.0, 1))
    return frame.snapshot()


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    """A terminal of 80 columns, where pandas by itself leaves columns out."""
    monkeypatch.setenv("COLUMNS", "80")
    with pd.option_context("display.max_columns", 0, "display.width", 80):
        yield


@pytest.mark.parametrize("make", [depth_table, ledger_table, signals_table])
def test_no_column_is_left_out_in_80_columns(make):
    table = make()
    text = repr(table)
    assert all(name in text.replace("\\", " ").split() for name in table.columns)
    assert max(map(len, text.splitlines())) <= 80
    assert "..." not in text
    assert all(f"<th>{name}</th>" in table._repr_html_() for name in table.columns)


def test_prices_have_all_their_decimals():
    for table in (depth_table(), depth_table().tail(3), depth_table()[["symbol", "bid"]]):
        text = repr(table)
        assert "0.00001234" in text
        assert "1.50000000" in text
        assert "<td>0.00001234</td>" in table._repr_html_()
    assert "0.00001234" in repr(book_frame(Depth("A", ((PRICES[0], 1.0),), ())))


@pytest.mark.parametrize(
    ("values", "places"),
    [([1.0, 2.0], 0), ([158.5, 158.53], 2), ([0.00001234], 8), ([np.nan, 0.1], 1), ([], 0),
     ([1 / 3], 12), ([np.inf, 1e300, 0.25], 2)],
)  # fmt: skip
def test_decimals_are_those_that_the_longest_price_has(values, places):
    assert decimals(np.array(values, float)) == places


def test_a_table_is_a_dataframe_and_stays_one_of_its_kind():
    table = depth_table()
    assert isinstance(table, pd.DataFrame)
    for made in (table.tail(2), table.copy(), pickle.loads(pickle.dumps(table)), table[table.gap]):
        assert type(made) is Table
    assert type(pd.DataFrame(table)) is pd.DataFrame
    assert type(table["bid"]) is pd.Series
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(table)), table)


def test_a_long_table_is_cut_as_pandas_cuts_it():
    table = Table({"price": np.arange(500) / 10})
    lines = repr(table).splitlines()
    assert len(lines) < 20
    assert lines[-1] == "[500 rows x 1 columns]"
    assert "[500 rows" not in repr(table.head(5))
    assert "500 rows" in table._repr_html_()
