"""The parts wired together: a source, the queue, the workers; and how they are doing.

options.py    what it is asked to be
pipeline.py   started, watched, drained, stopped
routed.py     messages with the channels that they belong to
ending.py     tasks that have to end by some time
unhandled.py  what was not handled, saved
health.py     the judgement on the last seconds, from samples
sampler.py    what is sampled, several times a second
explain.py    how it is doing, in a sentence, and what would help
memory.py     what takes how much memory
receipt.py    what a session has done, when it is over
"""
