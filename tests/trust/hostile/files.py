"""Recordings that somebody else has written."""

import gzip

from tests.trust.hostile.sockets import BOOK

LINE = b"1700000000000000000\t" + BOOK % b"A"


def recording(folder, *lines):
    """Write a recording of a book of A, these lines, and a book of A; return its path."""
    path = folder / "odd.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"\n".join([LINE, *lines, LINE, b""]))
    return path


def without_line_end(folder, size=20 << 20):
    """Write a recording whose second line is `size` blanks; return its path."""
    path = folder / "long.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(LINE + b"\n" + b" " * size + b"\n")
    return path


DAMAGE = {
    "blank lines": [b"\n" * 2_000_000],
    "no messages": [b"x"] * 150_000,
    "comments": [b"# comment"] * 150_000,
    "unknown markers": [b'{"mdkit":"nothing known"}'] * 150_000,
    "deep nesting": [b'{"mdkit":' + b"[" * 100_000, b"1700000000000000000\t" + b"[" * 100_000],
    "control characters": [b"1700000000000000000\t" + BOOK % b"\x1b[2J", b"\x00" * 100],
}
