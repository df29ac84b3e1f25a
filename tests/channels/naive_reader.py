"""What strategies meet in a recording, said a second time and naively: the oracle of the reader.

It decodes, leaves out trades that came twice, judges and makes bars message by message, in the
order in which a person would, and shares with `ChannelReader` only the small parts.
"""

from mdkit.channels.deduplicator import TradeDeduplicator
from mdkit.channels.live_bars import LiveBars, RevisedBar
from mdkit.errors import InvalidMessage
from mdkit.events import DROPPED, Gap
from mdkit.gap.quality import BookQuality
from mdkit.venues.routes import LIVE, SomeEvents


def naive_steps(recording, interval=None, made_of="trade"):
    """Return the events, bars and gaps of a recording in order, as strategies see them."""
    seen, waiting, known, judges, makers = [], {}, {}, {}, {}
    for item, received_ns, route in recording.items(recording.router()):
        if route is None:
            if item.lost != 0:
                waiting.setdefault((item.symbol, item.channel), []).append(item)
            continue
        symbol, channel, key = route.symbol, route.channel, (route.symbol, route.account)
        makes_bars = interval is not None and symbol != ""
        if makes_bars and symbol not in makers:
            makers[symbol] = LiveBars(symbol, interval, made_of)
        judge = judges.setdefault(key, BookQuality(symbol, channel))
        is_shown = not (makes_bars and channel == "bar")

        gaps = waiting.pop(key, [])
        if route.origin != LIVE:
            gaps = waiting.pop((symbol, channel), []) + gaps
        for gap in gaps:
            if makes_bars:
                makers[symbol].interrupt(gap)
            if gap.reason != DROPPED:
                judge.forget()
            if is_shown:
                seen.append(gap)

        try:
            events = route.decode(item, received_ns)
        except InvalidMessage:
            judge.note_unusable(received_ns)
            continue
        if isinstance(events, SomeEvents):
            judge.note_unusable(received_ns, len(events.unusable))
        if channel == "trade":
            events = known.setdefault(symbol, TradeDeduplicator()).fresh(events, route.origin)
        if not events:
            continue

        is_empty = channel == "depth" and not (events[-1].bids or events[-1].asks)
        if received_ns >= judge.look_ns or is_empty:
            for gap in judge.look(events[-1], received_ns):
                if makes_bars and channel == made_of:
                    makers[symbol].interrupt(gap)
                if is_shown:
                    seen.append(gap)

        for event in events:
            if makes_bars:
                seen += [
                    made
                    for made in makers[symbol].update(event)
                    if isinstance(made, Gap) or not (isinstance(made, RevisedBar) or made.partial)
                ]
            if is_shown:
                seen.append(event)
    return seen
