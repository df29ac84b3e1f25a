"""What tests of every public venue ask of a session and of the exchange that it reads."""

import mdkit as md


def pressed(frame):
    """Return signals in an order of their own: those of two symbols come in any."""
    rows = frame.reset_index()[["symbol", "received", "value"]]
    return rows.sort_values(["symbol", "received"], kind="stable", ignore_index=True)


def truth(exchange, book):
    """Return whether a book is the exchange's own of its time.

    Where a venue tells milliseconds, the book is that of the end of one.
    """
    levels = max(len(book.bids), len(book.asks))
    for later in (0, 999_999):
        try:
            true = exchange.true_book(book.symbol, time_ns=book.exchange_ns + later, levels=levels)
        except md.MdkitError:
            continue  # of too long ago
        if _levels(true, levels) == (book.bids, book.asks):
            return True
    return False


def _levels(book, levels):
    return tuple(
        tuple((float(price), float(size)) for price, size in book[side][:levels])
        for side in ("bids", "asks")
    )


def in_step(session, symbols):
    table = session.venues()
    return len(table) == len(symbols) and set(table["state"]) == {"in step"}


def reasons(session, words):
    """Return the reasons of gaps that hold some words."""
    return [reason for reason in session.gaps()["reason"] if words in reason]


def matches(session, exchange, symbol):
    """Whether the newest book is in step and the exchange's of its time, tried until so."""
    builder = session.pipeline.source.builder(symbol)
    book = session.pipeline.frames.table("depth", symbol).latest
    is_known = builder is not None and builder.state == "in step" and book is not None
    return is_known and truth(exchange, book)
