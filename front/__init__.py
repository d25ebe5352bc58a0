"""velodrome: put reinforcement-learning agents on one track and see who is better.

Names are loaded when first used. Gymnasium alone is imported at once, so that it knows `velodrome/...`.
"""

import lazy_loader

from velodrome import envs  # noqa: F401

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
