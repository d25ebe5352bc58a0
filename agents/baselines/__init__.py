"""Agents to be beaten: one action for ever, the best such action, and a user's rule of thumb."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
