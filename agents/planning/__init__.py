"""Agents that compute instead of learning, and exact values of policies, by dynamic programming."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
