"""Two connections of a feed, whatever their lags, give what one would have given."""

import random

import msgspec
import pytest
from msgspec import Struct

from mdkit.events import Ticker, Trade
from mdkit.venues.assembly.assembler import Assembler, AssemblerState
from mdkit.venues.assembly.builder import BookBuilder
from mdkit.venues.assembly.handover import Handover
from mdkit.venues.assembly.parsed import BookUpdate, Figures, Trades
from mdkit.venues.assembly.rules import Chain, ConnectionCounter, SequenceRanges, WholeBooks

MS = 1_000_000
LENGTH = 120


class Frame(Struct):
    book: BookUpdate | None = None
    trades: list[Trade] = []
    ticker: Ticker | None = None


class ToyParser:
    book_mark = b""

    def parse(self, raw):
        frame = msgspec.json.decode(raw, type=Frame)
        return [
            *filter(None, [frame.book]),
            *([Trades("X", frame.trades)] if frame.trades else ()),
            *([Figures("X", frame.ticker)] if frame.ticker else ()),
        ]

    def parse_rest(self, request, body):
        return self.parse(body)


def assembler(rule):
    return Assembler(ToyParser(), lambda: BookBuilder(rule(), 3), {"X": "X/USD"})


class Market:
    """A course of a book, trades and tickers; `frames[n]` leads from state n to n + 1."""

    def __init__(self, seed, rule):
        self.random = random.Random(seed)
        self.rule = rule
        bids = {100.0 - n: 1.0 for n in range(4)}
        asks = {101.0 + n: 1.0 for n in range(4)}
        self.states = [(dict(bids), dict(asks), 10)]
        self.frames = []
        last = 10
        for step in range(LENGTH):
            ns = (step + 1) * MS
            what = self.random.random()
            if what < 0.6:
                side = self.random.choice([bids, asks])
                price = self.random.choice(sorted(side))
                side[price] = float(self.random.randint(1, 3))
                number = last + self.random.randint(1, 3)
                change = [(price, side[price])]
                book = BookUpdate(
                    "X",
                    change if side is bids else [],
                    change if side is asks else [],
                    exchange_ns=ns,
                    first=last + 1,
                    last=number,
                    previous=last,
                )
                if rule is WholeBooks:
                    book = self.snapshot(bids, asks, number, ns)
                last = number
                self.frames.append(Frame(self.numbered(book)))
            elif what < 0.9:
                self.frames.append(Frame(trades=[Trade("X", 100.0, 1.0, "buy", f"{step}", ns)]))
            else:
                self.frames.append(Frame(ticker=Ticker("X", float(step), exchange_ns=ns)))
            self.states.append((dict(bids), dict(asks), last))

    def numbered(self, book):
        if self.rule not in (Chain, SequenceRanges):
            book.first = book.last = book.previous = 0
        return book

    def snapshot(self, bids, asks, number, ns):
        return BookUpdate(
            "X", sorted(bids.items()), sorted(asks.items()), True, exchange_ns=ns, last=number
        )

    def frames_from(self, start):
        """Return what a connection brings that subscribes in a state."""
        begun = self.numbered(self.snapshot(*self.states[start], start * MS))
        return [Frame(begun), *self.frames[start:]]


def encoded(frames):
    return [msgspec.json.encode(frame) for frame in frames]


def run(rule, seed, *, end=None, is_saved=False):
    """Return what one connection gives, and what two do of which the second takes over.

    The old one ends where it has handed over all, or at frame `end`.
    """
    market = Market(seed, rule)
    rng = random.Random(f"{seed} lags")
    whole = assembler(rule)
    expected = [m for raw in encoded(market.frames_from(0)) for m in whole.take(raw, 1)]
    start = rng.randint(5, 40)
    old, new = assembler(rule), assembler(rule)
    first, second = encoded(market.frames_from(0)), encoded(market.frames_from(start))
    given = []
    at, behind = rng.randint(max(1, start - 8), start), 0  # it opens before it subscribes
    for raw in first[:at]:
        given += old.take(raw, 1)
    handover = Handover(old, new)
    lag = rng.choice([0.2, 0.5, 0.8])
    keys = [("depth", "X/USD"), ("trade", "X/USD"), ("ticker", "X/USD")]
    while not all(handover.is_given(*key) for key in keys):
        if at == len(first) or at == end:
            break
        if rng.random() < lag and at < len(first):
            given += old.take(first[at], 1)
            at += 1
        elif behind < len(second) and behind + start < at + 10:
            given += new.take(second[behind], 1)
            behind += 1
        if is_saved and rng.random() < 0.1:
            old, new, handover = restored(rule, old, new)
    given += handover.finish()
    for raw in second[behind:]:
        given += new.take(raw, 1)
    return expected, given, (old, new)


