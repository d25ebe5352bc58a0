"""Small simulators of the domains in which reinforcement learning is applied."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
