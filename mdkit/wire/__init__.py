"""Bytes to events and back. Pure: no sockets, no clocks, no state that outlives a call."""
