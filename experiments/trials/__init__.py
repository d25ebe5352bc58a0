"""One trial: train one agent in one environment with one seed, and evaluate it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
