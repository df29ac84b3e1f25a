"""Strategies on books compiled: the bits that Python gives, or a reason why not."""

import math
import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import mdkit as md
from mdkit.backtesting.account.terms import Fills
from mdkit.backtesting.books.strategy.answers import SILENT, book_columns, new_answers
from mdkit.backtesting.books.strategy.tape import BookTape
from mdkit.backtesting.compiled import native
from mdkit.backtesting.compiled.layout import CannotCompile
from mdkit.errors import StrategyError
from mdkit.events import Depth, Gap
from mdkit.strategies.contract import as_strategy
from mdkit.strategies.indicators import EMA

pytestmark = pytest.mark.outer

MS = 1_000_000
MODELS = Fills.__args__
LEVELS = (1, 3)


@pytest.fixture(autouse=True)
def _numba(numba):
    """Skip all of these without numba."""


@md.strategy("depth")
def heavy(book, levels=2, enter=0.2):
    value = md.imbalance(book, levels)
    if value >= enter:
        return 1.0
    return -0.5 if value <= -enter else None


@md.strategy("depth")
class Averaged:
    """State, an indicator, loops over sides and parts of them, times, and the symbol."""

    decay: float = 0.5
    name: str = "A"

    def start(self):
        self.average = EMA(3)
        self.seen = 0
        self.before = [0.0, 0.0]
        self.last = None
        self.waited = 0

    def __call__(self, book):
        self.seen += 1
        if not book.bids or not book.asks:
            return None
        worth = 0.0
        for price, size in book.bids[:2]:
            worth += price * size
        for number, level in enumerate(book.asks[-2:]):
            worth -= level[0] * level[1] * (number + 1)
        for _, size in book.bids[1:]:
            worth += size
        if self.last is not None:
            self.waited += book.received_ns - self.last
        self.last = book.received_ns
        flow = book.bids[0][1] - self.before[0] - (book.asks[0][1] - self.before[1])
        self.before[0] = book.bids[0][1]
        self.before[1] = book.asks[-1][1]
        value = self.average.update(worth + flow * self.decay)
        if book.symbol == self.name and self.seen % 2 == 0:
            return None
        if len(book.bids) + len(book.asks) > 6 and self.waited % 3 == 0:
            return 0
        return math.tanh(value / 100.0) if value == value else None


@md.strategy("depth")
class Taker:
    def start(self):
        self.side = 0

    def __call__(self, book):
        if not (book.bids and book.asks):
            return None
        bid, ask = book.bids[0][1], book.asks[0][1]
        wanted = 1 if bid > ask else (-1 if bid < ask else self.side)
        if wanted == self.side:
            return None
        size = (wanted - self.side) * 0.5
        self.side = wanted
        return md.Limit(book.asks[0][0] * 2 if size > 0 else book.bids[0][0] / 2, size, "IOC")


@md.strategy("depth")
def repeated(book, size=2):
    """Says the same limit again and again, now and then another."""
    return md.Limit(100.0, size) if len(book.bids) < 3 else md.Limit(101.0, -1, "GTX")


@md.strategy("depth")
def maker(book, width=1.0, most=3.0):
    middle = md.microprice(book)
    if middle != middle:
        return md.Quote()
    bid = None
    if len(book.bids) > 1:
        bid = middle - width
    return md.Quote(bid, middle + width, 1.5, max_position=most)


@md.strategy("depth", per="session")
class Together:
    def start(self):
        self.n = 0

    def __call__(self, book):
        self.n += 1
        return self.n % 5 / 4 if book.symbol == "A" else -(self.n % 3) / 2


STRATEGIES = (heavy, Averaged(), Taker(), repeated, maker, Together(), md.strategies.pressure)


@st.composite
def books(draw):
    """Books around 100 in ticks of a half, of two symbols, sides empty at times."""
    events, at, middle = [], 0, 200
    sizes = st.lists(st.integers(0, 40), max_size=4)
    for n in range(draw(st.integers(2, 20))):
        at += draw(st.integers(1, 30)) * MS
        middle += draw(st.integers(-2, 2))
        bids, asks = draw(sizes), draw(sizes)
        if n == 0:
            bids, asks = [8], [8]
        events.append(
            Depth(
                draw(st.sampled_from("AB")) if n else "A",
                tuple(((middle - k) / 2, size / 4) for k, size in enumerate(bids)),
                tuple(((middle + 1 + k) / 2, size / 4) for k, size in enumerate(asks)),
                at + draw(st.integers(-3, 3)),
                at,
            )
        )
    return events


def bits(run):
    """All that a run over books is made of, as bytes."""
    return [
        np.ascontiguousarray(part).tobytes()
        for part in (run.signals, run.equity, run.fills, run.books.fills, run.books.orders)
    ]


