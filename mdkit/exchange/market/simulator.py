"""Order books that move and trade, from a seed. Pure: no wall clock, no sockets.

The books know nothing of who listens: the sequence of messages is a function of the seed, the
symbols, the scenario and the opening price alone; the start adds only the timestamps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from mdkit.events import Depth, Ticker, Trade
from mdkit.exchange.config import ExchangeConfig
from mdkit.exchange.market.history import History
from mdkit.exchange.market.hours import kept
from mdkit.exchange.market.instruments import Instrument, instrument
from mdkit.exchange.market.opening import Opening
from mdkit.exchange.market.scenarios import offsets, scenario_named
from mdkit.exchange.market.tape import Figures, Tape
from mdkit.exchange.messages import Key, Message

_MS = 1_000_000
_WIDEST = 4
"""Ticks; a wider spread is filled before anything else happens."""
_TICKER_EVERY = 0.5
"""Seconds of the scenario between two tickers of a symbol."""
_FLOOD_LAP = 20_000
"""Depth messages that an unpaced stream prepares before it repeats itself."""
_PREPARED_AT_ONCE = 50
"""Depth messages of an opening; few enough that nobody else notices."""


class Book:
    """One symbol's order book: `levels` neighbouring ticks a side, sizes in whole units.

    A hidden imbalance wanders around zero (an Ornstein-Uhlenbeck process). New sizes follow
    it, and the price follows the sizes; so does the ratio of bid to ask volume, which is
    above 2 or below 0.5 some of the time.

    So there is something to find: the imbalance says which way the price goes next (up with the
    chance of 0.5 + 0.3 tanh(imbalance), a little less far above where it began), for some thirty
    steps of the book, in which it is half forgotten. Trades take the same side and take levels
    away, so flow moves the price, and order flow, queues, pressure and the number of trades all
    lead it. Their sizes do not: a trade takes a share of the level that it meets, and where buyers
    press, the asks are thin; so more trades are bought, but larger ones sold. Nothing else leads:
    neither time, nor the past of the price, nor another symbol.
    """

    def __init__(self, spec: Instrument, ticks: int, levels: int, random: Random) -> None:
        self.spec = spec
        self._random = random
        self._anchor = ticks
        self._imbalance = 0.0
        self.levels = levels
        # Room below the best bid for every level, so that no price reaches zero.
        self.bid = max(ticks, levels + 1)
        self.ask = self.bid + 1
        self.bids = [self._fresh(i, 1) for i in range(levels)]
        self.asks = [self._fresh(i, -1) for i in range(levels)]

    def step(self) -> None:
        """Let orders come and go, and the best prices move with them."""
        rnd = self._random.random
        self._imbalance = 0.97 * self._imbalance + 0.42 * (rnd() + rnd() - 1.0)
        for _ in range(3):
            i = int(rnd() * rnd() * self.levels)
            self.bids[i] = self._fresh(i, 1)
            j = int(rnd() * rnd() * self.levels)
            self.asks[j] = self._fresh(j, -1)
        move = rnd()
        if self.ask - self.bid > _WIDEST:
            move *= 0.3
        if move < 0.3:
            self._move(rnd() < self._upward())

    def trade(self) -> tuple[int, int, str]:
        """Execute against the best level; return ticks, units and the aggressor's side."""
        rnd = self._random.random
        buys = rnd() < self._upward()
        best = self.asks[0] if buys else self.bids[0]
        units = max(1, min(best, int(best * rnd() * 1.25)))
        ticks = self.ask if buys else self.bid
        if units < best:
            (self.asks if buys else self.bids)[0] = best - units
        elif buys:
            self._remove_ask()
        else:
            self._remove_bid()
        return ticks, units, "buy" if buys else "sell"

    def snapshot(self, exchange_ns: int) -> Depth:
        """Return the visible book: bids by price descending, asks ascending."""
        spec = self.spec
        step, scale, parts = spec.step, 10**spec.decimals, 10**spec.size_decimals
        bid, ask = self.bid, self.ask
        return Depth(
            spec.symbol,
            tuple([((bid - i) * step / scale, size / parts) for i, size in enumerate(self.bids)]),
            tuple([((ask + i) * step / scale, size / parts) for i, size in enumerate(self.asks)]),
            exchange_ns,
        )

    def _upward(self) -> float:
        """Return the probability that the next move is up: with the imbalance, and homewards."""
        away = (self.bid - self._anchor) / (0.02 * self._anchor)
        return 0.5 + 0.3 * math.tanh(self._imbalance) - 0.2 * max(-1.0, min(1.0, away))

    def _move(self, up: bool) -> None:
        # A gap is filled before a level is taken away: spreads stay narrow.
        if self.ask - self.bid > 1:
            if up:
                self.bid += 1
                self.bids.insert(0, self._fresh(0, 1))
                self.bids.pop()
            else:
                self.ask -= 1
                self.asks.insert(0, self._fresh(0, -1))
                self.asks.pop()
        elif up:
            self._remove_ask()
        else:
            self._remove_bid()

    def _remove_ask(self) -> None:
        self.ask += 1
        self.asks.pop(0)
        self.asks.append(self._fresh(self.levels - 1, -1))

    def _remove_bid(self) -> None:
        if self.bid <= self.levels:
            # The lowest level stands on one tick: the bid is refilled, not taken away.
            self.bids[0] = self._fresh(0, 1)
            return
        self.bid -= 1
        self.bids.pop(0)
        self.bids.append(self._fresh(self.levels - 1, 1))

    def _fresh(self, level: int, side: int) -> int:
        shape = 0.6 + min(level, 6) * 0.15
        noise = 0.4 + 1.2 * self._random.random()
        return max(1, int(self.spec.size * shape * noise * math.exp(side * self._imbalance * 0.75)))


