"""How much of a result is chance.

steps.py      returns over equal stretches of time
bootstrap.py  Result.bootstrap(): bands of figures, from blocks of returns drawn again
deflated.py   deflated(): how likely the best of a sweep is luck
"""

from __future__ import annotations