def restored(rule, old, new):
    """Return both, and their handover, as a recording would have them go on."""
    states = [
        msgspec.json.decode(msgspec.json.encode(a.save()), type=AssemblerState) for a in (old, new)
    ]
    old, new = assembler(rule), assembler(rule)
    for each, state in zip((old, new), states, strict=True):
        each.restore(state)
    return old, new, Handover(old, new, states[1].handover)


def of_kind(messages, kind):
    """Return the books, or the single trades however they were put together."""
    of_it = [m for m in messages if m.startswith(f'{{"type":"{kind}"'.encode())]
    if kind == "trade":
        return [trade for m in of_it for trade in msgspec.json.decode(m)["trades"]]
    return of_it


@pytest.mark.parametrize("is_saved", [False, True])
@pytest.mark.parametrize("rule", [Chain, ConnectionCounter, WholeBooks])
def test_two_connections_give_what_one_does(rule, is_saved):
    handed_over = 0
    for seed in range(40):
        expected, given, (old, new) = run(rule, seed, is_saved=is_saved)
        for kind in ("depth", "trade"):
            assert of_kind(given, kind) == of_kind(expected, kind), (seed, kind)
        handed_over += bool(new.counts["duplicate"] or old.counts["duplicate"])
    assert handed_over > 25


@pytest.mark.parametrize("rule", [Chain, WholeBooks])
def test_trades_are_whole_where_the_old_connection_ends_before_all_is_handed_over(rule):
    for seed in range(40):
        expected, given, _ = run(rule, seed, end=46)
        assert of_kind(given, "trade") == of_kind(expected, "trade"), seed
        assert of_kind(given, "depth")[-1] == of_kind(expected, "depth")[-1]


def test_a_book_that_is_out_of_step_is_handed_over_with_its_stretch():
    market = Market(1, Chain)
    first, second = encoded(market.frames_from(0)), encoded(market.frames_from(5))
    old, new = assembler(Chain), assembler(Chain)
    for raw in first[:10]:
        old.take(raw, 7)
    handover = Handover(old, new)
    old.builders["X/USD"].fail("sequence: expected so, got otherwise", 8)
    told = new.take(second[0], 9)
    assert handover.is_given("depth", "X/USD")
    gap, book = told
    assert (gap.symbol, gap.channel) == ("X/USD", "depth")
    assert (gap.from_ns, gap.to_ns) == (7, 9)
    assert "expected so" in gap.reason
    assert book.startswith(b'{"type":"depth"')


def test_a_next_connection_that_falls_out_of_step_has_to_begin_again():
    market = Market(2, Chain)
    old, new = assembler(Chain), assembler(Chain)
    for raw in encoded(market.frames_from(0))[:3]:
        old.take(raw, 1)
    handover = Handover(old, new)
    second = encoded(market.frames_from(20))
    assert new.take(second[0], 1) == []  # ahead of the old one: held
    new.builders["X/USD"].fail("of some reason", 2)
    assert new.take(encoded(market.frames_from(30))[0], 3) == []
    given = [m for raw in encoded(market.frames_from(0))[3:32] for m in old.take(raw, 4)]
    assert handover.is_given("depth", "X/USD")
    assert new.builders["X/USD"].books == 0
    assert given


def test_each_side_counts_what_it_gave_in_vain():
    expected, given, (old, new) = run(Chain, 3)
    books = sum(a.builders["X/USD"].books for a in (old, new))
    assert books == len(of_kind(given, "depth")) == len(of_kind(expected, "depth"))
