"""What REST is asked for when the socket broke off, and before a stream begins.

backfill.py   when to ask after a reconnect, and what becomes of the gaps that it fills
rest.py       asking, in threads that nobody has to wait for
"""
