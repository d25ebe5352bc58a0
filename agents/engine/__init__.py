"""The two training loops, generic and compiled, the random streams, and what both loops read."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
