"""Workers: they take batches from the queue, read them, and run the strategies.

lanes.py     the workers of this process
calls.py     calls of strategies, timed and tried again, and which is under way
outcome.py   what came of the messages: dead letters, unusable ones, signals
failures.py  where strategies fail, and which failure is the commonest
watchdog.py  who holds the loop
"""
