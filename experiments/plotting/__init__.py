"""Pictures of results: curves, scores, profiles, sweeps, and what classifiers got wrong."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
