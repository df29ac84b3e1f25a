"""Where every message went.

At every instant, for every symbol and channel:

    received = processed + dropped + conflated + dead_lettered + invalid
             + queued + spilled + in_flight

The last three are where messages are now, the others where they ended. Each count is kept by
the part that moves the message, never derived from the others, so that the equation can fail
and `Ledger.imbalance` can say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ENDED = ("processed", "dropped", "conflated", "dead_lettered", "invalid")
WAITING = ("queued", "spilled", "in_flight")
COLUMNS = ("received", *ENDED, *WAITING)

_MAX_ACCOUNTS = 100_000
_values = attrgetter(*COLUMNS)


class Account:
    """The counts of one symbol and channel, in messages since the session began."""

    __slots__ = ("channel", "symbol", *COLUMNS)

    def __init__(self, symbol: str, channel: str) -> None:
        self.symbol = symbol
        self.channel = channel
        self.received = 0
        self.processed = 0
        self.dropped = 0
        self.conflated = 0
        self.dead_lettered = 0
        self.invalid = 0
        self.queued = 0
        self.spilled = 0
        self.in_flight = 0

    def imbalance(self) -> int:
        """Return received minus the sum of everything else: 0 unless a message was lost."""
        ended = self.processed + self.dropped + self.conflated + self.dead_lettered + self.invalid
        return self.received - ended - self.queued - self.spilled - self.in_flight

    def __repr__(self) -> str:
        counts = " ".join(f"{name}={getattr(self, name)}" for name in COLUMNS)
        return f"<Account {self.symbol or '-'} {self.channel}: {counts}>"


class Ledger:
    """All accounts of a session."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], Account] = {}

    def account(self, symbol: str, channel: str) -> Account:
        """Return the account of a symbol and channel, opening it when first asked for.

        A feed that invents symbols without end cannot make this grow without end: beyond
        100,000 accounts, new symbols share one account a channel.
        """
        key = (symbol, channel)
        account = self._accounts.get(key)
        if account is None:
            if len(self._accounts) >= _MAX_ACCOUNTS:
                key = ("(other)", channel)
                if key in self._accounts:
                    return self._accounts[key]
            account = self._accounts[key] = Account(*key)
        return account

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    @property
    def waits(self) -> bool:
        """Whether a message is queued, spilled or in flight."""
        return any(a.queued or a.spilled or a.in_flight for a in self._accounts.values())

    def totals(self) -> dict[str, int]:
        """Return the sum over all accounts for each column."""
        values = [_values(account) for account in self._accounts.values()]
        sums = map(sum, zip(*values, strict=True)) if values else [0] * len(COLUMNS)
        return dict(zip(COLUMNS, sums, strict=True))

    def imbalance(self) -> list[Account]:
        """Return the accounts whose equation does not hold: always empty, or mdkit has a bug."""
        return [account for account in self._accounts.values() if account.imbalance()]

    def frame(self) -> pd.DataFrame:
        """Return one row a symbol and channel (the index), one int64 column a count."""
        import pandas as pd

        from mdkit.frames.printed import Table

        rows = sorted(self._accounts.values(), key=lambda a: (a.symbol, a.channel))
        index = pd.MultiIndex.from_tuples(
            [(a.symbol, a.channel) for a in rows], names=["symbol", "channel"]
        )
        data = {name: [getattr(a, name) for a in rows] for name in COLUMNS}
        return Table(data, index=index, columns=list(COLUMNS), dtype="int64")
