"""mdkit: a live order book in your notebook; one feed, one bounded queue, your function.

    import mdkit as md

    session = md.live(["AAPL.US"], strategies=[md.strategies.pressure])

Importing mdkit opens nothing and patches nothing; what is heavy is loaded when first used. The
public names are listed in `__init__.pyi`.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
