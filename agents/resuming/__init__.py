"""Saved agents, and checkpoints inside a training with the proof that they can be continued."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
