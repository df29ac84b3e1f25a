"""The ledger's equation can fail, and says so."""

from mdkit.stream import ledger
from mdkit.stream.ledger import COLUMNS, Ledger


def test_every_column_weighs_in_the_equation():
    for name in COLUMNS:
        book = Ledger()
        account = book.account("A", "depth")
        assert not book.imbalance()
        setattr(account, name, 3)
        assert book.imbalance() == [account]
        assert account.imbalance() == (3 if name == "received" else -3)
        assert book.totals()[name] == 3
        assert f"{name}=3" in repr(account)


def test_accounts_are_made_once_and_listed_by_symbol_and_channel():
    book = Ledger()
    assert book.account("B", "trade") is book.account("B", "trade")
    book.account("A", "depth").received = 2
    frame = book.frame()
    assert list(frame.index) == [("A", "depth"), ("B", "trade")]
    assert frame.index.names == ["symbol", "channel"]
    assert list(frame.columns) == list(COLUMNS)
    assert frame.loc[("A", "depth"), "received"] == 2
    assert set(map(str, frame.dtypes)) == {"int64"}


def test_an_empty_ledger_is_an_empty_frame():
    frame = Ledger().frame()
    assert len(frame) == 0
    assert list(frame.columns) == list(COLUMNS)


def test_endless_new_symbols_share_an_account(monkeypatch):
    monkeypatch.setattr(ledger, "_MAX_ACCOUNTS", 3)
    book = Ledger()
    for number in range(10):
        for channel in ("depth", "trade"):
            book.account(f"S{number}", channel).received += 1
    assert sum(1 for _ in book) <= 3 + 2
    assert book.totals()["received"] == 20
