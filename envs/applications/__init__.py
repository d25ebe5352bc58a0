"""Small simulators of what reinforcement learning is asked to run, as environments."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
