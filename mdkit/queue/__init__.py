"""The bounded queue between the socket and the strategies, its policies and its ledger.

buffer.py      the queue: lanes, batches, what happens when it is full
channel.py     one symbol and channel in the queue: its counts, its lane, its policy
policies.py    the names of the overflow policies
arrivals.py    the order of arrival that "drop_oldest" goes by
spill.py       overflow to disk
losses.py      messages that are given up
statistics.py  what a look at the queue shows
ledger.py      where every message went
due_gaps.py    which pending gaps lie in a batch
"""
