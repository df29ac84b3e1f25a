"""Real frames of public venues, as the folder beside the repository keeps them."""

import gzip

from mdkit.venues.assembly.parser import rest_frame
from mdkit.venues.registry import VENUES


def frames(folder, name):
    """Yield `(raw, received_ns)` of a recording; an answer of REST is a frame as well."""
    with gzip.open(folder / "venues" / f"{name}.jsonl.gz") as lines:
        for line in lines:
            head, *parts = line.rstrip(b"\n").split(b"\t")
            if parts[0] == b"SENT":
                continue
            if parts[0].startswith(b"GET"):
                url = (parts[0][4:] or parts[1]).decode()
                yield rest_frame("/" + url.split("/", 3)[3], 0, parts[-1]), int(head)
            else:
                yield parts[0], int(head)


def assembler(venue, natives, *, rule=None, truncates=None, levels=10, depth=1000):
    """Return an assembler of some symbols; a mutant where a rule or a habit is another one."""
    from dataclasses import replace

    chosen = VENUES[venue]
    if rule is not None:
        chosen = replace(chosen, rule=rule)
    if truncates is not None:
        chosen = replace(chosen, truncates=truncates)
    return chosen.assembler({native: native for native in natives}, levels, depth)


def taken(assembler, stream):
    """Return all that an assembler gives for frames."""
    return [output for raw, ns in stream for output in assembler.take(raw, ns)]
