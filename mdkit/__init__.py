"""mdkit: a live order book in your notebook; one feed, one bounded queue, your function."""
