"""`sample`: the small recording that comes with mdkit."""

from __future__ import annotations

from pathlib import Path

from mdkit.errors import RecordingError

_NAME = "sample.jsonl.gz"
_PACKAGE = Path(__file__).resolve().parents[1]


def sample() -> Path:
    """Return the path of the recording that comes with mdkit.

    It holds 14 s of books and trades of two simulated stocks, AAPL.US and MSFT.US, in 1,859
    messages: small enough to try everything on that takes a recording.

    Raises `RecordingError` where the file has been taken out of the installation.

    Example:
        >>> md.recording_info(md.sample()).symbols
        ('AAPL.US', 'MSFT.US')
    """
    # A wheel has it in the package, a clone in the folder of data beside it.
    places = (_PACKAGE / _NAME, _PACKAGE.parent / "data" / _NAME)
    for place in places:
        if place.is_file():
            return place
    raise RecordingError(f"{places[0]} is missing: install mdkit again.")
