"""Transition models: the dynamics of a finite environment as arrays, and the proof that they are its own."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