@pytest.mark.parametrize("found", STRATEGIES, ids=lambda found: as_strategy(found).name)
@settings(max_examples=25)
@given(events=books(), model=st.sampled_from(MODELS), latency=st.sampled_from([0, 25, (5, 40)]))
def test_compiled_runs_have_the_bits_of_the_reference(found, events, model, latency):
    terms = {"fills": model, "latency_ms": latency, "fee": 0.0002, "cash": 5_000.0}
    python = md.backtest(found, events, engine="python", **terms)
    for data in (events, md.load_books(events)):
        compiled = md.backtest(found, data, engine="native", **terms)
        assert (compiled.engine, compiled.engine_reason) == ("native", "asked for")
        assert bits(compiled.run) == bits(python.run)


def said_of(strategy, events):
    """What a strategy's compiled code says of books, None for nothing."""
    tape = BookTape(events, recorded=True)
    code = native.compile_strategy(as_strategy(strategy), "depth")
    said = new_answers(len(events))
    which = np.arange(len(events))
    assert code.answer(code.start(as_strategy(strategy)), tape.levels, which,
                       book_columns(tape, which), said) == -1  # fmt: skip
    pairs = zip(said[0].tolist(), said[1].tolist(), strict=True)
    return [None if kind == SILENT else value for kind, value in pairs]


def _measured(name, *levels):
    measure = getattr(md, name)

    @md.strategy("depth")
    def measured(book):
        value = measure(book, *levels) if levels else measure(book)
        return value if value == value else None

    @md.strategy("depth")
    def one(book):
        value = measure(book)
        return value if value == value else None

    return one if not levels else measured


@md.strategy("depth")
def ratio(book, levels=3):
    value = md.pressure_ratio(book, levels)
    return value if value == value else None


@md.strategy("depth")
def share(book, levels=3):
    value = md.imbalance(book, levels=levels)
    return value if value == value else None


@md.strategy("depth")
def width(book):
    value = md.spread(book)
    return value if value == value else None


@md.strategy("depth")
def middle(book):
    value = md.mid(book)
    return value if value == value else None


@md.strategy("depth")
def leaning(book):
    value = md.microprice(book)
    return value if value == value else None


MEASURES = (ratio, ratio(levels=1), share, share(levels=40), width, middle, leaning)
NUMBERS = st.one_of(
    st.floats(),
    st.integers(-(10**12), 10**12).map(lambda n: n / 100),
    st.integers(0, 10**9).map(lambda n: n / 1e8),
    st.sampled_from([0.0, -0.0, 0.1, 0.3, 1e-300, 1e300, 2.0**50, math.inf, -math.inf, math.nan]),
)
SIDES = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=5).map(tuple)


@pytest.mark.parametrize("found", MEASURES, ids=repr)
@given(bids=SIDES, asks=SIDES)
@example(bids=((158.54, 1.0),), asks=((158.55, 3.0),))
@example(bids=(), asks=((1.0, 1.0),))
@example(bids=((1.0, 0.0),), asks=((1.0, -0.0),))
def test_measures_have_the_bits_of_their_originals(found, bids, asks):
    event = Depth("A", bids, asks, 0, MS)
    expected = as_strategy(found).instance()(event)
    (value,) = said_of(found, [event])
    assert (value is None) == (expected is None)
    if value is not None:
        assert struct.pack("d", value) == struct.pack("d", expected)


def _uses(body, **state):
    scope = {"md": md, "math": math, **state}
    exec("@md.strategy('depth')\ndef odd(book):\n" + body, scope)
    return scope["odd"]


