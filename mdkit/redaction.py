"""What must not be shown: keys, and characters that a terminal would obey.

A traceback in a notebook may print the variables of its frames (`%xmode Verbose`), so a key is a
`Secret` from the moment that mdkit is handed it, and so is an address that may hold one.

A server, or a proxy before it, may repeat a request in a refusal, a close frame or an error, and
may send escape sequences in any text. What comes from a peer or a file goes through `safe_text`
before it becomes part of an error, a gap, a log, a report or a recording's annotation.
"""

from __future__ import annotations

import json
from typing import TypeVar
from urllib.parse import quote, quote_plus

SHOWN = "***"
"""What stands in a key's place."""
_SHORTEST = 6
"""Shorter texts are no keys, and would be found in many words."""
_forms: set[str] = set()
_T = TypeVar("_T")


class Secret(str):
    """A text whose `repr` is not the text; `str()` gives that as a plain one."""

    def __repr__(self) -> str:
        return repr(SHOWN)


def hide(key: str | None) -> Secret | None:
    """Have a key taken out of texts from now on, in clear and as URLs and JSON write it.

    Returns the key as a `Secret`.
    """
    if key is None or not isinstance(key, str):
        return key
    if len(key) >= _SHORTEST:
        _forms.update((key, quote(key, safe=""), quote_plus(key), quote(key, safe="").lower()))
        _forms.add(json.dumps(key)[1:-1])
    return Secret(key)


def hide_address(source: _T) -> _T | Secret:
    """Return an address that may hold a user, a password or a key as a `Secret`.

    Anything else comes back as it is.
    """
    is_telling = isinstance(source, str) and ("@" in source or "?" in source)
    return Secret(source) if is_telling else source


def safe_text(text: str) -> str:
    """Return a text without keys, one that is cut off at the end included, and control characters.

    What is not printable (escapes, line ends, marks that turn the direction of writing) becomes
    U+FFFD.
    """
    for form in sorted(_forms, key=len, reverse=True):
        text = text.replace(form, SHOWN)
        # A close reason has 123 bytes at most, so a key may be cut off.
        for size in range(len(form) - 1, _SHORTEST - 1, -1):
            if text.endswith(form[:size]):
                text = text[:-size] + SHOWN
                break
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    return character if character.isprintable() else "\ufffd"