class SimulatedFeed:
    """The simulated market of a configuration, opened at `opened_ms` by the exchange's clock.

    `specify` says what is traded under a symbol.
    """

    def __init__(
        self,
        config: ExchangeConfig,
        opened_ms: int,
        specify: Callable[[str], Instrument] = instrument,
    ) -> None:
        scenario = scenario_named(config.scenario, config.opening)
        self.symbols: tuple[str, ...] = ()
        self._config = config
        self._specify = specify
        self.opened_ms = opened_ms
        self.paced = config.speed > 0 and (config.rate or scenario.rate) is not None
        self.finished = False
        self.problems: list[str] = []
        self.instruments: dict[str, Instrument] = {}
        self.tapes: dict[str, Tape] = {}
        self.histories: dict[str, History] = {}
        self._books: list[Book] = []
        self._figures: list[Figures] = []
        self._next_ticker: list[float] = []
        self._trade_ids: list[int] = []
        self._moving = self.tapes
        for symbol in config.symbols:
            self._list(symbol)
        self._began_ms = opened_ms
        self.now_ms = opened_ms
        self._count = config.count
        self._random = Random(f"{config.seed}|market")
        self._trade_share = scenario.trade_share
        self._offsets = offsets(scenario, config.rate, Random(f"{config.seed}|schedule"))
        self._depths = 0
        self._pending: list[Message] = []
        self._rate = config.rate
        repeats = not self.paced or scenario.rate is None
        self._lap: list[list[Message]] | None = [] if repeats else None
        self._due: float | None = None
        self._opening: Opening | None = None
        if config.opening:
            count = min(config.opening, config.count or config.opening)
            self._opening = Opening(count, self._stood())
            # What is made beforehand must not be on a tape before it has been pushed.
            self._moving = {s: Tape(tape.first, opened_ms) for s, tape in self.tapes.items()}

    def admit(self, symbol: str) -> bool:
        """Return whether a symbol is traded; one that is listed is from now on.

        What the market says from then on is another sequence than it would have been.
        """
        if symbol in self.instruments:
            return True
        if symbol not in self._config.listed:
            return False
        self._list(symbol)
        if self._lap is not None:
            self._lap = []  # the messages that are repeated are made anew, with this symbol's
        if self._opening is not None:
            self._moving[symbol] = Tape(self.tapes[symbol].first, self.opened_ms)
            self._opening.stand(self._stood(len(self.symbols) - 1))
        return True

    def _list(self, symbol: str) -> None:
        config, spec = self._config, self._specify(symbol)
        history = History(spec, config.seed, self.opened_ms, hours=config.hours)
        ticks = history.opening_ticks
        book = Book(spec, ticks, config.levels, Random(f"{config.seed}|{symbol}|book"))
        open_, high, low, _, volume, _ = history.previous_day()
        self.symbols = (*self.symbols, symbol)
        self.instruments[symbol] = spec
        self.histories[symbol] = history
        self.tapes[symbol] = Tape(ticks, self.opened_ms)
        self._books.append(book)
        self._figures.append(Figures(open_, high, low, volume))
        self._next_ticker.append(0.0)
        self._trade_ids.append(1_000_000)

    def prepare(self) -> bool:
        """Make a part of what takes too long to be made in time; return whether some is left."""
        opening = self._opening
        if opening is None or self._depths >= opening.count:
            return False
        for _ in range(min(_PREPARED_AT_ONCE, opening.count - self._depths)):
            offset = next(self._offsets)
            for message in self._instant(offset):
                opening.add(message, self._began_ms + int(offset * 1000))
        return True

    def begin(self, now_ms: int, *, lazily: bool = False) -> None:
        """Start the scenario's clock at `now_ms`; a flood is prepared now, to be fast later.

        Prepared `lazily` it is the same, made when it is first taken: it begins at once.
        """
        while self.prepare():
            pass
        self._began_ms = self.now_ms = now_ms
        if self._config.hours is not None:
            self._offsets = kept(now_ms, self._offsets)
        if self._lap is not None and not lazily:
            wanted = _FLOOD_LAP if self._count is None else min(self._count, _FLOOD_LAP)
            while self._depths < wanted:
                self._next_instant(0.0)
            self._depths = 0

    def take(self, until: float, most: int) -> list[Message]:
        """Return the next messages, at most `most`, that are due at `until` seconds."""
        taken: list[Message] = []
        while (room := most - len(taken)) > 0:
            due = self.next_offset()
            if due is None or due > until:
                break
            if self._opening:
                taken += self._opening.take(until, room, self._began_ms)
                continue
            pending = self._pending or self._next_instant(due)
            taken += pending[:room]
            self._pending = pending[room:]
        if taken:
            self.catch_up(taken[-1].offset)
        return taken

    def next_offset(self) -> float | None:
        """Return when the next message is due, in seconds; None when there is none."""
        if self._opening:
            return self._opening.next_offset
        if self._pending:
            return self._pending[0].offset
        if self._depths == self._count:
            self.finished = True
            return None
        if self._lap is not None:
            return self._depths / self._rate if self.paced and self._rate else 0.0
        # Only the time is drawn ahead: the books must not move before it has come.
        if self._due is None:
            self._due = next(self._offsets)
        return self._due

    def catch_up(self, offset: float) -> None:
        """Let the exchange's clock come to `offset` seconds after the beginning."""
        self.now_ms = max(self.now_ms, self._began_ms + int(offset * 1000))

    def settle(self) -> None:
        """Bring the tapes up to date, which they always are but in a prepared opening."""
        if self._opening is not None:
            self._opening.fold(self.tapes, self.instruments)

    def depth(self, symbol: str) -> Depth:
        """Return the book as it stands."""
        if self._opening is not None:
            shown = self._opening.shown(("depth", symbol), self.now_ms * _MS)
            assert isinstance(shown, Depth)
            return shown
        return self._books[self.symbols.index(symbol)].snapshot(self.now_ms * _MS)

    def trades(self, symbol: str) -> list[Trade]:
        """Return the last trades, up to 1,000, oldest first."""
        return list(self.tapes[symbol].trades)

    def ticker(self, symbol: str) -> Ticker:
        """Return the last price, the quote and the 24-hour figures."""
        if self._opening is not None:
            shown = self._opening.shown(("ticker", symbol), self.now_ms * _MS)
            assert isinstance(shown, Ticker)
            return shown
        return self._ticker(self.symbols.index(symbol), self.now_ms)

    def _stood(self, first: int = 0) -> dict[Key, Depth | Ticker]:
        """Return what is to be seen before the first message, of the symbols from `first` on."""
        stood: dict[Key, Depth | Ticker] = {}
        for i, symbol in list(enumerate(self.symbols))[first:]:
            stood["depth", symbol] = self._books[i].snapshot(self.now_ms * _MS)
            stood["ticker", symbol] = self._ticker(i, self.now_ms)
        return stood

    def _end_opening(self) -> None:
        """Go on in time, from where the books and tapes have come to."""
        self.settle()
        self._opening, self._moving = None, self.tapes

    def _next_instant(self, due: float) -> list[Message]:
        """Return the messages of the next instant, the depth message among them."""
        lap = self._lap
        if lap is not None:
            if len(lap) > self._depths % _FLOOD_LAP:
                messages = lap[self._depths % _FLOOD_LAP]
                self._depths += 1
                return messages
            due = next(self._offsets)  # what is repeated tells the times of its first round
        if self._opening is not None:
            self._end_opening()
        self._due = None
        messages = self._instant(due)
        if lap is not None:
            lap.append(messages)
        return messages

    def _instant(self, offset: float) -> list[Message]:
        rnd = self._random.random
        number = len(self.symbols)
        # Everybody has a book after the first few messages; then chance decides.
        i = self._depths if self._depths < number else int(rnd() * number)
        self._depths += 1
        book = self._books[i]
        symbol = book.spec.symbol
        now_ms = self._began_ms + int(offset * 1000)
        messages: list[Message] = []
        if rnd() < self._trade_share:
            messages.append(self._trades(i, offset, now_ms, 1 + (rnd() < 0.2)))
        book.step()
        key: Key = ("depth", symbol)
        messages.append(Message(offset, key, (book.snapshot(now_ms * _MS),)))
        if offset >= self._next_ticker[i]:
            self._next_ticker[i] = offset + _TICKER_EVERY
            messages.append(Message(offset, ("ticker", symbol), (self._ticker(i, now_ms),)))
        return messages

    def _trades(self, i: int, offset: float, now_ms: int, number: int) -> Message:
        book = self._books[i]
        spec, tape = book.spec, self._moving[book.spec.symbol]
        trades = []
        for _ in range(number):
            ticks, units, side = book.trade()
            self._trade_ids[i] += 1
            trade = Trade(
                spec.symbol,
                spec.price(ticks),
                spec.amount(units),
                side,
                str(self._trade_ids[i]),
                now_ms * _MS,
            )
            tape.record(now_ms, ticks, units)
            tape.trades.append(trade)
            trades.append(trade)
        return Message(offset, ("trade", spec.symbol), trades)

    def _ticker(self, i: int, now_ms: int) -> Ticker:
        book, day = self._books[i], self._figures[i]
        spec, tape = book.spec, self._moving[book.spec.symbol]
        change = tape.last - day.open
        return Ticker(
            spec.symbol,
            spec.price(tape.last),
            spec.price(book.bid),
            spec.price(book.ask),
            spec.amount(day.volume + tape.volume),
            spec.price(max(day.high, tape.high)),
            spec.price(min(day.low, tape.low)),
            change * spec.step / 10**spec.decimals,
            round(100 * change / day.open, 4),
            exchange_ns=now_ms * _MS,
        )
