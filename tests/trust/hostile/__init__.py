"""Peers and files that mean harm, for every feature that reads what it did not write.

- `sockets`: a WebSocket server that completes the handshake and then does one bad thing; `BAD`
  names them all, and `refuses` those that do not get so far.
- `rest`: an HTTP service that answers without end, in drips, or with what unpacks without measure.
- `files`: recordings with lines that are none.

A new venue, archive reader or view is met by all members of its family: parametrise over the
family's dict, and assert that it ends or goes on within its bounds and says why.
"""
