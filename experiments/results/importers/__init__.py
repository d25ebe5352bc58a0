"""Results from elsewhere: tidy tables, and the files of Stable-Baselines3, rlberry and rliable."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
