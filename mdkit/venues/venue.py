"""`Venue`: a public market without a key, and how its books are proven."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mdkit.errors import SettingsError
from mdkit.venues.assembly.assembler import Assembler
from mdkit.venues.assembly.builder import BookBuilder
from mdkit.venues.assembly.parser import Parser
from mdkit.venues.assembly.rules import Rule
from mdkit.venues.codec import Manners, Wire
from mdkit.venues.names import PairNames
from mdkit.venues.rest.public import PublicRest
from mdkit.venues.routes import CHANNELS

MOST_LEVELS = 1_000_000
"""A side; no book has so many."""


@dataclass(frozen=True, eq=False)
class Venue:
    """A public market: where it is, how it is asked, and how its books are proven.

    Attributes:
        rest: how its REST service is asked, which knows its name and its symbols as well.
        ws_url, rest_url: without paths that depend on what is asked for.
        wire: makes what subscribes, from the venue's own names by symbol, and a depth.
        parser: reads its frames.
        rule: makes what proves a book.
        proof: the same in a few words.
        manners: how it wants to be spoken to.
        channels: what can be subscribed to.
        depths: how many levels a side can be asked for; empty where all of them come.
        depth: how many are asked for; the least that will do where it is None.
        asks_for_books: whether snapshots are asked for by REST, and do not come by the socket.
        truncates: whether levels beyond the depth are never removed by the venue.
        paths: below `ws_url`, by channel, where that differs.
        aliases: makes the other names under which the venue answers for one of its own.
    """

    rest: PublicRest
    ws_url: str
    wire: Callable[[Venue, Mapping[str, str], int], Wire]
    parser: Callable[[], Parser]
    rule: Callable[[], Rule]
    proof: str
    manners: Manners
    channels: tuple[str, ...] = CHANNELS
    depths: tuple[int, ...] = ()
    depth: int | None = None
    asks_for_books: bool = False
    truncates: bool = False
    paths: Mapping[str, str] | None = None
    aliases: Callable[[str], Sequence[str]] | None = None
    rest_url: str = ""

    def __post_init__(self) -> None:
        if not self.rest_url:
            object.__setattr__(self, "rest_url", self.rest.base_url)

    @property
    def name(self) -> str:
        """The venue as `source=` calls it."""
        return self.rest.venue

    @property
    def title(self) -> str:
        """The venue as people call it."""
        return self.rest.title

    @property
    def names(self) -> PairNames:
        """The venue's symbols."""
        return self.rest.names

    def __repr__(self) -> str:
        depth = "" if self.depth is None else f", depth {self.depth}"
        return f"<Venue {self.name}: {self.ws_url}{depth}, books by {self.proof}>"

    def depth_for(self, levels: int) -> int:
        """Return how many levels a side to ask for, so that `levels` can be shown.

        Raises `SettingsError` where the venue has fewer, or none of the depth that was chosen.
        """
        if self.depth is not None:
            if self.depths and self.depth not in self.depths:
                raise SettingsError(
                    f"{self.title} has no books of depth {self.depth}: choose from "
                    f"{', '.join(map(str, self.depths))}."
                )
            if self.depth < levels:
                raise SettingsError(
                    f"levels={levels} cannot be had from a book of depth {self.depth}: ask for "
                    f"fewer levels, or for more depth."
                )
            return self.depth
        if not self.depths:
            return levels
        enough = [depth for depth in self.depths if depth >= levels]
        if not enough:
            raise SettingsError(
                f"levels={levels} cannot be had from {self.title}, whose books have at most "
                f"{max(self.depths)} a side."
            )
        # Where a snapshot is all that is known, a deep one lasts.
        return max(enough) if self.asks_for_books else min(enough)

    def assembler(self, natives: Mapping[str, str], levels: int, depth: int) -> Assembler:
        """Return what makes books, trades and tickers of one connection's frames.

        Args:
            natives: the venue's own name of each symbol.
            levels: of a book that are published, a side.
            depth: that was asked for.

        Raises `SettingsError` for numbers that no book can have.
        """
        if not (1 <= levels <= MOST_LEVELS and 1 <= depth <= MOST_LEVELS):
            raise SettingsError(f"a book of {levels} levels from a depth of {depth} is none")
        kept = depth if self.truncates else None

        def builder() -> BookBuilder:
            return BookBuilder(self.rule(), levels, depth=kept, by_rest=self.asks_for_books)

        return Assembler(self.parser(), builder, self.by_native(natives))

    def by_native(self, natives: Mapping[str, str]) -> dict[str, str]:
        """Return the symbol of each name under which the venue sends messages."""
        symbols = {own: symbol for symbol, own in natives.items()}
        if self.aliases is not None:
            for symbol, own in natives.items():
                for alias in self.aliases(own):
                    symbols.setdefault(alias, symbol)
        return symbols

    def url(self, channel: str) -> str:
        """Return the address of the feed that carries a channel."""
        return self.ws_url + (self.paths or {}).get(channel, "")

    def check_channels(self, channels: Sequence[str]) -> None:
        """Raise `SettingsError` for a channel that the venue lacks."""
        for channel in channels:
            if channel not in self.channels:
                raise SettingsError(
                    f"{self.title} has no {channel}: choose from {', '.join(self.channels)}."
                )