REFUSED = {
    "dict": ("    return float(book.as_dict()['x'])", "it uses as_dict of book, which"),
    "steps": ("    for _, size in book.bids[::2]:\n        return size",
              "it takes a side of a book in steps, which compiled code does not"),
    "sum": ("    return sum(size for _, size in book.bids)", "generator expression|it calls sum"),
    "mixed": ("    if book.bids:\n        return md.Limit(1.0, 1.0)\n    return 1.0", "unify"),
    "exposure": ("    return md.Limit(1.0, exposure=0.5)", "arguments are by keyword alone"),
    "levels": ("    return md.imbalance(book, 2.5)",
               "levels is float64, where a whole number is expected"),
    "side": ("    return book.bids", "it returns side of a book"),
    "price": ("    limit = md.Limit(1.0, 1.0)\n    return limit.price", "price"),
    "table": ("    return md.rolling(book, 'x', 3)", "it uses mdkit.rolling, which has no"),
    "equal": ("    return 1.0 if book.bids == book.asks else 0.0",
              "it uses eq on side of a book, side of a book, which has no"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_compile_is_said_and_runs_in_python(name):
    body, reason = REFUSED[name]
    found = _uses(body)
    with pytest.raises(CannotCompile, match=reason):
        native.compile_strategy(as_strategy(found), "depth")


def event(n, price=100.0, size=1.0):
    return Depth("A", ((price, size),), ((price + 1.0, 2.0 * size),), 0, n * MS)


def test_a_kept_book_is_refused_with_its_cure():
    @md.strategy("depth")
    class Keeps:
        def start(self):
            self.last = None

        def __call__(self, book):
            self.last = book
            return 0.0

    with pytest.raises(CannotCompile, match=r"Keeps.last keeps a book; keep its numbers"):
        native.compile_strategy(as_strategy(Keeps), "depth")


def test_the_reason_is_told_where_python_runs_in_its_place():
    @md.strategy("depth")
    def listed(book):
        return sum(size for _, size in book.bids) / 4.0

    result = md.backtest(listed, [event(n) for n in range(1, 5)], engine="native")
    assert result.engine == "native"
    assert result.engine_reason.startswith(
        "asked for; the strategy itself runs in Python: it has a gen"
    )


def test_what_fails_in_compiled_code_is_told_by_python():
    @md.strategy("depth")
    def third(book):
        return book.bids[2][0] / 1000.0

    with pytest.raises(
        StrategyError,
        match=r"book of A at 1970-01-01T00:00:00\.001Z: IndexError: tuple.*\(test_compiled",
    ):
        md.backtest(third, [event(1)], engine="native")

    @md.strategy("depth")
    def divides(book):
        return 1.0 / (book.bids[0][1] - 1.0)

    with pytest.raises(StrategyError, match="ZeroDivisionError"):
        md.backtest(divides, [event(1)], engine="native")

    @md.strategy("depth")
    def far(book):
        return book.bids[0][0]

    with pytest.raises(StrategyError, match="said 100 on a book of A; a target exposure lies"):
        md.backtest(far, [event(1)], engine="native")

    @md.strategy("depth")
    def wrong(book):
        return md.Limit(book.bids[0][0] - 100.0, 0.0)

    with pytest.raises(StrategyError, match="Limit: size is 0"):
        md.backtest(wrong, [event(1)], engine="native")

    with pytest.raises(StrategyError, match="pressure needs levels of at least 1"):
        md.backtest(md.strategies.pressure(levels=0), [event(1)], engine="native")


def test_a_strategy_that_hears_gaps_runs_in_python_where_there_are_some():
    @md.strategy("depth")
    class Hears:
        def start(self):
            self.gaps = 0

        def on_gap(self, gap):
            self.gaps += 1

        def __call__(self, book):
            return float(self.gaps)

    whole = [event(1), event(2)]
    broken = [event(1), Gap("A", "depth", "lost", MS, 2 * MS), event(2)]
    assert md.backtest(Hears, whole, engine="native").engine_reason == "asked for"
    result = md.backtest(Hears, broken, engine="native")
    assert result.engine_reason.endswith("books are missing, and it has an on_gap")
    assert result.signals["A"].tolist() == [0.0, 1.0]


def test_a_closed_over_measure_and_a_public_one_are_the_same_code():
    one = _measured("mid")
    events = [event(n, 100.0 + n / 4) for n in range(1, 5)]
    assert said_of(one, events) == [md.mid(book) for book in events]


def test_verify_runs_compiled_code_over_books():
    events = [event(n, 100.0 + (n * 7 % 5) / 4, 1.0 + n % 3) for n in range(1, 200)]
    for found in (heavy, Averaged()):
        checked = md.verify(found, events)
        assert checked, str(checked)
        assert checked.engines == ("python", "native", "live", "another process")


def test_verify_runs_compiled_code_over_a_recording(tmp_path):
    checked = md.verify(md.strategies.pressure, md.sample())
    assert checked
    assert "native" in checked.engines, checked.skipped

    class Hears:
        def __call__(self, book):
            return md.imbalance(book, 2)

        def on_gap(self, gap):
            self.told = True

    paths = [tmp_path / "first.jsonl.gz", tmp_path / "second.jsonl.gz"]
    for path in paths:
        market = md.Simulated(["AAPL.US"], speed=None, count=200)
        md.live(source=market, record=path).run_blocking()
    hears = md.strategy("depth")(Hears)
    assert "native" in md.verify(hears, paths[0]).engines
    parted = md.verify(hears, paths)
    assert parted
    assert "on_gap" in parted.skipped["native"]


@pytest.mark.parametrize("engine", ["python", "native"])
def test_selling_for_nothing_what_was_borrowed_for_costs_no_division_by_zero(engine):
    @md.strategy("depth")
    class Borrows:
        def start(self):
            self.n = 0

        def __call__(self, book):
            self.n += 1
            return md.Limit(101.0, 150.0) if self.n == 1 else 1.0

    asked = (((99.0, 200.0),), ((101.0, 200.0),)), (((0.0, 200.0),), ((300.0, 200.0),))
    events = [Depth("A", bids, asks, 0, n * MS) for n, (bids, asks) in enumerate(asked, 1)]
    result = md.backtest(Borrows, events, engine=engine, allow_nonpositive=True)
    assert np.isfinite(result.run.equity).all()
