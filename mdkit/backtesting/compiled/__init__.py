"""A strategy's own code compiled by numba, with the bits that Python gives, or not at all.

native.py   the engine: what compiles, when that pays, what stands in its way
kernels.py  the compiled loops over bars and over an account's
layout.py   a strategy's state as a block of memory; mirror.py: as a numba type
store.py    compiled code kept on disk
checks/     what of Python it may use
"""
